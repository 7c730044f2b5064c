"""`crossfade train`, from rows to an adapter, its runs, and `crossfade adapters build`, the shipped ones for another
base."""

from __future__ import annotations

import re
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from crossfade.cli_common import AsJson, stopped_by_signals
from crossfade.errors import TrainingError
from crossfade.settings import Settings
from crossfade.terminal import Bar, print_json, say, tell

if TYPE_CHECKING:
    from crossfade.startup import Startup
    from crossfade.training.adapter import Order
    from crossfade.training.rows import OwnData, Source
    from crossfade.training.run_folder import RunFolder

train_app = typer.Typer(help="Train an adapter, or a base of its own, from your own rows or a corpus's.")

Data = Annotated[
    Path | None,
    typer.Option("--data", help="JSONL, JSON, CSV or Parquet: prompt and response, chats, Alpaca, or text and label."),
]
MaxRows = Annotated[int, typer.Option("--max-rows", min=0, help="Draw so many of the rows; 0 takes all.")]
BaseToTrain = Annotated[str, typer.Option("--base", help="The base model to train on.")]
Preset = Annotated[str, typer.Option("--preset", help="quick, balanced or thorough: epochs, and when to stop.")]
Form = Annotated[str, typer.Option("--form", help="pair, messages, alpaca, sharegpt or label; guessed.")]
PromptColumn = Annotated[
    str, typer.Option("--prompt-column", help="The column of the prompt, text or messages; guessed.")
]
ResponseColumn = Annotated[str, typer.Option("--response-column", help="The column of the response or label; guessed.")]
Template = Annotated[str, typer.Option("--template", help="What a text to label is asked with; {text} is its place.")]
Instructions = Annotated[str, typer.Option("--instructions", help="The system message of your own rows.")]
Against = Annotated[
    list[Path] | None, typer.Option("--against", help="A set to judge on, which no row may overlap; repeatable.")
]
DespiteOverlap = Annotated[
    str, typer.Option("--despite-overlap", help="A sentence, kept with the run, why such rows may be learned.")
]
Epochs = Annotated[int | None, typer.Option("--epochs", min=1, max=1000)]
Seed = Annotated[int | None, typer.Option("--seed", min=0)]


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
    max_tokens: Annotated[int | None, typer.Option("--max-tokens", min=8, help="Longer rows are left out.")] = None,
    patience: Annotated[
        int | None, typer.Option("--patience", min=0, help="Stop after so many measurements without a better one.")
    ] = None,
    max_rows: MaxRows = 0,
    earlier_turns: Annotated[
        float, typer.Option("--earlier-turns", min=0, max=1, help="Of a task: the share asked after other questions.")
    ] = 0.0,
    shuffled: Annotated[
        float, typer.Option("--shuffled", min=0, max=1, help="Of a task: the share with passages in another order.")
    ] = 0.0,
    seed: Seed = None,
    base: BaseToTrain = "",
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
    from crossfade.training.adapter import Order
    from crossfade.training.record import settings_of

    settings = Settings.from_environment()
    settings = settings.with_base(base) if base else settings
    startup = Startup(settings)
    changes = {
        "epochs": epochs,
        "learning_rate": learning_rate,
        "rank": rank,
        "layers": _layers(layers),
        "virtual_tokens": virtual_tokens,
        "batch": batch,
        "max_tokens": max_tokens,
        "patience": patience,
        "seed": seed,
    }
    run_settings = settings_of(method, preset, changes)
    source: Source
    if corpus or task:
        from crossfade.training.rows import TaskData

        _check_file(data)
        found = startup.corpus(corpus or "tidewell")
        chosen = found.task(task)
        purpose = purpose or chosen.title
        source = TaskData(data, found, chosen, max_rows=max_rows, earlier_turns=earlier_turns, shuffled=shuffled)
    else:
        source = own_data(
            data,
            (form, prompt_column, response_column, template, instructions),
            max_rows=max_rows,
            against=against or (),
            despite_overlap=despite_overlap,
        )
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
    _print([_carry_out(order, startup, run=run)], as_json=as_json)


@train_app.command()
def resume(
    run: Annotated[str, typer.Argument(help="The run, as `crossfade train list` names it.")], as_json: AsJson = False
) -> None:
    """Go on with a run that was interrupted or that failed."""
    from crossfade.models.torch_libraries import require_training_libraries

    require_training_libraries()
    from crossfade.training.run_folder import RunFolder

    path = Settings.from_environment().trainings / run
    folder = RunFolder(path if path.is_dir() else Path(run))
    state = folder.state()
    if folder.order() and state["state"] in ("done", "cancelled"):
        raise TrainingError(
            f"The run {run} is {state['state']}; what it made is in {state.get('made')}. Start a new one."
        )
    _base_again(folder.order())
    _print([_run(folder)], as_json=as_json)


@train_app.command("list")
def list_(as_json: AsJson = False) -> None:
    """List the training runs, the newest first."""
    from crossfade.training.run_folder import list_runs

    rows = []
    for run in list_runs(Settings.from_environment().trainings):
        about, state, progress = run.about(), run.state(), run.progress()
        rows.append(
            {
                "run": run.path.name,
                "state": state["state"],
                "step": progress[-1].step if progress else 0,
                "steps": progress[-1].steps if progress else 0,
                "method": about.get("method"),
                "data": about.get("data"),
                "made": state.get("made", ""),
                "message": state.get("message", ""),
            }
        )
    if as_json:
        print_json(rows)
        return
    for row in rows:
        say(
            f"{row['run']:<24} {row['state']:<12} step {row['step']} of {row['steps'] or '?'}  {row['method']} on "
            f"{row['data']}  {row['made'] or row['message']}"
        )


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
                source=TaskData(data, corpus, corpus.task(str(card.get("task") or ""))),
                out=out or settings.my_adapters,
                command=f"crossfade adapters build --base {shlex.quote(base)} {adapter.name}",
                settings=settings_from(str(card.get("method")), card.get("settings", {})),
                replace=replace,
            )
        )
    for order in orders:
        check_order(order)  # all of them, before the first is trained
    _print([_carry_out(order, startup) for order in orders], as_json=as_json, many=True)


