"""A model from a hub, which here is a stand-in server on loopback; the library reads HF_ENDPOINT when it is imported,
so each case runs in a Python of its own."""

from __future__ import annotations

import hashlib
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


class Hub(ThreadingHTTPServer):
    """Serves one file as a hub does; `announced` is the sha256 it claims."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.announced = hashlib.sha256(WEIGHTS).hexdigest()


class _Handler(BaseHTTPRequestHandler):
    server: Hub

    def do_HEAD(self) -> None:
        self._answer(body=False)

    def do_GET(self) -> None:
        self._answer(body=True)

    def _answer(self, *, body: bool) -> None:
        known = self.path == FILE or self.path == FILE.replace("main", COMMIT)
        self.send_response(200 if known else 404)
        if not known:
            self.send_header("X-Error-Code", "EntryNotFound")
        self.send_header("X-Repo-Commit", COMMIT)
        self.send_header("ETag", f'"{self.server.announced}"')
        self.send_header("Content-Length", str(len(WEIGHTS) if known else 0))
        self.end_headers()
        if body and known:
            self.wfile.write(WEIGHTS)

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
