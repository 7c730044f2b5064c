"""The page as a person at a browser meets it: typing lag, bytes of a streaming update, a second start.

    python benchmarks/page.py [--turns 20] [--keys 40] [--real]

Characters are typed into the question box of a long conversation, at rest and while an answer streams, each timed from
its key to the end of the frame in which it stands in the box (a `performance.measure` in the page). The answers come
from the tests' stand-in engine, a word each 20 ms; with `--real` from the app on its own cache, which must be warm. A
second start is timed from the browser's first request to the first character that is painted in the box.
Run it on an idle machine. It prints Markdown.
"""

from __future__ import annotations

import argparse
import os
import secrets
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from playwright.sync_api import sync_playwright

from crossfade.history.conversations import Conversations, new_id
from crossfade.history.database import Database
from crossfade.history.kept import KeptTurn
from crossfade.settings import Settings
from crossfade.types import Answer, Generation, Passage, Query
from crossfade.ui.owner import COOKIE, owner_of

ROOT = Path(__file__).resolve().parent.parent
PORT = 7914
BOX = "#chat-question textarea"
QUESTION = "Tell me all that you know about the fees of Harbor Checking."
ANSWER = "The monthly fee is seven dollars [1] , waived at a balance of 1,500 dollars [2] . "
PASSAGE = "Harbor Checking has a monthly fee of $7, which is waived at a daily balance of $1,500. " * 6
MOST_TOKENS = "512"
MILLISECONDS_BETWEEN_KEYS = 90

WATCH = """
document.addEventListener('keydown', (event) => {
  const box = event.target.closest?.('#chat-question textarea');
  if (!box || event.key.length > 1) return;  // a box that is emptied gets the key Delete
  const before = box.value.length, start = event.timeStamp;
  const streaming = Boolean(document.querySelector('#chat-stop')?.offsetParent);
  const look = () => {
    if (box.value.length <= before) return requestAnimationFrame(look);
    const {port1, port2} = new MessageChannel();  // its message is taken once the frame is painted
    port1.onmessage = () => performance.measure('key', {start, end: performance.now(), detail: streaming});
    port2.postMessage(0);
  };
  requestAnimationFrame(look);
}, true);
"""
COUNT_BYTES = """
window.updates = [];
const fetched = window.fetch;
window.fetch = async (...given) => {
  const reply = await fetched(...given);
  if (!String(given[0]?.url ?? given[0]).includes('queue/data')) return reply;
  (async () => {
    const reader = reply.clone().body.pipeThrough(new TextDecoderStream()).getReader();
    for (let text = '', part; !(part = await reader.read()).done;) {
      const events = (text + part.value).split('\\n\\n');
      text = events.pop();
      for (const event of events)
        if (event.includes('"process_generating"')) window.updates.push(new TextEncoder().encode(event).length);
    }
  })();
  return reply;
};
"""
MEASURED = "performance.getEntriesByName('key').map((entry) => [entry.detail, entry.startTime, entry.duration])"


@contextmanager
def served(command: Sequence[str]) -> Iterator[str]:
    """The address of a server, once it takes connections; nothing has been asked of it yet."""
    environment = {**os.environ, "CROSSFADE_PORT": str(PORT), "GRADIO_ANALYTICS_ENABLED": "False"}
    quiet: dict[str, Any] = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    server = subprocess.Popen(command, cwd=ROOT, env=environment, **quiet)
    try:
        end = time.monotonic() + 120
        while True:
            with suppress(OSError), socket.create_connection(("127.0.0.1", PORT), timeout=1):
                break
            if server.poll() is not None or time.monotonic() > end:
                raise RuntimeError(f"{' '.join(command)} does not serve port {PORT}. Run it alone to see why.")
            time.sleep(0.02)
        yield f"http://127.0.0.1:{PORT}/"
    finally:
        server.terminate()
        server.wait(30)


def keep_turns(database: Database, token: str, count: int) -> tuple[str, str]:
    """Keep a conversation of so many turns for the browser that holds this token; its owner and id."""
    passages = tuple(
        Passage(PASSAGE, "harbor-checking", "Harbor Checking", f"Fees {n}", 0, 9, 1 / n) for n in (1, 2, 3)
    )
    generation = Generation(ANSWER * 4, 700, 600, 60, 0.3, 0.9, "stop", (("domain", 1.0, "ab" * 32),))
    queries = [
        Query(f"Question {n}: {QUESTION}", "tidewell", "answer", blend=(("domain", 1.0),), rag=True)
        for n in range(count)
    ]
    turns = [KeptTurn(query, Answer(query, passages, generation=generation)) for query in queries]
    owner, id_ = owner_of(SimpleNamespace(cookies={COOKIE: token})), new_id()
    Conversations(database).save(owner, id_, turns=turns)
    return owner, id_


@contextmanager
def opened(browser: Any, url: str, token: str, turns: int, *scripts: str) -> Iterator[Any]:
    """The page of the browser that holds this token, with its conversation open and long answers asked for."""
    context = browser.new_context(viewport={"width": 1400, "height": 900})
    context.add_cookies([{"name": COOKIE, "value": token, "url": url}])
    page = context.new_page()
    for script in scripts:
        page.add_init_script(script)
    page.goto(url)
    page.wait_for_selector("#status .cf-ready", timeout=180_000)
    page.click("#conversations-list [data-act=open]")
    page.wait_for_function(f"document.querySelectorAll('#chat-log .user-row').length >= {turns}")
    page.click(".cf-chat .cf-sampling > button")
    page.locator(".cf-chat .cf-sampling input[type=number]").last.fill(MOST_TOKENS)
    page.keyboard.press("Tab")
    yield page
    context.close()


