"""Measure the three shipped adapters on the judging sets: every mode, greedy, and write the figures.

    python benchmarks/quality.py [--set eval|dev] [--task answer|voice|ticket] [--earlier] [--resume MODE] [--write]

Prints a Markdown table per task. `--write` puts the scores into each adapter's card.json. Scores: "right" means that
an accepted answer is contained in an answer of at most 30 words; intervals are 95%, paired bootstrap over questions.
`--earlier` asks each question of the answer task after another one and its answer, as in a conversation. Every answer
is kept in the cache folder; `--resume MODE` takes those of a mode from there, where they are whole, instead of asking.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np

from crossfade.compare import query_in_mode
from crossfade.corpora.registry import Task, read_rows
from crossfade.corpora.rules import Rules
from crossfade.evaluation.metrics import contains_answer, field_f1, is_refusal, json_complaint, parse_object
from crossfade.evaluation.style import broken_rules
from crossfade.pipeline import Pipeline
from crossfade.settings import Settings
from crossfade.startup import Startup
from crossfade.types import Query, Sampling, Turn

ANSWER_MODES = ("base", "icl", "rag", "fine-tune", "hybrid", "hybrid+icl")
FORM_MODES = ("base", "icl", "fine-tune")


def ask_all(
    pipeline: Pipeline, task: Task, questions: Sequence[str], mode: str, *, earlier: Sequence[tuple[Turn, ...]] = ()
) -> list[str]:
    """The greedy answers to the questions in a mode, with the task's own adapter where fine-tuning is on.

    As many are asked at once as the engine has slots: all have one adapter, so it computes them together. `earlier` has
    the turns before each question.
    """
    done = count(1)

    def ask(question: str, history: tuple[Turn, ...]) -> str:
        sampling = Sampling(max_new_tokens=task.max_new_tokens)
        query = Query(question, "tidewell", task.name, history=history, sampling=sampling)
        text = pipeline.ask(query_in_mode(query, mode, blend=((task.adapter, 1.0),))).generation.text
        print(f"\r{task.name} {mode} {next(done)}/{len(questions)}  ", end="", file=sys.stderr)
        return text

    with ThreadPoolExecutor(Settings.from_environment().slots) as pool:
        return list(pool.map(ask, questions, earlier or [()] * len(questions)))


def difference(better: Sequence[float], worse: Sequence[float]) -> tuple[float, float, float]:
    """Mean paired difference with its 95% interval by 10,000 bootstrap samples of the questions."""
    gaps = np.asarray(better, float) - np.asarray(worse, float)
    draws = np.random.default_rng(0).integers(0, len(gaps), (10_000, len(gaps)))
    low, high = np.quantile(gaps[draws].mean(axis=1), (0.025, 0.975))
    return float(gaps.mean()), float(low), float(high)


class Asking:
    """Asks a task's rows in one mode after another and keeps every answer, to read the errors and to resume."""

    def __init__(
        self, pipeline: Pipeline, task: Task, rows: list[dict[str, Any]], *, label: str, resume: Sequence[str] = ()
    ) -> None:
        self._pipeline, self._task, self.rows = pipeline, task, rows
        self._label, self._resume = label, resume

    def texts(self, mode: str, *, earlier: Sequence[tuple[Turn, ...]] = ()) -> list[str]:
        """The answers in a mode, in the order of the rows."""
        path = Settings.from_environment().home / "quality" / f"{self._label}-{self._task.name}-{mode}.jsonl"
        asked = [row.get("question") or row["message"] for row in self.rows]
        if mode in self._resume and path.is_file():
            kept = read_rows(path)
            if [row["asked"] for row in kept] == asked:
                return [row["text"] for row in kept]
        texts = ask_all(self._pipeline, self._task, asked, mode, earlier=earlier)
        path.parent.mkdir(parents=True, exist_ok=True)
        lines = [{"asked": q, "text": t, **row} for q, t, row in zip(asked, texts, self.rows, strict=True)]
        path.write_text("".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines), encoding="utf-8")
        return texts


