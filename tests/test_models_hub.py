"""A model from a hub, which here is a stand-in server on loopback; the library reads HF_ENDPOINT when it is imported,
so each case runs in a Python of its own."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

WEIGHTS = b"GGUF" + bytes(range(256)) * 500
COMMIT = "0123456789abcdef0123456789abcdef01234567"
FILE = "/owner/repo/resolve/main/tiny.gguf"
SCRIPT = """
import sys
from pathlib import Path
from crossfade.errors import ModelError
from crossfade.models.fetch import fetch
steps = []
try:
    path = fetch(sys.argv[1], Path(sys.argv[2]), progress=lambda *step: steps.append(step))
except ModelError as error:
    sys.exit(f"ModelError: {error}")
print(path)
print(steps[-1] if steps else "nothing downloaded")
"""


FOLDER = {
    "config.json": b"{}",
    "tokenizer.json": b"{}",
    "model.safetensors": bytes(range(256)) * 100,
    "evil.py": b"raise SystemExit",
    "pytorch_model.bin": b"a pickle",
}
"""What the repository owner/folder holds."""


class Hub(ThreadingHTTPServer):
    """Serves a file of owner/repo, and owner/folder, as a hub does; `announced` is the sha256 it claims of the file."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.announced = hashlib.sha256(WEIGHTS).hexdigest()
        self.asked: list[str] = []


class _Handler(BaseHTTPRequestHandler):
    server: Hub

    def do_HEAD(self) -> None:
        self._answer(body=False)

    def do_GET(self) -> None:
        self._answer(body=True)

    def _answer(self, *, body: bool) -> None:
        self.server.asked.append(self.path)
        data, etag = self._found()
        self.send_response(404 if data is None else 200)
        if data is None:
            self.send_header("X-Error-Code", "EntryNotFound")
        self.send_header("X-Repo-Commit", COMMIT)
        self.send_header("ETag", f'"{etag}"')
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data or b"")))
        self.end_headers()
        if body and data is not None:
            self.wfile.write(data)

    def _found(self) -> tuple[bytes | None, str]:
        if self.path in (FILE, FILE.replace("main", COMMIT)):
            return WEIGHTS, self.server.announced
        path = self.path.partition("?")[0]
        if path.startswith("/api/models/owner/folder"):
            if "/tree/" in path:
                listed: object = [{"type": "file", "path": n, "size": len(d), "oid": "0"} for n, d in FOLDER.items()]
            else:
                listed = {"id": "owner/folder", "sha": COMMIT, "siblings": [{"rfilename": name} for name in FOLDER]}
            return json.dumps(listed).encode(), "api"
        data = FOLDER.get(path.rpartition("/")[2]) if path.startswith("/owner/folder/resolve/") else None
        return data, hashlib.sha256(data or b"").hexdigest()

    def log_message(self, format: str, *args: object) -> None:
        """The test's output stays clean."""


@pytest.fixture
def hub() -> Iterator[Hub]:
    server = Hub()
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


def run(model: str, home: Path, *, endpoint: str, **environment: str) -> subprocess.CompletedProcess[str]:
    proxies = ("http_proxy", "https_proxy", "all_proxy")
    inherited = {name: value for name, value in os.environ.items() if name.lower() not in proxies}
    settings = {**inherited, "HF_ENDPOINT": endpoint, "HF_HUB_DISABLE_XET": "1", **environment}
    command = [sys.executable, "-c", SCRIPT, model, str(home)]
    return subprocess.run(command, env=settings, capture_output=True, text=True, check=False, timeout=120)


def url(hub: Hub) -> str:
    return f"http://127.0.0.1:{hub.server_port}"


def test_a_hub_file_is_downloaded_once(hub: Hub, tmp_path: Path) -> None:
    first = run("hub:owner/repo/tiny.gguf", tmp_path, endpoint=url(hub))
    assert first.returncode == 0, first.stderr
    path, last = first.stdout.splitlines()
    assert Path(path).read_bytes() == WEIGHTS
    assert Path(path).is_relative_to(tmp_path)
    assert last == str(("download", len(WEIGHTS), len(WEIGHTS)))
    hub.shutdown()
    second = run("hub:owner/repo/tiny.gguf", tmp_path, endpoint=url(hub), HF_HUB_OFFLINE="1")
    assert second.stdout.splitlines() == [path, "nothing downloaded"]


def test_a_hub_file_that_was_cut_is_removed_and_fetched_again(hub: Hub, tmp_path: Path) -> None:
    path = Path(run("hub:owner/repo/tiny.gguf", tmp_path, endpoint=url(hub)).stdout.splitlines()[0])
    os.truncate(path, 1000)
    told = run("hub:owner/repo/tiny.gguf", tmp_path, endpoint=url(hub))
    assert "It was removed; try again" in told.stderr
    again = run("hub:owner/repo/tiny.gguf", tmp_path, endpoint=url(hub))
    assert again.returncode == 0, again.stderr
    assert path.read_bytes() == WEIGHTS


def test_bytes_other_than_announced_are_removed(hub: Hub, tmp_path: Path) -> None:
    hub.announced = "0" * 64
    result = run("hub:owner/repo/tiny.gguf", tmp_path, endpoint=url(hub))
    assert "ModelError" in result.stderr
    assert "sha256" in result.stderr
    assert not [path for path in tmp_path.rglob("*") if path.is_file() and path.stat().st_size == len(WEIGHTS)]


def test_a_file_the_hub_lacks_is_a_clear_error(hub: Hub, tmp_path: Path) -> None:
    result = run("hub:owner/repo/other.gguf", tmp_path, endpoint=url(hub))
    assert "ModelError: The hub has no owner/repo/other.gguf" in result.stderr


@pytest.mark.parametrize("offline", ["0", "1"])
def test_no_hub_is_a_clear_error(tmp_path: Path, offline: str) -> None:
    result = run("hub:owner/repo/tiny.gguf", tmp_path, endpoint="http://127.0.0.1:9", HF_HUB_OFFLINE=offline)
    assert "ModelError: owner/repo/tiny.gguf is not in" in result.stderr
    assert "local .gguf" in result.stderr


def test_a_folder_is_downloaded_once_without_code_and_pickles(hub: Hub, tmp_path: Path) -> None:
    first = run("hub:owner/folder", tmp_path, endpoint=url(hub))
    assert first.returncode == 0, first.stderr
    folder = Path(first.stdout.splitlines()[0])
    assert folder.is_relative_to(tmp_path)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == {
        name: data for name, data in FOLDER.items() if name.endswith((".json", ".safetensors"))
    }
    assert not [path for path in hub.asked if "evil.py" in path or ".bin" in path]
    hub.shutdown()
    second = run("hub:owner/folder", tmp_path, endpoint=url(hub), HF_HUB_OFFLINE="1")
    assert second.stdout.splitlines() == [str(folder), "nothing downloaded"]


@pytest.mark.parametrize("name", ["hub:owner", "hub:owner/", "hub:owner/repo/file.txt", "hub:owner/../x"])
def test_what_names_no_model_is_told_with_how_to_write_it(name: str, tmp_path: Path) -> None:
    told = run(name, tmp_path, endpoint="http://127.0.0.1:9")
    assert "Write hub:owner/repo/file.gguf or hub:owner/repo." in told.stderr


def test_a_repository_that_the_hub_lacks_is_a_clear_error(hub: Hub, tmp_path: Path) -> None:
    told = run("hub:owner/nothing", tmp_path, endpoint=url(hub))
    assert "ModelError" in told.stderr
    assert "owner/nothing" in told.stderr
    assert "Traceback" not in told.stderr
