"""What a run shows: modes with intervals, pairs with a verdict, causes of errors, what each switch fixed and broke.

A report is plain data, made of a run once; the exports and the advisor read nothing else. Knows no engine.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import repeat
from typing import Any

from crossfade.corpora.rules import Rules
from crossfade.evaluation.auto import Judged, judge
from crossfade.evaluation.judge import NAME as JUDGE
from crossfade.evaluation.prices import Prices
from crossfade.evaluation.questions import EvalQuestion
from crossfade.evaluation.results import Result
from crossfade.evaluation.run import Column, Run
from crossfade.evaluation.scoring import Cell, label_scores, score
from crossfade.evaluation.statistics import Difference, Estimate, differences, estimate, winners
from crossfade.types import mode_name, mode_switches

VERSION = 1
"""Of the report's form in JSON."""
FEWEST_CLUSTERS = 10
"""Documents that a set of questions must rest on for whole documents to be drawn."""


@dataclass(frozen=True, slots=True)
class ModeFigures:
    """What one column scored and cost. `right` is None where no question can be scored.

    `scores` are means with intervals by name, each over the questions to which it applies. Tokens and seconds are means
    of an answer, failures left out; `machine_seconds` are the seconds shared by those that were asked at once, `money`
    is for 1,000 answers; `training_seconds` are those of its adapters, once.
    """

    column: Column
    right: Estimate | None
    scores: Mapping[str, Estimate]
    labels: Mapping[str, float]
    causes: Mapping[str, int]
    answered: int
    failed: int
    prompt_tokens: float
    cached_tokens: float | None
    new_tokens: float
    seconds_to_first: float
    seconds: float
    machine_seconds: float
    money: float
    training_seconds: float


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
    and the verdict rest on it. `auto` is
    the rule that would choose a column for each question, judged; None with one column or too few questions.
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
    prices: Prices | None = None,
    training_seconds: Mapping[str, float] | None = None,
    verdicts: Mapping[str, Sequence[bool | None]] | None = None,
) -> Report:
    """Score a run. `schema` and `rules` are the task's, `training_seconds` are by adapter, `verdicts` a judge's."""
    labels = sorted({q.label for q in run.questions if q.label})

    def made(question: EvalQuestion, result: Result | None, verdict: bool | None, rag: bool) -> Cell | None:
        if result is None:
            return None
        scored = score(question, result, labels=labels, schema=schema, rules=rules, rag=rag)
        if verdict is not None:
            scored = replace(scored, values={**scored.values, JUDGE: float(verdict)})
        return Cell(result, scored)

    none: list[bool | None] = [None] * len(run.questions)
    with_rag = {column.name: (mode_switches(column.mode) or (False, False, False))[1] for column in run.columns}
    grid = {
        name: tuple(map(made, run.questions, results, (verdicts or {}).get(name, none), repeat(with_rag[name])))
        for name, results in run.results.items()
    }
    whole = [
        number
        for number in range(len(run.questions))
        if all(
            (cell := cells[number]) and cell.score.right is not None and not cell.result.error
            for cells in grid.values()
        )
    ]
    right = {name: [float(bool(_cell(cells, n).score.right)) for n in whole] for name, cells in grid.items()}
    clusters = _clusters([run.questions[n] for n in whole])
    pairs = differences(right, clusters) if whole else []
    figures = tuple(
        _figures(column, run.questions, grid[column.name], labels, prices or Prices(), training_seconds or {})
        for column in run.columns
    )
    return Report(
        about=dict(about),
        questions=run.questions,
        grid=grid,
        modes=figures,
        pairs=tuple(pairs),
        best=tuple(winners(right, pairs)) if whole else (),
        compared={name: estimate(scores, clusters) for name, scores in right.items()} if whole else {},
        effects=tuple(_effects(run, grid)),
        auto=judge(run.questions, grid) if len(grid) > 1 else None,
    )


def _cell(cells: Sequence[Cell | None], number: int) -> Cell:
    cell = cells[number]
    assert cell is not None
    return cell


