"""What one mode scored and cost over the questions of a run. Pure; knows nothing of the other modes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from crossfade.evaluation.auto import AUTO
from crossfade.evaluation.prices import Prices
from crossfade.evaluation.questions import EvalQuestion
from crossfade.evaluation.run import Column
from crossfade.evaluation.scoring import Cell, label_scores
from crossfade.evaluation.statistics import Estimate, estimate

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


def clusters_of(questions: Sequence[EvalQuestion]) -> list[str] | None:
    """The first gold document of each question, or the question alone.

    None where no two share a document, and where the documents are too few to draw from: a bootstrap of one or two
    would call the figure certain.
    """
    return clusters_among([(q.id, q.documents) for q in questions])


def clusters_among(questions: Sequence[tuple[str, Sequence[str]]]) -> list[str] | None:
    """The same of ids with their gold documents."""
    names, documents, shared = _documents(questions)
    return names if shared and documents >= FEWEST_CLUSTERS else None


def how_tested(questions: Sequence[EvalQuestion]) -> str:
    """What the p-values of these questions take for granted, in a sentence or two."""
    names, documents, shared = _documents([(q.id, q.documents) for q in questions])
    if not shared:
        return "p is of McNemar's exact test, which takes the questions for independent: none shares its document."
    if documents >= FEWEST_CLUSTERS:
        return (
            "p is of an exact sign test of whole documents, for questions of one document are not independent: these "
            f"are {len(names)} questions of {len(set(names))} documents, one without a document counting as its own."
        )
    return (
        f"p is of McNemar's exact test, which takes the questions for independent. They are not: many rest on the same "
        f"of {documents} documents, fewer than the {FEWEST_CLUSTERS} from which whole documents can be drawn. So p and "
        "the intervals are surer than they should be; ask about more documents."
    )


def _documents(questions: Sequence[tuple[str, Sequence[str]]]) -> tuple[list[str], int, bool]:
    """The cluster of each question, how many documents there are, and whether any two questions share one."""
    names = [documents[0] if documents else f"\0{name}" for name, documents in questions]
    return names, len({documents[0] for _, documents in questions if documents}), len(set(names)) < len(names)


def figures_of(
    column: Column,
    questions: Sequence[EvalQuestion],
    cells: Sequence[Cell | None],
    labels: Sequence[str],
    prices: Prices,
    training: Mapping[str, float],
) -> ModeFigures:
    """The figures of one column's cells. `labels` are all of the set, `training` has seconds by adapter."""
    there = [(q, cell) for q, cell in zip(questions, cells, strict=True) if cell]
    known = [cell for _, cell in there if cell.score.right is not None]
    scored = [(q, cell) for q, cell in there if cell.scored]
    good = [cell.result for _, cell in there if not cell.result.error]
    names = dict.fromkeys(name for _, cell in there for name in cell.score.values)

    def mean_of(name: str) -> Estimate:
        found = [(q, cell.score.values[name]) for q, cell in there if name in cell.score.values]
        if name.startswith("breaks "):
            found = [(q, cell.score.values.get(name, 0.0)) for q, cell in there if not cell.result.error]
        return estimate([value for _, value in found], clusters_of([q for q, _ in found]))

    def mean(values: Sequence[float]) -> float:
        return sum(values) / len(values) if values else 0.0

    cached = [float(r.cached_tokens) for r in good if r.cached_tokens is not None]
    prompt = mean([float(r.prompt_tokens) for r in good])
    machine = mean([r.seconds / r.at_once for r in good])
    new = mean([float(r.new_tokens) for r in good])
    adapters = {name for name, _ in column.blend} if column.switches[0] or column.mode == AUTO else ()
    trained = sum((training.get(name, 0.0) for name in adapters), 0.0)
    money = prices.of(seconds=machine, prompt=prompt, cached=mean(cached), new=new)
    if prices.spread:
        money += prices.of(seconds=trained / prices.spread, prompt=0.0, cached=0.0, new=0.0)
    labelled = [(q, cell.result) for q, cell in there if q.label and not cell.result.error]
    return ModeFigures(
        column=column,
        right=estimate([float(bool(c.score.right)) for _, c in scored], clusters_of([q for q, _ in scored]))
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
