"""Read a report that was exported as JSON, checked value by value. What it then shows is what it showed when made."""

from __future__ import annotations

import json
from functools import cache
from typing import TYPE_CHECKING

from crossfade.errors import QuestionError
from crossfade.evaluation.auto import SIGNS
from crossfade.evaluation.report import VERSION, Report

if TYPE_CHECKING:
    from pydantic import TypeAdapter

GIVE = "Give the report.json that crossfade eval wrote, or one saved as json from the page."


def read_report(text: str) -> Report:
    """The report of a JSON export; what was derived, such as the verdict, is derived anew. Raises QuestionError."""
    from pydantic import ValidationError

    try:
        report = _adapter().validate_json(text, strict=True)
    except ValidationError as error:
        if tasks := _tasks(text):
            raise QuestionError(
                f"This report is of several tasks: {', '.join(tasks)}. Save one as json on its page, and give that."
            ) from None
        first = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(map(str, first["loc"])) or "its beginning"
        raise QuestionError(f"This is no report ({place}: {first['msg']}). {GIVE}") from None
    version = json.loads(text, parse_constant=_no_number).get("version")
    if version != VERSION:
        raise QuestionError(f"This report is of version {version!r}; version {VERSION} is read here. {GIVE}")
    if why := _contradiction(report):
        raise QuestionError(f"This report contradicts itself: {why}. {GIVE}")
    return report


@cache
def _adapter() -> TypeAdapter[Report]:
    # Loaded when first needed: it takes as long as the rest of this room.
    from pydantic import TypeAdapter

    return TypeAdapter(Report)


def _no_number(text: str) -> None:
    raise QuestionError(f"This is no report: {text} is no number of JSON. {GIVE}")


def _tasks(text: str) -> list[str]:
    """The tasks of a report of several; none where it is no such thing."""
    try:
        return [str(name) for name in json.loads(text)["tasks"]]
    except (ValueError, LookupError, TypeError, RecursionError):
        return []


def _contradiction(report: Report) -> str:
    """What its parts say of each other that is not so: a page drawn from it would fail, or show another's answer."""
    count, ids = len(report.questions), {question.id for question in report.questions}
    names = [figures.column.name for figures in report.modes]
    if sorted(names) != sorted(report.grid) or len(ids) != count:
        return "its modes are not those of its grid, or two questions have one id"
    if any(len(cells) != count for cells in report.grid.values()):
        return f"a mode has not one cell for each of its {count} questions"
    named = {*report.best, *(name for d in report.pairs for name in (d.first, d.second))}
    if not named <= set(report.compared) <= set(names):
        return "it compares modes that it has not"
    if len(report.best) == 1 < len(report.compared) and not any(d.first == report.best[0] for d in report.pairs):
        return "it names a winner and no mode that it beats"
    rule = report.auto and report.auto.rule
    if rule and not (rule.sign in SIGNS and {rule.below, rule.above} <= set(names)):
        return "its rule for auto names what is not there"
    if report.auto and report.auto.choices and len(report.auto.choices) != count:
        return f"auto has not one choice for each of its {count} questions"
    told = {name for effect in report.effects for name in (*effect.fixed, *effect.broke)}
    return "" if told <= ids else "a switch fixed or broke a question that it has not"
