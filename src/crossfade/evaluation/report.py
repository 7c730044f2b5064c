"""What a run shows: modes with intervals, pairs with a verdict, causes of errors, what each switch fixed and broke.

A report is plain data, made of a run once; the exports and the advisor read nothing else. Knows no engine.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import repeat
from typing import Any

from crossfade.corpora.rules import Rules
from crossfade.evaluation.auto import AUTO
from crossfade.evaluation.crossfit import FEWEST, Judged, auto_cells, judge
from crossfade.evaluation.figures import ModeFigures, clusters_of, figures_of, how_tested
from crossfade.evaluation.judge import NAME as JUDGE
from crossfade.evaluation.prices import Prices
from crossfade.evaluation.questions import EvalQuestion
from crossfade.evaluation.results import Result
from crossfade.evaluation.run import Column, Run
from crossfade.evaluation.scoring import Cell, score
from crossfade.evaluation.statistics import Difference, Estimate, differences, estimate, winners
from crossfade.types import mode_name

VERSION = 1
"""Of the report's form in JSON."""


@dataclass(frozen=True, slots=True)
class Effect:
    """What a switch changed between two columns that differ by it alone: the ids of the questions fixed and broken."""

    switch: str
    without: str
    having: str
    fixed: tuple[str, ...]
    broke: tuple[str, ...]


@dataclass(frozen=True)
class Report:
    """A run, scored. `about` says what was measured and when, for people and to compare two reports.

    `grid` has, for each column's name, a cell for each question, None where the run was cancelled before it. Modes are
    compared on the questions that all of them answered: `compared` has the share right by column, and `pairs`, `best`
    and the verdict rest on it. `auto` is the rule that would choose a column for each question, judged; None with one
    column or too few questions. Where auto was asked for, it is one of the `modes` and has its cells in the `grid`.
    `tested` says what the p-values of the pairs take for granted.
    """

    about: Mapping[str, Any]
    questions: tuple[EvalQuestion, ...]
    grid: Mapping[str, tuple[Cell | None, ...]]
    modes: tuple[ModeFigures, ...]
    pairs: tuple[Difference, ...]
    best: tuple[str, ...]
    effects: tuple[Effect, ...]
    compared: Mapping[str, Estimate]
    auto: Judged | None = None
    tested: str = ""

    @property
    def verdict(self) -> str:
        """One or two sentences: the winner, or what cannot be told apart and how many questions would settle it."""
        return verdict(self)


def build_report(
    run: Run,
    *,
    about: Mapping[str, Any],
    schema: Mapping[str, Any] | None = None,
    rules: Rules | None = None,
    form: str = "json",
    prices: Prices | None = None,
    training_seconds: Mapping[str, float] | None = None,
    verdicts: Mapping[str, Sequence[bool | None]] | None = None,
    auto: bool = False,
    passages: int | None = None,
) -> Report:
    """Score a run. `schema`, `rules` and `form` are the task's, `verdicts` a judge's, `training_seconds` by adapter.

    `passages` is how many were asked for of each question.
    With `auto` the choosing of a mode for each question is a column too, where there are questions enough to judge it.
    """
    labels = sorted({q.label for q in run.questions if q.label})

    def made(question: EvalQuestion, result: Result | None, verdict: bool | None, rag: bool) -> Cell | None:
        if result is None:
            return None
        scored = score(
            question, result, labels=labels, schema=schema, rules=rules, form=form, rag=rag, passages=passages
        )
        if verdict is not None:
            scored = replace(scored, values={**scored.values, JUDGE: float(verdict)})
        return Cell(result, scored)

    none: list[bool | None] = [None] * len(run.questions)
    with_rag = {column.name: column.switches[1] for column in run.columns}
    grid = {
        name: tuple(map(made, run.questions, results, (verdicts or {}).get(name, none), repeat(with_rag[name])))
        for name, results in run.results.items()
    }
    judged = judge(run.questions, grid) if len(grid) > 1 else None
    columns, about = run.columns, dict(about)
    if auto and judged:
        columns = (*columns, _auto_column(columns, judged))
        grid[AUTO] = auto_cells(judged, grid)
    elif auto:
        about[AUTO] = f"not judged: each half needs {FEWEST} questions that every mode scored"
    whole = [
        number
        for number in range(len(run.questions))
        if all((cell := cells[number]) and cell.scored for cells in grid.values())
    ]
    right = {name: [float(bool(_cell(cells, n).score.right)) for n in whole] for name, cells in grid.items()}
    clusters = clusters_of([run.questions[n] for n in whole])
    pairs = differences(right, clusters) if whole else []
    figures = tuple(
        figures_of(column, run.questions, grid[column.name], labels, prices or Prices(), training_seconds or {})
        for column in columns
    )
    return Report(
        about=about,
        questions=run.questions,
        grid=grid,
        modes=figures,
        pairs=tuple(pairs),
        best=tuple(winners(right, pairs)) if whole else (),
        compared={name: estimate(scores, clusters) for name, scores in right.items()} if whole else {},
        effects=tuple(_effects(run, grid)),
        auto=judged,
        tested=how_tested([run.questions[n] for n in whole]) if pairs else "",
    )


