"""`crossfade eval`: every mode on a person's own questions, with a report; and the comparison of two reports."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from crossfade.engines.requests import check_blend
from crossfade.errors import QuestionError, SettingsError
from crossfade.settings import Settings
from crossfade.terminal import say, tell
from crossfade.types import MODES, Blend, Query, Sampling, mode_switches

if TYPE_CHECKING:
    from crossfade.corpora.registry import Corpus, Task
    from crossfade.evaluation.report import Report
    from crossfade.evaluation.run import Column, RunProgress
    from crossfade.startup import Startup

TOLD_EVERY = 2.0
"""Seconds between two lines of progress where standard error is no terminal; on one, a line is written over."""


def evaluate(
    questions: Annotated[Path, typer.Argument(help="A .jsonl or .csv file; each row needs a question alone.")],
    corpus: Annotated[str, typer.Option("--corpus", help="The corpus to ask.")] = "tidewell",
    task: Annotated[str, typer.Option("--task", help="Which instructions; by default the corpus's first task.")] = "",
    modes: Annotated[str, typer.Option("--modes", help="Modes, separated by commas.")] = ",".join(MODES),
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
    base: Annotated[str, typer.Option("--base", help="A catalogue name, a .gguf, a folder, or hub:owner/repo.")] = "",
    engine: Annotated[str, typer.Option("--engine", help="auto, llama.cpp or transformers.")] = "",
    as_json: Annotated[bool, typer.Option("--json", help="Print the report as JSON.")] = False,
) -> None:
    """Measure modes on your own questions and say which is best, by how much, and how sure that is."""
    from crossfade.compare import query_in_mode
    from crossfade.evaluation.export import EXPORTS, to_json
    from crossfade.evaluation.prices import read_prices
    from crossfade.evaluation.questions import read_questions
    from crossfade.evaluation.report import build_report
    from crossfade.evaluation.results import Store
    from crossfade.evaluation.run import run
    from crossfade.startup import Startup

    found = read_questions(questions)
    chosen = found.questions[:: max(1, len(found.questions) // limit)][:limit] if limit else found.questions
    priced = read_prices(prices) if prices else None
    settings = _settings(base, engine)
    startup = Startup(settings, report=tell if sys.stderr.isatty() else None)
    asked = startup.corpus(corpus)
    wanted = asked.task(task)
    columns = _columns(startup, wanted, modes, adapter or ())
    query = Query("", asked.name, wanted.name, sampling=Sampling(max_new_tokens=wanted.max_new_tokens))
    for column in columns:
        query_in_mode(
            query, column.mode, blend=column.blend
        )  # what cannot be asked is refused before a model is loaded
    store = Store(settings.home / "results.sqlite")
    pipeline = startup.run()
    try:
        made = run(
            pipeline,
            query,
            chosen,
            columns,
            store=store,
            variant=f"{settings.engine} {settings.weights} {settings.precision} {settings.bits}",
            at_once=settings.slots,
            progress=_Progress(),
        )
    finally:
        store.close()
        pipeline.engine.close()
    report = build_report(
        made,
        about=_about(questions, startup, asked, wanted, made.asked),
        schema=wanted.schema,
        rules=wanted.rules,
        prices=priced,
        training_seconds={a.name: 60.0 * float(a.card.get("minutes") or 0) for a in startup.registry.adapters.values()},
    )
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


def _settings(base: str, engine: str) -> Settings:
    from crossfade.settings import ENGINES

    settings = Settings.from_environment()
    if engine and engine not in ENGINES:
        raise SettingsError(f"Unknown engine {engine!r}. Known: {', '.join(ENGINES)}.")
    settings = settings.with_base(base) if base else settings
    return replace(settings, engine=engine or settings.engine)


def _columns(startup: Startup, task: Task, modes: str, adapters: Sequence[str]) -> list[Column]:
    """A column for each mode, and for each adapter or blend where a mode uses one. Raises QuestionError."""
    from crossfade.cli_adapters import weighted
    from crossfade.evaluation.run import Column

    blends: list[Blend] = [tuple(weighted(part) for part in text.split("+")) for text in adapters]
    for blend in blends:
        for name, _ in blend:
            startup.registry.get(name)
        check_blend(blend, [name for name, _ in blend])
    if not blends and task.adapter:
        blends = [((task.adapter, 1.0),)]
    columns = []
    for mode in dict.fromkeys(part.strip().lower() for part in modes.split(",") if part.strip()):
        switches = mode_switches(mode)
        if not switches or not switches[0]:
            columns.append(Column(mode, mode))
            continue
        for blend in blends or [()]:
            told = "+".join(name if weight == 1.0 else f"{name}:{weight:g}" for name, weight in blend)
            columns.append(Column(f"{mode} ({told})" if len(blends) > 1 else mode, mode, blend))
    if not columns:
        raise QuestionError("No mode was named. Give some with --modes, such as base,rag,hybrid.")
    return columns


def _about(questions: Path, startup: Startup, corpus: Corpus, task: Task, asked: int) -> dict[str, str]:
    engine = startup.pipeline.engine if startup.pipeline else None
    return {
        "title": f"{corpus.title}: {task.title}",
        "when": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "questions": questions.name,
        "corpus": corpus.name,
        "task": task.name,
        "base": startup.settings.base,
        "base sha256": engine.base_sha256 if engine else "",
        "engine": type(engine).__name__ if engine else "",
        "answers made now": str(asked),
    }


def _show(report: Report) -> None:
    """The table of modes, best first, then the differences and the verdict."""
    from crossfade.evaluation.export import effect_line, mode_table, pair_line

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
