"""Pushing an adapter to a hub, which here is a stand-in on loopback; the library reads HF_ENDPOINT when it is imported,
so each case runs in a Python of its own."""

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
from typing import Any

import pytest

import handmade_adapters as made
from crossfade.adapters.peft_files import CARD_FILE, CONFIG_FILE, WEIGHTS_FILE, read_adapter
from crossfade.adapters.push import readme

TOKEN = "hf_secret_of_a_person"


class Hub(ThreadingHTTPServer):
    """Takes commits to any repository as a hub does, from whoever has TOKEN; `down` is the status of every refusal."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.files: dict[str, bytes] = {}
        self.created: list[dict[str, Any]] = []
        self.down = 0
        self.address = f"http://127.0.0.1:{self.server_port}"


class _Handler(BaseHTTPRequestHandler):
    server: Hub

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if self.headers.get("Authorization") != f"Bearer {TOKEN}":
            self._answer({"error": "Invalid credentials"}, 401)
        elif self.server.down:
            self._answer({"error": "busy"}, self.server.down)
        elif self.path == "/api/repos/create":
            self.server.created.append(json.loads(body))
            self._answer({"url": f"{self.server.address}/owner/{json.loads(body)['name']}", "name": "owner/json"})
        elif self.path == "/api/validate-yaml":
            self._answer({"errors": [], "warnings": []})
        elif "/preupload/" in self.path:
            files = [
                {"path": f["path"], "uploadMode": "regular", "shouldIgnore": False} for f in json.loads(body)["files"]
            ]
            self._answer({"files": files})
        elif "/commit/" in self.path:
            for line in map(json.loads, body.splitlines()):
                if line["key"] == "file":
                    self.server.files[line["value"]["path"]] = base64.b64decode(line["value"]["content"])
            self._answer({"commitUrl": f"{self.server.address}/owner/json/commit/1", "commitOid": "1", "success": True})
        else:
            self._answer({}, 404)

    def do_GET(self) -> None:
        self._answer({}, 404)

    def _answer(self, value: Any, status: int = 200) -> None:
        data = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, format: str, *args: object) -> None:
        """The test's output stays clean."""


@pytest.fixture
def hub() -> Iterator[Hub]:
    server = Hub()
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


@pytest.fixture
def adapters(tmp_path: Path) -> Path:
    card = {"purpose": "Tickets <script>", "method": "lora", "base": "smollm2-135m", "base_sha256": "b" * 64, "rows": 7}
    made.write(tmp_path / "adapters" / "json", card=card)
    return tmp_path / "adapters"


def push(
    *options: str, adapters: Path, hub: Hub | None, name: str = "json", **variables: str
) -> subprocess.CompletedProcess[str]:
    left_out = ("http_proxy", "https_proxy", "all_proxy", "hf_token")
    inherited = {key: value for key, value in os.environ.items() if key.lower() not in left_out}
    home = adapters.parent / "home"
    settings = {
        "HF_ENDPOINT": hub.address if hub else "http://127.0.0.1:9",
        "HF_HUB_DISABLE_XET": "1",
        "HF_HOME": str(home / "hf"),
        "CROSSFADE_HOME": str(home),
        "CROSSFADE_ADAPTERS": str(adapters),
        "PYTHONPATH": ":".join(sys.path),
    }
    command = [sys.executable, "-c", "from crossfade.cli import main; main()", "adapters", "push", name, *options]
    return subprocess.run(
        command, env={**inherited, **settings, **variables}, capture_output=True, text=True, check=False, timeout=120
    )


def visibility(hub: Hub) -> str:
    """What was asked for the new repository, in the words of either version of the library."""
    (created,) = hub.created
    return str(created.get("visibility") or ("private" if created.get("private") else "public"))


def test_a_push_puts_the_adapter_its_card_and_a_page_into_a_private_repository(hub: Hub, adapters: Path) -> None:
    (adapters / "json" / "evil.py").write_text("raise SystemExit")
    done = push("--repo", "owner/json", "--json", adapters=adapters, hub=hub, HF_TOKEN=TOKEN)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert (told["repository"], told["address"]) == ("owner/json", f"{hub.address}/owner/json/commit/1")
    assert set(hub.files) == {CONFIG_FILE, WEIGHTS_FILE, CARD_FILE, "README.md"}
    for name in (CONFIG_FILE, WEIGHTS_FILE, CARD_FILE):
        assert hub.files[name] == (adapters / "json" / name).read_bytes()
    assert visibility(hub) == "private"
    assert b"Tickets &lt;script&gt;" in hub.files["README.md"]
    assert TOKEN.encode() not in b"".join(hub.files.values())


def test_the_token_may_be_in_another_variable_and_the_repository_public(hub: Hub, adapters: Path) -> None:
    options = ("--repo", "owner/json", "--token-env", "MINE", "--public")
    done = push(*options, adapters=adapters, hub=hub, MINE=TOKEN)
    assert done.stdout == f"{hub.address}/owner/json/commit/1\n", done.stderr
    assert visibility(hub) == "public"


@pytest.mark.parametrize(
    ("repository", "variables", "down", "why"),
    [
        ("owner/json", {}, 0, "HF_TOKEN is not set"),
        ("owner/json", {"HF_TOKEN": "wrong_token"}, 0, "refused the token for owner/json (401)"),
        ("owner/json", {"HF_TOKEN": TOKEN}, 403, "refused the token for owner/json (403)"),
        ("owner/json", {"HF_TOKEN": TOKEN}, 418, "did not take owner/json"),
        ("json", {"HF_TOKEN": TOKEN}, 0, "Write owner/name"),
        ("../json", {"HF_TOKEN": TOKEN}, 0, "Write owner/name"),
        ("owner/a..b", {"HF_TOKEN": TOKEN}, 0, "Write owner/name"),
    ],
)
def test_what_a_hub_refuses_is_one_line_without_the_token(
    hub: Hub, adapters: Path, repository: str, variables: dict[str, str], down: int, why: str
) -> None:
    hub.down = down
    done = push("--repo", repository, adapters=adapters, hub=hub, **variables)
    assert (done.returncode, done.stdout) == (1, "")
    assert why in done.stderr
    assert done.stderr.count("\n") == 1
    assert not any(token in done.stderr for token in (TOKEN, "wrong_token"))
    assert hub.files == {}


def test_no_hub_is_one_line(adapters: Path) -> None:
    done = push("--repo", "owner/json", adapters=adapters, hub=None, HF_TOKEN=TOKEN)
    assert "The hub cannot be reached" in done.stderr
    assert done.stderr.count("\n") == 1


def test_the_page_says_what_the_card_says_and_nothing_of_it_is_markup(tmp_path: Path) -> None:
    card = {"purpose": "a\n---\nlicense: x\n<b>", "method": "x: [y]", "base": "<i>", "data": "<u>"}
    text = readme(read_adapter(made.write(tmp_path / "some", card=card)))
    head, _, body = text.removeprefix("---\n").partition("\n---\n")
    assert head == "library_name: peft\npipeline_tag: text-generation\ntags: [lora, crossfade]"
    assert "<" not in body
    assert "a --- license: x &lt;b&gt;" in body
