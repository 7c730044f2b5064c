"""A report on data as lines: tables that read well on a terminal and are Markdown, then what was found."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from crossfade.training.findings import told_lines

if TYPE_CHECKING:
    from crossfade.training.report import DataReport

WIDE = 30
"""Characters of the longest bar."""
LISTED = 20
"""So many reasons why rows are left out are told, and so many labels."""


def report_lines(report: DataReport) -> tuple[str, ...]:
    """The lines of a report, without line ends."""
    lines = [f"# {_cell(report.name)}", "", *_table(("what", "found"), list(_facts(report)))]
    if report.tokens.histogram:
        most = max(rows for _, rows in report.tokens.histogram)
        lines += [
            "",
            *_table(
                ("tokens", "rows", ""),
                [
                    (f"up to {bound:,}" if bound else "more", f"{rows:,}", "#" * max(1, round(WIDE * rows / most)))
                    for bound, rows in report.tokens.histogram
                ],
            ),
        ]
    if report.labels:
        share = [(label, f"{n:,}", f"{n / report.usable:.0%}") for label, n in report.labels[:LISTED]]
        lines += ["", *_table(("response", "rows", "share"), share)]
        lines += [f"and {len(report.labels) - LISTED} more"] if len(report.labels) > LISTED else []
    if report.broken:
        reasons: dict[str, list[int]] = {}
        for row in report.broken:
            reasons.setdefault(row.why, []).append(row.line)
        told = [(why, told_lines(lines)) for why, lines in list(reasons.items())[:LISTED]]
        lines += ["", *_table(("left out because", "where"), told)]
        lines += [f"and {len(reasons) - LISTED} more reasons"] if len(reasons) > LISTED else []
    lines += ["", *(f"- {finding.severity}: {finding.text}" for finding in report.findings)]
    errors = len(report.errors)
    verdict = (
        f"{errors} {'error' if errors == 1 else 'errors'} to mend before training." if errors else "Can be trained on."
    )
    return (*lines, *([""] if report.findings else []), verdict)


def _facts(report: DataReport) -> Iterator[tuple[str, str]]:
    tokens, mapping = report.tokens, report.mapping
    yield "rows", f"{report.rows:,}, {'all' if report.usable == report.rows else f'{report.usable:,} of them'} usable"
    yield "form", mapping.form
    for role, column in mapping.columns().items():
        yield role, f"column {column}"
    if report.unused:
        yield "not used", ", ".join(report.unused)
    if mapping.template:
        yield "template", mapping.template
    yield "instructions", mapping.instructions or "none"
    yield "split", f"{report.learned:,} learned, {report.held_out:,} held out"
    about = "about " if tokens.rough else ""
    yield "tokens", f"{about}{tokens.total:,}, the longest row {about}{tokens.longest:,}"
    if tokens.rough:
        yield "counted", "as characters / 4, without the base's tokenizer"
    yield f"over {report.limit:,} tokens", _rows(len(report.too_long))
    for name, groups in (
        ("exact duplicates", report.duplicates),
        ("near duplicates", report.near_duplicates),
        ("contradictions", report.contradictions),
    ):
        in_all = f"{sum(map(len, groups)):,} rows in {len(groups):,} {'group' if len(groups) == 1 else 'groups'}"
        yield name, in_all if groups else "none"
    if report.judged_by:
        yield "overlap", f"{_rows(len(report.overlaps))} with {', '.join(report.judged_by)}"
    else:
        yield "overlap", "not looked for; no judging set was named"
    yield "personal data", "; ".join(f"{kind} in {_rows(len(lines))}" for kind, lines in report.personal) or "none seen"
    if made := report.estimate:
        fits = "" if made.fits is None else ", which fits" if made.fits else ", more than this machine has"
        yield "estimate", f"{made.minutes:.1f} minutes, {made.memory / 1e6:,.0f} MB{fits}"


def _rows(count: int) -> str:
    return "no row" if not count else "1 row" if count == 1 else f"{count:,} rows"


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """A table in Markdown whose columns stand under each other."""
    cells = [[_cell(cell) for cell in row] for row in (header, *rows)]
    widths = [max(3, *(len(row[column]) for row in cells)) for column in range(len(header))]
    lines = ["| " + " | ".join(c.ljust(w) for c, w in zip(row, widths, strict=True)) + " |" for row in cells]
    return [lines[0], "|" + "|".join("-" * (width + 2) for width in widths) + "|", *lines[1:]]


def _cell(text: str) -> str:
    """A text on one line, cut, that cannot end its cell."""
    text = " ".join(text.split()).replace("|", "\\|")
    return text if len(text) <= 100 else f"{text[:97]}..."
