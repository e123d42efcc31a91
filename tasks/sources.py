"""Source files of the real tasks: pinned by commit and sha256, downloaded once or read from a mirror.

`EPISHOT_DATA` names a mirror folder that holds `<dataset>/<file>`; without it the files are fetched from
their public repository at the pinned commit. Either way the bytes must have the sha256 of the manifest.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING

from .errors import SourceError

if TYPE_CHECKING:
    from rich.progress import Progress

MIRROR_VARIABLE = "EPISHOT_DATA"
CACHE_VARIABLE = "EPISHOT_CACHE"
TIMEOUT_S = 30
RETRIES = 2
_CHUNK_BYTES = 1 << 16


@dataclass(frozen=True)
class SourceFile:
    """One pinned file: name in mirror and cache, sha256 (hex), size, path inside the repository."""

    name: str
    sha256: str
    bytes: int
    path: str


@dataclass(frozen=True)
class Manifest:
    """The pinned files of one dataset.

    Attributes:
        dataset: folder name in mirror and cache.
        repository: public address; GitHub repositories are read through their raw-file address, any
            other address serves `<repository>/<commit>/<path>`.
        commit: pinned revision.
        licence: licence of the files.
        files: name -> file.
    """

    dataset: str
    title: str
    repository: str
    commit: str
    licence: str
    files: dict[str, SourceFile]

    def file(self, name: str) -> SourceFile:
        """The entry of one file.

        Raises:
            SourceError: the manifest has no such file.
        """
        if name not in self.files:
            raise SourceError(f"The manifest of {self.dataset!r} has no file {name!r}; it has {', '.join(self.files)}.")
        return self.files[name]

    def url(self, name: str) -> str:
        """Public address of one file at the pinned commit."""
        github = "https://github.com/"
        base = self.repository
        if base.startswith(github):
            base = "https://raw.githubusercontent.com/" + base.removeprefix(github)
        return f"{base}/{self.commit}/{self.file(name).path}"


@lru_cache
def load_manifest(dataset: str) -> Manifest:
    """The manifest that ships with the package.

    Raises:
        SourceError: there is none for `dataset`.
    """
    file = resources.files(__package__) / "manifests" / f"{dataset}.json"
    try:
        content = json.loads(file.read_text())
    except FileNotFoundError:
        raise SourceError(f"There is no manifest of source files for {dataset!r}.") from None
    files = {entry["name"]: SourceFile(**entry) for entry in content.pop("files")}
    return Manifest(files=files, **content)


def cache_folder() -> Path:
    """Where downloads and built tables are kept: `EPISHOT_CACHE`, else the user's cache folder."""
    if named := os.environ.get(CACHE_VARIABLE):
        return Path(named).expanduser()
    import platformdirs

    return Path(platformdirs.user_cache_dir("epishot"))


def fetch(dataset: str, names: Iterable[str]) -> dict[str, Path]:
    """Local paths of pinned files, downloaded if need be.

    Args:
        dataset: a dataset with a manifest, e.g. "crispr".
        names: file names of that manifest.

    Returns:
        name -> path of a file with the pinned bytes.

    Raises:
        SourceError: a file is missing from the mirror, cannot be downloaded, or has other bytes.
    """
    return fetch_files(load_manifest(dataset), names)


def fetch_files(manifest: Manifest, names: Iterable[str], *, retries: int = RETRIES) -> dict[str, Path]:
    """`fetch` for any manifest; a failed download is tried `retries` more times."""
    names = list(names)
    if mirror := os.environ.get(MIRROR_VARIABLE):
        folder = Path(mirror).expanduser()
        return {name: _from_mirror(folder, manifest, name) for name in names}
    return _download(manifest, names, retries)


def _from_mirror(mirror: Path, manifest: Manifest, name: str) -> Path:
    file = manifest.file(name)
    path = mirror / manifest.dataset / name
    try:
        with path.open("rb") as stream:
            found = hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError:
        raise SourceError(
            f"{MIRROR_VARIABLE} names {mirror}, but {manifest.dataset}/{name} cannot be read there: "
            f"complete the mirror, or unset {MIRROR_VARIABLE} to download the file."
        ) from None
    if found != file.sha256:
        raise SourceError(
            f"{path} is not the pinned file (sha256 {found[:12]}..., expected {file.sha256[:12]}...): "
            f"replace it, or unset {MIRROR_VARIABLE} to download it."
        )
    return path


def _download(manifest: Manifest, names: list[str], retries: int) -> dict[str, Path]:
    import pooch
    from pooch import HTTPDownloader
    from requests.exceptions import RequestException

    # Pooch's log would tear the progress bar; everything worth saying is in the errors below.
    pooch.get_logger().setLevel("WARNING")
    folder = cache_folder() / "sources" / manifest.dataset
    store = pooch.create(
        path=folder,
        base_url="",
        registry={name: f"sha256:{manifest.file(name).sha256}" for name in names},
        urls={name: manifest.url(name) for name in names},
        retry_if_failed=retries,
    )
    paths: dict[str, Path] = {}
    with _progress() as progress:
        for name in names:
            bar = _Bar(progress, name, manifest.file(name).bytes)
            downloader = HTTPDownloader(progressbar=bar, chunk_size=_CHUNK_BYTES, timeout=TIMEOUT_S)
            try:
                paths[name] = Path(store.fetch(name, downloader=downloader))
            except RequestException as error:
                raise SourceError(
                    f"Downloading {manifest.url(name)} failed ({type(error).__name__}): go online, or set "
                    f"{MIRROR_VARIABLE} to a folder that holds {manifest.dataset}/{name}."
                ) from error
            except ValueError as error:  # pooch's word for a wrong checksum
                raise SourceError(
                    f"{manifest.url(name)} did not deliver the pinned bytes of {name} (wrong sha256): try "
                    f"again, or set {MIRROR_VARIABLE} to a folder that holds {manifest.dataset}/{name}."
                ) from error
            except OSError as error:
                raise SourceError(
                    f"The cache folder {folder} cannot be used ({error.strerror or error}): set "
                    f"{CACHE_VARIABLE} to a folder that can be written."
                ) from error
    return paths


def _progress() -> Progress:
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    return Progress(*columns, console=Console(stderr=True), transient=True)


class _Bar:
    """The progress bar as pooch drives it; drawn only once bytes arrive, so a cached file shows none."""

    def __init__(self, progress: Progress, name: str, n_bytes: int) -> None:
        self._progress = progress
        self._name = name
        self._task: int | None = None
        self.total = n_bytes

    def update(self, n_bytes: int) -> None:
        if self._task is None:
            self._task = self._progress.add_task(self._name, total=self.total)
        self._progress.update(self._task, advance=n_bytes)  # type: ignore[arg-type]

    def reset(self) -> None:
        if self._task is not None:
            self._progress.reset(self._task, total=self.total)  # type: ignore[arg-type]

    def close(self) -> None:
        if self._task is not None:
            self._progress.remove_task(self._task)  # type: ignore[arg-type]
            self._task = None
