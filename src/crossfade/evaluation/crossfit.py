"""Judge the choosing of a mode for each question, never by a rule that the question helped to fit.

A rule fitted on one half of the questions is judged on the other, and the other way round (cross-fitting with two
folds). Which half a question is in is decided by its text, so that it never changes sides. Pure; nothing is asked
again: what auto would have answered is what the chosen column did.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from crossfade.evaluation.auto import AUTO, Rule, Signs, fit, signs_of
from crossfade.evaluation.figures import clusters_of
from crossfade.evaluation.questions import EvalQuestion
from crossfade.evaluation.scoring import Cell
from crossfade.evaluation.statistics import Difference, differences

FEWEST = 15
"""Questions that each half must have: from fewer a rule is chance."""


@dataclass(frozen=True, slots=True)
class Judged:
    """A rule fitted on all questions, and how rules fitted on halves did against the best fixed mode of all.

    `difference` has "auto" and the fixed mode's name, the better one first. Tokens are means in and out of an answer;
    `hybrid_tokens` is None where no hybrid was measured. `chosen` counts the questions by column, `choices` has the
    column for each question of the report, those that were not scored too. That the fixed mode is chosen on the
    questions on which it is judged, and auto is not, favours the fixed mode.
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
    choices: tuple[str, ...] = ()


def judge(questions: Sequence[EvalQuestion], grid: Mapping[str, Sequence[Cell | None]]) -> Judged | None:
    """Fit a rule on each half of a report's questions and judge it on the other.

    `grid` has a cell for each question by column. None where a half has fewer than FEWEST questions that every column
    scored.
    """
    rows = _rows(questions, grid)
    halves = [[row for row in rows if row.scored and row.half == side] for side in (0, 1)]
    if min(map(len, halves)) < FEWEST:
        return None
    names = list(grid)
    rules = [_fitted(half, names) for half in halves]
    choices = [rules[1 - row.half].choose(row.signs) for row in rows]
    scored = [row for row in rows if row.scored]
    chosen = [name for row, name in zip(rows, choices, strict=True) if row.scored]
    right, tokens = _by_column(scored, names, _right), _by_column(scored, names, _tokens)
    fixed = max(names, key=lambda name: (sum(right[name]), -sum(tokens[name])))
    auto = [right[name][n] for n, name in enumerate(chosen)]
    clusters = clusters_of([row.question for row in scored])
    (difference,) = differences({AUTO: auto, fixed: right[fixed]}, clusters)
    hybrids = [name for name in names if name.partition(" ")[0] == "hybrid"]
    return Judged(
        rule=_fitted(scored, names),
        fixed=fixed,
        difference=difference,
        auto_right=_mean(auto),
        fixed_right=_mean(right[fixed]),
        auto_tokens=_mean([tokens[name][n] for n, name in enumerate(chosen)]),
        fixed_tokens=_mean(tokens[fixed]),
        hybrid_tokens=_mean([value for name in hybrids for value in tokens[name]]) if hybrids else None,
        chosen={name: chosen.count(name) for name in names if name in chosen},
        choices=tuple(choices),
    )


def auto_cells(judged: Judged, grid: Mapping[str, Sequence[Cell | None]]) -> tuple[Cell | None, ...]:
    """The column of auto: for each question the cell of the column that was chosen for it.

    Its seconds leave out the retrieval that choosing takes where the chosen mode has none.
    """
    return tuple(grid[name][number] for number, name in enumerate(judged.choices))


@dataclass(frozen=True, slots=True)
class _Row:
    """A question's signs and cells; `scored` where every column scored it."""

    question: EvalQuestion
    half: int
    signs: Signs
    cells: Mapping[str, Cell]
    scored: bool


def _rows(questions: Sequence[EvalQuestion], grid: Mapping[str, Sequence[Cell | None]]) -> list[_Row]:
    rows = []
    for number, question in enumerate(questions):
        cells = {name: cell for name, found in grid.items() if (cell := found[number])}
        scored = len(cells) == len(grid) and all(cell.scored for cell in cells.values())
        passages = next((cell.result.passages for cell in cells.values() if cell.result.passages), ())
        half = hashlib.sha256(question.text.encode()).digest()[0] % 2
        rows.append(_Row(question, half, signs_of(question.text, passages), cells, scored))
    return rows


def _fitted(rows: Sequence[_Row], names: Sequence[str]) -> Rule:
    return fit([row.signs for row in rows], _by_column(rows, names, _right), _by_column(rows, names, _tokens))


def _by_column(rows: Sequence[_Row], names: Sequence[str], value: Callable[[Cell], float]) -> dict[str, list[float]]:
    return {name: [value(row.cells[name]) for row in rows] for name in names}


def _right(cell: Cell) -> float:
    return float(bool(cell.score.right))


def _tokens(cell: Cell) -> float:
    return float(cell.result.prompt_tokens + cell.result.new_tokens)


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)
