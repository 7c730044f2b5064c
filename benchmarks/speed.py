"""Ratios of Crossfade against the bare engine, measured in one run on the embedded default.

    python benchmarks/speed.py [--repeats 7]

"Bare engine" is llama.cpp by xllamacpp with the same GGUF, threads and slots, called directly over its own HTTP
listener. Run it on an idle machine. Every figure is a median; the two sides of a ratio take turns.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from http.client import HTTPConnection
from pathlib import Path
from threading import Event
from typing import Any

import xllamacpp
from playwright.sync_api import sync_playwright
from safetensors.numpy import load_file, save_file

from crossfade.adapters.peft_files import WEIGHTS_FILE, read_adapter
from crossfade.adapters.registry import scan
from crossfade.compare import compare, query_in_mode
from crossfade.corpora.registry import read_rows
from crossfade.engines.opening import served_weights
from crossfade.models.fetch import fetch
from crossfade.pipeline import Pipeline
from crossfade.settings import Settings
from crossfade.startup import Startup
from crossfade.types import MODES, Blend, Message, Prompt, Query, Sampling

QUESTION = "How much is the monthly fee for Harbor Checking, and how can I avoid it?"
WORDS = ["harbor", "lantern", "anchor", "tide", "ledger", "copper", "meadow", "granite", "willow", "ember"]


def bare_server(settings: Settings) -> Any:
    """The engine alone, with the same weights, context, slots and threads."""
    params = xllamacpp.CommonParams()
    params.model.path = str(served_weights(settings, fetch(settings.base, settings.home)))
    params.n_ctx, params.n_parallel = settings.context * settings.slots, settings.slots
    params.n_batch = params.n_ubatch = 256
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = settings.threads
    params.cache_ram_mib, params.ui, params.verbosity = 0, False, 1
    return xllamacpp.Server(params)


@dataclass(frozen=True, slots=True)
class Timed:
    """One answer as its reader saw it: seconds to the first piece of text, pieces a second after it, cached tokens."""

    first: float
    rate: float
    cached: int


def timed(began: float, pieces: Sequence[float], cached: int) -> Timed:
    """Both sides are counted here, by the moments at which a piece of text came."""
    rate = (len(pieces) - 1) / (pieces[-1] - pieces[0]) if len(pieces) > 1 else 0.0
    return Timed(pieces[0] - began, rate, cached)


def bare_stream(address: str, messages: Sequence[Message], tokens: int) -> Timed:
    """An answer of the bare engine, in its first slot, with the prefix that this slot holds."""
    host, port = address.removeprefix("http://").split(":")
    connection = HTTPConnection(host, int(port))
    body = {
        "messages": [{"role": m.role, "content": m.content} for m in messages],
        "max_tokens": tokens,
        "temperature": 0,
        "stream": True,
        "id_slot": 0,
    }
    began, times, cached = time.perf_counter(), [], 0
    connection.request("POST", "/v1/chat/completions", json.dumps(body), {"Content-Type": "application/json"})
    response = connection.getresponse()
    while line := response.readline():
        if line.startswith(b"data: {"):
            chunk = json.loads(line[6:])
            cached = chunk.get("timings", {}).get("cache_n", cached)
            if any(choice["delta"].get("content") for choice in chunk["choices"]):
                times.append(time.perf_counter())
    connection.close()
    return timed(began, times, cached)


def our_stream(pipeline: Pipeline, query: Query) -> Timed:
    """An answer of the pipeline, from question to text."""
    times: list[float] = []
    began, text, cached = time.perf_counter(), "", 0
    for answer in pipeline.stream(query):
        if answer.generation.text != text:
            text = answer.generation.text
            times.append(time.perf_counter())
        cached = answer.generation.cached_tokens or 0  # unknown until the engine has told it
    return timed(began, times, cached)


def fresh_prompt(number: int, words: int = 120) -> Prompt:
    """A prompt of fixed length that shares no prefix with another number's."""
    text = " ".join(WORDS[(number * 7 + i * (number % 5 + 1)) % len(WORDS)] for i in range(words))
    return Prompt((Message("system", f"{number} {text}"), Message("user", "Go on.")), tokens=0)


def medians(repeats: int, *sides: Callable[[int], float]) -> list[float]:
    """The median of each side, which take turns; the first round warms up and is not counted."""
    rounds = [[side(number) for side in sides] for number in range(repeats + 1)][1:]
    return [statistics.median(values) for values in zip(*rounds, strict=True)]


