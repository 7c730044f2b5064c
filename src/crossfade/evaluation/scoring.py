"""Score one result against its question, and say why a wrong one is wrong. Pure; knows no mode's name.

What can be scored depends on what the question's row tells: accepted answers, that no document answers, a label, an
object, a schema, gold documents. `right` is the yes or no that modes are compared by:

    accepted answers    one is contained in an answer of at most 30 words
    no answer           the answer says that the documents do not tell
    label               it is the label given, or the only one named
    object              the answer is of the row's or the task's form, valid, and equal in every field
    schema alone        the answer is of that form and valid
    rules               every rule of the voice is kept; accepted answers are scored beside it
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from crossfade.corpora.rules import Rules
from crossfade.evaluation import metrics, structure
from crossfade.evaluation.questions import EvalQuestion
from crossfade.evaluation.results import Result
from crossfade.evaluation.style import broken_rules
from crossfade.evaluation.support import cited, supported

CAUSES = {
    "failed": "the engine or the question failed",
    "format": "the form is wrong: not valid, too long, or no label",
    "refused": "said that the documents do not tell, and they do",
    "not retrieved": "the passages that were found do not hold what was asked for",
    "not used": "a passage holds it, and the answer is wrong",
    "wrong": "the form is right, and the label or a field is wrong",
    "invented": "answered although nothing tells: no passage was given, or no document answers",
}
"""Why a result is wrong, each with what it means; the first that holds is told."""


ANY_LENGTH = 10**9
"""Words of an answer that may be as long as it likes."""


@dataclass(frozen=True, slots=True)
class Score:
    """What one result scored. `right` is None where the row tells nothing to compare with.

    `values` are further scores by name, from 0 to 1 but for `words`, those alone that apply. `cause` is a key of CAUSES
    for what is not right, else empty. `refused` tells whether the answer said that the documents do not tell.
    """

    right: bool | None
    cause: str = ""
    refused: bool = False
    values: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Cell:
    """One question in one mode: its result and score."""

    result: Result
    score: Score

    @property
    def scored(self) -> bool:
        """Whether it counts for or against its mode: a failure of the engine does neither."""
        return self.score.right is not None and not self.result.error

    @property
    def state(self) -> str:
        """`right`, `wrong`, `refused` (wrongly), `failed`, or `unscored`."""
        if self.score.cause == "failed":
            return "failed"
        if self.score.right is None:
            return "unscored"
        if self.score.right:
            return "right"
        return "refused" if self.score.refused else "wrong"


def score(
    question: EvalQuestion,
    result: Result,
    *,
    labels: Sequence[str] = (),
    schema: Mapping[str, Any] | None = None,
    rules: Rules | None = None,
    form: str = "json",
    rag: bool = False,
    passages: int | None = None,
) -> Score:
    """Score a result. `labels` are all labels of the set; `schema`, `rules` and `form` are the task's.

    `passages` is how many were asked for, the k of recall@k, where that is known.
    """
    wanted_schema = question.schema or schema
    if result.error:
        known = wanted_schema or rules or question.label or question.object or question.answerable is not None
        return Score(False if known else None, "failed")
    text = result.text
    values: dict[str, float] = {"words": float(metrics.word_count(text))}
    refused = metrics.is_refusal(text)
    right: bool | None = None
    cause = ""
    if question.object is not None or wanted_schema:
        right, cause = _form(question, text, question.form or form, wanted_schema, values)
    elif rules:
        broken = broken_rules(text, rules)
        right, cause = not broken, "format" if broken else ""
        values |= {"rules kept": float(not broken), **{f"breaks {name}": 1.0 for name in broken}}
        contained = _told(question, text, refused, values, max_words=rules.words[1] or ANY_LENGTH)
        if question.answers:
            values["contains an answer"] = float(contained)
    elif question.label:
        given = metrics.label_of(text, labels)
        right, cause = given == question.label, "wrong" if given else "format"
    elif question.answers or question.answerable is False:
        if question.answers:
            values["exact match"] = float(metrics.exact_match(text, question.answers))
        right = _told(question, text, refused, values)
        anywhere = metrics.contains_answer(text, question.answers, max_words=ANY_LENGTH)
        cause = "format" if anywhere and not right and not refused else ""
    _passages(question, result, values, rag=rag, refused=refused, k=passages)
    if right is not False:
        return Score(right, "", refused, values)
    return Score(False, cause or _cause(question, result, refused, rag=rag), refused, values)


def _told(
    question: EvalQuestion,
    text: str,
    refused: bool,
    values: dict[str, float],
    *,
    max_words: int = metrics.MAX_WORDS,
) -> bool:
    """Whether an answer of at most so many words tells what is accepted, or rightly that no document does."""
    if question.answerable is False:
        values["refused rightly"] = float(refused)
        return refused
    if question.answers:
        values["token F1"] = metrics.token_f1(text, question.answers)
        values["refused wrongly"] = float(refused)
    return metrics.contains_answer(text, question.answers, max_words=max_words) and not refused


def _form(
    question: EvalQuestion, text: str, form: str, schema: Mapping[str, Any] | None, values: dict[str, float]
) -> tuple[bool, str]:
    given = structure.parse(text, form)
    valid = not (structure.complaint(text, form, dict(schema)) if schema else given is None)
    values |= {"parses": float(given is not None), "valid": float(valid)}
    if question.object is None:
        return valid, "" if valid else "format"
    values["field F1"] = metrics.field_f1(given, dict(question.object))
    return valid and values["field F1"] == 1.0, "wrong" if valid else "format"


def _passages(
    question: EvalQuestion, result: Result, values: dict[str, float], *, rag: bool, refused: bool, k: int | None
) -> None:
    """What the passages are worth; a refusal says nothing that one could support."""
    found = [passage.document for passage in result.passages]
    if not found and not rag:
        return
    held, checked = supported(result.text, result.passages, question.text)
    if checked and not refused:
        values["supported"] = held / checked
    if question.documents:
        values[f"recall@{k or 'k'}"] = metrics.recall_at_k(found, question.documents)
        values["MRR"] = metrics.reciprocal_rank(found, question.documents)
        named = [found[index] if index >= 0 else "" for index in cited(result.text, len(found))]
        if named:
            values["citation precision"] = sum(name in question.documents for name in named) / len(named)
            values["citation recall"] = metrics.recall_at_k(named, question.documents)


def _cause(question: EvalQuestion, result: Result, refused: bool, *, rag: bool) -> str:
    if question.answerable is False:
        return "invented"
    if (result.passages or rag) and not _was_found(question, result):
        return "not retrieved"
    if refused:
        return "refused"
    return "not used" if result.passages else "invented"


def _was_found(question: EvalQuestion, result: Result) -> bool:
    """Whether the passages could tell: an accepted answer stands in them, word for word.

    Where no accepted answer has a number, it may be told in other words, as yes and no are: then it is enough that a
    passage of each gold document was found.
    """
    text = " ".join(p.text for p in result.passages)
    if metrics.contains_answer(text, question.answers, max_words=ANY_LENGTH) or question.label or question.object:
        return True
    numbers = any(c.isdigit() for answer in question.answers for c in answer)
    if numbers or not question.documents:
        return False
    return metrics.recall_at_k([p.document for p in result.passages], question.documents) == 1.0


def label_scores(given: Sequence[tuple[EvalQuestion, Result]], labels: Sequence[str]) -> dict[str, float]:
    """Accuracy and macro-F1 over labelled questions, and both for always naming the commonest label."""
    told = [metrics.label_of(result.text, labels) for _, result in given]
    true = [question.label for question, _ in given]
    common = max(sorted(set(true)), key=true.count)
    always = [common] * len(true)
    return {
        "accuracy": sum(a == b for a, b in zip(told, true, strict=True)) / len(true),
        "macro-F1": metrics.macro_f1(told, true),
        "majority accuracy": true.count(common) / len(true),
        "majority macro-F1": metrics.macro_f1(always, true),
    }
