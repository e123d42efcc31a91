"""Push a published folder and its archive to a Hugging Face dataset repository, as one commit."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from ..tasks.errors import EpishotError

_CARD = """---
pretty_name: EPIShot leaderboard
tags:
- epishot
configs:
- config_name: leaderboard
  data_files: leaderboard.csv
---

# EPIShot leaderboard

Compact records (`records/`), the tables made from them, and the full scores (`archive/`) that every number is computed
from. With a copy of this repository in `board/`:

```
epishot verify board/
```
"""


_PAGES = ("LEADERBOARD.md", "COST.md", "METHODS.md", "ENERGY.md", "AUDITS.md")


def files_of(board: Path, archive: Path) -> Iterator[tuple[str, Path]]:
    """(path in the repository, file) of everything that is published; never of what else lies in the folder."""
    for path in sorted(board.glob("leaderboard.*")) + [board / name for name in _PAGES]:
        if path.is_file() and not path.is_symlink():
            yield path.name, path
    for path in sorted((board / "records").glob("*/*/*")):
        if path.suffix in (".json", ".parquet") and not path.name.startswith("."):
            yield path.relative_to(board).as_posix(), path
    for path in sorted(archive.glob("*/*/*.scores.parquet")):
        yield f"archive/{path.relative_to(archive).as_posix()}", path


def hub_token() -> str:
    """The token to push with; asked for before anything is published.

    Raises:
        EpishotError: there is none, or the hub is switched off.
    """
    import huggingface_hub

    if huggingface_hub.constants.HF_HUB_OFFLINE:
        raise EpishotError("HF_HUB_OFFLINE is set, so nothing can be pushed; unset it, or leave out --to-hub.")
    token = huggingface_hub.get_token()
    if not token:
        raise EpishotError("There is no Hugging Face token: run `hf auth login` or set HF_TOKEN, then publish again.")
    return token


def push_to_hub(board: Path, archive: Path, repository: str, message: str) -> str:
    """Push a board and its archive; the repository is made if need be. Nothing is deleted there.

    Args:
        board, archive: folders. repository: `owner/name` of a dataset repository. message: of the commit.

    Returns:
        Address of the commit.

    Raises:
        EpishotError: no token, offline, no access, or the hub refused; nothing was changed then.
    """
    from huggingface_hub import CommitOperationAdd, HfApi
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError

    token = hub_token()
    api = HfApi(endpoint=os.environ.get("HF_ENDPOINT") or None, token=token)
    try:
        api.create_repo(repository, repo_type="dataset", exist_ok=True)
        operations = [CommitOperationAdd(name, str(path)) for name, path in files_of(board, archive)]
        if not api.file_exists(repository, "README.md", repo_type="dataset"):
            operations.append(CommitOperationAdd("README.md", _CARD.encode()))
        commit = api.create_commit(repository, operations, commit_message=message, repo_type="dataset")
    except HFValidationError as error:
        raise EpishotError(f"{repository!r} does not name a dataset repository; write owner/name.") from error
    except (HfHubHTTPError, OSError) as error:
        cause = str(error).strip().splitlines()
        raise EpishotError(
            f"Pushing to {repository} failed ({cause[0] if cause else type(error).__name__}); the folder {board} is "
            "published all the same: try --to-hub again later."
        ) from error
    return str(commit.commit_url)
