"""Precision and recall of the rule for "a passage supports this sentence", on sentences of our own over Tidewell.

    python benchmarks/support.py [--show]

Each row of `support.jsonl` is a sentence, the question it answers, a passage by document and heading, whether the
passage supports it, and what makes it hard. The rule's settings were chosen on the half whose sentences have an even
hash; the other half is what counts. `--show` lists what the rule gets wrong in it.
"""

from __future__ import annotations

import argparse
import hashlib
import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from statistics import NormalDist
from typing import Any

from crossfade.corpora.registry import read_corpus
from crossfade.evaluation.support import check
from crossfade.retrieval import Recipe, split
from crossfade.types import Passage

HERE = Path(__file__).parent


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--show", action="store_true")
    args = parser.parse_args()
    passages = read_passages()
    rows = [json.loads(line) for line in (HERE / "support.jsonl").read_text(encoding="utf-8").splitlines()]
    for name, half in (("choosing", 0), ("reported", 1)):
        mine = [row for row in rows if half_of(row["sentence"]) == half]
        told = [(row, says_supported(row, passages)) for row in mine]
        report(name, told)
        if half:
            kinds = Counter(row["kind"] for row, _ in told)
            right = Counter(row["kind"] for row, held in told if held == row["supported"])
            print("\n".join(f"  {kind}: {right[kind]} of {number} right" for kind, number in kinds.items()))
            for row, held in told if args.show else []:
                if held != row["supported"]:
                    print(f"  {'wrongly supported' if held else 'missed'}: {row['sentence']} ({row['question']})")


def half_of(sentence: str) -> int:
    """0 for the half on which settings are chosen, 1 for the one that is reported."""
    return int(hashlib.sha256(sentence.encode()).hexdigest(), 16) % 2


def read_passages() -> dict[tuple[str, str], Passage]:
    """The passages of the corpus as they are indexed, by document and heading."""
    corpus = read_corpus(HERE.parent / "corpora", "tidewell")
    found = [passage for document in corpus.documents for passage in split(document, size=Recipe().size)]
    return {(passage.document, passage.heading): passage for passage in found}


def says_supported(row: dict[str, Any], passages: dict[tuple[str, str], Passage]) -> bool:
    """Whether the rule takes the row's sentence for supported; what it cannot check, it does not."""
    checked = check(row["sentence"], [passages[row["document"], row["heading"]]], row["question"])
    return bool(checked) and all(one.passage is not None for one in checked)


def report(name: str, told: Sequence[tuple[dict[str, Any], bool]]) -> None:
    """Print precision and recall with their counts and 95% intervals (Wilson)."""
    both = sum(held and row["supported"] for row, held in told)
    for measure, among in (
        ("precision", sum(held for _, held in told)),
        ("recall", sum(row["supported"] for row, _ in told)),
    ):
        low, high = wilson(both, among)
        print(
            f"{name}, {len(told)} sentences: {measure} {both / among:.3f} ({both} of {among}) [{low:.3f}, {high:.3f}]"
        )


def wilson(count: int, among: int) -> tuple[float, float]:
    """The 95% score interval of a share. Wilson, Probable inference (JASA 1927)."""
    z = NormalDist().inv_cdf(0.975)
    share, spread = count / among, z * z / among
    middle = share + spread / 2
    half = z * (share * (1 - share) / among + spread / (4 * among)) ** 0.5
    return (middle - half) / (1 + spread), (middle + half) / (1 + spread)


if __name__ == "__main__":
    main()
