"""`crossfade eval`: every mode on a person's own questions, with a report."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING, Annotated

import typer

from crossfade.cli_common import AsJson, Base, EngineName
from crossfade.cli_report import reader_of, show_reports
from crossfade.engines.requests import check_blend
from crossfade.errors import QuestionError, SettingsError
from crossfade.settings import Settings
from crossfade.terminal import tell
from crossfade.types import MODES, Blend, Query

if TYPE_CHECKING:
    from crossfade.corpora.registry import Corpus, Task
    from crossfade.evaluation.judge import Judge
    from crossfade.evaluation.questions import QuestionSet
    from crossfade.evaluation.run import RunProgress
    from crossfade.startup import Startup

TOLD_EVERY = 2.0
"""Seconds between two lines of progress where standard error is no terminal; on one, a line is written over."""


def evaluate(
    questions: Annotated[
        Path | None,
        typer.Argument(help="A .jsonl or .csv file; each row needs a question alone. By default each task's own."),
    ] = None,
    corpus: Annotated[str, typer.Option("--corpus", help="The corpus to ask.")] = "tidewell",
    task: Annotated[
        list[str] | None,
        typer.Option(
            "--task", help="Which instructions, by default those of the corpus's default task; may be repeated."
        ),
    ] = None,
    modes: Annotated[
        str, typer.Option("--modes", help="Modes, separated by commas; auto chooses among them.")
    ] = ",".join(MODES),
    adapter: Annotated[
        list[str] | None,
        typer.Option("--adapter", help="NAME or NAME:WEIGHT, + between those of a blend; several are several columns."),
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", help="Where report.html, .md, .json and .csv go; a folder.")
    ] = None,
    limit: Annotated[int, typer.Option(min=0, help="Ask so many of the questions, evenly spread; 0 asks all.")] = 0,
    prices: Annotated[
        Path | None, typer.Option("--prices", help="A TOML file of prices; the README shows one.")
    ] = None,
    spread: Annotated[
        int,
        typer.Option(min=0, help="With --prices: spread the adapters' training over so many questions; 0 does not."),
    ] = 0,
    judge: Annotated[
        str, typer.Option("--judge", help="MODEL@URL of an OpenAI-compatible server; its key from CROSSFADE_JUDGE_KEY.")
    ] = "",
    votes: Annotated[
        Path | None, typer.Option("--votes", help="JSONL of id, mode, right: to check the judge by.")
    ] = None,
    language: Annotated[
        str,
        typer.Option("--language", help="What report.html is written in: en or zh. The other forms are in English."),
    ] = "en",
    base: Base = "",
    engine: EngineName = "",
    as_json: AsJson = False,
) -> None:
    """Measure modes on your own questions and say which is best, by how much, and how sure that is."""
    from crossfade.compare import query_in_mode
    from crossfade.evaluation.card_scores import keep_scores
    from crossfade.evaluation.judge import read_votes
    from crossfade.evaluation.measure import evenly, has_auto, make_columns, measure
    from crossfade.evaluation.prices import read_prices
    from crossfade.startup import Startup

    priced = read_prices(prices) if prices else None
    voted = read_votes(votes) if votes else None
    reader = reader_of(language)
    priced = replace(priced, spread=spread) if priced else None
    settings = Settings.from_environment().asked_for(base, engine)
    judging = _judge(judge, settings) if judge else None
    startup = Startup(settings, report=tell if sys.stderr.isatty() else None)
    asked = startup.corpus(corpus)
    named = modes.split(",")
    parts = _parts(asked, questions, task or [])
    columns = {p.task.name: make_columns(named, _blends(startup, p.task, adapter or ())) for p in parts}
    if not all(columns.values()):
        raise QuestionError("No mode was named. Give some with --modes, such as base,rag,hybrid.")
    for name, found in columns.items():  # what cannot be asked is refused before a model is loaded
        for column in found:
            query_in_mode(Query("", asked.name, name), column.mode, blend=column.blend)
    pipeline = startup.run()
    stop = Event()  # an interrupt ends all tasks: what is kept of the later ones is reported
    try:
        reports = {
            part.task.name: measure(
                pipeline,
                evenly(part.found.questions, limit),
                columns[part.task.name],
                name=part.name,
                corpus=asked,
                task=part.task,
                settings=settings,
                at_once=settings.slots,
                prices=priced,
                training_seconds={card.name: 60 * card.minutes for card in startup.adapters},
                judge=judging,
                votes=voted,
                auto=has_auto(named),
                stop=stop,
                progress=_Progress(part.task.name if len(parts) > 1 else ""),
            )
            for part in parts
        }
    finally:
        pipeline.engine.close()
    for part in parts:
        if part.found.unknown_fields:
            tell(f"Passed over in {part.name}, for no field is named so: {', '.join(part.found.unknown_fields)}.")
    for report in reports.values():
        keep_scores(report, settings)
    show_reports(asked.title, reports, out=out, as_json=as_json, reader=reader)
    if any(figures.failed for report in reports.values() for figures in report.modes):
        raise typer.Exit(1)


@dataclass(frozen=True, slots=True)
class _Part:
    """A task with the questions that it is measured by."""

    task: Task
    found: QuestionSet
    name: str


def _parts(corpus: Corpus, questions: Path | None, tasks: Sequence[str]) -> list[_Part]:
    """What to measure: one file for one task, else each task's own. Raises QuestionError and CorpusError."""
    from crossfade.evaluation.questions import read_questions

    wanted = [corpus.task(name) for name in dict.fromkeys(tasks or [""])]
    if questions and len(wanted) > 1:
        raise QuestionError(
            f"{questions} is for one task, and {len(wanted)} were named. Leave it out: each has its own."
        )
    paths = [questions or corpus.questions_of(task) for task in wanted]
    return [_Part(task, read_questions(path), path.name) for task, path in zip(wanted, paths, strict=True)]


def _judge(text: str, settings: Settings) -> Judge:
    from crossfade.evaluation.judge import Judge

    model, sign, url = text.partition("@")
    if not sign or not model:
        raise SettingsError(
            f"--judge {text!r} is not allowed; write MODEL@URL, such as judge@http://localhost:8000/v1."
        )
    return Judge(url, model, settings.judge_key)


def _blends(startup: Startup, task: Task, adapters: Sequence[str]) -> list[Blend]:
    """The blends of the columns that use adapters: those named, else the task's own adapter."""
    from crossfade.adapters.written import written_blend

    blends = [written_blend(text) for text in adapters]
    for blend in blends:
        for name, _ in blend:
            startup.registry.get(name)
        check_blend(blend, [name for name, _ in blend])
    return blends or ([((task.adapter, 1.0),)] if task.adapter else [])


class _Progress:
    """Tells how far a run is: one line on a terminal, else a line now and then."""

    def __init__(self, task: str = "") -> None:
        """`task` is named where there are several."""
        self._last, self._task = 0.0, f"{task}: " if task else ""

    def __call__(self, progress: RunProgress) -> None:
        now = time.monotonic()
        whole = progress.done == progress.total
        if now - self._last < (0.1 if sys.stderr.isatty() else TOLD_EVERY) and not whole:
            return
        self._last = now
        left = progress.seconds_left
        told = f"{self._task}{progress.done} of {progress.total} answers, now {progress.column}"
        told += f", {progress.failed} failed" if progress.failed else ""
        told += f", about {left / 60:.1f} min left" if left and not whole else ""
        sys.stderr.write(f"\r{told:<78}" if sys.stderr.isatty() and not whole else f"{told}\n")
        sys.stderr.flush()
