"""200 people ask at the same moment: each page ends with its whole answer, or says busy and keeps the question.

Each speaks HTTP as Gradio's own page does, so what is judged is what a person would see in the end.
"""

from __future__ import annotations

import asyncio
import html
import json
import os
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from crossfade.ui.answering import QUEUE_LENGTH
from crossfade.ui.language import say

httpx = pytest.importorskip("httpx", reason="the page needs gradio, and gradio needs httpx")

STANDIN = Path(__file__).parent / "browser" / "standin.py"
CLIENTS, SLOTS, SECONDS = 200, 4, 90
ANSWER = "Seven dollars."
GRADIO_BUSY = "This application is currently busy. Please try again."
"""What Gradio's page shows in a corner for some seconds where the server answers 503."""


class Page:
    """Does with one question what Gradio's page does with it; knows the app only from its public configuration."""

    def __init__(self, client: Any, config: dict[str, Any], session: str) -> None:
        self._client, self._session = client, session
        self._functions = {function["id"]: function for function in config["dependencies"]}
        self._names = {c["props"]["elem_id"]: c["id"] for c in config["components"] if c["props"].get("elem_id")}
        self._props = {c["id"]: dict(c["props"]) for c in config["components"]}
        self.said: list[str] = []

    def prop(self, name: str, prop: str = "value") -> Any:
        return self._props[self._names[name]].get(prop)

    @property
    def answer(self) -> str:
        messages = self.prop("chat-log") or [{"content": ""}]
        return html.unescape(json.dumps(messages[-1]["content"], ensure_ascii=False))

    @property
    def state(self) -> str:
        """`answered`, `busy`, or all that a person sees where it is neither."""
        text, question = html.unescape(str(self.prop("chat-notice"))) + self.answer, self.prop("chat-question")
        free = self.prop("chat-send", "visible") is not False and self.prop("chat-stop", "visible") is False
        if free and ANSWER in text and not question and not self.said:
            return "answered"
        if free and question and say("en", "chat.busy") in text:
            return "busy"
        return f"{free=} {question=} said={self.said} {text=}"

    async def ask(self, text: str) -> str:
        """Press Send; the state of the page when all that follows from it has come to its end."""
        self._props[self._names["chat-question"]]["value"] = text
        pressed = [self._names["chat-send"], "click"]
        (first,) = (number for number, function in self._functions.items() if pressed in function["targets"])
        async with asyncio.timeout(SECONDS):
            await self._run(first)
        return self.state

    async def _run(self, number: int) -> None:
        function = self._functions[number]
        data = [self._props[i].get("value") if self._props[i] else None for i in function["inputs"]]
        body = {"data": data, "fn_index": number, "session_hash": self._session, "event_data": None}
        done = await (self._queued(body) if function["queue"] else self._direct(body))
        for follower in self._functions.values():
            if follower["trigger_after"] == number and done != follower["trigger_only_on_failure"]:
                # Gradio's page runs .then() after a success alone: whatever is to follow a failure needs .failure().
                await self._run(follower["id"])

    async def _direct(self, body: dict[str, Any]) -> bool:
        reply = await self._client.post("run/predict", json=body)
        return self._show(body["fn_index"], reply.json(), good=reply.status_code == 200)

    async def _queued(self, body: dict[str, Any]) -> bool:
        reply = await self._client.post("queue/join", json=body)
        if reply.status_code != 200:
            self.said.append(GRADIO_BUSY if reply.status_code == 503 else reply.text)
            return False
        async with self._client.stream("GET", "queue/data", params={"session_hash": self._session}) as events:
            async for line in events.aiter_lines():
                event = json.loads(line.removeprefix("data:")) if line.startswith("data:") else {}
                if event.get("msg") == "process_completed":
                    return self._show(body["fn_index"], event["output"], good=event["success"])
        self.said.append("The stream broke off.")
        return False

    def _show(self, number: int, output: dict[str, Any], *, good: bool) -> bool:
        if not good:
            self.said.append(str(output.get("error")))
        for place, value in zip(self._functions[number]["outputs"], output.get("data") or [], strict=False):
            is_update = isinstance(value, dict) and value.get("__type__") == "update"
            self._props[place] |= value if is_update else {"value": value}
        return good


@pytest.fixture
def served(tmp_path: Path) -> Iterator[tuple[str, Path]]:
    """The page on an engine that takes 0.8 s for an answer, and the engine's log of how each one ended."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    log, url = tmp_path / "engine.log", f"http://127.0.0.1:{port}/gradio_api/"
    command = [sys.executable, str(STANDIN), "--port", str(port), "--slots", str(SLOTS), "--log", str(log)]
    command += ["--answer", ANSWER, "--delay", "0.4"]
    with (tmp_path / "server.log").open("wb") as output:
        process = subprocess.Popen(command, env=os.environ, stdout=output, stderr=subprocess.STDOUT)
    try:
        end = time.monotonic() + 120
        while not is_up(f"{url}startup-events"):
            assert process.poll() is None, (tmp_path / "server.log").read_text()
            assert time.monotonic() < end, "the page did not come up"
            time.sleep(0.2)
        yield url, log
    finally:
        process.terminate()
        process.wait(20)


def is_up(url: str) -> bool:
    try:
        return bool(httpx.get(url, trust_env=False).status_code == 200)
    except httpx.HTTPError:
        return False


async def storm(url: str) -> tuple[list[str], str, float]:
    """How the page of each client ended; then how one more ended that asked in the calm after it, and its seconds."""
    # Kept for less long than by the server, which closes an idle connection after 5 s: a browser would ask again.
    limits = httpx.Limits(max_connections=None, max_keepalive_connections=None, keepalive_expiry=1)
    root = url.removesuffix("gradio_api/")
    async with httpx.AsyncClient(base_url=url, timeout=SECONDS, limits=limits, trust_env=False) as client:
        config = (await client.get(f"{root}config")).json()
        pages = [Page(client, config, f"client{n}") for n in range(CLIENTS)]
        ends = await asyncio.gather(
            *(page.ask(f"Question {n}?") for n, page in enumerate(pages)), return_exceptions=True
        )
        for n, (page, end) in enumerate(zip(pages, ends, strict=True)):
            assert end != "busy" or page.prop("chat-question") == f"Question {n}?"
        began = time.monotonic()
        late = await Page(client, config, "late").ask("And now?")
        return [str(end) if isinstance(end, str) else repr(end) for end in ends], late, time.monotonic() - began


def test_each_of_200_clients_is_answered_or_told_to_try_again(served: tuple[str, Path]) -> None:
    url, log = served
    with ThreadPoolExecutor(1) as thread:  # the browser of other tests keeps an event loop in this one
        ends, late, seconds = thread.submit(lambda: asyncio.run(storm(url))).result()
    count = Counter(ends)
    print(count)
    assert set(count) == {"answered", "busy"}
    assert count["answered"] >= QUEUE_LENGTH
    assert (late, seconds < 10) == ("answered", True)
    ended = [line.split()[0] for line in log.read_text().splitlines()]
    assert ended == ["stop"] * (count["answered"] + 1), "a generation was lost, cut off, or runs on"
