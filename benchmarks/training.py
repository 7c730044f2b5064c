"""Our trainer against a plain `Trainer` with PEFT on the same rows and base; and the machine's own limit.

    python benchmarks/training.py [--steps 16] [--task answer|ticket|voice]

The plain one is what most people write: batches of 8 padded to the longest, loss over all positions with the prompt
masked, PEFT's LoRA of the same rank; once as it comes, in float32, and once told `bf16=True` where the machine has
bfloat16 products, which ours finds out itself. Each runs in a process of its own, which tells tokens per second
(padding not counted, the first steps left out) and the most memory it held. The limit is the speed of one large matrix
product. The rows are those that the shipped adapter of the task is trained with, those of `answer` with their passages.
"""

from __future__ import annotations

import argparse
import json
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from crossfade.corpora.registry import read_rows
from crossfade.models.fetch import fetch
from crossfade.models.hf_folder import hf_folder
from crossfade.models.torch_libraries import autocast, has_fast_bfloat16, quiet_libraries
from crossfade.settings import Settings
from crossfade.startup import Startup
from crossfade.training.compose import compose
from crossfade.training.data import EncodedRow, encode_rows
from crossfade.training.record import LoraSettings, TrainingProgress
from crossfade.training.tokens import open_tokenizer, tokenizer_prompt_count

FILES = {"answer": "domain.jsonl", "ticket": "json.jsonl", "voice": "style.jsonl"}
BATCH, LEFT_OUT = 8, 4
SETTINGS = LoraSettings(batch=BATCH, rank=8)


def rows_of(task: str, steps: int) -> tuple[Path, Any, Sequence[EncodedRow]]:
    """The base's folder, its tokenizer, and rows for so many steps, drawn from those of the task's file."""
    startup = Startup(Settings.from_environment())
    settings, corpus = startup.settings, startup.corpus("tidewell")
    folder = hf_folder(fetch(settings.base, settings.home), settings.home)
    tokenizer = open_tokenizer(folder)
    found = read_rows(corpus.folder / "train" / FILES[task])
    some = random.Random(0).sample(found, min(len(found), steps * BATCH))
    finder = startup.index(corpus) if task == "answer" else None
    made = compose(
        some, corpus.task(task), finder=finder, count=tokenizer_prompt_count(tokenizer), limit=SETTINGS.max_tokens
    )
    drawn = random.Random(0).sample(made, steps * BATCH)
    return folder, tokenizer, encode_rows(drawn, tokenizer, max_tokens=SETTINGS.max_tokens).rows


def ours(task: str, steps: int) -> dict[str, float]:
    """Tokens per second of our trainer."""
    from crossfade.training.methods import method_of
    from crossfade.training.run_folder import RunFolder
    from crossfade.training.trainer import run

    folder, tokenizer, rows = rows_of(task, steps)
    method = method_of(SETTINGS)
    model = method.prepare(method.load(folder), steps=steps)
    at: dict[int, float] = {}

    def progress(seen: TrainingProgress) -> None:
        at[seen.step] = time.perf_counter()

    with tempfile.TemporaryDirectory() as scratch:
        run(
            model,
            rows,
            method=method,
            held_out=(),
            settings=SETTINGS,
            folder=RunFolder(Path(scratch)),
            padding=tokenizer.pad_token_id,
            device="cpu",
            progress=progress,
        )
    share = (steps - LEFT_OUT) / steps
    return {"tokens_per_second": sum(map(len, rows)) * share / (at[steps] - at[LEFT_OUT]), "mb": _peak()}


