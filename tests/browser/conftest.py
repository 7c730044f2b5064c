"""A browser and served pages for the tests of this folder; they are skipped where there is no Chromium."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
STANDIN = Path(__file__).with_name("standin.py")
FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
]
NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    """Headless Chromium, found on the machine: Playwright's own download is not asked for."""
    found = next(filter(None, map(shutil.which, NAMES)), None)
    if not found:
        pytest.skip(f"no browser: none of {', '.join(NAMES)} is installed (Debian: apt-get install chromium)")
    sync_api = pytest.importorskip("playwright.sync_api", reason="the Python package playwright is not installed")
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found, args=FLAGS)
        yield browser
        browser.close()


class Page:
    """One page in a context of its own, with the few things that every test does. Records requests and faults."""

    def __init__(self, browser: Any, url: str, *, width: int = 1400, height: int = 900) -> None:
        self.context = browser.new_context(viewport={"width": width, "height": height})
        self.page = self.context.new_page()
        self.page.set_default_timeout(45_000)
        self.requests: list[str] = []
        self.faults: list[str] = []
        self.dialogs: list[str] = []
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.on("pageerror", lambda error: self.faults.append(str(error)))
        self.page.on("dialog", self._dialog)
        self.url = url
        self.page.goto(url)
        self.page.wait_for_selector("#chat-question textarea")

    def _dialog(self, dialog: Any) -> None:
        self.dialogs.append(dialog.message)
        dialog.dismiss()

    @property
    def outbound(self) -> list[str]:
        """Requests that left this page's own server."""
        return [url for url in self.requests if not url.startswith((self.url, "data:", "blob:"))]

    @property
    def answer(self) -> Any:
        """The newest answer of the chat."""
        return self.page.locator("#chat-log .bot-row").last

    def wait_ready(self, seconds: float = 40) -> None:
        """Until the status line says that everything is loaded."""
        self.page.wait_for_selector("#status .cf-ready", timeout=seconds * 1000)

    def preset(self, mode: str) -> None:
        """Press a preset and wait for the mode's name beside the question box."""
        self.page.click(f"#preset-{mode}")
        self.page.wait_for_function(f"document.querySelector('#chat-mode .cf-badge').innerText === '{mode}'")

    def choose(self, start: str) -> None:
        """Choose the adapter of the chat whose label starts so."""
        box = self.page.locator(".cf-chat .cf-choice input").first
        box.click()
        self.page.locator("ul[role=listbox] li", has_text=start).first.click()
        self.page.wait_for_function(f"document.querySelector('.cf-chat .cf-choice input').value.startsWith({start!r})")

    def ask(self, text: str, *, wait: bool = True) -> None:
        """Send a question in the chat, and wait for the end of its answer."""
        before = self.page.locator("#chat-log .user-row").count()
        self.page.fill("#chat-question textarea", text)
        self.page.click("#chat-send")
        if wait:
            self.page.wait_for_function(f"document.querySelectorAll('#chat-log .user-row').length > {before}")
            self.wait_end()

    def wait_end(self, seconds: float = 45) -> None:
        """Until nothing is being answered in the chat."""
        self.page.wait_for_selector("#chat-stop", state="hidden", timeout=seconds * 1000)
        self.page.wait_for_selector("#chat-send", state="visible", timeout=seconds * 1000)


@pytest.fixture
def open_page(browser: Any) -> Iterator[Callable[..., Page]]:
    """Open pages that are closed after the test."""
    pages: list[Page] = []

    def open_(url: str, **options: int) -> Page:
        pages.append(Page(browser, url, **options))
        return pages[-1]

    yield open_
    for page in pages:
        page.context.close()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _start(
    command: list[str], port: int, log: Path, environment: dict[str, str]
) -> tuple[subprocess.Popen[bytes], str]:
    """Start a server as a process of its own and wait for its page; the log tells why, where it does not come."""
    url = f"http://127.0.0.1:{port}/"
    with log.open("wb") as file:
        process = subprocess.Popen(command, cwd=log.parent, env=environment, stdout=file, stderr=subprocess.STDOUT)
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and process.poll() is None:
        try:
            with opener.open(url, timeout=5):
                return process, url
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            time.sleep(0.1)
    process.kill()
    process.wait()
    pytest.fail(f"{command} did not serve {url}:\n{log.read_text(errors='replace')[-4000:]}")


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


@pytest.fixture(scope="session")
def start_app(browser: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., str]]:
    """Start the real app with the default cache or that of CROSSFADE_HOME, and these variables. It may still load.

    `python` runs it, the one of the tests without it.
    """
    processes = []

    def start(python: str = sys.executable, **variables: str) -> str:
        port = _free_port()
        log = tmp_path_factory.mktemp("app") / "app.log"
        environment = {**os.environ, "CROSSFADE_PORT": str(port), "CROSSFADE_HOST": "127.0.0.1", **variables}
        process, url = _start([python, str(ROOT / "app.py")], port, log, environment)
        processes.append(process)
        return url

    yield start
    for process in processes:
        _end(process)


@pytest.fixture(scope="session")
def real_app(start_app: Callable[..., str]) -> str:
    """The URL of the real app, started once for all tests."""
    return start_app()


@pytest.fixture(scope="module")
def serve(browser: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., str]]:
    """Serve the page on a stand-in with these options; one with the same options is started once a module."""
    started: dict[tuple[str, ...], tuple[subprocess.Popen[bytes], str]] = {}

    def serve_(*options: str) -> str:
        if options not in started:
            port = _free_port()
            log = tmp_path_factory.mktemp("standin") / "standin.log"
            command = [sys.executable, str(STANDIN), "--port", str(port), *options]
            started[options] = _start(command, port, log, dict(os.environ))
        return started[options][1]

    yield serve_
    for process, _ in started.values():
        _end(process)
