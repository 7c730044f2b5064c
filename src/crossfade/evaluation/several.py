"""Reports of several tasks as one, with what stands side by side. Pure; a task's own report stays what it is alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from crossfade.errors import QuestionError
from crossfade.evaluation.report import VERSION, Report, as_json
from crossfade.evaluation.wording import share

BEST = "No other mode is known to be better."
"""What the mark of a mode in the table of all tasks means."""


@dataclass(frozen=True)
class Several:
    """A report for each task, by the task's name, in the order in which they were asked for."""

    title: str
    reports: Mapping[str, Report]


def overview(several: Several) -> tuple[list[str], list[list[str]]]:
    """The header and rows of the table of modes by task: the share right, a `*` where no mode is known to be better.

    The last row has the number of questions.
    """
    names = list(dict.fromkeys(f.column.name for report in several.reports.values() for f in report.modes))

    def cell(report: Report, name: str) -> str:
        figures = next((f for f in report.modes if f.column.name == name), None)
        told = share(figures.right) if figures else ""
        return f"{told} *" if name in report.best else told

    rows = [[name, *(cell(report, name) for report in several.reports.values())] for name in names]
    rows.append(["questions", *(str(len(report.questions)) for report in several.reports.values())])
    return ["mode", *several.reports], rows


def several_as_json(several: Several) -> dict[str, Any]:
    """All reports as plain values; each of them is one as `crossfade eval` writes for a single task."""
    reports = {name: as_json(report) for name, report in several.reports.items()}
    return {"version": VERSION, "title": several.title, "tasks": reports}


def pick(report: Mapping[str, Any], task: str = "") -> Mapping[str, Any]:
    """The report of a task out of one of several, as JSON; one of a single task is returned as it is.

    Raises QuestionError where the task has to be named, or is not in it.
    """
    if "tasks" not in report:
        return report
    tasks = report["tasks"]
    if not isinstance(tasks, dict) or not all(isinstance(found, dict) for found in tasks.values()):
        raise QuestionError("This is no report of crossfade eval. Give its report.json.")
    if task not in tasks:
        told = f"has no task {task!r}" if task else "is of several tasks"
        raise QuestionError(f"This report {told}. Name one of {', '.join(tasks)}.")
    found: Mapping[str, Any] = tasks[task]
    return found