def decode(pipeline: Pipeline, address: str, repeats: int) -> tuple[float, float]:
    """Tokens a second through the pipeline and from the bare engine, on one prompt."""
    query = Query("Tell me a long story about a lighthouse.", "tidewell", "voice", sampling=Sampling(128))
    prepared = pipeline.prepare(query).prompt
    assert prepared is not None
    bare, mine = medians(
        repeats,
        lambda _: bare_stream(address, prepared.messages, 128).rate,
        lambda _: our_stream(pipeline, query).rate,
    )
    return mine, bare


def first_token(pipeline: Pipeline, address: str, repeats: int) -> tuple[float, float, float, float]:
    """Seconds from question to first token of a RAG answer, and of the bare engine's prefill of the same prompt.

    Every question has other passages; both sides keep the prefix of the question before, ours once each slot was used.
    Then the cached tokens of both, which must be about the same for the ratio to mean something.
    """
    settings = Settings.from_environment()
    rows = read_rows(settings.corpora / "tidewell" / "dev.jsonl")[: repeats + settings.slots]
    queries = [replace(_query(row["question"]), rag=True, sampling=Sampling(2)) for row in rows]
    prompts = [pipeline.prepare(query).prompt for query in queries]
    cached: list[tuple[int, int]] = []

    def both(number: int) -> tuple[float, float]:
        prompt = prompts[number]
        assert prompt is not None
        bare, mine = bare_stream(address, prompt.messages, 2), our_stream(pipeline, queries[number])
        cached.append((bare.cached, mine.cached))
        return bare.first, mine.first

    rounds = [both(number) for number in range(len(rows))][settings.slots :]
    theirs, mine = (statistics.median(side) for side in zip(*rounds, strict=True))
    bare_cached, our_cached = (statistics.mean(side) for side in zip(*cached[settings.slots :], strict=True))
    return mine, theirs, our_cached, bare_cached


def switching(pipeline: Pipeline, repeats: int) -> tuple[float, float]:
    """Milliseconds to the first token where the adapter stays, and where it changes; no shared prefix in either."""
    numbers = iter(range(10_000))

    def run(blend: Blend) -> float:
        prompt = fresh_prompt(next(numbers))
        *_, done = pipeline.engine.stream(prompt, blend=blend, sampling=Sampling(1), stop=Event())
        return done.seconds_to_first * 1000

    def staying(_: int) -> float:
        run((("domain", 1.0),))
        return run((("domain", 1.0),))

    def changing(_: int) -> float:
        run((("style", 1.0),))
        return run((("domain", 1.0),))

    stay, change = medians(repeats * 3, staying, changing)
    return stay, change


def adding(pipeline: Pipeline, settings: Settings, repeats: int) -> float:
    """Seconds to add an adapter that was never seen, its conversion included, while another answer streams on."""
    source = scan(settings.adapters).get("json").folder

    def add(number: int) -> float:
        with tempfile.TemporaryDirectory() as scratch:
            folder = Path(shutil.copytree(source, Path(scratch) / f"new{number}"))
            weights = load_file(folder / WEIGHTS_FILE)
            save_file({k: v * (1 + number / 64) for k, v in weights.items()}, folder / WEIGHTS_FILE)
            query = Query("Tell me a long story about a lighthouse.", "tidewell", "voice", sampling=Sampling(600))
            stream = pipeline.stream(query)
            for _ in range(3):
                next(stream)
            began = time.perf_counter()
            pipeline.engine.load(read_adapter(folder))
            seconds = time.perf_counter() - began
            assert sum(1 for _ in stream) > 1, "the answer had ended before the adapter was there"
            pipeline.engine.unload(f"new{number}")
            return seconds

    return medians(repeats, add)[0]


def comparing(pipeline: Pipeline, repeats: int) -> tuple[float, float]:
    """Seconds of a five-mode comparison, and of its five single runs."""
    numbers = iter(range(10_000))

    def columns() -> list[Query]:
        query = _query(f"{QUESTION} This is call {next(numbers)}.")
        return [query_in_mode(query, mode, blend=(("domain", 1.0),)) for mode in MODES]

    def together(_: int) -> float:
        queries, began = columns(), time.perf_counter()
        for _column in compare(pipeline, queries):
            pass
        return time.perf_counter() - began

    def single(_: int) -> float:
        queries, began = columns(), time.perf_counter()
        for query in queries:
            pipeline.ask(query)
        return time.perf_counter() - began

    both, alone = medians(repeats, together, single)
    return both, alone


