"""`crossfade train`: from rows to an adapter, or to a base of its own."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace as replace_fields
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from crossfade.cli_common import AsJson, Base
from crossfade.cli_rows import (
    Against,
    Data,
    DespiteOverlap,
    Form,
    InputColumn,
    Instructions,
    MaxRows,
    Preset,
    PromptColumn,
    ResponseColumn,
    SystemColumn,
    Template,
    check_file,
    embed_of,
    option,
    own_data,
)
from crossfade.cli_runs import delete, list_runs, print_made, resume, run_now
from crossfade.errors import TrainingError
from crossfade.settings import Settings
from crossfade.terminal import Bar, tell

if TYPE_CHECKING:
    from crossfade.startup import Startup
    from crossfade.training.adapter import Order
    from crossfade.training.rows import Source
    from crossfade.training.run_folder import RunFolder

train_app = typer.Typer(help="Train an adapter, or a base of its own, from your own rows or a corpus's.")
train_app.command()(resume)
train_app.command("list")(list_runs)
train_app.command("delete")(delete)

Epochs = Annotated[int | None, typer.Option("--epochs", min=1, max=1000)]
Seed = Annotated[int | None, typer.Option("--seed", min=0)]
MaxTokens = Annotated[int | None, typer.Option("--max-tokens", min=8, help="Longer rows are left out.")]


@train_app.callback(invoke_without_command=True)
def train(
    context: typer.Context,
    data: Data = None,
    name: Annotated[str, typer.Option("--name", help="The new adapter's name.")] = "",
    method: Annotated[str, typer.Option("--method", help="lora, qlora, adalora, p-tuning, freeze or full.")] = "lora",
    preset: Preset = "",
    corpus: Annotated[str, typer.Option("--corpus", help="The corpus whose task the rows answer to.")] = "",
    task: Annotated[str, typer.Option("--task", help="Whose instructions the rows are answers to.")] = "",
    purpose: Annotated[str, typer.Option("--purpose", help="One line for people.")] = "",
    form: Form = "",
    prompt_column: PromptColumn = "",
    response_column: ResponseColumn = "",
    input_column: InputColumn = "",
    system_column: SystemColumn = "",
    template: Template = "",
    instructions: Instructions = "",
    against: Against = None,
    despite_overlap: DespiteOverlap = "",
    out: Annotated[Path | None, typer.Option("--out", help="Where the adapter's folder goes.")] = None,
    epochs: Epochs = None,
    learning_rate: Annotated[float | None, typer.Option("--learning-rate", min=1e-7, max=0.1)] = None,
    rank: Annotated[int | None, typer.Option("--rank", min=1, max=512, help="Of LoRA, QLoRA and AdaLoRA.")] = None,
    layers: Annotated[str, typer.Option("--layers", help="Of Freeze: blocks such as -1,-2.")] = "",
    virtual_tokens: Annotated[int | None, typer.Option("--virtual-tokens", min=1, help="Of P-Tuning.")] = None,
    batch: Annotated[int | None, typer.Option("--batch", min=1, max=4096, help="Rows of one optimizer step.")] = None,
    max_tokens: MaxTokens = None,
    micro_tokens: Annotated[
        int | None,
        typer.Option("--micro-tokens", min=1, help="Tokens computed together; by default as the memory allows."),
    ] = None,
    patience: Annotated[
        int | None,
        typer.Option("--patience", min=0, help="End after so many measurements clearly worse than the best."),
    ] = None,
    max_rows: MaxRows = 0,
    earlier_turns: Annotated[
        float, typer.Option("--earlier-turns", min=0, max=1, help="Of a task: the share asked after other questions.")
    ] = 0.0,
    shuffled: Annotated[
        float, typer.Option("--shuffled", min=0, max=1, help="Of a task: the share with passages in another order.")
    ] = 0.0,
    numbers: Annotated[
        int,
        typer.Option(
            "--numbers", min=0, max=1000, help="Of a task: how often a document's number is asked for without it."
        ),
    ] = 0,
    seed: Seed = None,
    base: Base = "",
    start: Annotated[str, typer.Option("--start", help="An adapter to go on from, instead of a fresh one.")] = "",
    replace: Annotated[bool, typer.Option("--replace", help="Replace an adapter of that name.")] = False,
    run: Annotated[str, typer.Option("--run", hidden=True, help="The folder that the app has made for the run.")] = "",
    as_json: AsJson = False,
) -> None:
    """Train an adapter on the base. Rows are your own, or with --task those of a corpus. Needs the extra `train`."""
    if context.invoked_subcommand:
        return
    if data is None or not name:
        raise typer.BadParameter("Give your rows with --data and the new adapter's name with --name.", context)
    from crossfade.models.torch_libraries import require_training_libraries
    from crossfade.startup import Startup

    require_training_libraries()
    from crossfade.adapters.registry import scan
    from crossfade.training.adapter import Order
    from crossfade.training.record import layers_of, settings_of

    settings = Settings.from_environment()
    settings = settings.with_base(base) if base else settings
    startup = Startup(settings)
    changes = {
        "epochs": epochs,
        "learning_rate": learning_rate,
        "rank": rank,
        "layers": layers_of(layers),
        "virtual_tokens": virtual_tokens,
        "batch": batch,
        "max_tokens": max_tokens,
        "micro_tokens": micro_tokens,
        "patience": patience,
        "seed": seed,
    }
    run_settings = settings_of(method, preset, changes)
    columns = {
        "form": form,
        "prompt": prompt_column,
        "response": response_column,
        "input": input_column,
        "system": system_column,
        "template": template,
        "instructions": instructions,
    }
    _check_unused(
        {"earlier-turns": earlier_turns, "shuffled": shuffled, "numbers": numbers}
        if not (corpus or task)
        else {option(what): said for what, said in columns.items()} | {"against": against},
        of_task=bool(corpus or task),
    )
    source: Source
    if corpus or task:
        from crossfade.training.report import sentence
        from crossfade.training.rows import TaskData

        check_file(data)
        found = startup.corpus(corpus or "tidewell")
        chosen = found.task(task)
        purpose = purpose or chosen.title
        source = TaskData(
            data,
            found,
            chosen,
            max_rows=max_rows,
            earlier_turns=earlier_turns,
            shuffled=shuffled,
            numbers=numbers,
            despite_overlap=sentence(despite_overlap),
        )
    else:
        source = own_data(
            data,
            columns,
            max_rows=max_rows,
            against=against or (),
            corpora=startup.corpora,
            despite_overlap=despite_overlap,
        )
    if out is None and method != "full" and name in scan(settings.adapters).names:  # that one would be served
        raise TrainingError(f"{name!r} is the name of an adapter that ships with Crossfade. Choose another name.")
    order = Order(
        name=name,
        purpose=purpose or f"Trained on {data.name}",
        source=source,
        out=out or (settings.my_bases if method == "full" else settings.my_adapters),
        command="crossfade " + shlex.join(_again(sys.argv[1:])),
        settings=run_settings,
        start=startup.registry.get(start) if start else None,
        replace=replace,
    )
    print_made([trained(order, startup, run=run, fit=micro_tokens is None)], as_json=as_json)


def _check_unused(given: Mapping[str, object], *, of_task: bool) -> None:
    """Raises TrainingError for an option that would be passed over without a word."""
    if wrong := [name for name, value in given.items() if value]:
        meant = (
            "rows of your own; leave it out, or --task and --corpus" if of_task else "rows of a --task; leave it out"
        )
        raise TrainingError(f"--{wrong[0]} is for {meant}.")


def _again(words: Sequence[str]) -> list[str]:
    """The words of a command that does the same again: the run's folder was for this once."""
    at = words.index("--run") if "--run" in words else len(words)
    return [*words[:at], *words[at + 2 :]]


