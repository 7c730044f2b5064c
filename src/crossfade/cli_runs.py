"""`crossfade train resume`, `list` and `delete`: the runs of trainings, and one carried out on a terminal."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from crossfade.cli_common import AsJson, stopped_by_signals
from crossfade.errors import TrainingError
from crossfade.settings import Settings
from crossfade.terminal import Bar, print_json, printable, say, tell

if TYPE_CHECKING:
    from crossfade.training.run_folder import RunFolder


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
    if folder.arguments() and not folder.has_begun:
        raise TrainingError(f"The run {run} was ordered in the app and has no rows yet. Go on with it there.")
    if folder.order() and state["state"] in ("done", "cancelled") and not folder.can_go_on:
        made = f"; what it made is in {state['made']}" if state.get("made") else ""
        raise TrainingError(f"The run {run} is {state['state']}{made}. Start a new one.")
    _base_again(folder.order())
    print_made([run_now(folder)], as_json=as_json)


def list_runs(as_json: AsJson = False) -> None:
    """List the training runs, the newest first."""
    from crossfade.training.run_folder import list_runs as found_in

    rows = []
    for run in found_in(Settings.from_environment().trainings):
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


def delete(
    run: Annotated[str, typer.Argument(help="The run, as `crossfade train list` names it.")],
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    as_json: AsJson = False,
) -> None:
    """Delete a run with the rows that it was given, after asking; the adapter that it made stays."""
    from crossfade.training.run_deletion import delete_run
    from crossfade.training.run_folder import list_runs as found_in

    found = next((r for r in found_in(Settings.from_environment().trainings) if r.path.name == run), None)
    if found is None:
        raise TrainingError(f"There is no training run {run!r}. `crossfade train list` shows those there are.")
    if not yes:
        if not sys.stdin.isatty():
            raise TrainingError(f"Nobody can be asked whether {run!r} may go for good. Say so by --yes.")
        if not typer.confirm(printable(f"Delete {found.path}, with its rows, for good?"), err=True):
            raise TrainingError(f"The run {run!r} was kept.")
    delete_run(found)
    if as_json:
        print_json({"run": run, "deleted": True})
        return
    say(f"{run} is deleted.")


def _base_again(order: dict[str, Any]) -> None:
    """See that the base a run began on is there, as it was. Raises TrainingError, ModelError."""
    from crossfade.models.fetch import fetch
    from crossfade.models.gguf_file import base_identity
    from crossfade.models.hf_folder import hf_folder

    home = Settings.from_environment().home
    source = fetch(str(order["base"]), home, progress=Bar())
    if base_identity(source, home) != order["base_sha256"] or hf_folder(source, home) != Path(order["base_folder"]):
        raise TrainingError(f"The base {order['base']} is not the one any more that this run began on. Start it anew.")


def run_now(folder: RunFolder) -> Path:
    """Train what a run orders. The first Ctrl-C or SIGTERM ends it with the best so far, the second at once."""
    from crossfade.adapters.peft_files import CARD_FILE
    from crossfade.training.adapter import carry_out
    from crossfade.training.findings import told_lines
    from crossfade.training.run_folder import read_json

    tell(f"Run {folder.path.name}; should it be interrupted, go on with: crossfade train resume {folder.path.name}")
    with stopped_by_signals("Ending after this step with the best so far; once more ends at once.") as stop:
        made = carry_out(folder, progress=_show, stop=stop)
    if left_out := (read_json(made / CARD_FILE) or {}).get("rows_too_long"):
        most, lines = folder.order()["settings"]["max_tokens"], told_lines([line for line, _ in left_out])
        tell(f"{len(left_out):,} of the rows in {folder.path / 'rows.jsonl'} had over {most:,} tokens: {lines}.")
    return made


def print_made(folders: list[Path], *, as_json: bool, many: bool = False) -> None:
    """Print the folders of what was made, or what a program wants to know of them, in a list where `many`."""
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
