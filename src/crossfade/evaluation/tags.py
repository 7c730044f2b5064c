"""The share right by tag and mode, where questions have tags. Pure; a report in, a table out."""

from __future__ import annotations

from collections import Counter

from crossfade.evaluation.figures import clusters_of
from crossfade.evaluation.report import Report
from crossfade.evaluation.statistics import estimate
from crossfade.evaluation.wording import by_quality, share

MOST = 30
"""Tags in the table, those of most questions."""
TAGS_TOLD = (
    "Right, over the scored questions with that tag, whose number is in brackets. Few questions make wide intervals, "
    "and of many tags one looks special by chance: ask more questions before you act on one."
)


def tag_table(report: Report) -> tuple[list[str], list[list[str]]]:
    """The header and rows, a row a tag and a column a mode, with interval and count; no rows where there is no tag."""
    counts = Counter(tag for question in report.questions for tag in dict.fromkeys(question.tags))
    names = [figures.column.name for figures in by_quality(report)]
    rows = [[tag, *(_cell(report, name, tag) for name in names)] for tag, _ in counts.most_common(MOST)]
    return ["tag", *names], rows


def _cell(report: Report, name: str, tag: str) -> str:
    scored = [
        (question, float(bool(cell.score.right)))
        for question, cell in zip(report.questions, report.grid[name], strict=True)
        if tag in question.tags and cell and cell.scored
    ]
    if not scored:
        return ""
    found = estimate([right for _, right in scored], clusters_of([question for question, _ in scored]))
    return f"{share(found)} ({found.n})"
