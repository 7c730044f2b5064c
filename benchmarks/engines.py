"""The transformers engine beside bare PEFT and beside llama.cpp, measured in one run on the embedded default.

    python benchmarks/engines.py [--repeats 3] [--tokens 64] [--precision float32]

"Bare PEFT" is `PeftModel.generate`, greedy, on the same folder, precision and threads. The sides of a ratio take turns;
every figure is a median. Answers are not ended by their end token, so that all have the same length. Run it on an idle
machine.
"""

from __future__ import annotations

import argparse
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from threading import Event
from typing import Any

from safetensors.numpy import load_file, save_file

from crossfade.adapters.peft_files import WEIGHTS_FILE, read_adapter
from crossfade.adapters.registry import scan
from crossfade.engines.opening import open_engine
from crossfade.engines.protocol import Engine
from crossfade.engines.torch_base import TorchBase, load_base
from crossfade.engines.transformers_engine import TransformersEngine
from crossfade.models.fetch import fetch
from crossfade.models.gguf_file import base_identity
from crossfade.models.hf_folder import hf_folder
from crossfade.settings import Settings
from crossfade.types import Blend, Message, Prompt, Sampling

QUESTION = "Tell me a long story about a lighthouse keeper and the harbor below."
NAMES = ("domain", "style", "json")
BLENDS: tuple[Blend, ...] = ((), *(((name, 1.0),) for name in NAMES))


def ask(engine: Engine, blend: Blend, tokens: int, number: int = 0) -> float:
    """Tokens a second after the first token of one answer, as its reader sees them."""
    prompt = Prompt((Message("user", f"{number}. {QUESTION}"),), tokens=0)
    stream = engine.stream(prompt, blend=blend, sampling=Sampling(tokens), stop=Event())
    times = [time.perf_counter() for _ in stream]
    return (len(times) - 1) / (times[-1] - times[0])


def seconds(call: Callable[[], Any]) -> float:
    """How long a call takes."""
    began = time.perf_counter()
    call()
    return time.perf_counter() - began


def together(engine: Engine, tokens: int) -> float:
    """Seconds of four answers asked at once, of base and three adapters."""
    threads = [threading.Thread(target=ask, args=(engine, blend, tokens)) for blend in BLENDS]
    began = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return time.perf_counter() - began


def one_by_one(engine: Engine, tokens: int) -> float:
    """Seconds of the same four answers, one after the other."""
    return seconds(lambda: [ask(engine, blend, tokens) for blend in BLENDS])


def medians(repeats: int, *sides: Callable[[], float]) -> list[float]:
    """The median of each side, which take turns; the first round warms up and is not counted."""
    rounds = [[side() for side in sides] for _ in range(repeats + 1)][1:]
    return [statistics.median(values) for values in zip(*rounds, strict=True)]


def bare_peft(folder: Path, adapter: Path, precision: str) -> tuple[Any, Any]:
    """A PeftModel with one adapter, and its tokenizer."""
    import torch
    from peft import PeftModel
    from transformers import AutoModelForCausalLM, AutoTokenizer

    model = AutoModelForCausalLM.from_pretrained(folder, dtype=getattr(torch, precision))
    return PeftModel.from_pretrained(model, adapter).eval(), AutoTokenizer.from_pretrained(folder)


def peft_rate(model: Any, tokenizer: Any, tokens: int) -> float:
    """Tokens a second of PEFT's generate after the first token, by the moments at which a streamer gets them."""
    import torch

    class Clock:
        def __init__(self) -> None:
            self.times: list[float] = []

        def put(self, value: Any) -> None:
            self.times.append(time.perf_counter())

        def end(self) -> None:
            pass

    clock = Clock()
    chat = tokenizer.apply_chat_template(
        [{"role": "user", "content": f"0. {QUESTION}"}],
        add_generation_prompt=True,
        return_tensors="pt",
        return_dict=True,
    )
    with torch.inference_mode():
        model.generate(**chat, max_new_tokens=tokens, min_new_tokens=tokens, do_sample=False, streamer=clock)
    times = clock.times[1:]  # the first that a streamer is given is the prompt
    return (len(times) - 1) / (times[-1] - times[0])


def copies(source: Path, root: Path, count: int) -> list[Path]:
    """Adapters that differ a little in their weights, so that none is another's."""
    made = []
    for number in range(count):
        folder = Path(shutil.copytree(source, root / f"copy{number}"))
        weights = load_file(folder / WEIGHTS_FILE)
        save_file({k: v * (1 + number / 256) for k, v in weights.items()}, folder / WEIGHTS_FILE)
        made.append(folder)
    return made


def switching(engine: Engine, names: Sequence[str], repeats: int) -> float:
    """Milliseconds to the first token that a change of adapter costs more than none; no shared prefix in either."""
    numbers = iter(range(10_000))

    def first(name: str) -> float:
        prompt = Prompt((Message("user", f"{next(numbers)} {QUESTION}"),), tokens=0)
        *_, done = engine.stream(prompt, blend=((name, 1.0),), sampling=Sampling(1), stop=Event())
        return done.seconds_to_first * 1000

    def staying() -> float:
        first(names[0])
        return first(names[0])

    def changing() -> float:
        first(names[1])
        return first(names[0])

    stay, change = medians(repeats * 4, staying, changing)
    return change - stay


def apart(*words: object) -> list[float]:
    """The figures that this script prints last when it is run so in a process of its own."""
    command = [sys.executable, __file__, *map(str, words)]
    told = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    return [float(word) for word in told[-1].split()]


