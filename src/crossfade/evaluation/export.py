"""A report as Markdown, CSV, JSON and one HTML file that needs no network. Pure texts; knows no file and no engine."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from crossfade.evaluation.page import Head, Section, draw
from crossfade.evaluation.page_words import Reader
from crossfade.evaluation.report import Report, as_json
from crossfade.evaluation.scoring import CAUSES
from crossfade.evaluation.several import BEST, Several, overview, several_as_json
from crossfade.evaluation.tags import TAGS_TOLD, tag_table
from crossfade.evaluation.wording import (
    SCORES_TOLD,
    about_items,
    auto_line,
    by_quality,
    effect_line,
    mode_table,
    pair_line,
    score_table,
)

_FORMULA = ("=", "+", "-", "@", "\t", "\r")
"""A cell that begins so is run by spreadsheet programs."""


def to_markdown(report: Report) -> str:
    """The whole report but the answers, as Markdown."""
    header, rows = mode_table(report)
    parts = [f"# {_plain(report.about.get('title', 'Evaluation'))}", f"**{_plain(report.verdict)}**", _about(report)]
    parts += ["## Modes", _markdown_table(header, rows)]
    scores_header, scores = score_table(report)
    if scores:
        parts += ["## Scores with their intervals", SCORES_TOLD, _markdown_table(scores_header, scores)]
    tags_header, tags = tag_table(report)
    if tags:
        parts += ["## Right by tag", TAGS_TOLD, _markdown_table(tags_header, tags)]
    if report.pairs:
        parts += ["## Differences", "\n".join(f"- {_plain(pair_line(d))}" for d in report.pairs), _plain(report.tested)]
    if report.effects:
        parts += ["## What each switch changed", "\n".join(f"- {_plain(effect_line(e))}" for e in report.effects)]
    if report.auto:
        parts += ["## A mode for each question", _plain(auto_line(report.auto))]
    causes = [cause for cause in CAUSES if any(cause in figures.causes for figures in report.modes)]
    if causes:
        table = [[f.column.name, *(str(f.causes.get(cause, 0)) for cause in causes)] for f in by_quality(report)]
        told = "\n".join(f"- {cause}: {CAUSES[cause]}" for cause in causes)
        parts += ["## Why answers are wrong", _markdown_table(["mode", *causes], table), told]
    return "\n\n".join(part for part in parts if part) + "\n"


def to_csv(report: Report) -> str:
    """A row for each question and mode, for spreadsheets; texts that would run as a formula are quoted."""
    out = io.StringIO(newline="")
    writer = csv.writer(out)
    names = list(dict.fromkeys(name for figures in report.modes for name in figures.scores))
    head = ["id", "question", "tags", "mode", "state", "cause", "answer", "accepted", "documents", "found", *names]
    writer.writerow([*head, "tokens_in", "tokens_cached", "tokens_out", "seconds_to_first", "seconds", "error"])
    for name, cells in report.grid.items():
        for question, cell in zip(report.questions, cells, strict=True):
            if cell is None:
                continue
            r = cell.result
            accepted = question.label or " | ".join(question.answers)
            if question.object is not None:
                accepted = json.dumps(question.object, ensure_ascii=False)
            texts = [question.id, question.text, " | ".join(question.tags), name, cell.state, cell.score.cause]
            texts += [r.text, accepted]
            texts += [" | ".join(question.documents), " | ".join(p.document for p in r.passages)]
            values = [cell.score.values.get(n, "") for n in names]
            costs = [r.prompt_tokens, "" if r.cached_tokens is None else r.cached_tokens, r.new_tokens]
            seconds = [round(r.seconds_to_first, 4), round(r.seconds, 4)]
            writer.writerow([*map(_harmless, texts), *values, *costs, *seconds, _harmless(r.error)])
    return out.getvalue()


def to_json(report: Report) -> str:
    """The whole report, answers and passages included."""
    return json.dumps(as_json(report), ensure_ascii=False, indent=1) + "\n"


def to_html(report: Report, reader: Reader | None = None) -> str:
    """One page that stands alone and needs no network, in the reader's language; English by default."""
    return draw([_section(report)], title=report.about.get("title", "Evaluation"), reader=reader)


def _section(report: Report, name: str = "") -> Section:
    return Section(report, {"md": to_markdown(report), "csv": to_csv(report)}, name)


EXPORTS: Mapping[str, Callable[[Report], str]] = {
    "md": to_markdown,
    "csv": to_csv,
    "json": to_json,
    "html": to_html,
}
"""By the ending of the file's name."""


def several_to_markdown(several: Several) -> str:
    """A table of all tasks, then the report of each."""
    parts = [f"# {_plain(several.title)}", _markdown_table(*overview(several)), f"\\* {BEST}"]
    parts += [re.sub(r"^(#+ )", r"#\1", to_markdown(report), flags=re.M).strip() for report in several.reports.values()]
    return "\n\n".join(parts) + "\n"


def several_to_csv(several: Several) -> str:
    """The rows of all tasks, with the task as the first column; a score that a task has not is empty."""
    found: list[dict[str, str]] = []
    for name, report in several.reports.items():
        found += ({"task": name, **row} for row in csv.DictReader(io.StringIO(to_csv(report), newline="")))
    out = io.StringIO(newline="")
    writer = csv.DictWriter(out, list(dict.fromkeys(key for row in found for key in row)), restval="")
    writer.writeheader()
    writer.writerows(found)
    return out.getvalue()


def several_to_json(several: Several) -> str:
    """All reports, by task."""
    return json.dumps(several_as_json(several), ensure_ascii=False, indent=1) + "\n"


def several_to_html(several: Several, reader: Reader | None = None) -> str:
    """One page with a table of all tasks and a section for each."""
    header, rows = overview(several)
    around = {key: value for key, value in several_as_json(replace(several, reports={})).items() if key != "tasks"}
    texts = {"md": several_to_markdown(several), "csv": several_to_csv(several)}
    sections = [_section(report, name) for name, report in several.reports.items()]
    return draw(sections, title=several.title, head=Head(header, rows, texts, around), reader=reader)


EXPORTS_OF_SEVERAL: Mapping[str, Callable[[Several], str]] = {
    "md": several_to_markdown,
    "csv": several_to_csv,
    "json": several_to_json,
    "html": several_to_html,
}
"""Of several tasks, by the ending of the file's name."""


def _about(report: Report) -> str:
    return "\n".join(f"- {_plain(key)}: {_plain(value)}" for key, value in about_items(report))


def _markdown_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(_plain(cell) for cell in line)} |" for line in lines)


def _plain(text: Any) -> str:
    """One line in which nothing is markup."""
    return re.sub(r"([\\\\`*{}<>|])", r"\\\1", " ".join(str(text).split()))


def _harmless(text: str) -> str:
    return f"'{text}" if text.startswith(_FORMULA) else text
