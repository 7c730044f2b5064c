"""Two runs compared: what a change of documents, adapter or settings fixed and broke. Pure; reads reports as JSON."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from crossfade.errors import QuestionError
from crossfade.evaluation.figures import clusters_among
from crossfade.evaluation.statistics import Difference, differences, holm

BEFORE, AFTER = "before", "after"


@dataclass(frozen=True, slots=True)
class Change:
    """One column in both runs, over the questions that both scored.

    `difference` is between `before` and `after`, the better one first. `fixed` and `broke` are ids of questions.
    """

    column: str
    before: float
    after: float
    difference: Difference
    fixed: tuple[str, ...]
    broke: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Changes:
    """What differs between two runs: settings by name (before, after), and each column that both have."""

    settings: Mapping[str, tuple[str, str]]
    columns: tuple[Change, ...]
    only_before: tuple[str, ...]
    only_after: tuple[str, ...]


def changes(before: Mapping[str, Any], after: Mapping[str, Any]) -> Changes:
    """Compare two reports. Raises QuestionError where they share no column or no question, or one is no report."""
    try:
        settings = {
            key: (str(before["about"].get(key, "")), str(after["about"].get(key, "")))
            for key in {**before["about"], **after["about"]}
            if before["about"].get(key) != after["about"].get(key) and key not in ("when", "answers made now")
        }
        first, second = _right(before), _right(after)
        documents = {question["id"]: tuple(question["documents"]) for question in after["questions"]}
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise QuestionError(f"This is no report of crossfade eval ({error!r}). Give its report.json.") from error
    found = []
    for column in (name for name in first if name in second):
        ids = [i for i in first[column] if i in second[column]]
        if not ids:
            continue
        one, two = ([scores[column][i] for i in ids] for scores in (first, second))
        clusters = clusters_among([(i, documents[i]) for i in ids])
        (difference,) = differences({BEFORE: one, AFTER: two}, clusters)
        found.append(
            Change(
                column=column,
                before=sum(one) / len(ids),
                after=sum(two) / len(ids),
                difference=difference,
                fixed=tuple(i for i, a, b in zip(ids, one, two, strict=True) if b > a),
                broke=tuple(i for i, a, b in zip(ids, one, two, strict=True) if a > b),
            )
        )
    adjusted = holm([change.difference.p for change in found])
    found = [replace(c, difference=replace(c.difference, adjusted=p)) for c, p in zip(found, adjusted, strict=True)]
    if not found:
        raise QuestionError("The two reports share no column with a question that both scored.")
    return Changes(
        settings=settings,
        columns=tuple(found),
        only_before=tuple(name for name in first if name not in second),
        only_after=tuple(name for name in second if name not in first),
    )


def _right(report: Mapping[str, Any]) -> dict[str, dict[str, float]]:
    """By column and question's id: 1 or 0, for what was scored."""
    ids = [question["id"] for question in report["questions"]]
    return {
        name: {
            i: float(cell["score"]["right"])
            for i, cell in zip(ids, cells, strict=True)
            if cell and cell["score"]["right"] is not None and not cell["result"]["error"]
        }
        for name, cells in report["grid"].items()
    }


def change_line(change: Change) -> str:
    """What happened to one column, in a sentence."""
    points = 100 * (change.after - change.before)
    d = change.difference
    sure = "settled" if d.settled else "no difference was seen" if d.more is None else f"not settled, p {d.p:.2g}"
    return (
        f"{change.column}: {change.before:.1%} before, {change.after:.1%} after ({points:+.1f} points, {sure}); "
        f"fixed {len(change.fixed)}, broke {len(change.broke)}."
    )
