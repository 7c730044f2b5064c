"""What is learned without passages: questions with their answers, and the sentences of documents, begun to be finished.

Such rows are short, and most of a short row is its instructions. So several are learned in one conversation, whose
every reply counts; the instructions are read once for all of them. (That questions on some facts let a model answer
others, which it has only read as sentences: Allen-Zhu and Li, arXiv 2309.14316.)
"""

from __future__ import annotations

import random
import re
from collections.abc import Iterator, Sequence

from crossfade.corpora.registry import Document
from crossfade.retrieval.splitting import split
from crossfade.types import Turn

_SENTENCE_END = re.compile(r"(?<=[.!?])\s+(?=[A-Z])")
_NUMBER_WORD = "two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|twice|once"
_GOES_ON = (
    r"(?!(?:and|or|but|if|when|for|by|with|on|to|from|in|at|that|who|which|is|are|of|before|after|until|the|count)\b)"
)
_WORD = r"[\w%$/'-]+(?:[.,]\d+)*%?(?:\.m\.)?"
_TOLD = re.compile(
    rf"(?<![\w.,:-])(?:\$?\d+(?:,\d{{3}})*(?:\.\d+)?%?(?![\w-])|\b(?:{_NUMBER_WORD})\b)(?: {_GOES_ON}{_WORD}){{0,4}}"
)
"""A number and up to four words that belong to it: "$8,000 a day", "6 free withdrawals a month", "11 p.m."."""
_LEAST_WORDS = 2
"""A sentence is begun with so many words at least; fewer do not tell what is asked."""


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
                if len(begun.split()) >= _LEAST_WORDS:
                    made.append((f"{about}: {begun} ...", told[0]))
    return made


def talks(rounds: Sequence[Sequence[tuple[str, str]]], *, turns: int, draw: random.Random) -> Iterator[list[Turn]]:
    """Conversations of `turns` questions with their answers; the last one of a round may be shorter.

    Each round is shuffled and cut by itself, so that no conversation asks twice what a round asks once.
    """
    for pairs in rounds:
        mixed = [Turn(*pair) for pair in draw.sample(pairs, len(pairs))]
        for first in range(0, len(mixed), turns):
            yield mixed[first : first + turns]
