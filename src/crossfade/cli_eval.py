"""`crossfade eval`: every mode on a person's own questions, with a report."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from crossfade.cli_common import AsJson, Base, EngineName
from crossfade.engines.requests import check_blend
from crossfade.errors import QuestionError, SettingsError
from crossfade.settings import Settings
from crossfade.terminal import say, tell
from crossfade.types import MODES, Blend, Query

if TYPE_CHECKING:
    from crossfade.corpora.registry import Task
    from crossfade.evaluation.judge import Judge
    from crossfade.evaluation.report import Report
    from crossfade.evaluation.run import RunProgress
    from crossfade.startup import Startup

TOLD_EVERY = 2.0
"""Seconds between two lines of progress where standard error is no terminal; on one, a line is written over."""


def evaluate(
    questions: Annotated[Path, typer.Argument(help="A .jsonl or .csv file; each row needs a question alone.")],
    corpus: Annotated[str, typer.Option("--corpus", help="The corpus to ask.")] = "tidewell",
    task: Annotated[str, typer.Option("--task", help="Which instructions; by default the corpus's first task.")] = "",
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
    base: Base = "",
    engine: EngineName = "",
    as_json: AsJson = False,
) -> None:
    """Measure modes on your own questions and say which is best, by how much, and how sure that is."""
    from crossfade.compare import query_in_mode
    from crossfade.evaluation.export import EXPORTS, to_json
    from crossfade.evaluation.judge import read_votes
    from crossfade.evaluation.measure import evenly, has_auto, make_columns, measure
    from crossfade.evaluation.prices import read_prices
    from crossfade.evaluation.questions import read_questions
    from crossfade.startup import Startup

    found = read_questions(questions)
    priced = read_prices(prices) if prices else None
    voted = read_votes(votes) if votes else None
    priced = replace(priced, spread=spread) if priced else None
    settings = Settings.from_environment().asked_for(base, engine)
    judging = _judge(judge, settings) if judge else None
    startup = Startup(settings, report=tell if sys.stderr.isatty() else None)
    asked = startup.corpus(corpus)
    wanted = asked.task(task)
    columns = make_columns(modes.split(","), _blends(startup, wanted, adapter or ()))
    if not columns:
        raise QuestionError("No mode was named. Give some with --modes, such as base,rag,hybrid.")
    for column in columns:  # what cannot be asked is refused before a model is loaded
        query_in_mode(Query("", asked.name, wanted.name), column.mode, blend=column.blend)
    pipeline = startup.run()
    try:
        report = measure(
            pipeline,
            evenly(found.questions, limit),
            columns,
            name=questions.name,
            corpus=asked,
            task=wanted,
            settings=settings,
            at_once=settings.slots,
            prices=priced,
            training_seconds={card.name: 60 * card.minutes for card in startup.adapters},
            judge=judging,
            votes=voted,
            auto=has_auto(modes.split(",")),
            progress=_Progress(),
        )
    finally:
        pipeline.engine.close()
    if found.unknown_fields:
        tell(f"Passed over, for no field is named so: {', '.join(found.unknown_fields)}.")
    if as_json:
        sys.stdout.write(to_json(report))
    else:
        _show(report)
    if out:
        for ending, export in EXPORTS.items():
            _write(out, f"report.{ending}", export(report))
        tell(f"Written to {out}: {', '.join(f'report.{ending}' for ending in EXPORTS)}.")
    if any(figures.failed for figures in report.modes):
        raise typer.Exit(1)


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
    from crossfade.cli_adapters import weighted

    blends: list[Blend] = [tuple(weighted(part) for part in text.split("+")) for text in adapters]
    for blend in blends:
        for name, _ in blend:
            startup.registry.get(name)
        check_blend(blend, [name for name, _ in blend])
    return blends or ([((task.adapter, 1.0),)] if task.adapter else [])


def _show(report: Report) -> None:
    """The table of modes, best first, then the differences and the verdict."""
    from crossfade.evaluation.export import auto_line, effect_line, mode_table, pair_line

    header, rows = mode_table(report)
    widths = [max(len(line[i]) for line in [header, *rows]) for i in range(len(header))]
    for line in [header, *rows]:
        say("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())
    say("")
    for pair in report.pairs:
        if pair.first in report.best[:1]:
            say(pair_line(pair))
    for effect in report.effects:
        say(effect_line(effect))
    if report.auto:
        say(f"auto: {auto_line(report.auto)}")
    say(f"\n{report.verdict}")


def _write(folder: Path, name: str, text: str) -> None:
    """Write a file beside and rename it into place. Raises SettingsError."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        beside = folder / f".{name}.part"
        beside.write_text(text, encoding="utf-8", newline="")
        beside.replace(folder / name)
    except OSError as error:
        raise SettingsError(f"{folder / name} cannot be written: {error}. Give another folder with --out.") from error


class _Progress:
    """Tells how far a run is: one line on a terminal, else a line now and then."""

    def __init__(self) -> None:
        self._last = 0.0

    def __call__(self, progress: RunProgress) -> None:
        now = time.monotonic()
        whole = progress.done == progress.total
        if now - self._last < (0.1 if sys.stderr.isatty() else TOLD_EVERY) and not whole:
            return
        self._last = now
        left = progress.seconds_left
        told = f"{progress.done} of {progress.total} answers, now {progress.column}"
        told += f", {progress.failed} failed" if progress.failed else ""
        told += f", about {left / 60:.1f} min left" if left and not whole else ""
        sys.stderr.write(f"\r{told:<78}" if sys.stderr.isatty() and not whole else f"{told}\n")
        sys.stderr.flush()
