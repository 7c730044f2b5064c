"""Choose the mode for each question by a rule fitted on a report: how well documents were found, or how long it is.

A rule is one threshold on one sign of the question, with a mode below it and a mode above it. More would fit noise: a
report has some hundreds of questions. Pure; knows no report and does not judge.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import product

from crossfade.evaluation.metrics import word_count

AUTO = "auto"
"""What a column is called whose mode is chosen for each question."""
CUTS = 9
"""Thresholds that are tried for each sign: the deciles."""


@dataclass(frozen=True, slots=True)
class Signs:
    """What is known of a question before it is answered: the score of the best passage, the lead of it, its words."""

    best_score: float
    lead: float
    words: float


SIGNS: Mapping[str, tuple[str, Callable[[Signs], float]]] = {
    "best_score": ("the best passage's score", lambda signs: signs.best_score),
    "lead": ("the best passage's lead over the next", lambda signs: signs.lead),
    "words": ("the question's words", lambda signs: signs.words),
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


def signs_of(question: str, scores: Sequence[float]) -> Signs:
    """The signs of a question whose passages have these scores, best first."""
    best = scores[0] if scores else 0.0
    return Signs(best, best - scores[1] if len(scores) > 1 else best, float(word_count(question)))


def fit(signs: Sequence[Signs], right: Mapping[str, Sequence[float]], tokens: Mapping[str, Sequence[float]]) -> Rule:
    """The rule with most right, of those the one with fewest tokens; a fixed mode unless a rule is better.

    Raises ValueError where there is no question or no mode.
    """
    if not signs or not right:
        raise ValueError("there is nothing to fit a rule on")
    columns = list(right)
    first = next(iter(SIGNS))

    def worth(rule: Rule) -> tuple[float, float]:
        chosen = [rule.choose(s) for s in signs]
        good = sum(right[name][n] for n, name in enumerate(chosen))
        return good, -sum(tokens[name][n] for n, name in enumerate(chosen))

    best = max((Rule(first, 0.0, name, name) for name in columns), key=worth)
    for sign, (_, value) in SIGNS.items():
        values = sorted(value(s) for s in signs)
        for cut in sorted({values[len(values) * k // (CUTS + 1)] for k in range(1, CUTS + 1)}):
            for below, above in product(columns, columns):
                rule = Rule(sign, cut, below, above)
                if below != above and worth(rule) > worth(best):
                    best = rule
    return best
