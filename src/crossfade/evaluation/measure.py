"""From questions and modes to a report: what the command and the page do alike. Knows neither of them."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from threading import Event
from typing import TypeVar

from crossfade.corpora.registry import Corpus, Task
from crossfade.errors import QuestionError
from crossfade.evaluation.auto import AUTO
from crossfade.evaluation.judge import Judge, agreement, judge_all
from crossfade.evaluation.measured_on import measured_on
from crossfade.evaluation.prices import Prices
from crossfade.evaluation.questions import EvalQuestion
from crossfade.evaluation.report import Report, build_report
from crossfade.evaluation.results import Store
from crossfade.evaluation.run import Column, RunProgress, run
from crossfade.pipeline import Pipeline
from crossfade.settings import Settings
from crossfade.types import Blend, Query, Sampling

Row = TypeVar("Row")


def make_columns(modes: Sequence[str], blends: Sequence[Blend]) -> list[Column]:
    """A column for each mode, and one for each blend where a mode uses adapters; auto is none, it chooses among them.

    Raises QuestionError where auto has nothing to choose from.
    """
    columns = []
    blends = list(dict.fromkeys(blends))
    for mode in dict.fromkeys(part.strip().lower() for part in modes if part.strip()):
        if mode == AUTO:
            continue
        if not Column(mode, mode).switches[0]:
            columns.append(Column(mode, mode))
            continue
        for blend in blends or [()]:
            told = "+".join(name if weight == 1.0 else f"{name}:{weight:g}" for name, weight in blend)
            columns.append(Column(f"{mode} ({told})" if len(blends) > 1 else mode, mode, blend))
    if has_auto(modes) and len(columns) < 2:
        raise QuestionError("Auto chooses among modes: name two or more beside it, such as base,rag,auto.")
    return columns


def has_auto(modes: Sequence[str]) -> bool:
    """Whether auto is among the modes that were named."""
    return AUTO in (mode.strip().lower() for mode in modes)


def evenly(questions: Sequence[Row], limit: int) -> tuple[Row, ...]:
    """At most so many of the questions, evenly spread; all of them for 0."""
    if not limit or limit >= len(questions):
        return tuple(questions)
    return tuple(questions[number * len(questions) // limit] for number in range(limit))


def measure(
    pipeline: Pipeline,
    questions: Sequence[EvalQuestion],
    columns: Sequence[Column],
    *,
    name: str,
    corpus: Corpus,
    task: Task,
    settings: Settings,
    at_once: int,
    prices: Prices | None = None,
    training_seconds: Mapping[str, float] | None = None,
    judge: Judge | None = None,
    votes: Mapping[tuple[str, str], bool] | None = None,
    auto: bool = False,
    stop: Event | None = None,
    progress: Callable[[RunProgress], None] | None = None,
) -> Report:
    """Ask what is not kept yet, and report. `name` is that of the question set; answers are kept in the home folder.

    With a `judge` its verdicts are a score of their own, checked against `votes`. With `auto` the choosing of a mode
    for each question is a column too. Raises like `run`.
    """
    _check_documents(questions, name=name, corpus=corpus)
    query = Query("", corpus.name, task.name, sampling=Sampling(max_new_tokens=task.max_new_tokens))
    store = Store(settings.home / "results.sqlite")
    try:
        made = run(
            pipeline,
            query,
            questions,
            columns,
            store=store,
            variant=f"{settings.engine} {settings.weights} {settings.precision} {settings.bits}",
            at_once=at_once,
            stop=stop,
            progress=progress,
        )
        judged = (made.questions, made.results, store)
        verdicts, failures = (
            judge_all(judge, *judged, stop=stop, progress=_verdicts_told(progress)) if judge else ({}, [])
        )
    finally:
        store.close()
    about = _about(pipeline, columns, name=name, corpus=corpus, task=task, settings=settings) | {
        "asked at once": str(at_once),
        "prices": prices.name if prices else "",
        "answers made now": str(made.asked),
    }
    if judge:
        about["judge"] = f"{judge.model}, a proxy for people"
        about["judge and people agree"] = (
            agreement(verdicts, made.questions, votes) if votes else "not checked: no votes"
        )
        about["judge failed"] = " ".join(failures)
    return build_report(
        made,
        about=about,
        schema=task.schema,
        rules=task.rules,
        form=task.form,
        prices=prices,
        training_seconds=training_seconds,
        verdicts=verdicts,
        auto=auto,
        passages=corpus.passages,
    )


def _verdicts_told(progress: Callable[[RunProgress], None] | None) -> Callable[[int, int], None] | None:
    """Tells how many verdicts are there, as a run tells of its answers."""
    began = time.perf_counter()

    def told(done: int, total: int) -> None:
        if progress:
            progress(RunProgress(done, total, done, 0, "the judge", time.perf_counter() - began))

    return told if progress else None


def _check_documents(questions: Sequence[EvalQuestion], *, name: str, corpus: Corpus) -> None:
    """Raises QuestionError where a gold document is none of the corpus: everything would seem not retrieved."""
    known = {document.name for document in corpus.documents}
    for question in questions:
        if unknown := [document for document in question.documents if document not in known]:
            raise QuestionError(
                f"{name}, line {question.line}: there is no document {unknown[0]!r} in {corpus.name}. Name it as its "
                "file is named, without .md."
            )


def _about(
    pipeline: Pipeline, columns: Sequence[Column], *, name: str, corpus: Corpus, task: Task, settings: Settings
) -> dict[str, str]:
    """What was measured, in words for people; two reports are compared by it."""
    return {
        "title": f"{corpus.title}: {task.title}",
        "when": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "questions": name,
        "corpus": corpus.name,
        "task": task.name,
        "base": settings.base,
        "base sha256": pipeline.engine.base_sha256,
        "engine": type(pipeline.engine).__name__,
        "weights, precision, bits": f"{settings.weights}, {settings.precision}, {settings.bits}",
        "tokens": f"{task.max_new_tokens} of an answer at most, {pipeline.engine.capabilities.context} with its prompt",
        **measured_on(pipeline.engine, corpus, task, {name for column in columns for name, _ in column.blend}),
    }
