"""Make training rows from a corpus's questions: with passages, without, with the gold document absent, or altered.

The prompt is built by the same function as in the chat, so that the adapter meets in use what it met in training.
A question with its passages teaches to read. The same question with a number of the passages replaced by another one
teaches to read rather than to remember. With the gold document taken away, or only the passage of it that tells, the
right answer is that the documents do not say. Without any passage the answer is taught by heart. (After RAFT, arXiv
2403.10131, in what it mixes.) A row's second wording, `reworded`, is read and learned too: one who asks seldom uses the
words of the document. Where it is asked for, some rows come after earlier turns, as in a chat, and some have their
passages in another order, so that neither what was said before nor the first place stands for the answer.
"""

from __future__ import annotations

import json
import random
import re
import sys
from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from typing import Any, Protocol

from crossfade import prompts
from crossfade.abstention import ABSENT
from crossfade.corpora.registry import Task
from crossfade.errors import QuestionError, TrainingError
from crossfade.training.data import TrainingRow
from crossfade.types import Message, Passage, Turn

KINDS = {
    "as it is": "question and answer without a kind of their own, or where no passages are found",
    "read": "a question with passages that tell its answer",
    "altered": "the same, a number in passages and answer replaced by another",
    "absent": "a question that no document answers, with passages",
    "taken away": "a question without the document that tells its answer",
    "near miss": "a question with passages of its document, but without those that tell",
    "by heart": "a question without passages",
    "cloze": "numbers of the documents asked for by rule, several to a row, without passages",
}
"""How a row can come about, each with what it is."""
SWAPPED, TAKEN_AWAY, NEAR_MISS = 0.8, 0.2, 0.35
"""The shares of the questions that are read with a number altered (in their second wording if they have one), without
their document, and without the passages of it that tell."""
WRITTEN = 0.5
"""The share of the questions that no document answers which are read. The same question with and without what tells
teaches to look for it; too many questions of this kind teach how they sound."""
BY_HEART = 2
"""How often a fact or a term is learned without passages, its wordings taking turns; such rows are short."""
GIVEN_UP = 0.3
"""The share of the earlier turns in which the answer was that the documents do not say, whatever they say now."""
_NEAR_AMONG = 12
"""Near misses are chosen from so many passages, best first."""
_NUMBER = re.compile(r"(?<![\w.,:-])\$?\d+(?:[.,]\d+)*%?(?![\w:-]|[.,]\d)")
_SAYS_NOTHING = re.compile("yes|and|are|but|for|into|not|such|that|the|their|then|there|these|they|this|was|will|with")
_WORD = re.compile(r"[a-z0-9][a-z0-9-]{2,}")


class Finder(Protocol):
    """Finds passages within or without some documents."""

    def retrieve(
        self, question: str, *, k: int = 3, only: Collection[str] | None = None, without: Collection[str] = ()
    ) -> tuple[Passage, ...]:
        """The k best passages, best first."""


