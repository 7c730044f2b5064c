"""Reports as one HTML file that needs no network. Pure: reports in, a text out; knows no file and no engine."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from importlib.resources import files
from typing import Any

from crossfade.evaluation.figures import ModeFigures
from crossfade.evaluation.page_words import Reader
from crossfade.evaluation.report import Report, as_json, verdicts
from crossfade.evaluation.scoring import CAUSES
from crossfade.evaluation.several import BEST
from crossfade.evaluation.tags import TAGS_TOLD, tag_table
from crossfade.evaluation.wording import (
    SCORES_TOLD,
    about_items,
    auto_line,
    by_quality,
    mode_table,
    pair_line,
    score_table,
)


@dataclass(frozen=True)
class Head:
    """What stands above several sections: a table of all, its texts by ending, the JSON around that of the sections."""

    header: Sequence[str]
    rows: Sequence[Sequence[str]]
    texts: Mapping[str, str]
    json: Mapping[str, Any]


@dataclass(frozen=True)
class Section:
    """A report on the page, with its other forms by their file's ending. `name` is empty where it stands alone."""

    report: Report
    texts: Mapping[str, str]
    name: str = ""


def draw(sections: Sequence[Section], *, title: str, head: Head | None = None, reader: Reader | None = None) -> str:
    """One page that stands alone: tables, plots, the grid with every answer, for each section.

    It loads nothing and runs its own script alone; texts of questions, answers and passages are put in as text. `head`
    is what stands above several sections. What the page says is in the reader's language, its exports are in English.
    """
    from jinja2 import Environment, StrictUndefined

    reader = reader or Reader()
    words, said = reader.words(), reader.said
    template = files("crossfade.evaluation").joinpath("report.html.j2").read_text(encoding="utf-8")
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    return environment.from_string(template).render(
        title=title,
        head=head
        and replace(head, header=_first_said(head.header, said), rows=[_first_said(r, said) for r in head.rows]),
        head_data=_in_script({"texts": head.texts, "json": head.json}) if head else "",
        sections=[_drawn(section, f"-{n}" if head else "", words, said) for n, section in enumerate(sections, start=1)],
        causes=CAUSES,
        scores_told=said(SCORES_TOLD),
        tags_told=said(TAGS_TOLD),
        best=said(BEST),
        language=reader.language,
        words=words,
        said=said,
        script_words=_in_script(words | {cause: said(cause) for cause in CAUSES}),
    )


def _first_said(row: Sequence[str], said: Callable[[str], str]) -> list[str]:
    """A row whose first cell alone is a word of ours: the others are names or numbers."""
    return [said(row[0]), *row[1:]]


def _drawn(section: Section, end: str, words: Mapping[str, str], said: Callable[[str], str]) -> dict[str, Any]:
    """What the template shows of a section; `end` is what its elements' ids end with."""
    report = section.report
    header, rows = mode_table(report)
    scores_header, scores = score_table(report)
    tags_header, tags = tag_table(report)
    points = [f for f in by_quality(report) if f.right]
    return {
        "end": end,
        "name": section.name,
        "title": report.about.get("title", "Evaluation"),
        "report": report,
        "verdict": " ".join(map(said, verdicts(report))),
        "tested": said(report.tested),
        "header": [said(name) for name in header],
        "rows": rows,
        "scores": (_first_said(scores_header, said), [_first_said(row, said) for row in scores]),
        "tags": (_first_said(tags_header, said), tags),
        "pairs": [said(pair_line(d)) for d in report.pairs],
        "auto": said(auto_line(report.auto)) if report.auto else "",
        "modes": by_quality(report),
        "plots": [
            (words["by_seconds"], _plot(points, lambda f: f.seconds, "s")),
            (words["by_tokens"], _plot(points, lambda f: f.prompt_tokens + f.new_tokens, words["token_unit"])),
        ],
        "about": [(said(name), said(value)) for name, value in about_items(report)],
        "data": _in_script(as_json(report)),
        "exports": _in_script(section.texts),
    }


def _in_script(value: Any) -> str:
    """JSON that no text in it can end the script around."""
    return json.dumps(value, ensure_ascii=True).replace("<", "\\u003c")


def _plot(points: Sequence[ModeFigures], across: Callable[[ModeFigures], float], unit: str) -> dict[str, Any]:
    """Where each mode stands in a plot of 560 x 300: x by cost, y by the share right, with its interval."""
    most = max((across(f) for f in points), default=0.0) or 1.0

    def y(share: float) -> float:
        return round(270 - 250 * share, 1)

    dots = [
        {
            "name": f.column.name,
            "x": round(60 + 440 * across(f) / most, 1),
            "y": y(f.right.mean),
            "low": y(f.right.low),
            "high": y(f.right.high),
        }
        for f in points
        if f.right
    ]
    ticks = [{"x": round(60 + 440 * part, 1), "text": f"{most * part:.3g} {unit}"} for part in (0.0, 0.5, 1.0)]
    return {
        "dots": dots,
        "ticks": ticks,
        "levels": [{"y": y(s), "text": f"{s:.0%}"} for s in (0.0, 0.25, 0.5, 0.75, 1.0)],
    }
