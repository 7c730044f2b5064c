"""A report on data as tables and lines that read well on a terminal and are Markdown; then what was found.

Each wording stands whole in one text, since the page says it in other languages by that (`ui/phrases.py`); what a
person wrote is marked as their `Own`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from crossfade.training.findings import told_lines

if TYPE_CHECKING:
    from crossfade.training.estimate import Estimate
    from crossfade.training.report import DataReport

WIDE = 30
"""Characters of the longest bar."""
LISTED = 20
"""So many reasons why rows are left out are told, and so many labels."""
LONGEST = 100
"""Characters of a cell."""
Rows = list[tuple[str, ...]]


class Own(str):
    """A cell with a person's own words, or with numbers: it is said in no other language."""

    __slots__ = ()


def report_lines(report: DataReport) -> tuple[str, ...]:
    """The lines of a report, without line ends."""
    lines = [f"# {_cell(report.name)}"]
    for rows in report_tables(report):
        lines += ["", *_table(rows)]
    lines += ["", *(f"- {finding.severity}: {finding.text}" for finding in report.findings)]
    return (*lines, *([""] if report.findings else []), verdict(report))


def report_tables(report: DataReport) -> list[Rows]:
    """The tables of a report, each with its header first."""
    tables: list[Rows] = [[("what", "found"), *_facts(report)]]
    if report.tokens.histogram:
        most = max(rows for _, rows in report.tokens.histogram)
        bars = [(bound, rows, Own("#" * max(1, round(WIDE * rows / most)))) for bound, rows in report.tokens.histogram]
        counts: Rows = [(f"up to {bound:,}" if bound else "more", Own(f"{rows:,}"), bar) for bound, rows, bar in bars]
        tables.append([("tokens", "rows", ""), *counts])
    if report.labels:
        share: Rows = [(Own(label), Own(f"{n:,}"), Own(f"{n / report.usable:.0%}")) for label, n in report.labels]
        tables.append([("response", "rows", "share"), *_first(share)])
    if report.broken:
        reasons: dict[str, list[int]] = {}
        for row in report.broken:
            reasons.setdefault(row.why, []).append(row.line)
        told: Rows = [(why, told_lines(lines)) for why, lines in reasons.items()]
        tables.append([("left out because", "where"), *_first(told)])
    return tables


def verdict(report: DataReport) -> str:
    """Whether the rows can be trained on."""
    errors = len(report.errors)
    if not errors:
        return "Can be trained on."
    return "1 error to mend before training." if errors == 1 else f"{errors} errors to mend before training."


def short(text: str) -> str:
    """A cell's text on one line, cut."""
    text = " ".join(text.split())
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 3]}..."


def _first(rows: Rows) -> Rows:
    """The first rows, and how many more there are."""
    more: Rows = [(f"and {len(rows) - LISTED} more", *[""] * (len(rows[0]) - 1))] if len(rows) > LISTED else []
    return [*rows[:LISTED], *more]


def _facts(report: DataReport) -> Iterator[tuple[str, str]]:
    tokens, mapping = report.tokens, report.mapping
    every = report.usable == report.rows
    yield "rows", f"{report.rows:,}, all usable" if every else f"{report.rows:,}, {report.usable:,} of them usable"
    yield "form", Own(mapping.form)
    for role, column in mapping.columns().items():
        yield role, f"column {column}"
    if report.unused:
        yield "not used", Own(", ".join(report.unused))
    if mapping.template:
        yield "template", Own(mapping.template)
    yield "instructions", Own(mapping.instructions) if mapping.instructions else "none"
    yield "split", f"{report.learned:,} learned, {report.held_out:,} held out"
    if tokens.rough:
        yield "tokens", f"about {tokens.total:,}, the longest row about {tokens.longest:,}"
        yield "counted", "as characters / 4, without the base's tokenizer"
    else:
        yield "tokens", f"{tokens.total:,}, the longest row {tokens.longest:,}"
    yield f"over {report.limit:,} tokens", _rows(len(report.too_long))
    for name, groups in (
        ("exact duplicates", report.duplicates),
        ("near duplicates", report.near_duplicates),
        ("contradictions", report.contradictions),
    ):
        rows = sum(map(len, groups))
        in_all = f"{rows:,} rows in 1 group" if len(groups) == 1 else f"{rows:,} rows in {len(groups):,} groups"
        yield name, in_all if groups else "none"
    if report.judged_by:
        yield "overlap", f"{_rows(len(report.overlaps))} also asked by {', '.join(report.judged_by)}"
    else:
        yield "overlap", "not looked for; no judging set was named"
    for kind, lines in report.personal:
        yield f"personal data: {kind}", _rows(len(lines))
    if not report.personal:
        yield "personal data", "none seen"
    if report.estimate:
        yield "estimate", _estimated(report.estimate)


def _estimated(made: Estimate) -> str:
    minutes, memory = f"{made.minutes:.1f}", f"{made.memory / 1e6:,.0f}"
    if made.fits is None:
        return f"{minutes} minutes, {memory} MB"
    if made.fits:
        return f"{minutes} minutes, {memory} MB, which fits"
    return f"{minutes} minutes, {memory} MB, more than this machine has"


def _rows(count: int) -> str:
    return "no row" if not count else "1 row" if count == 1 else f"{count:,} rows"


def _table(rows: Sequence[Sequence[str]]) -> list[str]:
    """A table in Markdown whose columns stand under each other."""
    cells = [[_cell(cell) for cell in row] for row in rows]
    widths = [max(3, *(len(row[column]) for row in cells)) for column in range(len(cells[0]))]
    lines = ["| " + " | ".join(c.ljust(w) for c, w in zip(row, widths, strict=True)) + " |" for row in cells]
    return [lines[0], "|" + "|".join("-" * (width + 2) for width in widths) + "|", *lines[1:]]


def _cell(text: str) -> str:
    """A text on one line, cut, that cannot end its cell."""
    return short(text.replace("|", "\\|"))
