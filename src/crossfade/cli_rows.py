"""The options by which commands are told of rows, and a person's own file read by them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from crossfade.errors import ModelError, TrainingError
from crossfade.terminal import tell

if TYPE_CHECKING:
    from crossfade.corpora.registry import Corpus
    from crossfade.startup import Startup
    from crossfade.training.overlap import Embed
    from crossfade.training.rows import OwnData

Data = Annotated[
    Path | None,
    typer.Option("--data", help="JSONL, JSON, CSV or Parquet: prompt and response, chats, Alpaca, or text and label."),
]
MaxRows = Annotated[int, typer.Option("--max-rows", min=0, help="Draw so many of the rows; 0 takes all.")]
Preset = Annotated[str, typer.Option("--preset", help="quick, balanced or thorough: epochs, and when to stop.")]
Form = Annotated[str, typer.Option("--form", help="pair, messages, alpaca, sharegpt or label; guessed.")]
PromptColumn = Annotated[
    str, typer.Option("--prompt-column", help="The column of the prompt, text or messages; guessed.")
]
ResponseColumn = Annotated[str, typer.Option("--response-column", help="The column of the response or label; guessed.")]
InputColumn = Annotated[
    str, typer.Option("--input-column", help="A column that follows the prompt, - for none; guessed of Alpaca's rows.")
]
SystemColumn = Annotated[
    str, typer.Option("--system-column", help="The column of each row's system message, - for none; guessed.")
]
Template = Annotated[str, typer.Option("--template", help="What a text to label is asked with; {text} is its place.")]
Instructions = Annotated[str, typer.Option("--instructions", help="The system message of your own rows.")]
Against = Annotated[
    list[Path] | None,
    typer.Option(
        "--against", help="A set to judge on, which no row may overlap, beside those of the corpora; repeatable."
    ),
]
DespiteOverlap = Annotated[
    str, typer.Option("--despite-overlap", help="A sentence, kept with the run, why such rows may be learned.")
]


def own_data(
    data: Path,
    columns: Mapping[str, str],
    *,
    max_rows: int = 0,
    against: Sequence[Path] = (),
    corpora: Sequence[Corpus] = (),
    despite_overlap: str = "",
) -> OwnData:
    """A person's own file, read, with what its columns are taken for told.

    `columns` are what `guess` is told of them. Beside the sets in `against`, those of `corpora` are looked at, by words
    alone. Raises TrainingError.
    """
    from crossfade.training.against import read_judging, sets_of_corpora
    from crossfade.training.guess import guess
    from crossfade.training.report import sentence
    from crossfade.training.rows import OwnData
    from crossfade.training.table import read_table

    check_file(data)
    allowed = sentence(despite_overlap)
    table = read_table(data)
    mapping = guess(table, **columns)
    judging = (*(read_judging(path) for path in against), *sets_of_corpora(corpora, besides=against))
    return OwnData(data, table, mapping, max_rows=max_rows, against=judging, despite_overlap=allowed)


def option(what: str) -> str:
    """The option, without its dashes, that says what `guess` calls so."""
    return f"{what}-column" if what in ("prompt", "response", "input", "system") else what


def check_file(data: Path) -> None:
    """Raises TrainingError where there is no such file."""
    if not data.is_file():
        raise TrainingError(f"There is no file {data}. Give a file of rows with --data.")


def embed_of(startup: Startup) -> Embed | None:
    """What compares meanings; None where the embedder cannot be had, which is told: then words alone are compared."""
    try:
        return startup.open_embedder().embed
    except ModelError as error:
        tell(f"Rows are compared with the judging sets by their words alone. {error}")
        return None