def _auto_column(columns: Sequence[Column], judged: Judged) -> Column:
    """Auto has the adapters of every column that it chooses: all have to be there."""
    blends = [column.blend for column in columns if column.name in judged.choices and column.switches[0]]
    return Column(AUTO, AUTO, tuple(dict.fromkeys(part for blend in blends for part in blend)))


def _cell(cells: Sequence[Cell | None], number: int) -> Cell:
    cell = cells[number]
    assert cell is not None
    return cell


def _effects(run: Run, grid: Mapping[str, Sequence[Cell | None]]) -> list[Effect]:
    """Every two columns between which one switch alone is turned on."""
    found = []
    for having in run.columns:
        switches = having.switches
        for index, switch in enumerate(("the adapter", "RAG", "ICL")):
            if not switches[index]:
                continue
            fine_tune, rag, icl = (on and i != index for i, on in enumerate(switches))
            wanted = mode_name(fine_tune=fine_tune, rag=rag, icl=icl)
            for without in run.columns:
                if without.mode != wanted or (fine_tune and without.blend != having.blend):
                    continue
                changed = [
                    (q.id, bool(a.score.right), bool(b.score.right))
                    for q, a, b in zip(run.questions, grid[without.name], grid[having.name], strict=True)
                    if a and b and a.scored and b.scored
                ]
                fixed = tuple(name for name, before, after in changed if after and not before)
                broke = tuple(name for name, before, after in changed if before and not after)
                found.append(Effect(switch, without.name, having.name, fixed, broke))
    return found


def verdict(report: Report) -> str:
    """The winner, or what the evidence cannot tell apart and how many questions more would settle it."""
    return " ".join(verdicts(report))


def verdicts(report: Report) -> list[str]:
    """The verdict, and where questions failed, a second sentence on them."""
    failed = [f"{figures.column.name} {figures.failed}" for figures in report.modes if figures.failed]
    note = f"Failed: {', '.join(failed)}; left out, and asked again by the next run."
    return [_verdict(report), *([note] if failed else [])]


def _verdict(report: Report) -> str:
    scores = report.compared
    if not report.best:
        if any(figures.right or figures.failed for figures in report.modes):
            return "No question was answered by every mode yet. Run it again: it goes on where it was."
        return "Nothing could be scored: questions need answers, labels, objects, a schema or rules to compare with."
    best = report.best[0]
    top = scores[best]
    told = f"{best} is right in {top.mean:.0%} [{top.low:.0%}, {top.high:.0%}] of {top.n} questions"
    if any(cell is None for cells in report.grid.values() for cell in cells):
        told = f"{told} that every mode has answered so far"
    if len(scores) == 1:
        return f"{told}. With one mode there is nothing to compare."
    if len(report.best) == 1:
        second = next(d for d in report.pairs if d.first == best)
        for d in report.pairs:
            if d.first == best and d.estimate.mean < second.estimate.mean:
                second = d
        e = second.estimate
        return (
            f"{told}, and better than every other mode: than the next, {second.second}, by {100 * e.mean:.0f} points "
            f"[{100 * e.low:.0f}, {100 * e.high:.0f}]."
        )
    others = ", ".join(report.best[1:])
    close = [d for d in report.pairs if d.first == best and d.second in report.best]
    more = [d.more for d in close if d.more]
    needed = (
        f"About {_rounded(max(more)):,} more questions would settle differences of the size seen"
        if more
        else "No difference was seen that more questions could settle"
    )
    fixed = [name for name in report.best if name != AUTO]  # auto's seconds leave out what choosing takes
    cheapest = min(fixed, key=lambda name: next(f.seconds for f in report.modes if f.column.name == name))
    return f"No winner: {told}, and cannot be told from {others}. {needed}; until then {cheapest} costs least time."


def _rounded(number: int) -> int:
    """To two digits: more would claim to be known."""
    step = int(10 ** max(0, len(str(number)) - 2))
    return -(-number // step) * step


def as_json(report: Report) -> dict[str, Any]:
    """The whole report as plain values."""
    return {
        "version": VERSION,
        "about": dict(report.about),
        "verdict": report.verdict,
        "best": list(report.best),
        "modes": [asdict(figures) for figures in report.modes],
        "compared": {name: asdict(found) for name, found in report.compared.items()},
        "pairs": [{**asdict(d), "settled": d.settled} for d in report.pairs],
        "tested": report.tested,
        "effects": [asdict(effect) for effect in report.effects],
        "auto": asdict(report.auto) if report.auto else None,
        "questions": [asdict(question) for question in report.questions],
        "grid": {
            name: [cell and {"state": cell.state, **asdict(cell)} for cell in cells]
            for name, cells in report.grid.items()
        },
    }
