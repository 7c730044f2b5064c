"""Ratios of Crossfade against the bare engine, measured in one run on the embedded default.

    python benchmarks/speed.py [--repeats 7]

"Bare engine" is llama.cpp by xllamacpp with the same GGUF, threads and slots, called directly over its own HTTP
listener. Run it on an idle machine. Every figure is a median; the two sides of a ratio take turns.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import statistics
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import replace
from http.client import HTTPConnection
from pathlib import Path
from threading import Event
from typing import Any

import xllamacpp

from crossfade.adapters.registry import scan
from crossfade.compare import compare, query_in_mode
from crossfade.pipeline import Pipeline
from crossfade.settings import Settings
from crossfade.startup import Startup, served_model
from crossfade.types import MODES, Blend, Message, Prompt, Query, Sampling

QUESTION = "How much is the monthly fee for Harbor Checking, and how can I avoid it?"
WORDS = ["harbor", "lantern", "anchor", "tide", "ledger", "copper", "meadow", "granite", "willow", "ember"]


def bare_server(settings: Settings) -> Any:
    """The engine alone, with the same weights, context, slots and threads."""
    params = xllamacpp.CommonParams()
    params.model.path = str(served_model(settings))
    params.n_ctx, params.n_parallel = settings.context * settings.slots, settings.slots
    params.n_batch = params.n_ubatch = 256
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = settings.threads
    params.cache_ram_mib, params.ui, params.verbosity = 0, False, 1
    return xllamacpp.Server(params)


def bare_stream(address: str, messages: tuple[Message, ...], tokens: int) -> tuple[float, float]:
    """Seconds to the first token and tokens a second after it, from the bare engine, no prefix cached."""
    host, port = address.removeprefix("http://").split(":")
    connection = HTTPConnection(host, int(port))
    body = {
        "messages": [{"role": m.role, "content": m.content} for m in messages],
        "max_tokens": tokens,
        "temperature": 0,
        "stream": True,
        "cache_prompt": False,
    }
    began, times = time.perf_counter(), []
    connection.request("POST", "/v1/chat/completions", json.dumps(body), {"Content-Type": "application/json"})
    response = connection.getresponse()
    while line := response.readline():
        if line.startswith(b"data: {") and json.loads(line[6:])["choices"][0]["delta"].get("content"):
            times.append(time.perf_counter())
    connection.close()
    return times[0] - began, (len(times) - 1) / (times[-1] - times[0])


def fresh_prompt(number: int, words: int = 120) -> Prompt:
    """A prompt of fixed length that shares no prefix with another number's."""
    text = " ".join(WORDS[(number * 7 + i * (number % 5 + 1)) % len(WORDS)] for i in range(words))
    return Prompt((Message("system", f"{number} {text}"), Message("user", "Go on.")), tokens=0)


def medians(repeats: int, *sides: Callable[[int], float]) -> list[float]:
    """The median of each side, which take turns; the first round warms up and is not counted."""
    rounds = [[side(number) for side in sides] for number in range(repeats + 1)][1:]
    return [statistics.median(values) for values in zip(*rounds, strict=True)]


def decode(pipeline: Pipeline, address: str, repeats: int) -> tuple[float, float]:
    """Tokens a second through the pipeline and from the bare engine."""
    query = Query("Tell me a long story about a lighthouse.", "tidewell", "answer", sampling=Sampling(128))

    def ours(_: int) -> float:
        done = pipeline.ask(query).generation
        return (done.new_tokens - 1) / (done.seconds - done.seconds_to_first)

    prepared = pipeline.prepare(query).prompt
    assert prepared is not None
    bare, mine = medians(repeats, lambda _: bare_stream(address, prepared.messages, 128)[1], ours)
    return mine, bare


def first_token(pipeline: Pipeline, address: str, repeats: int) -> tuple[float, float]:
    """Seconds from question to first token of a RAG answer, and of the bare engine's prefill of the same prompt."""
    questions = [f"{QUESTION} I ask for case {n}." for n in range(repeats + 1)]
    queries = [replace(_query(q), rag=True, sampling=Sampling(2)) for q in questions]
    prompts = [pipeline.prepare(q).prompt for q in queries]

    def ours(number: int) -> float:
        began = time.perf_counter()
        for answer in pipeline.stream(queries[number]):
            if answer.generation.text:
                return time.perf_counter() - began
        raise RuntimeError("no token")

    def bare(number: int) -> float:
        prompt = prompts[number]
        assert prompt is not None
        return bare_stream(address, prompt.messages, 2)[0]

    theirs, mine = medians(repeats, bare, ours)
    return mine, theirs


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
    """Seconds to add an adapter while another answer streams; the stream must end as it should."""
    adapter = scan(settings.adapters).get("json")

    def add(_: int) -> float:
        query = replace(_query("Tell me a story."), sampling=Sampling(400), blend=(("style", 1.0),))
        stream = pipeline.stream(query)
        for _ in range(3):
            next(stream)
        began = time.perf_counter()
        pipeline.engine.load(adapter)
        seconds = time.perf_counter() - began
        *_, last = stream
        assert last.generation.finish in ("stop", "length")
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
        for _ in compare(pipeline, queries):
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
    """Seconds to the page and to the first token of `python app.py` on a warm cache, and its resident MB."""
    root = Path(__file__).resolve().parent.parent
    env = {**os.environ, "CROSSFADE_PORT": str(port), "GRADIO_ANALYTICS_ENABLED": "False"}
    began = time.perf_counter()
    app = subprocess.Popen(
        [sys.executable, "app.py"], cwd=root, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    try:
        page = _until(lambda: urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=1).status == 200) - began
        memory = 0.0
        time.sleep(25)
        memory = _resident(app.pid)
    finally:
        app.send_signal(signal.SIGTERM)
        app.wait(20)
    code = (
        "import time; t = time.perf_counter()\n"
        "from crossfade.settings import Settings; from crossfade.startup import Startup\n"
        "from crossfade.types import Query, Sampling\n"
        "p = Startup(Settings.from_environment()).run()\n"
        "q = Query('What is the Shoal limit?', 'tidewell', 'answer', (('domain', 1.0),), rag=True)\n"
        "next(a for a in p.stream(q) if a.generation.text); print(time.perf_counter() - t)\n"
    )
    token = float(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout)
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
        "seconds to page": page,
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
    mine, theirs = first_token(pipeline, address, repeats)
    yield f"first token of a RAG answer / bare prefill ({mine:.2f} / {theirs:.2f} s)", f"{mine / theirs:.3f}", "<= 1.10"
    stay, change = switching(pipeline, repeats)
    yield f"switching adapters, more than not ({stay:.0f} ms)", f"{change - stay:+.1f} ms", "<= +5 ms"
    yield "adding an adapter while serving", f"{adding(pipeline, settings, 3):.2f} s", "<= 2 s"
    both, alone = comparing(pipeline, max(3, repeats // 2))
    yield f"five-mode comparison / five single runs ({both:.1f} / {alone:.1f} s)", f"{both / alone:.3f}", "<= 1.05"
    pipeline.engine.close()
    del bare
    for what, value in second_start().items():
        yield f"second start, {what}", f"{value:.1f}", "page < 5, token aim 10" if what.startswith("seconds") else ""


def main() -> None:
    """Measure and print a Markdown table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=7)
    print("| what | measured | target |\n| --- | --- | --- |")
    for row in rows(parser.parse_args().repeats):
        print("| " + " | ".join(row) + " |", flush=True)


if __name__ == "__main__":
    main()