def ask(page: Any) -> None:
    """Ask, and wait for the first word of the answer."""
    before = page.locator("#chat-log .bot-row").count()
    page.fill(BOX, QUESTION)
    page.click("#chat-send")
    rows = "[...document.querySelectorAll('#chat-log .bot-row')]"
    word = f"{rows}.slice({before}).at(-1)?.querySelector('.cf-answer > .cf-text')?.innerText.trim()"
    page.wait_for_function(word, timeout=120_000)


def end(page: Any) -> None:
    """Stop the answer, where one streams still, and empty the box."""
    page.evaluate("document.querySelector('#chat-stop')?.click()")
    page.wait_for_selector("#chat-send", state="visible")
    page.wait_for_timeout(1000)  # what a click at the very end has begun is over before the next question
    page.fill(BOX, "")


def typing(page: Any, keys: int, *, streaming: bool) -> list[float]:
    """Milliseconds from key to painted character, of so many keys."""
    found: list[float] = []
    while len(found) < keys:
        page.evaluate("performance.clearMeasures('key')")
        if streaming:
            ask(page)
        page.focus(BOX)
        pressed = 0
        while pressed < keys - len(found):
            page.keyboard.press("x")
            pressed += 1
            page.wait_for_timeout(MILLISECONDS_BETWEEN_KEYS)
            if streaming and not page.is_visible("#chat-stop"):
                break  # it has ended: the rest is typed while the next one streams
        page.wait_for_function(f"performance.getEntriesByName('key').length === {pressed}", timeout=60_000)
        found += [milliseconds for was, _, milliseconds in page.evaluate(MEASURED) if was == streaming]
        end(page)
    return found


def update_bytes(page: Any) -> list[int]:
    """Bytes of each update of one streaming answer, uncompressed."""
    ask(page)
    page.wait_for_timeout(4000)
    end(page)
    return list(page.evaluate("window.updates"))


def first_character(browser: Any, url: str) -> tuple[float, float]:
    """Seconds from the first request to the question box being there, and to the first character painted in it."""
    context = browser.new_context()
    page = context.new_page()
    page.add_init_script(WATCH)
    page.goto(url, wait_until="commit")
    page.wait_for_selector(BOX, timeout=120_000)
    there = page.evaluate("performance.now()") / 1000
    page.focus(BOX)
    page.keyboard.press("x")
    page.wait_for_function("performance.getEntriesByName('key').length", timeout=60_000)
    ((_, start, duration),) = page.evaluate(MEASURED)
    page.wait_for_selector("#status .cf-ready", timeout=180_000)
    if page.input_value(BOX) != "x":
        raise RuntimeError("What was typed before all was loaded is gone from the box.")
    context.close()
    return there, (start + duration) / 1000


def row(*cells: object) -> None:
    print(f"| {' | '.join(map(str, cells))} |")


def spread(values: Sequence[float]) -> tuple[str, str]:
    """Median and 95th percentile."""
    return f"{statistics.median(values):.0f}", f"{statistics.quantiles(values, n=20, method='inclusive')[-1]:.0f}"


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--turns", type=int, default=20)
    parser.add_argument("--keys", type=int, default=40)
    parser.add_argument("--real", action="store_true", help="the app on its own cache, in place of the stand-in")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        home = Settings.from_environment().home if args.real else Path(folder)
        command = [sys.executable, str(ROOT / "app.py")]
        if not args.real:
            command = [sys.executable, str(ROOT / "tests" / "browser" / "standin.py"), "--port", str(PORT)]
            command += ["--home", str(home), "--delay", "0.02", "--answer", ANSWER * 50, "--passage", PASSAGE]
        flags = ["--headless", "--no-sandbox", "--disable-gpu", "--no-first-run"]
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=flags)
        token, database = secrets.token_urlsafe(32), Database(home / "history.sqlite")
        owner, id_ = keep_turns(database, token, args.turns)
        try:
            measure(browser, command, token, args)
        finally:
            Conversations(database).delete(owner, id_)
            database.close()
            browser.close()


def measure(browser: Any, command: Sequence[str], token: str, args: argparse.Namespace) -> None:
    """Start twice, measure, and print the tables."""
    with served(command) as url:
        first_character(browser, url)  # a first start is another matter
    with served(command) as url:
        there, painted = first_character(browser, url)
        with opened(browser, url, token, args.turns, WATCH) as page:
            rest = typing(page, args.keys, streaming=False)
            streaming = typing(page, args.keys, streaming=True)
        with opened(browser, url, token, args.turns, COUNT_BYTES) as page:
            updates = update_bytes(page)
    row(f"a conversation of {args.turns} turns", "count", "median", "95th percentile")
    row(*["---"] * 4)
    row("key to painted character, at rest (ms)", len(rest), *spread(rest))
    row("key to painted character, while an answer streams (ms)", len(streaming), *spread(streaming))
    row("streaming update (bytes)", len(updates), *spread(updates))
    print()
    row("second start, from the browser's first request", "seconds")
    row(*["---"] * 2)
    row("the question box is there", f"{there:.2f}")
    row("a character is painted in it", f"{painted:.2f}")


if __name__ == "__main__":
    main()
