"""Pinned sources: real downloads from a loopback server, checksums, the mirror, and what errors say."""

from __future__ import annotations

import hashlib
import http.server
import re
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from epishot.tasks import bengi, crispr
from epishot.tasks.errors import SourceError
from epishot.tasks.sources import Manifest, SourceFile, cache_folder, fetch, fetch_files, load_manifest

CONTENT = b"chr1\t1\t2\n" * 40_000
COMMIT = "0123456789abcdef"


@dataclass
class Server:
    """A source repository on loopback: `files` by address, `refuse` = number of requests still to fail."""

    port: int = 0
    files: dict[str, bytes] = field(default_factory=dict)
    refuse: int = 0
    requests: list[str] = field(default_factory=list)

    def manifest(self, content: bytes = CONTENT) -> Manifest:
        file = SourceFile("a.tsv.gz", hashlib.sha256(content).hexdigest(), len(content), "data/a.tsv.gz")
        address = f"http://127.0.0.1:{self.port}/owner/repo"
        return Manifest("toy", "toy", address, COMMIT, "MIT", {file.name: file})


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    state = Server(files={f"/owner/repo/{COMMIT}/data/a.tsv.gz": CONTENT})

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            state.requests.append(self.path)
            body = state.files.get(self.path)
            if state.refuse > 0 or body is None:
                state.refuse -= 1
                self.send_error(503 if body is not None else 404)
                return
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    httpd = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=httpd.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    state.port = httpd.server_port
    monkeypatch.setenv("EPISHOT_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.delenv("EPISHOT_DATA", raising=False)
    yield state
    httpd.shutdown()
    thread.join()
    httpd.server_close()


def test_a_file_is_downloaded_once_from_the_pinned_commit(server: Server, tmp_path: Path) -> None:
    first = fetch_files(server.manifest(), ["a.tsv.gz"], retries=0)
    assert first["a.tsv.gz"].read_bytes() == CONTENT
    assert first["a.tsv.gz"].is_relative_to(tmp_path / "cache" / "sources" / "toy")
    assert fetch_files(server.manifest(), ["a.tsv.gz"], retries=0) == first
    assert server.requests == [f"/owner/repo/{COMMIT}/data/a.tsv.gz"]


def test_a_damaged_file_in_the_cache_is_downloaded_again(server: Server) -> None:
    path = fetch_files(server.manifest(), ["a.tsv.gz"], retries=0)["a.tsv.gz"]
    path.write_bytes(CONTENT[:-1])
    assert fetch_files(server.manifest(), ["a.tsv.gz"], retries=0)["a.tsv.gz"].read_bytes() == CONTENT
    assert len(server.requests) == 2


def test_other_bytes_than_the_pinned_ones_are_refused_and_not_kept(server: Server, tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"did not deliver the pinned bytes of a.tsv.gz .*set EPISHOT_DATA"):
        fetch_files(server.manifest(b"something else"), ["a.tsv.gz"], retries=0)
    assert not [path for path in (tmp_path / "cache").rglob("*") if path.is_file()]


def test_a_failed_request_is_tried_again(server: Server) -> None:
    server.refuse = 1
    assert fetch_files(server.manifest(), ["a.tsv.gz"], retries=1)["a.tsv.gz"].read_bytes() == CONTENT
    assert len(server.requests) == 2


def test_a_file_that_is_gone_names_address_and_remedy(server: Server) -> None:
    server.files.clear()
    with pytest.raises(SourceError, match=r"/owner/repo/.*/data/a.tsv.gz failed \(HTTPError\): go online, or set"):
        fetch_files(server.manifest(), ["a.tsv.gz"], retries=0)


def test_offline_is_one_sentence_with_the_remedy(server: Server) -> None:
    manifest = Manifest("toy", "toy", "http://127.0.0.1:9/owner/repo", COMMIT, "MIT", server.manifest().files)
    with pytest.raises(SourceError) as caught:
        fetch_files(manifest, ["a.tsv.gz"], retries=0)
    text = str(caught.value)
    assert text.endswith("go online, or set EPISHOT_DATA to a folder that holds toy/a.tsv.gz.")
    assert "\n" not in text


def test_a_cache_that_cannot_be_written_names_the_variable(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("not a folder")
    monkeypatch.setenv("EPISHOT_CACHE", str(tmp_path / "file" / "cache"))
    with pytest.raises(SourceError, match=r"cache folder .* cannot be used .*set EPISHOT_CACHE"):
        fetch_files(server.manifest(), ["a.tsv.gz"], retries=0)


def test_the_mirror_is_read_in_place_without_a_request(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EPISHOT_DATA", str(tmp_path / "mirror"))
    file = tmp_path / "mirror" / "toy" / "a.tsv.gz"
    with pytest.raises(SourceError, match=r"toy/a.tsv.gz cannot be read there: complete the mirror, or unset"):
        fetch_files(server.manifest(), ["a.tsv.gz"])
    file.parent.mkdir(parents=True)
    file.write_bytes(CONTENT)
    assert fetch_files(server.manifest(), ["a.tsv.gz"]) == {"a.tsv.gz": file}
    file.write_bytes(CONTENT + b"\n")
    with pytest.raises(SourceError, match=r"is not the pinned file \(sha256 .*replace it, or unset EPISHOT_DATA"):
        fetch_files(server.manifest(), ["a.tsv.gz"])
    assert server.requests == []


def test_names_outside_the_manifest_are_refused(server: Server) -> None:
    with pytest.raises(SourceError, match=r"manifest of 'toy' has no file 'b'; it has a.tsv.gz"):
        fetch_files(server.manifest(), ["b"])
    with pytest.raises(SourceError, match="no manifest of source files for 'nothing'"):
        fetch("nothing", [])


@pytest.mark.parametrize("dataset", ["crispr", "bengi"])
def test_shipped_manifests_pin_every_file(dataset: str) -> None:
    manifest = load_manifest(dataset)
    assert manifest.dataset == dataset
    assert re.fullmatch(r"[0-9a-f]{40}", manifest.commit)
    assert manifest.licence
    for name, file in manifest.files.items():
        assert re.fullmatch(r"[0-9a-f]{64}", file.sha256)
        assert file.bytes > 0
        owner_and_repo = manifest.repository.removeprefix("https://github.com/")
        expected = f"https://raw.githubusercontent.com/{owner_and_repo}/{manifest.commit}/{file.path}"
        assert manifest.url(name) == expected


def test_shipped_manifests_cover_the_files_of_the_tasks() -> None:
    assert set(crispr.FILES) <= set(load_manifest("crispr").files)
    for assay in (bengi.HIC, bengi.HIC6, bengi.CTCF, bengi.RNAPII):
        assert set(assay.files()) <= set(load_manifest("bengi").files)


def test_the_cache_folder_follows_its_variable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EPISHOT_CACHE", str(tmp_path))
    assert cache_folder() == tmp_path
    monkeypatch.delenv("EPISHOT_CACHE")
    assert "epishot" in str(cache_folder())


@pytest.mark.realdata
@pytest.mark.parametrize("dataset", ["crispr", "bengi"])
def test_the_mirror_holds_the_pinned_bytes(dataset: str, data_mirror: Path) -> None:
    manifest = load_manifest(dataset)
    for name, path in fetch(dataset, manifest.files).items():
        assert path == data_mirror / dataset / name
        assert path.stat().st_size == manifest.files[name].bytes