def compose(
    rows: Sequence[dict[str, Any]],
    task: Task,
    *,
    finder: Finder | None = None,
    passages: int = 3,
    count: Callable[[Sequence[Message]], int],
    limit: int,
    earlier_turns: float = 0.0,
    shuffled: float = 0.0,
    seed: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> list[TrainingRow]:
    """Training rows of a task. Rows have `question` and `answer`, or `message` and `ticket`, an object or its text.

    Rows that have `documents` and a `kind` are made into several, with passages found by `finder`, which may use only
    documents that some row names. Of these the share `earlier_turns` comes after one or two other questions, and of
    those with passages the share `shuffled` has them in another order. `progress` is told of the rows done and of all;
    what it raises ends the work. Raises TrainingError for a row of another form.
    """
    draw = random.Random(seed)
    pairs = [_pair(row, number) for number, row in enumerate(rows, start=1)]
    allowed = {name for row in rows for name in row.get("documents", ())}
    made: list[TrainingRow] = []

    def add(kind: str, question: str, answer: str, found: Sequence[Passage] = (), history: Sequence[Turn] = ()) -> None:
        room = limit - task.max_new_tokens
        try:
            prompt = prompts.build(
                question, instructions=task.instructions, history=history, passages=found, count=count, limit=room
            )
        except QuestionError:
            # Too long even alone: training leaves out what is over its limit, and lists it.
            prompt = prompts.build(question, instructions=task.instructions, count=count, limit=sys.maxsize)
        if prompt.passages < len(found) and answer != ABSENT and not _supports(found[: prompt.passages], answer):
            return
        made.append(TrainingRow(messages=prompt.messages, response=answer, kind=kind))

    def earlier(row: dict[str, Any]) -> tuple[Turn, ...]:
        return _earlier(row, rows, draw) if earlier_turns and draw.random() < earlier_turns else ()

    for number, (row, (question, answer)) in enumerate(zip(rows, pairs, strict=True)):
        if progress:
            progress(number, len(rows))
        if "kind" not in row or finder is None:
            add("as it is", question, answer)
            continue
        readings = _readings(row, answer, finder, allowed=allowed, passages=passages, draw=draw)
        for kind, asked, found, response in readings:
            order = draw.sample(found, len(found)) if shuffled and draw.random() < shuffled else found
            add(kind, asked, response, order, earlier(row))
        wordings = (question, row.get("reworded", question))
        for turn in range(BY_HEART if row["kind"] in ("term", "fact") else 0):
            add("by heart", wordings[turn % 2], answer, history=earlier(row))
    return made


def _earlier(row: dict[str, Any], rows: Sequence[dict[str, Any]], draw: random.Random) -> tuple[Turn, ...]:
    """One or two turns on other questions, half of the time about the same document."""
    near = [r for r in rows if set(r.get("documents", ())) & set(row.get("documents", ()))]
    others = [r for r in (near if draw.random() < 0.5 else rows) if r is not row and r.get("question")]
    asked = draw.sample(others, min(draw.choice((1, 2)), len(others)))
    return tuple(Turn(r["question"], ABSENT if draw.random() < GIVEN_UP else r.get("answer") or ABSENT) for r in asked)


def _pair(row: dict[str, Any], number: int) -> tuple[str, str]:
    question = row.get("question") or row.get("message")
    answer = row.get("ticket", row.get("answer"))
    if "ticket" in row and not isinstance(answer, str):
        answer = json.dumps(answer, ensure_ascii=False)
    if row.get("kind") == "absent":
        answer = ABSENT
    documents = row.get("documents", [])
    if not isinstance(documents, list) or not all(isinstance(name, str) for name in documents):
        raise TrainingError(f"Training row {number}: documents must be a list of their names.")
    if "kind" in row and not row.get("question"):
        raise TrainingError(f"Training row {number} has a kind, so it needs a question.")
    if not isinstance(question, str) or not isinstance(answer, str) or not question.strip() or not answer.strip():
        raise TrainingError(f"Training row {number} needs a question and an answer, or a message and a ticket.")
    return question.strip(), answer.strip()


def _readings(
    row: dict[str, Any], answer: str, finder: Finder, *, allowed: set[str], passages: int, draw: random.Random
) -> list[tuple[str, str, tuple[Passage, ...], str]]:
    """The kind of reading, what is asked, the passages it is read with, and the response to them, for one row."""
    question, gold = row["question"], row.get("documents", [])
    if row["kind"] == "absent":
        if draw.random() >= WRITTEN:
            return []
        return [("absent", question, finder.retrieve(question, k=passages, only=allowed), ABSENT)]

    def telling(asked: str) -> tuple[Passage, ...]:
        """The passages found, with the gold documents' own first where the others do not tell; or none."""
        found = finder.retrieve(asked, k=passages, only=allowed)
        if not _supports(found, answer):
            own = finder.retrieve(asked, k=2, only=set(gold))
            found = (*own, *(p for p in found if p not in own))[:passages]
        return found if _supports(found, answer) else ()

    made = []
    if found := telling(question):
        made.append(("read", question, found, answer))
    again = row.get("reworded", question)
    if found := telling(again):
        swapped = _swap(again, answer, found, draw) if draw.random() < SWAPPED else None
        if swapped or again != question:
            made.append(("altered" if swapped else "read", again, *(swapped or (found, answer))))
    if draw.random() < TAKEN_AWAY and made:  # what no passage tells may be told in a form that is not seen
        others = finder.retrieve(question, k=passages, only=allowed - set(gold))
        if others and not _supports(others, answer):
            made.append(("taken away", question, others, ABSENT))
    if row["kind"] == "fact" and draw.random() < NEAR_MISS and made:
        near = [p for p in finder.retrieve(question, k=_NEAR_AMONG, only=allowed) if not _tells(p, question, answer)]
        if any(p.document in gold for p in near[:passages]):
            made.append(("near miss", question, tuple(near[:passages]), ABSENT))
    return made


def _supports(passages: Sequence[Passage], answer: str) -> bool:
    """Whether every number of the answer, and half of its longer words, stand in the passages."""
    text = " ".join(f"{p.source} {p.text}" for p in passages).lower()
    words = re.findall(r"[a-z]{4,}", answer.lower())
    known = sum(w in text for w in words)
    return all(_holds(text, n) for n in _NUMBER.findall(answer)) and (not words or known * 2 >= len(words))


def _tells(passage: Passage, question: str, answer: str) -> bool:
    """Whether a passage may hold a part of the answer: a number of it, or, if it has none, a word not asked with.

    In doubt it does: where the answer says nothing beyond the question, there is no telling.
    """
    text, asked, answer = f"{passage.source} {passage.text}".lower(), question.lower(), answer.lower()
    if numbers := [n for n in _NUMBER.findall(answer) if n not in asked]:
        return any(_holds(text, n) for n in numbers)
    words = [w for w in _WORD.findall(answer) if not _SAYS_NOTHING.fullmatch(w) and w not in asked]
    return not words or any(w in text for w in words)


def _holds(text: str, number: str) -> bool:
    """Whether a number stands in a text, and not only as a part of a longer one."""
    return re.search(rf"(?<![\d.,]){re.escape(number)}(?!\d|[.,]\d)", text) is not None


def _swap(
    question: str, answer: str, passages: tuple[Passage, ...], draw: random.Random
) -> tuple[tuple[Passage, ...], str] | None:
    """The passages and the answer with one number of the answer replaced by another of its form, or None."""
    numbers = [n for n in _NUMBER.findall(answer) if n not in question]
    if not numbers:
        return None
    old = draw.choice(numbers)
    new = "".join(
        c if not c.isdigit() else str(draw.randint(0 if i and old[i - 1].isdigit() else 2, 9))
        for i, c in enumerate(old)
    )
    pattern = re.compile(rf"(?<![\w.,:-]){re.escape(old)}(?![\w:-]|[.,]\d)")
    changed = tuple(replace(p, text=pattern.sub(lambda _: new, p.text)) for p in passages)
    if changed == passages:  # the same was drawn, or it is only part of a longer number there, "$7" of "$7.50"
        return None
    return changed, pattern.sub(lambda _: new, answer)
