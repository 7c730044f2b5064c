"""Whether passages support what an answer says, sentence by sentence. Pure functions of texts.

The rule: a passage supports a sentence when every number of the sentence stands in it and at least `SHARE` of its other
words do, after stemming; words that carry no meaning are not counted, nor are those of the question, which an answer
repeats whether they are true or not. A sentence with nothing left to check is not counted.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from crossfade.evaluation.metrics import normalise

SHARE = 0.6
"""The least share of a sentence's words that stand in the passage."""
_SENTENCE_END = re.compile(r"(?<=[.!?])\s+(?=[A-Z\"'(\[])")
_CITATION = re.compile(r"\[(\d{1,2})\]")
_SAYS_NOTHING = re.compile(
    "about|after|all|also|an|and|any|are|as|at|be|because|been|before|but|by|can|could|did|do|does|for|from|had|has|"
    "have|he|her|here|his|how|i|if|in|into|is|it|its|may|me|more|most|must|my|no|not|of|on|only|or|our|out|over|she|"
    "should|so|some|than|that|their|them|then|there|these|they|this|to|under|up|was|we|were|what|when|where|which|"
    "while|who|will|with|would|yes|you|your"
)


def sentences(text: str) -> list[str]:
    """The sentences of an answer, without its citations."""
    return [s for s in _SENTENCE_END.split(" ".join(_CITATION.sub("", text).split())) if s.strip()]


def supported(answer: str, passages: Sequence[str], question: str = "") -> tuple[int, int]:
    """How many sentences of an answer some passage supports, and how many could be checked."""
    known = _words(question)
    held = [_words(passage) for passage in passages]
    checked = [words for s in sentences(answer) if (words := _words(s) - known)]
    return sum(any(_stands(words, passage) for passage in held) for words in checked), len(checked)


def cited(answer: str, count: int) -> list[int]:
    """The passages (from 0) that an answer cites as [1], [2], ..., each once, those that do not exist as -1."""
    numbers = dict.fromkeys(int(n) for n in _CITATION.findall(answer))
    return [number - 1 if 1 <= number <= count else -1 for number in numbers]


def _stands(words: frozenset[str], passage: frozenset[str]) -> bool:
    numbers = {word for word in words if any(c.isdigit() for c in word)}
    others = words - numbers
    return numbers <= passage and (not others or len(others & passage) >= SHARE * len(others))


@lru_cache(maxsize=4096)
def _words(text: str) -> frozenset[str]:
    plain = [word.strip(".:") for word in normalise(text).split()]
    return frozenset(_stemmer().stemWords([word for word in plain if word and not _SAYS_NOTHING.fullmatch(word)]))


@lru_cache(maxsize=1)
def _stemmer() -> Any:
    from Stemmer import Stemmer

    return Stemmer("english")
