"""Measure the three shipped adapters on the judging sets: every mode, greedy, by the code of `crossfade eval`.

    python benchmarks/quality.py [--set eval|dev] [--task answer|voice|ticket] [--mode MODE] [--reports DIR] [--write]

Prints a Markdown table per task. `--write` puts the scores into each adapter's card.json, `--reports` keeps the report
of each task. "Right" means that an accepted answer is contained in an answer of at most 30 words. Intervals are 95%, by
bootstrap. Answers are kept in the cache folder: what was measured once is not asked again.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from crossfade.corpora.registry import Corpus
from crossfade.evaluation.export import to_html, to_markdown
from crossfade.evaluation.measure import evenly, make_columns, measure
from crossfade.evaluation.questions import read_questions
from crossfade.evaluation.report import Report
from crossfade.evaluation.run import RunProgress
from crossfade.evaluation.scoring import Cell
from crossfade.evaluation.statistics import estimate
from crossfade.pipeline import Pipeline
from crossfade.settings import Settings
from crossfade.startup import Startup

ANSWER_MODES = ("base", "icl", "rag", "fine-tune", "hybrid", "hybrid+icl")
FORM_MODES = ("base", "icl", "fine-tune")
TASKS = {"answer": ("", ANSWER_MODES), "voice": ("_style", FORM_MODES), "ticket": ("_json", FORM_MODES)}
"""The ending of a task's set, and the modes that it is measured in."""
SPLITS = ("trained", "two", "unseen")
"""The tags of the questions that some document answers."""


def report_of(pipeline: Pipeline, corpus: Corpus, task: str, path: Path, modes: Iterable[str], limit: int) -> Report:
    """The report of one task's set."""
    settings = Settings.from_environment()
    chosen = corpus.task(task)

    def tell(progress: RunProgress) -> None:
        left = f", {progress.seconds_left / 60:.1f} min left" if progress.seconds_left else ""
        sys.stderr.write(f"\r{task}: {progress.done} of {progress.total}, {progress.column}{left}   ")

    return measure(
        pipeline,
        evenly(read_questions(path).questions, limit),
        make_columns(list(modes), [((chosen.adapter, 1.0),)]),
        name=path.name,
        corpus=corpus,
        task=chosen,
        settings=settings,
        at_once=settings.slots,
        progress=tell,
    )


def answer_scores(report: Report) -> dict[str, Any]:
    """Right by split, refusals where they are due and where they are not, for every mode; hybrid against RAG."""
    rows = {name: list(zip(report.questions, cells, strict=True)) for name, cells in report.grid.items()}

    def right(mode: str, split: str) -> list[float]:
        return [float(bool(cell and cell.score.right)) for q, cell in rows[mode] if split in q.tags]

    splits = [split for split in SPLITS if any(split in q.tags for q in report.questions)]
    scores: dict[str, Any] = {}
    for mode in rows:
        scores[mode] = {split: _mean(right(mode, split)) for split in splits}
        for name, answerable in (("absent: said so", False), ("said elsewhere", True)):
            said = [float(bool(cell and cell.score.refused)) for q, cell in rows[mode] if q.answerable is answerable]
            scores[mode][name] = _mean(said)
    if {"hybrid", "rag"} <= set(rows):
        scores["hybrid minus rag"] = {}
        for split in splits:
            gaps = [a - b for a, b in zip(right("hybrid", split), right("rag", split), strict=True)]
            gap = estimate(gaps, gaps=True)
            scores["hybrid minus rag"][split] = [round(value, 3) for value in (gap.mean, gap.low, gap.high)]
    return scores


def form_scores(report: Report) -> dict[str, Any]:
    """The scores of form of every mode; for tickets each field's share of right ones too."""
    scores: dict[str, Any] = {}
    for figures in report.modes:
        scores[figures.column.name] = {
            _NAMES.get(name, name): round(found.mean, 3) for name, found in figures.scores.items() if name != "words"
        }
        scores[figures.column.name] |= _fields(report, report.grid[figures.column.name])
    return scores


_NAMES = {"rules kept": "all rules kept"}


def _fields(report: Report, cells: Iterable[Cell | None]) -> dict[str, float]:
    pairs = [(q.object, _object(cell)) for q, cell in zip(report.questions, cells, strict=True) if q.object]
    keys = pairs[0][0] or {} if pairs else {}
    return {key: _mean([float(given.get(key, "-") == (gold or {}).get(key)) for gold, given in pairs]) for key in keys}


def _object(cell: Cell | None) -> Mapping[str, Any]:
    from crossfade.evaluation.metrics import parse_object

    return (parse_object(cell.result.text) if cell else None) or {}


def table(scores: dict[str, Any]) -> str:
    """Scores as a Markdown table, a row a mode."""
    columns = list(dict.fromkeys(c for row in scores.values() for c in row))
    lines = ["| mode | " + " | ".join(columns) + " |", "| --- " * (len(columns) + 1) + "|"]
    lines += [f"| {mode} | " + " | ".join(str(row.get(c, "")) for c in columns) + " |" for mode, row in scores.items()]
    return "\n".join(lines)


def write_card(folder: Path, name: str, scores: dict[str, Any]) -> None:
    """Put the scores into an adapter's card."""
    card = json.loads((folder / "card.json").read_text(encoding="utf-8"))
    card["scores"][name] = scores
    (folder / "card.json").write_text(json.dumps(card, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def _mean(values: list[float]) -> float:
    return round(sum(values) / len(values), 3) if values else 0.0


def main() -> None:
    """Parse the arguments, measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--set", default="eval", choices=["eval", "dev"])
    parser.add_argument("--task", action="append", choices=list(TASKS))
    parser.add_argument("--mode", action="append")
    parser.add_argument("--limit", type=int, default=0)
    parser.add_argument("--reports", type=Path)
    parser.add_argument("--write", action="store_true")
    args = parser.parse_args()
    startup = Startup(Settings.from_environment())
    pipeline = startup.run()
    corpus = startup.corpus("tidewell")
    for name in args.task or TASKS:
        suffix, modes = TASKS[name]
        path = corpus.folder / f"{args.set}{suffix}.jsonl"
        report = report_of(pipeline, corpus, name, path, args.mode or modes, args.limit)
        scores = answer_scores(report) if name == "answer" else form_scores(report)
        print(f"\n\n{name}, {args.set}, {len(report.questions)} questions\n\n{table(scores)}\n\n{report.verdict}")
        if args.write:
            write_card(startup.registry.get(corpus.task(name).adapter).folder, args.set, scores)
        if args.reports:
            args.reports.mkdir(parents=True, exist_ok=True)
            (args.reports / f"tidewell-{name}.md").write_text(to_markdown(report), encoding="utf-8")
            (args.reports / f"tidewell-{name}.html").write_text(to_html(report), encoding="utf-8")
    pipeline.engine.close()


if __name__ == "__main__":
    main()
