"""`crossfade adapters build`: the shipped adapters, trained again for another base."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Annotated

import typer

from crossfade.cli_runs import print_made
from crossfade.cli_train import trained
from crossfade.settings import Settings


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
    from crossfade.models.torch_libraries import require_training_libraries
    from crossfade.startup import Startup

    require_training_libraries()
    from crossfade.adapters.registry import scan
    from crossfade.training.adapter import Order, check_order
    from crossfade.training.record import settings_from
    from crossfade.training.rows import TaskData

    settings = Settings.from_environment().with_base(base)
    startup, shipped = Startup(settings), scan(settings.adapters)
    orders = []
    for adapter in [shipped.get(name) for name in only or shipped.adapters]:
        card = adapter.card
        corpus = startup.corpus(str(card.get("corpus") or ""))
        data = corpus.folder / "train" / Path(str(card.get("data") or "")).name
        orders.append(
            Order(
                name=f"{adapter.name}-{_slug(base)}",
                purpose=adapter.purpose,
                source=TaskData(data, corpus, corpus.task(str(card.get("task") or "")), **card.get("mix", {})),
                out=out or settings.my_adapters,
                command=f"crossfade adapters build --base {shlex.quote(base)} {adapter.name}",
                settings=settings_from(str(card.get("method")), card.get("settings", {})),
                replace=replace,
            )
        )
    for order in orders:
        check_order(order)  # all of them, before the first is trained
    print_made([trained(order, startup) for order in orders], as_json=as_json, many=True)


def _slug(base: str) -> str:
    """A base's name as a part of an adapter's: `qwen2.5-0.5b` becomes `qwen2-5-0-5b`."""
    last = base.rstrip("/").rpartition("/")[2].lower().removesuffix(".gguf")
    return re.sub(r"[^a-z0-9]+", "-", last).strip("-")[:40] or "base"
