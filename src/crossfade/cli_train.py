"""`crossfade train`, from rows to an adapter, and `crossfade adapters build`, the shipped ones for another base."""

from __future__ import annotations

import re
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from crossfade.errors import TrainingError
from crossfade.settings import Settings
from crossfade.terminal import Bar, print_json, tell

if TYPE_CHECKING:
    from crossfade.startup import Startup
    from crossfade.training.adapter import Order


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
    earlier_turns: Annotated[float, typer.Option(min=0, max=1, help="The share asked after other questions.")] = 0.0,
    shuffled: Annotated[float, typer.Option(min=0, max=1, help="The share whose passages are in another order.")] = 0.0,
    seed: Annotated[int, typer.Option(min=0)] = 0,
    base: Annotated[str, typer.Option("--base", help="The base model to train on.")] = "",
    start: Annotated[str, typer.Option("--start", help="An adapter to go on from, instead of a fresh one.")] = "",
    replace: Annotated[bool, typer.Option("--replace", help="Replace an adapter of that name.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the folder and the card as JSON.")] = False,
) -> None:
    """Train a LoRA adapter on the base, from rows of a corpus's task. Needs the extra `train`."""
    from crossfade.models.torch_libraries import require_training_libraries
    from crossfade.startup import Startup

    require_training_libraries()
    from crossfade.training.adapter import Order
    from crossfade.training.record import LoraSettings

    settings = Settings.from_environment()
    settings = settings.with_base(base) if base else settings
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
        earlier_turns=earlier_turns,
        shuffled=shuffled,
        replace=replace,
    )
    folder = _carry_out(order, startup)
    if as_json:
        print_json(_facts(folder))
    else:
        typer.echo(folder)


def build(
    base: Annotated[str, typer.Option("--base", help="A catalogue name, a .gguf, a folder, or hub:owner/repo.")],
    only: Annotated[
        list[str] | None, typer.Argument(help="Which of the shipped adapters; all where none is named.")
    ] = None,
    out: Annotated[Path | None, typer.Option("--out", help="Where the adapters' folders go.")] = None,
    replace: Annotated[bool, typer.Option("--replace", help="Replace adapters of those names.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the folders and the cards as JSON.")] = False,
) -> None:
    """Train the shipped adapters again for another base, each from the same data and with the same settings."""
    from dataclasses import fields

    from crossfade.models.torch_libraries import require_training_libraries
    from crossfade.startup import Startup

    require_training_libraries()
    from crossfade.adapters.registry import scan
    from crossfade.training.adapter import Order, check_order
    from crossfade.training.record import LoraSettings

    settings = Settings.from_environment().with_base(base)
    startup, shipped = Startup(settings), scan(settings.adapters)
    orders = []
    for adapter in [shipped.get(name) for name in only or shipped.adapters]:
        card = adapter.card
        corpus = startup.corpus(str(card.get("corpus") or ""))
        known = {field.name for field in fields(LoraSettings)}
        orders.append(
            Order(
                name=f"{adapter.name}-{_slug(base)}",
                purpose=adapter.purpose,
                corpus=corpus,
                task=corpus.task(str(card.get("task") or "")),
                data=corpus.folder / "train" / Path(str(card.get("data") or "")).name,
                out=out or settings.my_adapters,
                command=f"crossfade adapters build --base {shlex.quote(base)} {adapter.name}",
                settings=LoraSettings(**{k: v for k, v in card.get("settings", {}).items() if k in known}),
                replace=replace,
            )
        )
    for order in orders:
        check_order(order)  # all of them, before the first is trained
    folders = [_carry_out(order, startup) for order in orders]
    if as_json:
        print_json([_facts(folder) for folder in folders])
    for folder in folders if not as_json else ():
        typer.echo(folder)


def _carry_out(order: Order, startup: Startup) -> Path:
    """Fetch what a training needs and train; the folder of the new adapter."""
    from crossfade.models.fetch import fetch
    from crossfade.models.gguf_file import base_identity
    from crossfade.models.hf_folder import hf_folder
    from crossfade.training.adapter import check_order, train_adapter

    check_order(order)
    settings = startup.settings
    tell("Fetching the base and the embedder ...")
    source = fetch(settings.base, settings.home, progress=Bar())
    startup.open_embedder()
    tell("Converting the base to train on; about half a minute the first time ...")
    base_folder = hf_folder(source, settings.home)
    tell(f"Making the rows of {order.name} with their passages ...")
    return train_adapter(
        order,
        base_folder=base_folder,
        base=settings.base,
        base_sha256=base_identity(source, settings.home),
        finder=startup.index(order.corpus),
        progress=_show,
    )


def _slug(base: str) -> str:
    """A base's name as a part of an adapter's: `qwen2.5-0.5b` becomes `qwen2-5-0-5b`."""
    last = base.rstrip("/").rpartition("/")[2].lower().removesuffix(".gguf")
    return re.sub(r"[^a-z0-9]+", "-", last).strip("-")[:40] or "base"


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
