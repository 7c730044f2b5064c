"""A run of `crossfade eval` against the bare engine on the same prompts and token counts, and the same run again.

    python benchmarks/evaluation.py [--questions 100]

"Bare engine" is the engine's own `stream`, asked for the same prompts with the same adapters and as many new tokens,
in the same order and as many at once; retrieving, prompts, storing and scoring are what is measured beside it. Run it
on an idle machine.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from threading import Event

from crossfade.compare import query_in_mode
from crossfade.evaluation.measure import evenly, make_columns, measure
from crossfade.evaluation.questions import read_questions
from crossfade.evaluation.report import Report
from crossfade.pipeline import Pipeline
from crossfade.settings import Settings
from crossfade.startup import Startup
from crossfade.types import MODES, Blend, Prompt, Query, Sampling


def bare(pipeline: Pipeline, asked: list[tuple[Prompt, Blend, int]], at_once: int) -> float:
    """Seconds that the engine alone takes for the prompts."""

    def ask(item: tuple[Prompt, Blend, int]) -> None:
        prompt, blend, tokens = item
        for _ in pipeline.engine.stream(prompt, blend=blend, sampling=Sampling(tokens), stop=Event()):
            pass

    began = time.perf_counter()
    with ThreadPoolExecutor(at_once) as pool:
        list(pool.map(ask, asked))
    return time.perf_counter() - began


def prompts_of(pipeline: Pipeline, report: Report, query: Query) -> list[tuple[Prompt, Blend, int]]:
    """What the engine was asked for in a run, in the order of the run: prompt, blend, how many tokens came."""
    queries = {f.column.name: query_in_mode(query, f.column.mode, blend=f.column.blend) for f in report.modes}
    order = sorted(queries, key=lambda name: (queries[name].blend, queries[name].rag, queries[name].icl))
    found = []
    for name in order:
        for question, cell in zip(report.questions, report.grid[name], strict=True):
            answer = pipeline.prepare(replace(queries[name], text=question.text))
            assert answer.prompt
            assert cell
            found.append((answer.prompt, queries[name].blend, max(1, cell.result.new_tokens)))
    return found


def main() -> None:
    """Measure and print a Markdown table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--questions", type=int, default=100)
    args = parser.parse_args()
    startup = Startup(Settings.from_environment())
    pipeline = startup.run()
    corpus = startup.corpus("tidewell")
    task = corpus.task("answer")
    questions = evenly(read_questions(corpus.folder / "eval.jsonl").questions, args.questions)
    columns = make_columns(list(MODES), [((task.adapter, 1.0),)])
    with tempfile.TemporaryDirectory() as scratch:
        settings = replace(startup.settings, home=Path(scratch))
        seconds, reports = [], []
        for _ in range(2):
            began = time.perf_counter()
            reports.append(
                measure(
                    pipeline,
                    questions,
                    columns,
                    name="eval.jsonl",
                    corpus=corpus,
                    task=task,
                    settings=settings,
                    at_once=settings.slots,
                )
            )
            seconds.append(time.perf_counter() - began)
    query = Query("", corpus.name, task.name, sampling=Sampling(task.max_new_tokens))
    alone = bare(pipeline, prompts_of(pipeline, reports[0], query), startup.settings.slots)
    pipeline.engine.close()
    answers = len(questions) * len(columns)
    print("| what | measured | target |\n| --- | --- | --- |")
    print(
        f"| {answers} answers / bare engine ({seconds[0]:.1f} / {alone:.1f} s) | {seconds[0] / alone:.3f} | <= 1.10 |"
    )
    print(f"| the same run again, report included | {seconds[1]:.1f} s | <= 5 s |")


if __name__ == "__main__":
    main()
