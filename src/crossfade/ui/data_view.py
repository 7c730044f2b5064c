"""The report on a file of rows, made and drawn. Knows no page: values in, markup out."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from crossfade.training.against import read_judging
from crossfade.training.estimate import Plan
from crossfade.training.guess import guess
from crossfade.training.report import DataReport, data_report
from crossfade.training.table import read_table
from crossfade.training.tokens import rough_count
from crossfade.ui import render


def report_on(
    path: Path,
    columns: Sequence[str],
    *,
    against: Sequence[Path] = (),
    despite_overlap: str = "",
    plan: Plan | None = None,
) -> DataReport:
    """The report on a file's rows; tokens are estimated, so that no library is loaded for it.

    `columns` are form, prompt's and response's column, template and instructions, "" to be guessed. Raises
    TrainingError.
    """
    form, prompt, response, template, instructions = columns
    table = read_table(path)
    mapping = guess(table, form=form, prompt=prompt, response=response, template=template, instructions=instructions)
    return data_report(
        table,
        mapping,
        count=rough_count,
        rough=True,
        against=[read_judging(judging) for judging in against],
        despite_overlap=despite_overlap,
        plan=plan,
    )


def report_html(report: DataReport) -> str:
    """A report as tables and its findings, those first; nothing of a row becomes markup."""
    tables: list[list[str]] = []
    findings = []
    begins = True
    for line in report.as_lines()[1:]:  # the first names the file, which is chosen just above
        cells = [cell.strip() for cell in line.strip().strip("|").split("|")]
        if not line.startswith("|"):
            findings += [f"<li>{render.escape(line.strip().removeprefix('- '))}</li>"] if line.strip() else []
            begins = True
        elif begins:
            tables.append([_row(cells, "th")])
            begins = False
        elif not all(set(cell) <= set("-: ") for cell in cells):
            tables[-1].append(_row(cells, "td"))
    shown = "".join(f"<table>{''.join(rows)}</table>" for rows in tables)
    return f'<div class="cf-data" lang="en"><ul>{"".join(findings)}</ul>{shown}</div>'


def _row(cells: Sequence[str], tag: str) -> str:
    scope = ' scope="col"' if tag == "th" else ""
    return "<tr>" + "".join(f"<{tag}{scope}>{render.escape(cell)}</{tag}>" for cell in cells) + "</tr>"