def second_start(port: int = 7913) -> dict[str, float]:
    """`python app.py` on a warm cache, as a person at a browser meets it, beside the bare engine.

    Seconds from the command to the page with its question box, to the first word of a hybrid answer asked at once,
    and resident MB after it.
    """
    root = Path(__file__).resolve().parent.parent
    env = {**os.environ, "CROSSFADE_PORT": str(port), "GRADIO_ANALYTICS_ENABLED": "False"}
    with sync_playwright() as playwright:
        flags = ["--headless", "--no-sandbox", "--disable-gpu", "--no-first-run"]
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=flags)
        page = browser.new_page()
        page.goto("about:blank")
        began = time.perf_counter()
        app = subprocess.Popen(
            [sys.executable, "app.py"], cwd=root, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        try:
            _until(lambda: urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=5).status == 200)
            served = time.perf_counter() - began
            page.goto(f"http://127.0.0.1:{port}/")
            page.wait_for_selector("#chat-question textarea")
            shown = time.perf_counter() - began
            page.click("#preset-hybrid")
            page.fill("#chat-question textarea", QUESTION)
            page.click("#chat-send")
            word = "[...document.querySelectorAll('#chat-log .cf-answer > .cf-text')].some(e => e.innerText.trim())"
            page.wait_for_function(word, polling=20, timeout=120_000)
            token = time.perf_counter() - began
            memory = _resident(app.pid)
        finally:
            app.send_signal(signal.SIGTERM)
            app.wait(20)
            browser.close()
    bare = (
        "import time, os; t = time.perf_counter()\n"
        "import sys; sys.path.insert(0, 'benchmarks'); import speed\n"
        "from crossfade.settings import Settings\n"
        "s = speed.bare_server(Settings.from_environment())\n"
        "speed.bare_stream(s.listening_address, (speed.Message('user', 'Hello'),), 2); t = time.perf_counter() - t\n"
        "print(t, speed._resident(os.getpid()))\n"
    )
    out = subprocess.run([sys.executable, "-c", bare], capture_output=True, text=True, check=True, cwd=root).stdout
    bare_token, bare_memory = map(float, out.split()[-2:])
    return {
        "seconds until it serves": served,
        "seconds to page": shown,
        "seconds to first token": token,
        "resident MB": memory,
        "bare engine: seconds to first token": bare_token,
        "bare engine: resident MB": bare_memory,
    }


def _until(ready: Callable[[], bool], patience: float = 60) -> float:
    end = time.perf_counter() + patience
    while time.perf_counter() < end:
        try:
            if ready():
                return time.perf_counter()
        except OSError:
            time.sleep(0.05)
    raise RuntimeError("the page did not come up")


def _resident(pid: int) -> float:
    status = Path(f"/proc/{pid}/status").read_text()
    return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmRSS")) / 1024


def _query(text: str) -> Query:
    return Query(text, "tidewell", "answer", sampling=Sampling(64))


def rows(repeats: int) -> Iterator[tuple[str, str, str]]:
    """The rows of the table: what, measured, target."""
    settings = Settings.from_environment()
    pipeline = Startup(settings).run()
    bare = bare_server(settings)
    address = bare.listening_address
    mine, theirs = decode(pipeline, address, repeats)
    yield f"decode, pipeline / bare ({mine:.0f} / {theirs:.0f} tokens/s)", f"{mine / theirs:.3f}", ">= 0.95"
    mine, theirs, ours_cached, bare_cached = first_token(pipeline, address, 3 * repeats)
    what = f"({mine:.2f} / {theirs:.2f} s; {ours_cached:.0f} / {bare_cached:.0f} tokens cached)"
    yield f"first token of a RAG answer / bare prefill {what}", f"{mine / theirs:.3f}", "<= 1.10"
    stay, change = switching(pipeline, repeats)
    yield f"switching adapters, more than not ({stay:.0f} ms)", f"{change - stay:+.1f} ms", "<= +5 ms"
    yield "adding an adapter while serving", f"{adding(pipeline, settings, 3):.2f} s", "<= 2 s"
    both, alone = comparing(pipeline, max(3, repeats // 2))
    yield f"five-mode comparison / five single runs ({both:.1f} / {alone:.1f} s)", f"{both / alone:.3f}", "<= 1.05"
    pipeline.engine.close()
    del bare
    for what, value in second_start().items():
        target = {"seconds to page": "< 5", "seconds to first token": "aim 10"}.get(what, "")
        yield f"second start, {what}", f"{value:.1f}", target


def main() -> None:
    """Measure and print a Markdown table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=7)
    print("| what | measured | target |\n| --- | --- | --- |")
    for row in rows(parser.parse_args().repeats):
        print("| " + " | ".join(row) + " |", flush=True)


if __name__ == "__main__":
    main()
