"""The report on a file of rows, made and drawn. Knows no page: values in, markup out."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from crossfade.errors import ModelError
from crossfade.models.fetch import fetch
from crossfade.models.hf_folder import hf_folder
from crossfade.models.torch_libraries import missing_libraries
from crossfade.training.against import read_judging, sets_of_corpora
from crossfade.training.guess import guess
from crossfade.training.overlap import Embed
from crossfade.training.plan import plan_of, within_context
from crossfade.training.record import RunSettings
from crossfade.training.report import DataReport, Progress, data_report
from crossfade.training.report_lines import Own, Rows, report_tables, short, verdict
from crossfade.training.run_folder import RunFolder
from crossfade.training.table import read_table
from crossfade.training.tokens import open_tokenizer, rough_count, tokenizer_count
from crossfade.ui import render
from crossfade.ui.phrases import said

if TYPE_CHECKING:
    from crossfade.startup import Startup


def report_on(
    startup: Startup,
    path: Path,
    columns: Mapping[str, str],
    *,
    wanted: RunSettings,
    against: Sequence[Path] = (),
    despite_overlap: str = "",
    runs: Iterable[RunFolder] | None = None,
    progress: Progress = lambda stage, done, total: None,
) -> DataReport:
    """What a training with these settings would find in a file's rows, and what it needs where `runs` before it are
    given. Tokens are estimated where the training's libraries or the base cannot be had.

    `columns` are what `guess` is told of them. `progress` is told of each stage, an English sentence; what it raises
    ends the work. Raises TrainingError.
    """
    table = read_table(path, progress=lambda rows: progress(f"Reading: {rows:,} rows", 0, 0))
    mapping = guess(table, **columns)
    named = [read_judging(path) for path in against]
    judging = (*named, *sets_of_corpora(startup.corpora, besides=against))
    base = _base(startup, progress)
    tokenizer = open_tokenizer(base) if base else None
    if named:
        progress("Loading what compares meanings", 0, 0)
    virtual = getattr(wanted, "virtual_tokens", 0)
    return data_report(
        table,
        mapping,
        count=tokenizer_count(tokenizer) if tokenizer else rough_count,
        rough=tokenizer is None,
        limit=within_context(wanted.max_tokens, base, virtual=virtual) if base else wanted.max_tokens,
        against=judging,
        embed=_embed(startup) if named else None,
        despite_overlap=despite_overlap,
        control_tokens=tokenizer.all_special_tokens if tokenizer else (),
        plan=plan_of(wanted, base, runs) if base and runs is not None else None,
        progress=progress,
    )


def _base(startup: Startup, progress: Progress) -> Path | None:
    """The base in Hugging Face form, None where it cannot be had here or nothing could be trained on it."""
    if missing_libraries():
        return None
    settings = startup.settings

    def fetched(stage: str, done: int, total: int) -> None:
        progress(f"Fetching the base: {done / 1e6:.0f} MB", 0, 0)

    try:
        source = fetch(settings.base, settings.home, progress=fetched)
        progress("Converting the base; about half a minute the first time", 0, 0)
        return hf_folder(source, settings.home)
    except ModelError:
        return None


def _embed(startup: Startup) -> Embed | None:
    """What compares meanings, as in the training; None where it cannot be had here."""
    try:
        return startup.open_embedder().embed
    except ModelError:
        return None


def report_html(report: DataReport, language: str) -> str:
    """A report's findings and tables; nothing of a row becomes markup."""
    lines = [f"{said(language, found.severity)}: {said(language, found.text)}" for found in report.findings]
    items = "".join(f"<li>{render.escape(line)}</li>" for line in [*lines, said(language, verdict(report))])
    shown = "".join(_table(rows, language) for rows in report_tables(report))
    return f'<div class="cf-data"><ul>{items}</ul>{shown}</div>'


def _table(rows: Rows, language: str) -> str:
    header, *body = [[_cell(cell, language) for cell in row] for row in rows]
    return f"<table>{_row(header, 'th')}{''.join(_row(cells, 'td') for cells in body)}</table>"


def _cell(cell: str, language: str) -> str:
    return short(cell) if isinstance(cell, Own) else said(language, short(cell))


def _row(cells: Sequence[str], tag: str) -> str:
    scope = ' scope="col"' if tag == "th" else ""
    return "<tr>" + "".join(f"<{tag}{scope}>{render.escape(cell)}</{tag}>" for cell in cells) + "</tr>"
