"""A report in tables and sentences for people, as all its forms show them. Pure; knows no form."""

from __future__ import annotations

from crossfade.evaluation.auto import SIGNS
from crossfade.evaluation.crossfit import Judged
from crossfade.evaluation.figures import ModeFigures
from crossfade.evaluation.report import Effect, Report
from crossfade.evaluation.statistics import Difference, Estimate

_WHOLE = ("words",)
"""Scores that are numbers and no shares."""
SCORES_TOLD = "Each over the answers to which it applies, whose number is in brackets."
TOLD = 1.05
"""A design effect from which on it is told."""


def mode_table(report: Report) -> tuple[list[str], list[list[str]]]:
    """The header and rows of the table of modes, best first; the texts are for people."""
    names = list(dict.fromkeys(name for figures in report.modes for name in figures.scores))
    labels = list(dict.fromkeys(name for figures in report.modes for name in figures.labels))
    priced = any(figures.money for figures in report.modes)
    header = ["mode", "right", *names, *labels, "failed", "tokens in", "cached", "tokens out", "first token", "seconds"]
    header += ["per 1,000"] if priced else []

    def row(figures: ModeFigures) -> list[str]:
        cells = [figures.column.name, share(figures.right)]
        cells += [_score(name, figures.scores.get(name)) for name in names]
        cells += [f"{figures.labels[name]:.1%}" if name in figures.labels else "" for name in labels]
        cached = "" if figures.cached_tokens is None else f"{figures.cached_tokens:.0f}"
        cells += [str(figures.failed), f"{figures.prompt_tokens:.0f}", cached, f"{figures.new_tokens:.0f}"]
        cells += [f"{figures.seconds_to_first:.2f} s", f"{figures.seconds:.2f} s"]
        return [*cells, f"{figures.money:.4f}"] if priced else cells

    return header, [row(figures) for figures in by_quality(report)]


def score_table(report: Report) -> tuple[list[str], list[list[str]]]:
    """The header and rows of the further scores, a row a score and a column a mode, with interval and count."""
    modes = by_quality(report)
    names = dict.fromkeys(name for figures in modes for name in figures.scores)

    def cell(name: str, e: Estimate | None) -> str:
        if e is None:
            return ""
        return f"{e.mean:.1f} ({e.n})" if name in _WHOLE else f"{share(e)} ({e.n})"

    rows = [[name, *(cell(name, figures.scores.get(name)) for figures in modes)] for name in names]
    return ["score", *(figures.column.name for figures in modes)], rows


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
        if difference.design_effect >= TOLD:
            end = f"{end}, {difference.design_effect:.1f} times as many as if none shared a document"
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
    points = f"{100 * sign * e.mean:+.1f} points [{low:+.1f}, {high:+.1f}]"
    if judged.hybrid_tokens:
        saved = 1 - judged.auto_tokens / judged.hybrid_tokens
        if saved >= 0:
            points = f"{points}, with {saved:.0%} of hybrid's tokens saved"
        else:
            points = f"{points}, with {-saved:.0%} more than hybrid's tokens"
    return (
        f"{told} Each question judged by a rule that was fitted on the other half, auto is right in "
        f"{judged.auto_right:.1%} and {judged.fixed}, the best fixed mode, in {judged.fixed_right:.1%}: {points}."
    )


def about_items(report: Report) -> list[tuple[str, str]]:
    """What was measured, by name; without what is not known."""
    return [(key, str(value)) for key, value in report.about.items() if key != "title" and value not in ("", None)]


def share(e: Estimate | None) -> str:
    """A share with its interval; empty where there is none."""
    return f"{e.mean:.1%} [{e.low:.1%}, {e.high:.1%}]" if e else ""


def _score(name: str, e: Estimate | None) -> str:
    if e is None:
        return ""
    return f"{e.mean:.1f}" if name in _WHOLE else f"{e.mean:.1%}"


def _p(value: float) -> str:
    return "< 0.001" if value < 0.001 else f"{value:.3f}"
