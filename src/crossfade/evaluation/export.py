"""A report as Markdown, CSV, JSON and one HTML file that needs no network. Pure texts; knows no file and no engine."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Callable, Mapping, Sequence
from importlib.resources import files
from typing import Any

from crossfade.evaluation.auto import SIGNS
from crossfade.evaluation.crossfit import Judged
from crossfade.evaluation.figures import ModeFigures
from crossfade.evaluation.report import Effect, Report, as_json
from crossfade.evaluation.scoring import CAUSES
from crossfade.evaluation.statistics import Difference, Estimate

_FORMULA = ("=", "+", "-", "@", "\t", "\r")
"""A cell that begins so is run by spreadsheet programs."""
_WHOLE = ("words",)
"""Scores that are numbers and no shares."""


def mode_table(report: Report) -> tuple[list[str], list[list[str]]]:
    """The header and rows of the table of modes, best first; the texts are for people."""
    names = list(dict.fromkeys(name for figures in report.modes for name in figures.scores))
    labels = list(dict.fromkeys(name for figures in report.modes for name in figures.labels))
    priced = any(figures.money for figures in report.modes)
    header = ["mode", "right", *names, *labels, "failed", "tokens in", "cached", "tokens out", "first token", "seconds"]
    header += ["per 1,000"] if priced else []

    def row(figures: ModeFigures) -> list[str]:
        cells = [figures.column.name, _share(figures.right)]
        cells += [_score(name, figures.scores.get(name)) for name in names]
        cells += [f"{figures.labels[name]:.1%}" if name in figures.labels else "" for name in labels]
        cached = "" if figures.cached_tokens is None else f"{figures.cached_tokens:.0f}"
        cells += [str(figures.failed), f"{figures.prompt_tokens:.0f}", cached, f"{figures.new_tokens:.0f}"]
        cells += [f"{figures.seconds_to_first:.2f} s", f"{figures.seconds:.2f} s"]
        return [*cells, f"{figures.money:.4f}"] if priced else cells

    return header, [row(figures) for figures in by_quality(report)]


def by_quality(report: Report) -> list[ModeFigures]:
    """The figures of the modes, those with most right first."""
    return sorted(report.modes, key=lambda figures: -(figures.right.mean if figures.right else -1.0))


def pair_line(difference: Difference) -> str:
    """What is known of two modes, in one sentence."""
    e = difference.estimate
    points = f"{100 * e.mean:+.1f} points [{100 * e.low:+.1f}, {100 * e.high:+.1f}]"
    split = f"{difference.gained} questions gained, {difference.lost} lost"
    if difference.settled:
        end = f"p {_p(difference.adjusted)}"
    elif difference.more is None:
        end = "no difference was seen"
    else:
        end = f"not settled, p {_p(difference.adjusted)}: about {difference.more:,} more questions"
    return f"{difference.first} against {difference.second}: {points}; {split}; {end}."


def effect_line(effect: Effect) -> str:
    """What a switch changed, in one sentence."""
    changed = f"{effect.switch} fixed {len(effect.fixed)} and broke {len(effect.broke)}"
    return f"{effect.having} against {effect.without}: {changed}."


def auto_line(judged: Judged) -> str:
    """What choosing a mode for each question would bring, in two sentences."""
    rule, e = judged.rule, judged.difference.estimate
    if rule.below == rule.above:
        told = f"No rule was better than {rule.above} for all."
    else:
        told = f"{rule.below} where {SIGNS[rule.sign][0]} is below {rule.threshold:.3g}, else {rule.above}."
    sign = 1 if judged.difference.first == "auto" else -1
    low, high = sorted((100 * sign * e.low, 100 * sign * e.high))
    told += (
        f" Each question judged by a rule that was fitted on the other half, auto is right in {judged.auto_right:.1%} "
        f"and {judged.fixed}, the best fixed mode, in {judged.fixed_right:.1%}: "
        f"{100 * sign * e.mean:+.1f} points [{low:+.1f}, {high:+.1f}]"
    )
    if judged.hybrid_tokens:
        saved = 1 - judged.auto_tokens / judged.hybrid_tokens
        told += f", with {abs(saved):.0%} {'of' if saved >= 0 else 'more than'} hybrid's tokens"
        told += " saved" if saved >= 0 else ""
    return f"{told}."


def to_markdown(report: Report) -> str:
    """The whole report but the answers, as Markdown."""
    header, rows = mode_table(report)
    parts = [f"# {_plain(report.about.get('title', 'Evaluation'))}", f"**{_plain(report.verdict)}**", _about(report)]
    parts += ["## Modes", _markdown_table(header, rows)]
    if report.pairs:
        parts += ["## Differences", "\n".join(f"- {_plain(pair_line(d))}" for d in report.pairs)]
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
    head = ["id", "question", "mode", "state", "cause", "answer", "accepted", "documents", "found", *names]
    writer.writerow([*head, "tokens_in", "tokens_cached", "tokens_out", "seconds_to_first", "seconds", "error"])
    for name, cells in report.grid.items():
        for question, cell in zip(report.questions, cells, strict=True):
            if cell is None:
                continue
            r = cell.result
            accepted = question.label or " | ".join(question.answers)
            texts = [question.id, question.text, name, cell.state, cell.score.cause, r.text, accepted]
            texts += [" | ".join(question.documents), " | ".join(p.document for p in r.passages)]
            values = [cell.score.values.get(n, "") for n in names]
            costs = [r.prompt_tokens, "" if r.cached_tokens is None else r.cached_tokens, r.new_tokens]
            seconds = [round(r.seconds_to_first, 4), round(r.seconds, 4)]
            writer.writerow([*map(_harmless, texts), *values, *costs, *seconds, _harmless(r.error)])
    return out.getvalue()


def to_json(report: Report) -> str:
    """The whole report, answers and passages included."""
    return json.dumps(as_json(report), ensure_ascii=False, indent=1) + "\n"


def to_html(report: Report) -> str:
    """One page that stands alone: tables, plots, the grid with every answer. It loads nothing and runs its own script
    alone; texts of questions, answers and passages are put in as text.
    """
    from jinja2 import Environment, StrictUndefined

    template = files("crossfade.evaluation").joinpath("report.html.j2").read_text(encoding="utf-8")
    header, rows = mode_table(report)
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    points = [f for f in by_quality(report) if f.right]
    return environment.from_string(template).render(
        report=report,
        header=header,
        rows=rows,
        pairs=[pair_line(d) for d in report.pairs],
        causes=CAUSES,
        auto=auto_line(report.auto) if report.auto else "",
        modes=by_quality(report),
        plots=[
            ("Right against seconds of an answer", _plot(points, lambda f: f.seconds, "s")),
            ("Right against tokens in and out", _plot(points, lambda f: f.prompt_tokens + f.new_tokens, "tokens")),
        ],
        about=_about_items(report),
        data=_in_script(as_json(report)),
        exports=_in_script({"md": to_markdown(report), "csv": to_csv(report)}),
    )


def _in_script(value: Any) -> str:
    """JSON that no text in it can end the script around."""
    return json.dumps(value, ensure_ascii=True).replace("<", "\\u003c")


EXPORTS: Mapping[str, Callable[[Report], str]] = {
    "md": to_markdown,
    "csv": to_csv,
    "json": to_json,
    "html": to_html,
}
"""By the ending of the file's name."""


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


def _about_items(report: Report) -> list[tuple[str, str]]:
    return [(key, str(value)) for key, value in report.about.items() if key != "title" and value not in ("", None)]


def _about(report: Report) -> str:
    return "\n".join(f"- {_plain(key)}: {_plain(value)}" for key, value in _about_items(report))


def _share(e: Estimate | None) -> str:
    return f"{e.mean:.1%} [{e.low:.1%}, {e.high:.1%}]" if e else ""


def _score(name: str, e: Estimate | None) -> str:
    if e is None:
        return ""
    return f"{e.mean:.1f}" if name in _WHOLE else f"{e.mean:.1%}"


def _p(value: float) -> str:
    return "< 0.001" if value < 0.001 else f"{value:.3f}"


def _markdown_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(_plain(cell) for cell in line)} |" for line in lines)


def _plain(text: Any) -> str:
    """One line in which nothing is markup."""
    return re.sub(r"([\\\\`*{}<>|])", r"\\\1", " ".join(str(text).split()))


def _harmless(text: str) -> str:
    return f"'{text}" if text.startswith(_FORMULA) else text