def llama_rate(adapter: Path, tokens: int) -> float:
    """Tokens a second of the llama.cpp engine in a process of its own, as it is used: without torch's threads."""
    return apart("--llama", adapter, tokens)[0]


def run_llama(adapter: Path, tokens: int) -> None:
    """What `llama_rate` starts: one answer to warm up, then one that counts."""
    engine = open_engine(replace(Settings.from_environment(), engine="llama.cpp"))
    engine.load(read_adapter(adapter))
    rates = [ask(engine, ((adapter.name, 1.0),), tokens) for _ in range(2)]
    engine.close()
    sys.stdout.write(f"{rates[-1]}\n")


def fresh(what: str, folder: Path, adapter: Path, precision: str) -> tuple[float, float, float]:
    """In a new process: seconds until the base is loaded, seconds to add an adapter, resident MB at the end."""
    loaded, adding, memory = apart("--fresh", what, folder, adapter, precision)
    return loaded, adding, memory


def run_fresh(what: str, folder: Path, adapter: Path, precision: str) -> None:
    """What `fresh` starts; prints the three figures."""
    began = time.perf_counter()
    if what == "crossfade":
        base = load_base(folder, precision=precision)
        engine = TransformersEngine(base, identity=read_adapter(adapter).base_sha256)
        loaded = time.perf_counter() - began
        adding = seconds(lambda: engine.load(read_adapter(adapter)))
    else:
        import torch
        from transformers import AutoModelForCausalLM, AutoTokenizer

        model = AutoModelForCausalLM.from_pretrained(folder, dtype=getattr(torch, precision))
        AutoTokenizer.from_pretrained(folder)
        loaded = time.perf_counter() - began
        from peft import PeftModel

        adding = seconds(lambda: PeftModel.from_pretrained(model, adapter))
    sys.stdout.write(f"{loaded} {adding} {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}\n")
    sys.stdout.flush()
    os._exit(0)


def main() -> None:
    """Measure and print a Markdown table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--tokens", type=int, default=64)
    parser.add_argument("--precision", default="float32")
    parser.add_argument("--fresh", nargs=4)
    parser.add_argument("--llama", nargs=2)
    args = parser.parse_args()
    if args.llama:
        run_llama(Path(args.llama[0]), int(args.llama[1]))
        return
    if args.fresh:
        run_fresh(args.fresh[0], Path(args.fresh[1]), Path(args.fresh[2]), args.fresh[3])
    settings = Settings.from_environment()
    source = fetch(settings.base, settings.home)
    folder, identity = hf_folder(source, settings.home), base_identity(source, settings.home)
    shipped = scan(settings.adapters)
    rows: list[tuple[str, str, str]] = []
    base: TorchBase = replace(load_base(folder, precision=args.precision), stop_tokens=frozenset())
    engine = TransformersEngine(base, identity=identity, rows=4)
    engine.load(*(shipped.get(name) for name in NAMES))
    batch, singles = medians(
        args.repeats, lambda: together(engine, args.tokens), lambda: one_by_one(engine, args.tokens)
    )
    rows.append(
        (
            f"base and three adapters in one batch / one by one ({batch:.1f} / {singles:.1f} s)",
            f"{batch / singles:.3f}",
            "at most 0.65",
        )
    )
    peft, tokenizer = bare_peft(folder, shipped.get("style").folder, args.precision)
    style: Blend = (("style", 1.0),)
    mine, bare, theirs = medians(
        args.repeats,
        lambda: ask(engine, style, args.tokens),
        lambda: peft_rate(peft, tokenizer, args.tokens),
        lambda: llama_rate(shipped.get("style").folder, args.tokens),
    )
    rows.append(
        (
            f"decode with one adapter / bare PEFT ({mine:.1f} / {bare:.1f} tokens/s)",
            f"{mine / bare:.2f}",
            "at least 1.0",
        )
    )
    rows.append(
        (f"llama.cpp engine / bare PEFT ({theirs:.1f} / {bare:.1f} tokens/s)", f"{theirs / bare:.2f}", "at least 6")
    )
    with tempfile.TemporaryDirectory() as scratch:
        many = copies(shipped.get("style").folder, Path(scratch), 31)
        for name in NAMES:
            if name != "style":
                engine.unload(name)
        before = medians(args.repeats, lambda: ask(engine, style, args.tokens))[0]
        engine.load(*map(read_adapter, many))
        after = medians(args.repeats, lambda: ask(engine, style, args.tokens))[0]
        again = switching(engine, ("copy0", "copy30"), args.repeats)
    rows.append(
        (f"32 adapters loaded / 1 ({after:.1f} / {before:.1f} tokens/s)", f"{after / before:.3f}", "at least 0.95")
    )
    rows.append(("switching among them, more than not", f"{again:+.1f} ms", "at most +5 ms"))
    engine.close()
    for what in ("crossfade", "bare PEFT"):
        loaded, adding, memory = fresh(what, folder, shipped.get("style").folder, args.precision)
        rows.append((f"{what}: base loaded, imports included", f"{loaded:.1f} s", ""))
        rows.append(
            (f"{what}: an adapter added{', self-test included' if what == 'crossfade' else ''}", f"{adding:.2f} s", "")
        )
        rows.append((f"{what}: most resident", f"{memory:.0f} MB", ""))
    lines = ["| what | measured | target |", "| --- | --- | --- |", *(f"| {' | '.join(row)} |" for row in rows)]
    print("\n".join(lines))


if __name__ == "__main__":
    main()