def plain(task: str, steps: int, *, bf16: bool = False) -> dict[str, float]:
    """Tokens per second of a plain Trainer with PEFT."""
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM, DataCollatorForSeq2Seq, Trainer, TrainerCallback, TrainingArguments

    quiet_libraries()
    folder, tokenizer, rows = rows_of(task, steps)
    data = [
        {"input_ids": list(r.tokens), "labels": [-100] * r.prompt_length + list(r.tokens[r.prompt_length :])}
        for r in rows
    ]
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    model = get_peft_model(
        model, LoraConfig(task_type="CAUSAL_LM", r=8, lora_alpha=16, target_modules="all-linear", lora_dropout=0.0)
    )
    at: dict[int, float] = {}

    class Clock(TrainerCallback):  # type: ignore[misc]
        def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
            at[state.global_step] = time.perf_counter()

    with tempfile.TemporaryDirectory() as scratch:
        trainer = Trainer(
            model=model,
            args=TrainingArguments(
                output_dir=scratch,
                per_device_train_batch_size=BATCH,
                num_train_epochs=1,
                bf16=bf16,
                use_cpu=True,
                save_strategy="no",
                report_to="none",
                disable_tqdm=True,
                dataloader_pin_memory=False,
            ),
            train_dataset=data,
            data_collator=DataCollatorForSeq2Seq(tokenizer),
            callbacks=[Clock()],
        )
        trainer.train()
    share = (steps - LEFT_OUT) / steps
    return {"tokens_per_second": sum(map(len, rows)) * share / (at[steps] - at[LEFT_OUT]), "mb": _peak()}


def limit(task: str, steps: int) -> dict[str, float]:
    """Products and sums per second of a large matrix product, in the precision that training uses, and of a token.

    A token costs 2 for each weight forward and 2 back to the inputs; LoRA's own weights cost little, and are left out.
    """
    import torch

    folder, _, rows = rows_of(task, steps)
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    wide, layers, inner = config["hidden_size"], config["num_hidden_layers"], config["intermediate_size"]
    kv = wide // config["num_attention_heads"] * config["num_key_value_heads"]
    linear = layers * (2 * wide * wide + 2 * wide * kv + 3 * wide * inner)
    learned = sum(len(r) - r.prompt_length for r in rows) / sum(map(len, rows))
    a, b = torch.randn(2048, 2048), torch.randn(2048, 2048)
    best = 0.0
    with torch.no_grad(), autocast("cpu"):
        for _ in range(10):
            began = time.perf_counter()
            a @ b
            best = max(best, 2 * 2048**3 / (time.perf_counter() - began))
    return {"flops": best, "flops_per_token": 4 * (linear + learned * wide * config["vocab_size"])}


def _peak() -> float:
    from crossfade.training.train import peak_memory

    return peak_memory() / 1e6


def _child(name: str, args: argparse.Namespace) -> dict[str, float]:
    command = [sys.executable, __file__, "--only", name, "--steps", str(args.steps), "--task", args.task]
    done = subprocess.run(command, stdout=subprocess.PIPE, check=True)
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def main() -> None:
    """Run the three, print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=16)
    parser.add_argument("--task", default="ticket", choices=list(FILES))
    parser.add_argument("--only", choices=["ours", "plain", "bf16", "limit"], help=argparse.SUPPRESS)
    args = parser.parse_args()
    sides: dict[str, Callable[[str, int], dict[str, float]]] = {
        "ours": ours,
        "plain": plain,
        "bf16": partial(plain, bf16=True),
        "limit": limit,
    }
    if args.only:
        print(json.dumps(sides[args.only](args.task, args.steps)))
        return
    mine, most = _child("ours", args), _child("limit", args)
    others = {"plain Trainer and PEFT": _child("plain", args)}
    if has_fast_bfloat16("cpu"):
        others["the same with bf16=True"] = _child("bf16", args)
    share = mine["tokens_per_second"] * most["flops_per_token"] / most["flops"]
    print("| what | measured | target |\n| --- | --- | --- |")
    for name, other in others.items():
        speed = mine["tokens_per_second"] / other["tokens_per_second"]
        rates = f"{mine['tokens_per_second']:.0f} / {other['tokens_per_second']:.0f}"
        print(f"| tokens/s, ours / {name} ({rates}) | {speed:.2f} | at least 1.5 |")
        sizes = f"{mine['mb']:,.0f} / {other['mb']:,.0f}"
        print(f"| most resident MB, ours / {name} ({sizes}) | {mine['mb'] / other['mb']:.2f} | at most 0.5 |")
    print(f"| share of the machine's matrix-product speed ({most['flops'] / 1e9:,.0f} GFLOP/s) | {share:.2f} | |")


if __name__ == "__main__":
    main()
