"""Make the pictures of the README from the running app, each in a palette of 256 colours so that the files stay small.

    python docs/screenshots.py [NAME ...]

It takes the app at CROSSFADE_URL, or starts one itself. Names are those of PICTURES; without one all are made.
"""

from __future__ import annotations

import io
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from PIL import Image
from playwright.sync_api import Page, sync_playwright

FOLDER = Path(__file__).resolve().parent
APP = FOLDER.parent / "app.py"
FLAGS = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--no-first-run"]
NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
MOST_BYTES = 200_000
WAIT = 180_000
"""Milliseconds for the slowest thing: five answers on a busy machine."""

FEE = "How much is the monthly fee for Harbor Checking?"
MESSAGE = (
    "Someone took 240 dollars from my checking account on 3 March 2026 and it was not me. Please hurry. "
    "Nora Quill, case TB-40719"
)


def answer(page: Page) -> None:
    """One answer in hybrid mode."""
    choose_mode(page, "hybrid")
    ask(page, FEE)


def chat(page: Page) -> None:
    """The same with the passage that it rests on, opened in its document."""
    answer(page)
    page.locator("#chat-log .bot-row").last.locator("button.cf-cite").first.click()
    page.wait_for_selector(".cf-panel .cf-here")


def compare(page: Page) -> None:
    """One question in five modes."""
    open_tab(page, 1)
    page.fill("#compare-question textarea", FEE)
    page.click("#compare-send")
    page.wait_for_selector("#compare-stop", state="visible")
    page.wait_for_selector("#compare-stop", state="hidden")


def ticket(page: Page) -> None:
    """A customer's message as a JSON ticket."""
    page.locator(".cf-chat .cf-choice input").first.click()
    page.locator("ul[role=listbox] li", has_text="json").first.click()
    choose_mode(page, "fine-tune")
    ask(page, MESSAGE)


def choose_mode(page: Page, mode: str) -> None:
    """Press a preset and wait until the page says so."""
    page.click(f"#preset-{mode}")
    page.wait_for_selector(f"#chat-mode .cf-badge:text-is('{mode}')")


def ask(page: Page, question: str) -> None:
    """Ask in the chat and wait for the whole answer."""
    page.fill("#chat-question textarea", question)
    page.click("#chat-send")
    page.wait_for_selector("#chat-log .bot-row .cf-facts")
    page.wait_for_selector("#chat-stop", state="hidden")
    page.wait_for_selector("#chat-send", state="visible")


def open_tab(page: Page, number: int) -> None:
    """Open a tab by its place, whatever the language."""
    page.get_by_role("tab").nth(number).click()


PICTURES: dict[str, tuple[Callable[[Page], None], dict[str, Any]]] = {
    "chat": (chat, {}),
    "compare": (compare, {}),
    "ticket": (ticket, {}),
    "dark": (compare, {"color_scheme": "dark"}),
    "phone": (answer, {"viewport": {"width": 390, "height": 844}, "device_scale_factor": 2}),
    "chinese": (chat, {"locale": "zh-CN"}),
}
"""What is shown in each picture, and in which window."""


def main(names: list[str]) -> int:
    """Make the pictures of these names, all without one."""
    if unknown := [name for name in names if name not in PICTURES]:
        sys.stderr.write(f"Unknown picture {unknown[0]!r}. Known: {', '.join(PICTURES)}.\n")
        return 2
    found = next(filter(None, map(shutil.which, NAMES)), None)
    with running_app() as url, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found, args=FLAGS)
        for name in names or PICTURES:
            show, window = PICTURES[name]
            context = browser.new_context(**{"viewport": {"width": 1400, "height": 900}, "locale": "en-US", **window})
            page = context.new_page()
            page.set_default_timeout(WAIT)
            page.goto(url)
            page.wait_for_selector("#status .cf-ready")
            show(page)
            page.mouse.move(0, 0)
            size = save(page.screenshot(animations="disabled"), FOLDER / f"{name}.png")
            sys.stdout.write(f"docs/{name}.png, {size / 1000:.0f} kB\n")
            context.close()
        browser.close()
    return 0


def save(picture: bytes, path: Path) -> int:
    """Write a picture, smaller where it would be too large; returns its bytes."""
    image = Image.open(io.BytesIO(picture)).convert("RGB")
    for colours in (256, 128, 64, 32):
        made = io.BytesIO()
        image.quantize(colours, dither=Image.Dither.NONE).save(made, "PNG", optimize=True)
        if made.tell() <= MOST_BYTES:
            break
    path.write_bytes(made.getvalue())
    return made.tell()


@contextmanager
def running_app() -> Iterator[str]:
    """The address of the app: of one that runs, or of one that is started here and ended afterwards."""
    if url := os.environ.get("CROSSFADE_URL"):
        yield url
        return
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    environment = {**os.environ, "CROSSFADE_PORT": str(port), "CROSSFADE_HOST": "127.0.0.1"}
    process = subprocess.Popen([sys.executable, str(APP)], env=environment)
    try:
        wait_for(port, process)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(30)


def wait_for(port: int, process: subprocess.Popen[bytes]) -> None:
    """Until the app answers at its port."""
    while process.poll() is None:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        except OSError:
            time.sleep(0.1)
    raise SystemExit("The app did not start; what it said stands above.")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
