"""`crossfade data report`: look at a file of rows before training on it. Builders of rows join its group in cli.py."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from crossfade.cli_common import AsJson, Base
from crossfade.cli_rows import (
    Against,
    DespiteOverlap,
    Form,
    InputColumn,
    Instructions,
    Preset,
    PromptColumn,
    ResponseColumn,
    SystemColumn,
    Template,
    embed_of,
)
from crossfade.settings import Settings
from crossfade.terminal import Bar, Line, print_json, say, tell

data_app = typer.Typer(help="Look at rows before training, and make rows.", no_args_is_help=True)


@data_app.command()
def report(
    file: Annotated[Path, typer.Argument(help="Rows: .jsonl, .json, .csv, .tsv or .parquet.")],
    form: Form = "",
    prompt_column: PromptColumn = "",
    response_column: ResponseColumn = "",
    input_column: InputColumn = "",
    system_column: SystemColumn = "",
    template: Template = "",
    instructions: Instructions = "",
    against: Against = None,
    despite_overlap: DespiteOverlap = "",
    max_tokens: Annotated[int, typer.Option(min=8, help="Longer rows are listed.")] = 1024,
    rough: Annotated[
        bool, typer.Option("--rough", help="Count tokens as characters / 4 and compare words alone; needs no model.")
    ] = False,
    method: Annotated[
        str, typer.Option("--method", help="For the estimate: lora, qlora, adalora, p-tuning, freeze or full.")
    ] = "lora",
    preset: Preset = "",
    base: Base = "",
    as_json: AsJson = False,
) -> None:
    """Report on rows before training: lengths, broken rows, duplicates, contradictions, labels, overlap, privacy.

    Ends with 1 where the rows cannot be trained on as they are.
    """
    from crossfade.startup import Startup
    from crossfade.training.against import read_judging, sets_of_corpora
    from crossfade.training.guess import guess
    from crossfade.training.plan import plan_of, within_context
    from crossfade.training.record import settings_of
    from crossfade.training.report import data_report, sentence
    from crossfade.training.run_folder import list_runs
    from crossfade.training.table import read_table
    from crossfade.training.tokens import open_tokenizer, rough_count, tokenizer_count

    allowed = sentence(despite_overlap)  # what cannot be asked is refused before a model is fetched
    line = Line()
    table = read_table(file, progress=lambda rows: line(f"Reading: {rows:,} rows"))
    mapping = guess(
        table,
        form=form,
        prompt=prompt_column,
        response=response_column,
        input=input_column,
        system=system_column,
        template=template,
        instructions=instructions,
    )
    named = [read_judging(path) for path in against or ()]
    settings = Settings.from_environment().asked_for(base, "")
    startup = Startup(settings, report=tell if sys.stderr.isatty() else None)
    judging = (*named, *sets_of_corpora(startup.corpora, besides=against or ()))
    folder = None if rough else base_folder(settings)
    tokenizer = open_tokenizer(folder) if folder else None
    wanted = settings_of(method, preset, {})
    found = data_report(
        table,
        mapping,
        count=tokenizer_count(tokenizer) if tokenizer else rough_count,
        rough=tokenizer is None,
        limit=within_context(max_tokens, folder, virtual=getattr(wanted, "virtual_tokens", 0))
        if folder
        else max_tokens,
        against=judging,
        embed=embed_of(startup) if named and not rough else None,
        despite_overlap=allowed,
        control_tokens=tokenizer.all_special_tokens if tokenizer else (),
        plan=plan_of(wanted, folder, list_runs(settings.trainings)) if folder else None,
        progress=line,
    )
    line.clear()
    if as_json:
        print_json(found.as_json())
    else:
        for text in found.as_lines():
            say(text)
    if found.errors:
        raise typer.Exit(1)


def base_folder(settings: Settings) -> Path | None:
    """The base in Hugging Face form, with its tokenizer, or None where the extra `train` is not installed."""
    from crossfade.models.torch_libraries import how_to_install, missing_libraries

    if missing_libraries():
        tell(f"Tokens are estimated; to count them: {how_to_install('train')}")
        return None
    from crossfade.models.fetch import fetch
    from crossfade.models.hf_folder import hf_folder

    return hf_folder(fetch(settings.base, settings.home, progress=Bar()), settings.home)
