"""Draft questions from a corpus's documents, for a person to accept, mend or throw away. Pure; knows no model.

A draft is a sentence of a document that tells a number, begun: its number is the answer, the document the gold one.
The wording is the document's, so a person should put it into the words of one who asks: as it stands it is too easy.
"""

from __future__ import annotations

import json
import random
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from crossfade.corpora.registry import Document
from crossfade.errors import QuestionError
from crossfade.evaluation.metrics import word_count
from crossfade.retrieval.splitting import split

_SENTENCE_END = re.compile(r"(?<=[.!?])\s+(?=[A-Z])|(?<=[。！？])\s*")
_NUMBER_WORD = "two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|twice|once"
_GOES_ON = (
    r"(?!(?:and|or|but|if|when|for|by|with|on|to|from|in|at|that|who|which|is|are|of|before|after|until|the|count)\b)"
)
_WORD = r"[\w%$/'-]+(?:[.,]\d+)*%?(?:\.m\.)?"
_HAN = r"[\u4e00-\u9fff]"
_UNIT_ZH = (
    "万?亿?(?:人民币|美元|欧元|英镑|日元|元)|个?(?:工作日|小时|月|星期)|分钟|公里|百分点|[天日周年秒次个张人岁点倍米]"
)
_TOLD = re.compile(
    rf"(?<={_HAN})[$￥¥]?\d+(?:,\d{{3}})*(?:\.\d+)?(?![\d.,])(?:%|{_UNIT_ZH})?"
    rf"|(?<![\w.,:-])(?:\$?\d+(?:,\d{{3}})*(?:\.\d+)?%?(?![\w-])|\b(?:{_NUMBER_WORD})\b)(?: {_GOES_ON}{_WORD}){{0,4}}"
)
"""A number and up to four words that belong to it: "$8,000 a day", "6 free withdrawals a month", "11 p.m."; beside
Chinese characters a number and its unit: "3个工作日"."""
_LEAST_WORDS = 2
"""A sentence is begun with so many words at least; fewer do not tell what is asked."""


@dataclass(frozen=True, slots=True)
class Draft:
    """A question that nobody has looked at yet, with its answer and the document that tells it."""

    question: str
    answer: str
    document: str


def drafts(documents: Sequence[Document], *, count: int, seed: int = 0) -> list[Draft]:
    """At most `count` drafts, as many from each document as from the others, in an order that mixes them.

    Raises QuestionError where no sentence tells a number.
    """
    draw = random.Random(seed)
    all_made = [[Draft(*pair, document.name) for pair in unfinished(document)] for document in documents]
    asked = Counter(draft.question for made in all_made for draft in made)  # asked twice, it has two answers
    plain = [[draft for draft in made if asked[draft.question] == 1] for made in all_made]
    found = [draw.sample(made, len(made)) for made in plain if made]
    if not found:
        raise QuestionError("No document tells a number in a sentence, so nothing can be drafted. Write the questions.")
    draw.shuffle(found)
    rounds = max(map(len, found))
    return [made[turn] for turn in range(rounds) for made in found if turn < len(made)][:count]


def as_row(question: str, answer: str, document: str) -> str:
    """A line of a question set; answers that are accepted alike are written with `|` between them."""
    answers = [text.strip() for text in answer.split("|") if text.strip()]
    row = {"question": question.strip(), "answers": answers, "documents": [document] if answers else []}
    return json.dumps(row, ensure_ascii=False)


def unfinished(document: Document) -> list[tuple[str, str]]:
    """The sentences of a document up to each of their numbers, under its title and heading, and what comes there.

    ("Anchor Savings, Taking money out: The most you can move out online is ...", "$8,000 a day")
    """
    made = []
    for passage in split(document, size=10**9):
        about = ", ".join(part for part in (document.title, passage.heading.replace(" > ", ", ")) if part)
        for sentence in _SENTENCE_END.split(" ".join(passage.text.split())):
            for told in _TOLD.finditer(sentence):
                begun = sentence[: told.start()].rstrip()
                if word_count(begun) >= _LEAST_WORDS:
                    made.append((f"{about}: {begun} ...", told[0]))
    return made
