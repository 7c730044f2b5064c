"""What a text claims, as far as its words show it: sentences, clauses, words, names, denials. Pure."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any

from crossfade.evaluation.metrics import normalise, tokens
from crossfade.evaluation.quantities import without_quantities

CITATION = re.compile(r"\[(\d{1,2})\]")
"""A citation as models write it."""
_SENTENCE_END = re.compile(
    r"(?<=[.!?])(?:[\"')\]’”]|\s?\[\d{1,2}\])*\s+(?=[A-Z0-9$€£\"'“‘(\[*-])|(?<=[。！？])|\n[ \t]*\n\s*"
    r"|\n(?=[ \t]*(?:[-*+|>#]|\d+[.)]\s))"
)
_NO_END = re.compile(r"(?:\b(?:Mr|Mrs|Ms|Dr|St|No|vs|e\.g|i\.e)|^\s*\d+)\.$")
"""What stands before a full stop that ends no sentence: a short form, or the number of a list."""
_CLAUSE_END = re.compile(r"[,;:]\s+|(?<=\S)\s+(?=(?:and|but|while)\s)")
_DENIAL = re.compile(r"\b(?:no|not|never|cannot|nothing|nobody|none|neither|nor|without)\b|n['’]t\b", re.IGNORECASE)
_NO_DENIAL = re.compile(
    r"\bno(?:t)? (?:more|less|later|longer|earlier|fewer) than\b|\bnot only\b|\bat no (?:cost|charge)\b|\bif\b[^,.;]*,",
    re.IGNORECASE,
)
"""What has a word of denial and denies nothing of the rest; a condition is no denial either."""
_NAME = re.compile(r"\b[A-Z][\w&'’-]*(?:\s+[A-Z][\w&'’-]*)*")
_SAYS_NOTHING = re.compile(
    "about|after|all|also|am|an|and|any|anything|are|as|at|be|because|been|before|being|both|but|by|can|could|did|do|"
    "does|each|either|every|everything|for|from|get|gets|got|had|has|have|he|her|here|his|how|i|if|in|into|is|it|its|"
    "just|least|many|may|me|more|most|much|must|my|no|not|of|on|only|or|our|out|over|she|should|so|some|still|such|than|"
    "that|their|them|then|there|these|they|this|to|together|too|under|up|very|was|we|were|what|when|where|which|"
    "whichever|while|who|whose|why|will|with|would|yes|you|your"
)


def spans(text: str) -> list[tuple[int, int]]:
    """Start and end of each sentence of a text, without the space around it."""
    ends, position = [], 0
    for match in _SENTENCE_END.finditer(text):
        if "\n" in match[0] or not _NO_END.search(text[position : match.start()]):
            ends.append(match.end())
            position = match.end()
    pairs = zip([0, *ends], [*ends, len(text)], strict=True)
    trimmed = [(a + len(text[a:b]) - len(text[a:b].lstrip()), a + len(text[a:b].rstrip())) for a, b in pairs]
    return [(a, b) for a, b in trimmed if a < b]


def sentences(text: str) -> list[str]:
    """The sentences of an answer, without its citations."""
    return [" ".join(CITATION.sub("", text[a:b]).split()) for a, b in spans(text)]


def clauses(sentence: str) -> list[str]:
    """The parts of a sentence between commas and before `and`, `but`, `while`."""
    return [part for part in _CLAUSE_END.split(sentence) if part.strip()]


def denies(text: str) -> bool:
    """Whether a text says that something is not so."""
    return bool(_DENIAL.search(_NO_DENIAL.sub(" ", text)))


def names(sentence: str) -> tuple[str, ...]:
    """The runs of words with capitals, as `line` writes them; a sentence's first word alone is none."""
    found = []
    for match in _NAME.finditer(sentence):
        run = match[0].split()
        while run and _SAYS_NOTHING.fullmatch(run[0].lower()):
            run.pop(0)
        if len(run) > 1 or (run and match.start() > 0):
            found.append(line(" ".join(run)))
    return tuple(found)


@lru_cache(maxsize=4096)
def line(text: str) -> str:
    """The stems of all words of a text in their order, with a blank around each."""
    return f" {' '.join(_stemmer().stemWords(tokens(normalise(text))))} "


@lru_cache(maxsize=4096)
def words(text: str) -> frozenset[str]:
    """The stems of the words that carry a meaning, without numbers."""
    plain = [word.strip(".:$€£¥￥%") for word in tokens(normalise(without_quantities(text)))]
    return frozenset(_stemmer().stemWords([word for word in plain if word and not _SAYS_NOTHING.fullmatch(word)]))


@lru_cache(maxsize=1)
def _stemmer() -> Any:
    from Stemmer import Stemmer

    return Stemmer("english")
