"""The command `crossfade train`: from rows of a corpus's task to an adapter."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from crossfade.errors import TrainingError
from crossfade.settings import Settings
from crossfade.terminal import Bar, print_json, tell


def train(
    data: Annotated[Path, typer.Option("--data", help="JSONL rows: question and answer, or message and ticket.")],
    name: Annotated[str, typer.Option("--name", help="The new adapter's name.")],
    corpus: Annotated[str, typer.Option("--corpus", help="The corpus whose task and documents are used.")] = "tidewell",
    task: Annotated[str, typer.Option("--task", help="Whose instructions the rows are answers to.")] = "",
    purpose: Annotated[str, typer.Option("--purpose", help="One line for people.")] = "",
    out: Annotated[Path | None, typer.Option("--out", help="Where the adapter's folder goes.")] = None,
    epochs: Annotated[int, typer.Option(min=1, max=1000)] = 1,
    learning_rate: Annotated[float, typer.Option(min=1e-7, max=0.1)] = 5e-4,
    rank: Annotated[int, typer.Option(min=1, max=512)] = 8,
    batch: Annotated[int, typer.Option(min=1, max=4096, help="Rows of one optimizer step.")] = 16,
    max_tokens: Annotated[int, typer.Option(min=8, help="Longer rows are left out and listed.")] = 1024,
    max_rows: Annotated[int, typer.Option(min=0, help="Draw so many of the rows; 0 takes all.")] = 0,
    seed: Annotated[int, typer.Option(min=0)] = 0,
    base: Annotated[str, typer.Option("--base", help="The base model to train on.")] = "",
    start: Annotated[str, typer.Option("--start", help="An adapter to go on from, instead of a fresh one.")] = "",
    replace: Annotated[bool, typer.Option("--replace", help="Replace an adapter of that name.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the folder and the card as JSON.")] = False,
) -> None:
    """Train a LoRA adapter on the base, from rows of a corpus's task. Needs the extra `train`."""
    from dataclasses import replace as with_

    from crossfade.startup import Startup
    from crossfade.training.libraries import require_training_libraries

    require_training_libraries()
    from crossfade.models.fetch import fetch
    from crossfade.models.gguf_file import base_identity
    from crossfade.training.adapter import Order, check_order, train_adapter
    from crossfade.training.base_folder import hf_folder
    from crossfade.training.record import LoraSettings

    settings = Settings.from_environment()
    settings = with_(settings, base=base) if base else settings
    if not data.is_file():
        raise TrainingError(f"There is no file {data}. Give a JSONL file with --data.")
    startup = Startup(settings)
    found = startup.corpus(corpus)
    chosen = found.task(task)
    order = Order(
        name=name,
        purpose=purpose or chosen.title,
        corpus=found,
        task=chosen,
        data=data,
        out=out or settings.my_adapters,
        command="crossfade " + shlex.join(sys.argv[1:]),
        settings=LoraSettings(
            rank=rank,
            alpha=2 * rank,
            epochs=epochs,
            learning_rate=learning_rate,
            batch=batch,
            max_tokens=max_tokens,
            seed=seed,
        ),
        start=startup.registry.get(start) if start else None,
        max_rows=max_rows,
        replace=replace,
    )
    check_order(order)
    tell("Fetching the base and the embedder ...")
    source = fetch(settings.base, settings.home, progress=Bar())
    startup.open_embedder()
    tell("Converting the base to train on; about half a minute the first time ...")
    base_folder = hf_folder(source, settings.home)
    tell("Making the rows with their passages ...")
    folder = train_adapter(
        order,
        base_folder=base_folder,
        base=settings.base,
        base_sha256=base_identity(source, settings.home),
        finder=startup.index(found),
        progress=_show,
    )
    if as_json:
        print_json(_facts(folder))
    else:
        typer.echo(folder)


def _facts(folder: Path) -> dict[str, Any]:
    """What a program wants to know of a new adapter: where and which it is, and its card without the long curve."""
    from crossfade.adapters.peft_files import read_adapter

    made = read_adapter(folder)
    card = {key: value for key, value in made.card.items() if key != "train_loss"}
    return {"folder": str(folder), "name": made.name, "sha256": made.sha256, **card}


def _show(progress: object) -> None:
    from crossfade.training.record import TrainingProgress

    assert isinstance(progress, TrainingProgress)
    held_out = "" if progress.held_out is None else f"  held out {progress.held_out:.3f}"
    if progress.held_out is not None or progress.step % 10 == 0:
        tell(
            f"step {progress.step} of {progress.steps}  loss {progress.loss:.3f}{held_out}  "
            f"{progress.tokens_per_second:.0f} tokens/s  {progress.seconds_left / 60:.1f} min left"
        )
