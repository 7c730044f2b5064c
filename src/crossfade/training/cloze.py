"""Ask for every number of a document without passages, by rule, so that a model learns the numbers by heart.

A sentence that tells a number is asked with a few of its words in many forms ("How much is {}?"), and sometimes as the
sentence with a gap. Each answer is the number alone: where a whole sentence is learned, its number comes last. Several
questions stand in one conversation, and every answer in it is learned, since the instructions cost as much as three.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from crossfade.corpora.registry import Corpus, Document
from crossfade.training.against import read_judging
from crossfade.training.data import TrainingRow
from crossfade.training.overlap import Embed, overlaps, shared_words
from crossfade.types import Message

TAUGHT, GAPS = 6, 4
"""A number that a row asks for is asked for so many times less often; to so many questions comes one with a gap."""
TRIES = 4
LONGEST = 12
"""The most questions of one conversation; some have one or three, as a person's first question is what counts."""
WORDS = (4, 34)
"""Sentences of fewer words tell nothing, and longer ones are lists."""
_MONTHS = "January|February|March|April|May|June|July|August|September|October|November|December"
_UNITS = (
    "days?|hours?|months?|minutes?|years?|weeks?|seconds?|miles|percent|points?|cents|times|digits|characters|pages|"
    "people|checks|customers|countries|MB"
)
_AMOUNT = r"\d[\d,]*(?:\.\d+)?"
_NUMBER = re.compile(
    r"(?<![\w-])(?:[A-Z]{1,4}-\d+|\d+(?:-\d+)+|\d{1,2}(?::\d\d)? [ap]\.m\."
    rf"|\${_AMOUNT}(?: million)?|{_AMOUNT}%|(?:{_MONTHS}) \d{{1,2}}"
    rf"|{_AMOUNT}(?:st|nd|rd|th)?(?: (?:(?:business|calendar|working) )?(?:{_UNITS})\b)?)(?![\w-])"
)
_TIME = re.compile(rf"day|hour|month|minute|year|week|second|[ap]\.m\.|{_MONTHS}")
_SMALL = re.compile(
    "an?|the|of|to|in|on|at|for|and|or|is|are|was|were|be|been|by|as|with|from|that|this|these|its?|may|must|can|will|"
    "do|does|not|no|if|then|than|you|your|we|our|they|their|he|she|has|have|had|each|any|all|other|another|such|so|up|"
    "out|into",
    re.I,
)
_FORMS = {
    "money": (
        "How much is {}?",
        "What does {} cost?",
        "How much money: {}?",
        "What is the amount for {}?",
        "How much for {}?",
        "What is the {}?",
    ),
    "share": ("What percentage: {}?", "What is the rate for {}?", "How many percent is {}?", "What is the {}?"),
    "time": (
        "How long is {}?",
        "When: {}?",
        "What is the time limit for {}?",
        "By when: {}?",
        "How soon: {}?",
        "What is the {}?",
    ),
    "code": ("Which form or number: {}?", "What is the number of {}?", "Which one: {}?", "What is the {}?"),
    "count": ("How many {}?", "What is the limit on {}?", "How often: {}?", "What number of {}?", "What is the {}?"),
}


@dataclass(frozen=True, slots=True)
class Fact:
    """A number in a sentence of a document: `sentence[start:end]`, without the signs around it."""

    document: str
    title: str
    heading: str
    sentence: str
    start: int
    end: int

    @property
    def answer(self) -> str:
        """The number with its unit."""
        return self.sentence[self.start : self.end]


def facts(document: Document) -> list[Fact]:
    """Every number that a sentence of a Markdown document tells, in its order."""
    found = []
    heading = document.title
    for block in re.split(r"\n\s*\n", document.text):
        if block.startswith("#"):
            heading = block.lstrip("# ").strip()
            continue
        for sentence in re.split(r'(?<=[.!?])\s+(?=[A-Z0-9"$])', " ".join(block.split())):
            if WORDS[0] <= len(sentence.split()) <= WORDS[1]:
                for number in _NUMBER.finditer(sentence):
                    end = number.start() + len(number[0].rstrip(" ,"))
                    found.append(Fact(document.name, document.title, heading, sentence, number.start(), end))
    return found


def asked_by_rule(
    rows: Sequence[Mapping[str, Any]],
    corpus: Corpus,
    *,
    instructions: str,
    often: int,
    seed: int,
    embed: Embed | None,
) -> list[TrainingRow]:
    """`cloze_rows` of the documents that rows name, those numbers less often that a row's answer tells; none for 0.

    What asks the same as a question that lies beside the documents is not asked: by `overlaps` with `embed`, without it
    by its words.
    """
    if not often:
        return []
    taught = {(name, digits(str(row.get("answer") or ""))) for row in rows for name in row.get("documents", ())}
    named = {name for name, _ in taught}
    judging = [row for path in corpus.question_sets for row in read_judging(path).rows]
    compared = _once(embed) if embed else None

    def judged(asked: Sequence[dict[str, Any]]) -> set[int]:
        found = overlaps(asked, judging, compared) if compared else shared_words(asked, judging)
        return {overlap.training for overlap in found}

    return cloze_rows(
        [document for document in corpus.documents if document.name in named],
        instructions=instructions,
        often=often,
        taught=taught,
        refused=judged,
        draw=random.Random(seed),
    )


