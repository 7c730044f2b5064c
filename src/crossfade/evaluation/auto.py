"""Choose the mode for each question by a rule fitted on a report: how well documents were found, or how long it is.

A rule is one threshold on one sign of the question, with a mode below it and a mode above it. More would fit noise: a
report has some hundreds of questions. Fitted on one half of the questions it is judged on the other; which half a
question is in is decided by its text, so that it never changes sides.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import product

from crossfade.evaluation.metrics import word_count
from crossfade.evaluation.questions import EvalQuestion
from crossfade.evaluation.scoring import Cell
from crossfade.evaluation.statistics import Difference, differences

CUTS = 9
"""Thresholds that are tried for each sign: the deciles."""
FEWEST = 15
"""Questions that each half must have: from fewer a rule is chance."""


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


@dataclass(frozen=True, slots=True)
class Judged:
    """A rule and how it did on the half that it was not fitted on, against the best fixed mode of the other half.

    `difference` has "auto" and the fixed mode's name, the better one first. Tokens are means in and out of an answer;
    `hybrid_tokens` is None where no hybrid was measured.
    """

    rule: Rule
    fixed: str
    difference: Difference
    auto_right: float
    fixed_right: float
    auto_tokens: float
    fixed_tokens: float
    hybrid_tokens: float | None
    chosen: Mapping[str, int]


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


def judge(questions: Sequence[EvalQuestion], grid: Mapping[str, Sequence[Cell | None]]) -> Judged | None:
    """Fit a rule on one half of a report's questions and judge it on the other.

    `grid` has a cell for each question by column. None where a half has fewer than FEWEST questions that every column
    scored.
    """
    rows = _rows(questions, grid)
    halves = [[row for row in rows if _half(row[0]) == side] for side in (0, 1)]
    if min(map(len, halves)) < FEWEST:
        return None
    names = list(grid)

    def columns(half: Sequence[_Row], value: Callable[[Cell], float]) -> dict[str, list[float]]:
        return {name: [value(cells[name]) for *_, cells in half] for name in names}

    fitted, judged = halves
    rule = fit([signs for _, signs, _ in fitted], columns(fitted, _right), columns(fitted, _tokens))
    in_fitted = columns(fitted, _right)
    fixed = max(names, key=lambda name: sum(in_fitted[name]))
    chosen = [rule.choose(signs) for _, signs, _ in judged]
    hybrids = [name for name in names if name.partition(" ")[0] == "hybrid"]
    right, tokens = columns(judged, _right), columns(judged, _tokens)
    auto = [right[name][n] for n, name in enumerate(chosen)]
    (difference,) = differences({"auto": auto, fixed: right[fixed]})

    def mean(values: Sequence[float]) -> float:
        return sum(values) / len(values)

    return Judged(
        rule=rule,
        fixed=fixed,
        difference=difference,
        auto_right=mean(auto),
        fixed_right=mean(right[fixed]),
        auto_tokens=mean([tokens[name][n] for n, name in enumerate(chosen)]),
        fixed_tokens=mean(tokens[fixed]),
        hybrid_tokens=mean([value for name in hybrids for value in tokens[name]]) if hybrids else None,
        chosen={name: chosen.count(name) for name in names if name in chosen},
    )


_Row = tuple[EvalQuestion, Signs, dict[str, Cell]]


def _rows(questions: Sequence[EvalQuestion], grid: Mapping[str, Sequence[Cell | None]]) -> list[_Row]:
    """The questions that every mode scored, with their signs and cells."""
    rows = []
    for number, question in enumerate(questions):
        cells = {name: cell for name, found in grid.items() if (cell := found[number])}
        if len(cells) < len(grid) or any(c.score.right is None or c.result.error for c in cells.values()):
            continue
        scores = next(([p.score for p in cell.result.passages] for cell in cells.values() if cell.result.passages), [])
        rows.append((question, signs_of(question.text, scores), cells))
    return rows


def _half(question: EvalQuestion) -> int:
    return hashlib.sha256(question.text.encode()).digest()[0] % 2


def _right(cell: Cell) -> float:
    return float(bool(cell.score.right))


def _tokens(cell: Cell) -> float:
    return float(cell.result.prompt_tokens + cell.result.new_tokens)