def own_data(
    data: Path,
    columns: tuple[str, str, str, str, str],
    *,
    max_rows: int = 0,
    against: Sequence[Path] = (),
    despite_overlap: str = "",
) -> OwnData:
    """A person's own file, read, with what its columns are taken for told.

    `columns` are form, prompt's and response's column, template and instructions, "" to be guessed. Raises
    TrainingError.
    """
    from crossfade.training.against import read_judging
    from crossfade.training.guess import guess
    from crossfade.training.report import sentence
    from crossfade.training.rows import OwnData
    from crossfade.training.table import read_table

    _check_file(data)
    allowed = sentence(despite_overlap)
    form, prompt, response, template, instructions = columns
    table = read_table(data)
    mapping = guess(table, form=form, prompt=prompt, response=response, template=template, instructions=instructions)
    judging = tuple(read_judging(path) for path in against)
    return OwnData(data, table, mapping, max_rows=max_rows, against=judging, despite_overlap=allowed)


def _again(words: Sequence[str]) -> list[str]:
    """The words of a command that does the same again: the run's folder was for this once."""
    at = words.index("--run") if "--run" in words else len(words)
    return [*words[:at], *words[at + 2 :]]


def _check_file(data: Path) -> None:
    if not data.is_file():
        raise TrainingError(f"There is no file {data}. Give a file of rows with --data.")


def _layers(text: str) -> tuple[int, ...] | None:
    if not text:
        return None
    if not re.fullmatch(r"\s*-?\d+\s*(,\s*-?\d+\s*)*", text):
        raise TrainingError(f"--layers is {text!r}; give numbers of blocks, such as -1,-2.")
    return tuple(int(part) for part in text.split(","))


def _carry_out(order: Order, startup: Startup, *, run: str = "") -> Path:
    """Fetch what a training needs, make the rows, and train; the folder of what was learned."""
    return _run(begun(order, startup, run=run))


def begun(order: Order, startup: Startup, *, run: str = "") -> RunFolder:
    """Fetch what a training needs and make its rows; the run's folder, `run` if it is made already."""
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
    folder = RunFolder(settings.trainings / run) if run else new_run(settings.trainings, order.name)
    begin(
        order,
        run=folder,
        base_folder=base_folder,
        base=settings.base,
        base_sha256=base_identity(source, settings.home),
        finder=startup.index(order.source.corpus) if isinstance(order.source, TaskData) else None,
    )
    return folder


def _base_again(order: dict[str, Any]) -> None:
    """See that the base a run began on is there, as it was. Raises TrainingError, ModelError."""
    from crossfade.models.fetch import fetch
    from crossfade.models.gguf_file import base_identity
    from crossfade.models.hf_folder import hf_folder

    home = Settings.from_environment().home
    source = fetch(str(order["base"]), home, progress=Bar())
    if base_identity(source, home) != order["base_sha256"] or hf_folder(source, home) != Path(order["base_folder"]):
        raise TrainingError(f"The base {order['base']} is not the one any more that this run began on. Start it anew.")


def _run(folder: RunFolder) -> Path:
    """Train what a run orders. The first Ctrl-C or SIGTERM ends it with the best so far, the second at once."""
    from crossfade.training.adapter import carry_out

    tell(f"Run {folder.path.name}; should it be interrupted, go on with: crossfade train resume {folder.path.name}")
    with stopped_by_signals("Ending after this step with the best so far; once more ends at once.") as stop:
        return carry_out(folder, progress=_show, stop=stop)


def _slug(base: str) -> str:
    """A base's name as a part of an adapter's: `qwen2.5-0.5b` becomes `qwen2-5-0-5b`."""
    last = base.rstrip("/").rpartition("/")[2].lower().removesuffix(".gguf")
    return re.sub(r"[^a-z0-9]+", "-", last).strip("-")[:40] or "base"


def _print(folders: list[Path], *, as_json: bool, many: bool = False) -> None:
    if as_json:
        facts = [_facts(folder) for folder in folders]
        print_json(facts if many else facts[0])
    for folder in folders if not as_json else ():
        typer.echo(folder)


def _facts(folder: Path) -> dict[str, Any]:
    """What a program wants to know of what was made: where and which it is, and its card without the long curve."""
    from crossfade.adapters.peft_files import CARD_FILE, WEIGHTS_FILE, read_adapter
    from crossfade.training.run_folder import read_json

    card = {key: value for key, value in (read_json(folder / CARD_FILE) or {}).items() if key != "train_loss"}
    sha256 = read_adapter(folder).sha256 if (folder / WEIGHTS_FILE).exists() else ""
    return {"folder": str(folder), "name": folder.name, "sha256": sha256, **card}


def _show(progress: object) -> None:
    from crossfade.training.record import TrainingProgress

    assert isinstance(progress, TrainingProgress)
    held_out = "" if progress.held_out is None else f"  held out {progress.held_out:.3f}"
    if progress.held_out is not None or progress.step % 10 == 0:
        tell(
            f"step {progress.step} of {progress.steps}  loss {progress.loss:.3f}{held_out}  "
            f"{progress.tokens_per_second:.0f} tokens/s  {progress.seconds_left / 60:.1f} min left"
        )
