"""Choose the mode for each question by a rule fitted on a report: how well documents were found, or what it asks.

A rule is one threshold on one sign of the question, with a mode below it and a mode above it. More would fit noise: a
report has some hundreds of questions. Pure; knows no report and does not judge.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from crossfade.evaluation.metrics import word_count

AUTO = "auto"
"""What a column is called whose mode is chosen for each question."""
CUTS = 9
"""Thresholds that are tried for each sign: the deciles."""
_AMOUNT = re.compile(
    r"\bhow (?:much|many|long|often|far|old|soon|late|early|high|low|large)\b|\bwhen\b|\bwhat (?:time|date|day|year)\b"
    r"|多少|多久|多长|多大|几|何时|什么时候",
    re.IGNORECASE,
)
_YES_OR_NO = re.compile(
    r"\s*(?:is|are|was|were|do|does|did|can|could|may|must|will|would|shall|should|has|have|am)\b|.*(?:吗|是否|能否|可否)",
    re.IGNORECASE,
)


class Scored(Protocol):
    """What retrieval tells of a passage: its fused score, and its cosine with the question where it is known."""

    @property
    def score(self) -> float:
        """At most 1."""

    @property
    def dense(self) -> float | None:
        """The cosine."""


@dataclass(frozen=True, slots=True)
class Signs:
    """What is known of a question before it is answered: how its passages scored, its words, its kind (1 or 0)."""

    best_score: float
    lead: float
    words: float
    nearness: float = 0.0
    amount: float = 0.0
    yes_or_no: float = 0.0


SIGNS: Mapping[str, tuple[str, Callable[[Signs], float]]] = {
    "best_score": ("the best passage's score", lambda signs: signs.best_score),
    "lead": ("the best passage's lead over the next", lambda signs: signs.lead),
    "words": ("the question's words", lambda signs: signs.words),
    "nearness": ("the nearest passage's cosine", lambda signs: signs.nearness),
    "amount": ("whether it asks how much or when (1 if so)", lambda signs: signs.amount),
    "yes_or_no": ("whether it asks yes or no (1 if so)", lambda signs: signs.yes_or_no),
}


@dataclass(frozen=True, slots=True)
class Rule:
    """Below the threshold of a sign one column, from it on the other; the same twice is a fixed mode."""

    sign: str
    threshold: float
    below: str
    above: str

    def choose(self, signs: Signs) -> str:
        """The column for a question."""
        return self.above if SIGNS[self.sign][1](signs) >= self.threshold else self.below

    def why(self, signs: Signs) -> str:
        """Which column and why, in a sentence."""
        if self.below == self.above:
            return f"{self.above}: no sign of a question told when another mode is better."
        value, words = SIGNS[self.sign][1](signs), SIGNS[self.sign][0]
        side = "at least" if value >= self.threshold else "below"
        return f"{self.choose(signs)}: {words}, {value:.3g}, is {side} {self.threshold:.3g}."


def signs_of(question: str, passages: Sequence[Scored]) -> Signs:
    """The signs of a question with these passages, best first."""
    best, second = ([passage.score for passage in passages[:2]] + [0.0, 0.0])[:2]
    return Signs(
        best_score=best,
        lead=best - second,
        words=float(word_count(question)),
        nearness=max((passage.dense for passage in passages if passage.dense is not None), default=0.0),
        amount=float(bool(_AMOUNT.search(question))),
        yes_or_no=float(bool(_YES_OR_NO.match(question))),
    )


def fit(signs: Sequence[Signs], right: Mapping[str, Sequence[float]], tokens: Mapping[str, Sequence[float]]) -> Rule:
    """The rule with most right, of those the one with fewest tokens; a fixed mode unless a rule is better.

    Raises ValueError where there is no question or no mode.
    """
    if not signs or not right:
        raise ValueError("there is nothing to fit a rule on")
    columns = list(right)

    def best_of(numbers: Sequence[int]) -> tuple[str, float, float]:
        """The best column for some of the questions, how many it has right, and its tokens, less being more."""
        told = [(n, sum(right[n][i] for i in numbers), -sum(tokens[n][i] for i in numbers)) for n in columns]
        return max(told, key=lambda column: column[1:])

    name, *worth = best_of(range(len(signs)))
    best = Rule(next(iter(SIGNS)), 0.0, name, name)
    for sign, (_, value) in SIGNS.items():
        values = [value(s) for s in signs]
        deciles = {sorted(values)[len(values) * k // (CUTS + 1)] for k in range(1, CUTS + 1)}
        for cut in sorted(deciles):
            below, low_right, low_tokens = best_of([i for i, v in enumerate(values) if v < cut])
            above, high_right, high_tokens = best_of([i for i, v in enumerate(values) if v >= cut])
            found = [low_right + high_right, low_tokens + high_tokens]
            if below != above and found > worth:
                best, worth = Rule(sign, cut, below, above), found
    return best
