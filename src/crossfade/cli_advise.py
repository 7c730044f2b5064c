"""`crossfade advise`, what a report and nine answers say a person needs, and `crossfade changes`, two runs compared."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from crossfade.errors import QuestionError
from crossfade.terminal import print_json, say, tell

if TYPE_CHECKING:
    from crossfade.advisor.advice import Advice
    from crossfade.evaluation.automatic import Automatic
    from crossfade.types import Query


OfTask = Annotated[str, typer.Option("--task", help="Which task of a report of several.")]


def advise(
    report: Annotated[Path | None, typer.Option("--report", help="The report.json of crossfade eval.")] = None,
    task: OfTask = "",
    answers: Annotated[Path | None, typer.Option("--answers", help="A JSON file of answers by question.")] = None,
    answer: Annotated[list[str] | None, typer.Option("--answer", help="QUESTION=ANSWER; may be repeated.")] = None,
    questions: Annotated[
        bool, typer.Option("--questions", help="Print the nine questions and what may be answered.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Say which of fine-tuning, RAG and ICL you need, from a report, nine questions, or both.

    On a terminal, and without --answers, --answer and --json, the questions are asked one by one; Enter skips one.
    """
    from crossfade.advisor.advise import advise as advise_
    from crossfade.advisor.interview import INTERVIEW
    from crossfade.evaluation.several import pick

    if questions:
        if as_json:
            print_json([asdict(question) for question in INTERVIEW])
        for question in INTERVIEW if not as_json else ():
            say(f"{question.key}: {question.text}\n  {question.why}")
            for key, words in question.options.items():
                say(f"    {key:<9} {words}")
        return
    given = _answers(answers, answer or [])
    measured = pick(_read(report), task) if report else None
    if sys.stdin.isatty() and not answers and not answer and not as_json:
        given = _ask()
    advice = advise_(measured, given)
    if as_json:
        print_json(asdict(advice))
    else:
        _show(advice)


def changes(
    before: Annotated[Path, typer.Argument(help="The report.json of the earlier run.")],
    after: Annotated[Path, typer.Argument(help="The report.json of the later one.")],
    task: OfTask = "",
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Compare two runs of the same questions: before and after a change of documents, adapter or settings."""
    from crossfade.evaluation.changes import change_line
    from crossfade.evaluation.changes import changes as compare
    from crossfade.evaluation.several import pick

    found = compare(pick(_read(before), task), pick(_read(after), task))
    if as_json:
        print_json(asdict(found))
        return
    for name, (old, new) in found.settings.items():
        say(f"{name}: {old or 'nothing'} before, {new or 'nothing'} after")
    for change in found.columns:
        say(change_line(change))
    for when, names in (("before", found.only_before), ("after", found.only_after)):
        if names:
            tell(f"Only {when}: {', '.join(names)}.")


def automatic_of(report: Path | None, query: Query) -> Automatic:
    """The rule of a report, checked against a query. Raises QuestionError."""
    from crossfade.evaluation.automatic import read_automatic
    from crossfade.evaluation.several import pick

    if report is None:
        raise QuestionError("Mode auto needs a report. Give the report.json of crossfade eval with --report.")
    found = read_automatic(pick(_read(report), query.task))
    if found is None:
        raise QuestionError(f"{report} has no rule for auto: it needs two modes and more scored questions.")
    found.check(query)
    return found


def _read(path: Path) -> dict[str, Any]:
    """A JSON object. Raises QuestionError."""
    try:
        value = json.loads(path.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError, RecursionError) as error:
        raise QuestionError(f"{path} cannot be read: {error}.") from error
    if not isinstance(value, dict):
        raise QuestionError(f"{path} holds no JSON object.")
    return value


def _answers(path: Path | None, pairs: list[str]) -> dict[str, str]:
    given = {str(k): "" if v is None else str(v) for k, v in (_read(path) if path else {}).items()}
    for pair in pairs:
        key, sign, value = pair.partition("=")
        if not sign:
            raise QuestionError(f"--answer {pair!r} is not allowed; write QUESTION=ANSWER, such as data=hundreds.")
        given[key.strip()] = value.strip()
    return given


def _ask() -> dict[str, str]:
    """Ask the nine questions on a terminal; Enter skips one."""
    from crossfade.advisor.interview import INTERVIEW

    given = {}
    for number, question in enumerate(INTERVIEW, start=1):
        tell(f"\n{number}. {question.text}\n   {question.why}")
        keys = list(question.options)
        for n, words in enumerate(question.options.values(), start=1):
            tell(f"   {n}  {words}")
        told = typer.prompt(f"   1 to {len(keys)}, Enter skips", default="", show_default=False, err=True)
        while told and not (told.isdigit() and 1 <= int(told) <= len(keys)):
            told = typer.prompt(f"   a number from 1 to {len(keys)}", default="", show_default=False, err=True)
        if told:
            given[question.key] = keys[int(told) - 1]
    return given


def _show(advice: Advice) -> None:
    say(advice.headline)
    say("\nWhy:")
    for reason in advice.reasons:
        text = reason.text[0].upper() + reason.text[1:].rstrip(".")
        say(f"- {text} ({reason.source}).")
    say(f"\nTo set up: {advice.setup}")
    say(f"To run: {advice.per_thousand}")
    say("\nNext:")
    for step in advice.steps:
        say(f"- {step}")
    say("\nWhat would change this:")
    for change in advice.changes:
        say(f"- {change}")
