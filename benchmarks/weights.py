"""Which format of the embedded base to serve on a CPU: speed and perplexity of each, on our own text.

    python benchmarks/weights.py [--repeats 5]

Speed is llama.cpp's own timing of a 512-token prompt and 128 new tokens, the formats taking turns. Perplexity is over
the pages of `corpora/tidewell`, in windows of 512 tokens, computed in float32 from each file's dequantised weights.
"""

from __future__ import annotations

import argparse
import json
import math
import statistics
import urllib.request
from pathlib import Path
from typing import Any

import torch
import xllamacpp
from transformers import AutoModelForCausalLM, AutoTokenizer

from crossfade.corpora.registry import read_corpus
from crossfade.models.fetch import fetch
from crossfade.models.quantise import requantise
from crossfade.settings import Settings

WINDOW = 512


def perplexity(path: Path, text: str, windows: int) -> float:
    """Perplexity of a text under a GGUF's weights."""
    model = AutoModelForCausalLM.from_pretrained(path.parent, gguf_file=path.name, dtype=torch.float32)
    tokenizer = AutoTokenizer.from_pretrained(path.parent, gguf_file=path.name)
    tokens = torch.tensor(tokenizer(text)["input_ids"])
    losses = []
    with torch.no_grad():
        for start in range(0, min(len(tokens) - WINDOW, windows * WINDOW), WINDOW):
            ids = tokens[None, start : start + WINDOW]
            losses.append(float(model(input_ids=ids, labels=ids).loss))
    return math.exp(statistics.mean(losses))


def server(path: Path, threads: int) -> Any:
    """The bare engine with one slot."""
    params = xllamacpp.CommonParams()
    params.model.path, params.n_ctx, params.n_parallel, params.verbosity = str(path), 1024, 1, 1
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = threads
    params.ui = False
    return xllamacpp.Server(params)


def speed(address: str, number: int) -> tuple[float, float]:
    """Tokens a second of prefill and of decode, as llama.cpp times them."""
    body = {"prompt": [number + 100, *range(2000, 2000 + 511)], "n_predict": 128, "ignore_eos": True}
    body |= {"cache_prompt": False, "temperature": 0}
    request = urllib.request.Request(f"{address}/completion", json.dumps(body).encode())
    timings = json.load(urllib.request.urlopen(request))["timings"]
    return timings["prompt_per_second"], timings["predicted_per_second"]


def main() -> None:
    """Measure and print a Markdown table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--windows", type=int, default=24)
    args = parser.parse_args()
    settings = Settings.from_environment()
    source = fetch("smollm2-135m", settings.home)
    paths = {
        "Q4_1 (as published)": source,
        "Q8_0": requantise(source, settings.home, "Q8_0"),
        "Q4_0": requantise(source, settings.home, "Q4_0"),
    }
    servers = {name: server(path, settings.threads) for name, path in paths.items()}
    timed: dict[str, list[tuple[float, float]]] = {name: [] for name in paths}
    for number in range(args.repeats + 1):
        for name, running in servers.items():
            timed[name].append(speed(running.listening_address, number))
    servers.clear()
    text = "\n\n".join(d.text for d in read_corpus(settings.corpora, "tidewell").documents)
    print("| format | MB | prefill tokens/s | decode tokens/s | perplexity |\n| --- | --- | --- | --- | --- |")
    for name, path in paths.items():
        prefill, decode = (statistics.median(column) for column in zip(*timed[name][1:], strict=True))
        size, lost = path.stat().st_size / 1e6, perplexity(path, text, args.windows)
        print(f"| {name} | {size:.0f} | {prefill:.0f} | {decode:.0f} | {lost:.3f} |", flush=True)


if __name__ == "__main__":
    main()