def cloze_rows(
    documents: Sequence[Document],
    *,
    instructions: str,
    often: int,
    draw: random.Random,
    taught: Collection[tuple[str, str]] = (),
    refused: Callable[[Sequence[dict[str, Any]]], Collection[int]] = lambda asked: (),
) -> list[TrainingRow]:
    """Conversations in which every number of the documents is asked for `often` times, and a gap is filled besides.

    `taught` are the (document, digits) that other rows ask for, as `digits` has them: these come less often. `refused`
    tells the numbers of the questions that may not be asked, of rows with `question`, `answer` and `documents`; others
    are drawn in their place, `TRIES` times at most.
    """
    wanted: list[tuple[Fact, Callable[[Fact, random.Random], str]]] = []
    for document in documents:
        for fact in facts(document):
            times = max(2, often // TAUGHT) if (fact.document, digits(fact.answer)) in taught else often
            wanted += [(fact, _question)] * times + [(fact, _gap)] * max(1, times // GAPS)
    pairs: list[tuple[str, str]] = []
    for _ in range(TRIES):
        asked: list[dict[str, Any]] = [
            {"question": ask(fact, draw), "answer": fact.answer, "documents": [fact.document]} for fact, ask in wanted
        ]
        wrong = set(refused(asked))
        pairs += [(row["question"], row["answer"]) for n, row in enumerate(asked) if n not in wrong]
        wanted = [wanted[n] for n in sorted(wrong)]
    draw.shuffle(pairs)
    made = []
    while pairs:
        size = draw.choice((1, 3, LONGEST, LONGEST, LONGEST, LONGEST))
        made.append(_conversation(pairs[:size], instructions))
        del pairs[:size]
    return made


def _once(embed: Embed) -> Embed:
    """The same embedder, which reads each text once."""
    seen: dict[str, Any] = {}

    def read(texts: Sequence[str]) -> NDArray[np.float32]:
        new = [text for text in dict.fromkeys(texts) if text not in seen]
        seen.update(zip(new, embed(new) if new else (), strict=True))
        return np.stack([seen[text] for text in texts])

    return read


def digits(text: str) -> str:
    """The digits of a text with their points, by which two ways to write a number are compared."""
    return re.sub(r"[^0-9.]", "", text).strip(".")


def _conversation(pairs: Sequence[tuple[str, str]], instructions: str) -> TrainingRow:
    turns = [Message(role, text) for pair in pairs for role, text in zip(("user", "assistant"), pair, strict=True)]
    messages = (Message("system", instructions), *turns[:-1])
    also = tuple(range(2, len(messages), 2))
    return TrainingRow(messages, turns[-1].content, kind="cloze", also=also)


def _gap(fact: Fact, draw: random.Random) -> str:
    return f"{fact.title}. {fact.sentence[: fact.start]}___{fact.sentence[fact.end :]}"


def _question(fact: Fact, draw: random.Random) -> str:
    """A question made of the words nearest to the number, in their order, with the document's title."""
    title = fact.title
    words = [
        (abs(word.start() - fact.start), word.start(), word[0].strip('.,;:()"'))
        for word in re.finditer(r"\S+", fact.sentence)
        if not fact.start <= word.start() < fact.end
    ]
    telling = [w for w in words if not _SMALL.fullmatch(w[2]) and len(w[2]) > 1 and not re.search(r"\d", w[2])]
    telling = [w for w in telling if w[2] not in title.split()]
    near = sorted(telling, key=lambda w: w[0] * draw.uniform(0.4, 1.6))[: draw.choice((2, 3, 3, 4, 4, 5, 6))]
    asked = " ".join(word for _, _, word in sorted(near, key=lambda w: w[1])) or fact.heading.lower()
    where = draw.random()
    if title.lower() not in asked.lower() and where < 0.9:
        link = draw.choice(("for", "with", "at", "of", "on", "-"))
        asked = f"{title} {asked}" if where < 0.35 else f"{asked} {link} {title}"
    if draw.random() < 0.2 and fact.heading.lower() not in asked.lower():
        asked = f"{fact.heading.lower()}: {asked}"
    made = draw.choice(_FORMS[_kind(fact.answer)]).format(asked)
    made = made.lower() if draw.random() < 0.15 else made
    return made[0].upper() + made[1:]


def _kind(answer: str) -> str:
    if "$" in answer:
        return "money"
    if "-" in answer:
        return "code"
    if "%" in answer or "percent" in answer:
        return "share"
    return "time" if _TIME.search(answer) else "count"
