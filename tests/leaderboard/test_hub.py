"""`--to-hub` against a hub on the loopback interface: one commit with everything published, and clear refusals."""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from epishot.leaderboard.hub import files_of

_PUSH = """
import sys
from pathlib import Path
from epishot.leaderboard.hub import push_to_hub
from epishot.tasks.errors import EpishotError
try:
    print(push_to_hub(Path(sys.argv[1]), Path(sys.argv[2]), "me/board", "Publish a row"))
except EpishotError as error:
    sys.exit(f"refused: {error}")
"""


class Hub(ThreadingHTTPServer):
    """As much of a hub as one commit needs; keeps what was committed."""

    def __init__(self, *, refuses: bool = False) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.refuses = refuses
        self.commits: list[dict[str, bytes]] = []
        self.tokens: set[str | None] = set()
        self.address = f"http://127.0.0.1:{self.server_port}"


class _Handler(BaseHTTPRequestHandler):
    server: Hub

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding") != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length") or 0))
        data = b""
        while size := int(self.rfile.readline(), 16):
            data += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return data

    def _answer(self) -> None:
        body, hub, code, answer = self._body(), self.server, 200, {}
        url = f"{hub.address}/datasets/me/board"
        if hub.refuses:
            code, answer = 403, {"error": "You do not own me/board"}
        elif self.command == "HEAD":
            code = 404
        elif self.path == "/api/repos/create":
            hub.tokens.add(self.headers["Authorization"])
            answer = {"url": url}
        elif "/preupload/" in self.path:
            files = json.loads(body)["files"]
            answer = {"files": [{"path": f["path"], "uploadMode": "regular", "shouldIgnore": False} for f in files]}
        elif "/commit/" in self.path:
            lines = [json.loads(line) for line in body.splitlines()]
            files = [line["value"] for line in lines if line["key"] == "file"]
            hub.commits.append({f["path"]: base64.b64decode(f["content"]) for f in files})
            answer = {"commitOid": "a" * 40, "commitUrl": f"{url}/commit/{'a' * 40}", "success": True}
        content = b"" if self.command == "HEAD" else json.dumps(answer).encode()
        self.send_response(code)
        if code == 404:
            self.send_header("X-Error-Code", "EntryNotFound")
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    do_GET = do_POST = do_HEAD = _answer

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def hub() -> Iterator[Hub]:
    server = Hub()
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


@pytest.fixture
def board(tmp_path: Path) -> Path:
    folder = tmp_path / "board"
    published = {
        "records/toy/cell/mine.json": b"{}",
        "records/toy/cell/mine.replicates.parquet": b"PAR1",
        "LEADERBOARD.md": b"# Board",
        "COST.md": b"# Cost",
        "METHODS.md": b"# Methods",
        "ENERGY.md": b"# Energy",
        "AUDITS.md": b"# Audits",
        "leaderboard.csv": b"a,b",
        "leaderboard.html": b"<html>",
        "archive/toy/cell/mine.scores.parquet": b"PAR1 scores",
    }
    private = {"board.py": b"code", ".publishing.json": b"[]", "records/toy/cell/.mine.json.ab.new.partial": b"half"}
    for name, content in (published | private).items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return folder


def push(board: Path, address: str, **environment: str) -> subprocess.CompletedProcess[str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("HF_", "HUGGING"))}
    kept |= {"HF_ENDPOINT": address, "HF_HOME": str(board.parent / "hf"), "NO_PROXY": "127.0.0.1"} | environment
    command = [sys.executable, "-c", _PUSH, str(board), str(board / "archive")]
    return subprocess.run(command, env=kept, capture_output=True, text=True, check=False, timeout=60)


def test_one_commit_holds_everything_published_and_nothing_else(board: Path, hub: Hub) -> None:
    done = push(board, hub.address, HF_TOKEN="hf_secret")
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip().endswith(f"/commit/{'a' * 40}")
    (commit,) = hub.commits
    assert hub.tokens == {"Bearer hf_secret"}
    card = commit.pop("README.md").decode()
    assert card.startswith("---\n")
    assert "epishot verify" in card
    assert commit == {name: path.read_bytes() for name, path in files_of(board, board / "archive")}
    assert set(commit) == {
        "LEADERBOARD.md",
        "COST.md",
        "METHODS.md",
        "ENERGY.md",
        "AUDITS.md",
        "leaderboard.csv",
        "leaderboard.html",
        "records/toy/cell/mine.json",
        "records/toy/cell/mine.replicates.parquet",
        "archive/toy/cell/mine.scores.parquet",
    }


def test_without_token_offline_or_rights_nothing_is_pushed(board: Path, hub: Hub) -> None:
    for environment, message in (
        ({}, "There is no Hugging Face token"),
        ({"HF_TOKEN": "hf_secret", "HF_HUB_OFFLINE": "1"}, "HF_HUB_OFFLINE is set"),
    ):
        done = push(board, hub.address, **environment)
        assert done.returncode == 1
        assert f"refused: {message}" in done.stderr
    hub.refuses = True
    done = push(board, hub.address, HF_TOKEN="hf_secret")
    assert done.returncode == 1
    assert "refused: Pushing to me/board failed" in done.stderr
    assert "Traceback" not in done.stderr
    assert hub.commits == []