def _clusters(questions: Sequence[EvalQuestion]) -> list[str] | None:
    """The first gold document of each question, or the question alone.

    None where no two share a document, and where the documents are too few to draw from: a bootstrap of one or two
    would call the figure certain.
    """
    names = [q.documents[0] if q.documents else f"\0{q.id}" for q in questions]
    documents = {q.documents[0] for q in questions if q.documents}
    return names if len(documents) >= FEWEST_CLUSTERS and len(set(names)) < len(names) else None


def _figures(
    column: Column,
    questions: Sequence[EvalQuestion],
    cells: Sequence[Cell | None],
    labels: Sequence[str],
    prices: Prices,
    training: Mapping[str, float],
) -> ModeFigures:
    there = [(q, cell) for q, cell in zip(questions, cells, strict=True) if cell]
    known = [cell for _, cell in there if cell.score.right is not None]
    scored = [(q, cell) for q, cell in there if cell.score.right is not None and not cell.result.error]
    good = [cell.result for _, cell in there if not cell.result.error]
    names = dict.fromkeys(name for _, cell in there for name in cell.score.values)

    def mean_of(name: str) -> Estimate:
        found = [(q, cell.score.values[name]) for q, cell in there if name in cell.score.values]
        if name.startswith("breaks "):
            found = [(q, cell.score.values.get(name, 0.0)) for q, cell in there if not cell.result.error]
        return estimate([value for _, value in found], _clusters([q for q, _ in found]))

    def mean(values: Sequence[float]) -> float:
        return sum(values) / len(values) if values else 0.0

    cached = [float(r.cached_tokens) for r in good if r.cached_tokens is not None]
    prompt = mean([float(r.prompt_tokens) for r in good])
    machine = mean([r.seconds / r.at_once for r in good])
    new = mean([float(r.new_tokens) for r in good])
    fine_tuned = (mode_switches(column.mode) or (False,))[0]
    trained = sum(training.get(name, 0.0) for name, _ in column.blend) if fine_tuned else 0.0
    money = prices.of(seconds=machine, prompt=prompt, cached=mean(cached), new=new)
    if prices.spread:
        money += prices.of(seconds=trained / prices.spread, prompt=0.0, cached=0.0, new=0.0)
    labelled = [(q, cell.result) for q, cell in there if q.label]
    return ModeFigures(
        column=column,
        right=estimate([float(bool(c.score.right)) for _, c in scored], _clusters([q for q, _ in scored]))
        if scored
        else None,
        scores={name: mean_of(name) for name in names},
        labels=label_scores(labelled, labels) if labelled else {},
        causes=dict(Counter(cell.score.cause for cell in known if cell.score.cause).most_common()),
        answered=len(good),
        failed=len(there) - len(good),
        prompt_tokens=prompt,
        cached_tokens=mean(cached) if cached else None,
        new_tokens=new,
        seconds_to_first=mean([r.seconds_to_first for r in good]),
        seconds=mean([r.seconds for r in good]),
        machine_seconds=machine,
        money=1000 * money,
        training_seconds=trained,
    )


def _effects(run: Run, grid: Mapping[str, Sequence[Cell | None]]) -> list[Effect]:
    """Every two columns between which one switch alone is turned on."""
    found = []
    for having in run.columns:
        switches = mode_switches(having.mode) or (False, False, False)
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
                    if a and b and a.score.right is not None and b.score.right is not None
                ]
                fixed = tuple(name for name, before, after in changed if after and not before)
                broke = tuple(name for name, before, after in changed if before and not after)
                found.append(Effect(switch, without.name, having.name, fixed, broke))
    return found


def verdict(report: Report) -> str:
    """The winner, or what the evidence cannot tell apart and how many questions more would settle it."""
    failed = [f"{figures.failed} of {figures.column.name}" for figures in report.modes if figures.failed]
    note = f" {', '.join(failed)} failed: they are left out, and asked again by the next run." if failed else ""
    return _verdict(report) + note


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
        told += " that every mode has answered so far"
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
    cheapest = min(report.best, key=lambda name: next(f.seconds for f in report.modes if f.column.name == name))
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
        "effects": [asdict(effect) for effect in report.effects],
        "auto": asdict(report.auto) if report.auto else None,
        "questions": [asdict(question) for question in report.questions],
        "grid": {
            name: [cell and {"state": cell.state, **asdict(cell)} for cell in cells]
            for name, cells in report.grid.items()
        },
    }
