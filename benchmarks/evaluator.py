"""The evaluator judged on simulated modes of known quality, at full counts (the tests run smaller ones).

    python benchmarks/evaluator.py [--runs 1000] [--questions 300]

Two modes agree on 70% of the questions by nature; on the others each is right by a coin of its own. Where questions
share a document, one mode is better on it by what the document is. Prints a Markdown table: how often a winner is named
for equal modes, for a planted gain, for shuffled scores and on shared documents, and how far the bootstrap's standard
error is from the analytic one.
"""

from __future__ import annotations

import argparse
import math

import numpy as np

from crossfade.evaluation.statistics import bootstrap_means, differences, winners


def simulate(draw: np.random.Generator, count: int, gain: float) -> dict[str, list[float]]:
    """Two modes on the same questions, of which the first is better by `gain` on average."""
    shared, alike = draw.random(count) < 0.5, draw.random(count) < 0.7
    first, second = (np.where(alike, shared, draw.random(count) < 0.5 + part / 0.6) for part in (gain, -gain))
    return {"first": first.astype(float).tolist(), "second": second.astype(float).tolist()}


def clustered(draw: np.random.Generator, documents: int, each: int) -> tuple[dict[str, list[float]], list[str]]:
    """Two modes that are equal on average, on documents of so many questions, and the document of each question."""
    lean = draw.normal(0.0, 0.35, (documents, 1)) / 2
    first, second = (draw.random((documents, each)) < np.clip(0.5 + part, 0, 1) for part in (lean, -lean))
    right = {"first": first.astype(float).ravel().tolist(), "second": second.astype(float).ravel().tolist()}
    return right, [str(number // each) for number in range(documents * each)]


def shuffled(draw: np.random.Generator, right: dict[str, list[float]]) -> dict[str, list[float]]:
    """The same scores, dealt out to both modes anew."""
    mixed = draw.permutation([value for scores in right.values() for value in scores]).tolist()
    half = len(mixed) // 2
    return {"first": mixed[:half], "second": mixed[half:]}


def named(right: dict[str, list[float]]) -> bool:
    """Whether a winner is named, and it is the first."""
    return winners(right, differences(right)) == ["first"]


def alone(right: dict[str, list[float]], clusters: list[str] | None = None) -> bool:
    """Whether a winner is named, whichever it is."""
    return len(winners(right, differences(right, clusters))) == 1


def main() -> None:
    """Simulate and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=1000)
    parser.add_argument("--questions", type=int, default=300)
    args = parser.parse_args()
    draw, count, runs = np.random.default_rng(0), args.questions, args.runs
    none = sum(not alone(simulate(draw, count, 0.0)) for _ in range(runs)) / runs
    found = sum(named(simulate(draw, count, 0.15)) for _ in range(runs)) / runs
    mixed = sum(alone(shuffled(draw, simulate(draw, count, 0.3))) for _ in range(runs)) / runs
    shared = [clustered(draw, count // 6, 6) for _ in range(runs)]
    by_document = sum(not alone(*found) for found in shared) / runs
    by_question = sum(not alone(right) for right, _ in shared) / runs
    values = draw.random(count)
    error = bootstrap_means(values).std() / (values.std() / math.sqrt(count)) - 1
    print(f"| {runs} runs of {count} questions | measured | target |\n| --- | --- | --- |")
    print(f"| equal modes: no winner | {none:.1%} | at least 93% |")
    print(f"| a gain of 15 points is found | {found:.1%} | at least 90% |")
    print(f"| shuffled scores: a winner | {mixed:.1%} | about none |")
    print(f"| equal modes, six questions a document: no winner | {by_document:.1%} | at least 93% |")
    print(f"| the same, taken for independent | {by_question:.1%} | |")
    print(f"| bootstrap error against analytic | {error:+.2%} | within 2% |")


if __name__ == "__main__":
    main()