def measure_answers(asking: Asking, modes: Sequence[str], *, earlier: bool = False) -> dict[str, Any]:
    """Right by split, refusals where they are due and where they are not, for every mode."""
    rows = asking.rows
    before = [(Turn(r["question"], (r["answers"] or ["The documents do not say."])[0]),) for r in rows]
    turns = [before[-1], *before[:-1]] if earlier else []
    splits = sorted({r["split"] for r in rows} - {"absent"})
    scores: dict[str, Any] = {}
    right: dict[str, dict[str, list[float]]] = {}
    for mode in modes:
        texts = asking.texts(mode, earlier=turns)
        pairs = list(zip(rows, texts, strict=True))
        right[mode] = {
            s: [float(contains_answer(t, r["answers"])) for r, t in pairs if r["split"] == s] for s in splits
        }
        scores[mode] = {s: round(float(np.mean(v)), 3) for s, v in right[mode].items()}
        scores[mode]["absent: said so"] = _share(is_refusal(t) for r, t in pairs if r["split"] == "absent")
        scores[mode]["said elsewhere"] = _share(is_refusal(t) for r, t in pairs if r["split"] != "absent")
    if {"hybrid", "rag"} <= set(modes):
        scores["hybrid minus rag"] = {
            s: [round(x, 3) for x in difference(right["hybrid"][s], right["rag"][s])] for s in splits
        }
    return scores


def measure_voice(asking: Asking, modes: Sequence[str], rules: Rules) -> dict[str, Any]:
    """The share of replies that keep all rules, and how often each rule is broken."""
    scores: dict[str, Any] = {}
    for mode in modes:
        broken = [broken_rules(text, rules) for text in asking.texts(mode)]
        scores[mode] = {"all rules kept": _share(not b for b in broken)}
        names = sorted({name for b in broken for name in b})
        scores[mode] |= {f"breaks {name}": _share(name in b for b in broken) for name in names}
    return scores


def measure_tickets(asking: Asking, modes: Sequence[str], schema: dict[str, Any]) -> dict[str, Any]:
    """Validity and field F1 without constrained decoding."""
    scores: dict[str, Any] = {}
    rows = asking.rows
    for mode in modes:
        texts = asking.texts(mode)
        objects = [parse_object(t) for t in texts]
        valid = [not json_complaint(t, schema) for t in texts]
        f1 = [field_f1(o, r["ticket"]) for o, r in zip(objects, rows, strict=True)]
        scores[mode] = {
            "parses": _share(o is not None for o in objects),
            "valid": _share(valid),
            "field F1": round(float(np.mean(f1)), 3),
        }
        for key in rows[0]["ticket"]:
            scores[mode][key] = _share(
                (o or {}).get(key, "-") == r["ticket"][key] for o, r in zip(objects, rows, strict=True)
            )
    return scores


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


def _share(values: Any) -> float:
    return round(float(np.mean([float(v) for v in values])), 3)


TASKS = {"answer": ("", ANSWER_MODES), "voice": ("_style", FORM_MODES), "ticket": ("_json", FORM_MODES)}
"""The ending of a task's set, and the modes that it is measured in."""


def main() -> None:
    """Parse the arguments, measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--set", default="eval", choices=["eval", "dev"])
    parser.add_argument("--task", action="append", choices=list(TASKS))
    parser.add_argument("--mode", action="append")
    parser.add_argument("--limit", type=int, default=0)
    parser.add_argument("--earlier", action="store_true")
    parser.add_argument("--resume", action="append", default=[], metavar="MODE")
    parser.add_argument("--write", action="store_true")
    args = parser.parse_args()
    startup = Startup(Settings.from_environment())
    pipeline = startup.run()
    corpus = startup.corpus("tidewell")
    for name in args.task or TASKS:
        suffix, modes = TASKS[name]
        task, chosen = corpus.task(name), args.mode or modes
        rows = read_rows(corpus.folder / f"{args.set}{suffix}.jsonl")
        rows = rows[:: max(1, len(rows) // args.limit)] if args.limit else rows
        label = f"{args.set}{'-earlier' if args.earlier else ''}"
        asking = Asking(pipeline, task, rows, label=label, resume=args.resume)
        if name == "answer":
            scores = measure_answers(asking, chosen, earlier=args.earlier)
        else:
            scores = (
                measure_voice(asking, chosen, task.rules or Rules())
                if name == "voice"
                else measure_tickets(asking, chosen, task.schema or {})
            )
        print(f"\n\n{name}, {label}, {len(rows)} rows\n\n{table(scores)}")
        if args.write:
            write_card(startup.registry.get(task.adapter).folder, label, scores)
    pipeline.engine.close()


if __name__ == "__main__":
    main()
