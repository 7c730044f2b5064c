"""`crossfade train compare`: the same rows by several methods, each in a process of its own, with table and plot."""

from __future__ import annotations

import json
import shlex
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

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
    own_data,
)
from crossfade.cli_train import Epochs, MaxTokens, Seed, begun
from crossfade.errors import TrainingError
from crossfade.settings import Settings
from crossfade.terminal import print_json, say, tell

if TYPE_CHECKING:
    from crossfade.evaluation.methods import MethodResult
    from crossfade.training.run_folder import RunFolder

SPARE_TOKENS = 8
"""What an answer may have beyond the longest response, the end of its turn included."""

_MAIN = "from crossfade.cli import main; main()"


def compare_methods(
    data: Data = None,
    methods: Annotated[str, typer.Option("--methods", help="Several, separated by commas, or all.")] = "all",
    preset: Preset = "",
    form: Form = "",
    prompt_column: PromptColumn = "",
    response_column: ResponseColumn = "",
    input_column: InputColumn = "",
    system_column: SystemColumn = "",
    template: Template = "",
    instructions: Instructions = "",
    against: Against = None,
    despite_overlap: DespiteOverlap = "",
    epochs: Epochs = None,
    max_tokens: MaxTokens = None,
    max_rows: MaxRows = 0,
    seed: Seed = None,
    base: Base = "",
    out: Annotated[Path | None, typer.Option("--out", help="Where what is made, the table and the plot go.")] = None,
    as_json: AsJson = False,
) -> None:
    """Train the same rows by several methods and compare quality, parameters, memory, minutes and size."""
    if data is None:
        raise typer.BadParameter("Give your rows with --data.")
    from crossfade.evaluation.methods import as_json as values
    from crossfade.evaluation.methods import plot, table
    from crossfade.models.torch_libraries import require_training_libraries
    from crossfade.startup import Startup
    from crossfade.training.record import SETTINGS, settings_of

    require_training_libraries()
    given = dict.fromkeys(name.strip() for name in methods.split(",") if name.strip())
    names = list(SETTINGS) if methods == "all" else list(given)
    if not names:
        raise TrainingError(f"No method is named. Give some of {', '.join(SETTINGS)}, or all.")
    if unknown := [name for name in names if name not in SETTINGS]:
        raise TrainingError(f"Unknown method {unknown[0]!r}. Known: {', '.join(SETTINGS)}, or all.")
    from crossfade.training.adapter import Order

    settings = Settings.from_environment()
    settings = settings.with_base(base) if base else settings
    where = out or Path(f"{data.stem}-methods")
    columns = {
        "form": form,
        "prompt": prompt_column,
        "response": response_column,
        "input": input_column,
        "system": system_column,
        "template": template,
        "instructions": instructions,
    }
    startup = Startup(settings)
    source = own_data(
        data,
        columns,
        max_rows=max_rows,
        against=against or (),
        corpora=startup.corpora,
        despite_overlap=despite_overlap,
    )
    changes = {"epochs": epochs, "max_tokens": max_tokens, "seed": seed}
    orders = [
        Order(
            name=f"{method}-{number}",
            purpose=f"{method} on {data.name}, to compare",
            source=source,
            out=where,
            command="crossfade " + shlex.join(sys.argv[1:]),
            settings=settings_of(method, preset, changes),
            replace=True,
        )
        for number, method in enumerate(names, start=1)
    ]
    runs = [(order.settings.method, begun(order, startup)) for order in orders]
    results = _measured(runs)
    where.mkdir(parents=True, exist_ok=True)
    (where / "methods.md").write_text(table(results) + "\n", encoding="utf-8")
    (where / "methods.svg").write_text(plot(results), encoding="utf-8")
    (where / "methods.json").write_text(json.dumps(values(results), indent=1) + "\n", encoding="utf-8")
    if as_json:
        print_json(values(results))
    else:
        say(table(results))
        tell(f"The table and the plot are in {where}.")
    if all(result.failed for result in results[1:]):
        raise typer.Exit(1)


def _measured(runs: Sequence[tuple[str, RunFolder]]) -> list[MethodResult]:
    """Base and each method on the held-out rows; one that fails is told and the others go on."""
    from crossfade.evaluation.methods import MethodResult, result_of, scored
    from crossfade.training.answers import answer_all, load_made
    from crossfade.training.tokens import open_tokenizer

    cards: dict[str, dict[str, Any]] = {}
    failed: dict[str, str] = {}
    for method, run in runs:
        tell(f"{method} ...")
        done = subprocess.run(
            [sys.executable, "-c", _MAIN, "train", "resume", str(run.path), "--json"], stdout=subprocess.PIPE
        )
        if done.returncode:
            failed[method] = str(run.state().get("message") or f"ended with code {done.returncode}")
        else:
            cards[method] = json.loads(done.stdout)
    first = runs[0][1]
    base_folder, held_out = Path(first.order()["base_folder"]), first.rows()[1]
    tokenizer, asked = open_tokenizer(base_folder), [row.messages for row in held_out]
    wanted = [row.response for row in held_out]
    # No answer need be longer than the longest one wanted; the base, which rambles, would write on for minutes.
    most = max(len(tokenizer(response)["input_ids"]) for response in wanted) + SPARE_TOKENS
    tell(f"Answering the {len(held_out)} held-out rows ...")
    said = answer_all(load_made(None, base_folder), tokenizer, asked, max_new_tokens=most)
    results = [scored("base", held_out, said)]
    for method, _ in runs:
        if method in failed:
            results.append(MethodResult(method=method, failed=failed[method]))
            continue
        made = Path(cards[method]["folder"])
        answers = answer_all(load_made(made, base_folder), tokenizer, asked, max_new_tokens=most)
        results.append(result_of(method, made, cards[method], answers, wanted))
    return results