def trained(order: Order, startup: Startup, *, run: str = "", fit: bool = True) -> Path:
    """Fetch what a training needs, make the rows, and train; the folder of what was learned."""
    return run_now(begun(order, startup, run=run, fit=fit))


def begun(order: Order, startup: Startup, *, run: str = "", fit: bool = True) -> RunFolder:
    """Fetch what a training needs and make its rows; the run's folder, `run` if it is made already.

    With `fit` so many tokens are computed together as the machine's memory allows.
    """
    from crossfade.models.fetch import fetch
    from crossfade.models.gguf_file import base_identity
    from crossfade.models.hf_folder import hf_folder
    from crossfade.training.adapter import begin, check_order
    from crossfade.training.methods import SERVED
    from crossfade.training.rows import TaskData
    from crossfade.training.run_folder import RunFolder, new_run

    check_order(order)
    tell(f"{order.settings.method} on {order.source.told}; served {SERVED[order.settings.method]}.")
    settings = startup.settings
    of_task = isinstance(order.source, TaskData)
    tell(f"Fetching the base{' and the embedder' if of_task else ''} ...")
    source = fetch(settings.base, settings.home, progress=Bar())
    if of_task:
        startup.open_embedder()
    tell("Converting the base to train on; about half a minute the first time ...")
    base_folder = hf_folder(source, settings.home)
    tell(f"Making the rows of {order.name}{' with their passages' if of_task else ''} ...")
    order = _fitted(order, base_folder) if fit else order
    folder = RunFolder(settings.trainings / run) if run else new_run(settings.trainings, order.name)
    begin(
        order,
        run=folder,
        base_folder=base_folder,
        base=settings.base,
        base_sha256=base_identity(source, settings.home),
        finder=startup.index(order.source.corpus) if isinstance(order.source, TaskData) else None,
        embed=embed_of(startup) if order.source.compares else None,
    )
    for finding in (folder.order()["report"] or {}).get("findings", ()):
        tell(f"{finding['severity']}: {finding['text']}")
    return folder


def _fitted(order: Order, base_folder: Path) -> Order:
    from crossfade.models.torch_libraries import gpu_memory
    from crossfade.training.plan import memory_of_machine, micro_tokens_for, size_of
    from crossfade.training.run_folder import read_json

    size = size_of(order.settings, read_json(base_folder / "config.json") or {})
    if size is None:
        return order
    gpu = gpu_memory()
    together = micro_tokens_for(size, gpu or memory_of_machine(), gpu=bool(gpu))
    return replace_fields(order, settings=replace_fields(order.settings, micro_tokens=together))
