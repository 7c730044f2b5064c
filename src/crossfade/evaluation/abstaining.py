"""Choose on a set of questions below which probability an adapter's answers give way. Knows no page and no card.

Answers are measured as `hybrid` gives them, each written to its end whatever it says; then every probability is tried.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from copy import copy
from dataclasses import dataclass, replace

from crossfade.abstention import Abstention, probability
from crossfade.errors import QuestionError
from crossfade.evaluation.metrics import contains_answer, is_refusal
from crossfade.evaluation.questions import EvalQuestion
from crossfade.pipeline import Pipeline
from crossfade.types import Query


@dataclass(frozen=True, slots=True)
class Held:
    """An answer and how likely the model held it."""

    question: EvalQuestion
    text: str
    probability: float

    def right(self, below: float) -> bool:
        """Whether it is right where answers below a probability give way, as an evaluation scores it."""
        return not self.refused(below) and contains_answer(self.text, self.question.answers)

    def refused(self, below: float) -> bool:
        """Whether it says that the documents do not say, there."""
        return self.probability < below or is_refusal(self.text)


@dataclass(frozen=True, slots=True)
class Shares:
    """Of the questions that the documents answer those that were right and refused, and of the others those refused."""

    right: float
    elsewhere: float
    said: float


def check_kinds(questions: Sequence[EvalQuestion]) -> None:
    """Raises QuestionError where a question does not tell whether it has an answer, or where all do or none does."""
    unknown = next((q for q in questions if not q.answers and q.answerable is not False), None)
    if unknown:
        raise QuestionError(
            f"Question {unknown.text[:80]!r} (line {unknown.line}) does not tell its answer. Give each its answers, "
            "and an empty list where no document tells."
        )
    kinds = {bool(q.answers) for q in questions}
    if kinds != {True, False}:
        raise QuestionError(
            f"Every question has {'an' if kinds == {True} else 'no'} answer in the documents, so there is nothing to "
            "choose by. Give questions of both kinds; an empty list of answers says that no document tells."
        )


def held_answers(
    pipeline: Pipeline,
    query: Query,
    questions: Sequence[EvalQuestion],
    *,
    says: str,
    at_once: int,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> list[Held]:
    """The answers of an adapter to questions that `check_kinds` passes, `query` being in hybrid mode."""
    looking = copy(pipeline)
    looking.abstention = lambda name: Abstention(says, 0.0, query.task)
    with ThreadPoolExecutor(at_once) as pool:
        found = []
        for question, answer in zip(
            questions, pool.map(lambda q: looking.ask(replace(query, text=q.text)), questions), strict=True
        ):
            found.append(Held(question, answer.generation.text, probability(answer.generation)))
            progress(len(found), len(questions))
    return found


def chosen(held: Sequence[Held], *, elsewhere: float) -> float:
    """The highest probability at which at most `elsewhere` of the answers that the documents tell give way.

    Raises QuestionError where that is none that an answer can be above and another below.
    """
    below = threshold([h.probability for h in held], [bool(h.question.answers) for h in held], elsewhere=elsewhere)
    if not 0 < below < 1:
        raise QuestionError(
            f"No probability parts these answers: {below:g} would. Give other questions, or let more answers give way "
            "by --elsewhere."
        )
    return below


def threshold(held: Sequence[float], told: Sequence[bool], *, elsewhere: float) -> float:
    """The highest probability below which at most `elsewhere` of the answers that the documents tell would give way.

    `held` are the probabilities of answers, `told` whether the documents tell an answer to the question. It lies half
    way between two of the probabilities. Raises ValueError where none is told.
    """
    known = sorted(p for p, yes in zip(held, told, strict=True) if yes)
    if not known:
        raise ValueError("no question has an answer")
    given_up = int(elsewhere * len(known))
    if given_up >= len(known):
        return 1.0
    above = known[given_up]
    under = max((p for p in held if p < above), default=0.0)
    return (above + under) / 2


def shares(held: Sequence[Held], below: float) -> Shares:
    """What comes of a probability."""
    told = [h for h in held if h.question.answers]
    absent = [h for h in held if not h.question.answers]
    return Shares(
        right=sum(h.right(below) for h in told) / len(told),
        elsewhere=sum(h.refused(below) for h in told) / len(told),
        said=sum(h.refused(below) for h in absent) / len(absent),
    )
