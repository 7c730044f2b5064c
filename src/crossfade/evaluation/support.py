"""Whether passages support what an answer says, sentence by sentence. Pure functions of texts; one rule for all.

The rule: a passage supports a sentence when one or two of its sentences in a row, with its title and heading, hold

1.  every number of the sentence, however it is written (`seven dollars`, `$7`; `15:00`, `3 p.m.`), and no part of the
    passage with another number of that unit has more of the sentence's words (`daily $1,500 and monthly $6,000`);
2.  every name of the sentence, word for word in its order: a run of words with capitals, such as a product;
3.  a denial (`not`, `never`, `without`, ...) exactly where the sentence has one;
4.  at least `SHARE` of its words, after stemming, and `OWN` of those that are not the question's; words that carry no
    meaning are not counted, and a sentence with fewer than `FEW` of its own is read together with its question.

A sentence with nothing to check, such as `Yes.`, is not counted. The rule reads words: it does not know that two days
are 48 hours, cannot add, and takes a fact told in wholly other words for unsupported. `benchmarks/support.py` measures
it on sentences of our own, with which its settings were chosen.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from crossfade.evaluation.claims import CITATION, clauses, denies, line, names, sentences, spans, words
from crossfade.evaluation.quantities import Quantity, quantities

__all__ = ["Checked", "Source", "check", "cited", "sentences", "supported"]

SHARE = 0.65
OWN = 0.5
WINDOW = 2
"""So many sentences in a row may support one sentence together."""
FEW = 4


class Source(Protocol):
    """What may support a sentence; `source` is its title and heading."""

    @property
    def source(self) -> str:
        """Where the text stands, in words."""

    @property
    def text(self) -> str:
        """The text."""


@dataclass(frozen=True, slots=True)
class Checked:
    """One sentence of an answer, at `[start, end)` of it, and the passage (from 0) that supports it, or None.

    `begin` and `stop` are the place of the supporting sentences in the passage's text.
    """

    start: int
    end: int
    passage: int | None = None
    begin: int = 0
    stop: int = 0


def check(answer: str, passages: Sequence[Source], question: str = "") -> tuple[Checked, ...]:
    """The sentences of an answer that can be checked, each with the passage that supports it best."""
    found = []
    for start, end in spans(answer):
        claim = _claim(CITATION.sub("", answer[start:end]), question)
        if claim is None:
            continue
        held = [(s, -n, a - b, a, b) for n, passage in enumerate(passages) for s, a, b in _best(claim, passage)]
        if held:  # the highest share, then the first passage, then the fewest characters
            _, number, _, begin, stop = max(held)
            found.append(Checked(start, end, -number, begin, stop))
        else:
            found.append(Checked(start, end))
    return tuple(found)


def supported(answer: str, passages: Sequence[Source], question: str = "") -> tuple[int, int]:
    """How many sentences of an answer some passage supports, and how many could be checked."""
    checked = check(answer, passages, question)
    return sum(one.passage is not None for one in checked), len(checked)


def cited(answer: str, count: int) -> list[int]:
    """The passages (from 0) that an answer cites as [1], [2], ..., each once, those that do not exist as -1."""
    numbers = dict.fromkeys(int(n) for n in CITATION.findall(answer))
    return [number - 1 if 1 <= number <= count else -1 for number in numbers]


@dataclass(frozen=True, slots=True)
class _Claim:
    """What must stand in a passage. `own` are the words that are not the question's; `parts` are numbers with words."""

    words: frozenset[str]
    own: frozenset[str]
    parts: tuple[tuple[tuple[Quantity, ...], frozenset[str]], ...]
    names: tuple[str, ...]
    denies: bool


def _claim(sentence: str, question: str) -> _Claim | None:
    """What a sentence claims, or None where there is nothing to check."""
    said, asked = words(sentence), words(question)
    own = said - asked
    if not own and len(said) < FEW and not quantities(sentence):
        return None
    added = asked if len(own) < FEW else frozenset[str]()
    parts = [(numbers, words(part)) for part in clauses(sentence) if (numbers := quantities(part))]
    if len(parts) == 1:
        parts = [(parts[0][0], said | added)]
    return _Claim(said | added, own, tuple(parts), names(sentence), denies(sentence))


def _best(claim: _Claim, source: Source) -> list[tuple[float, int, int]]:
    """The runs of a passage's sentences that support a claim best: share of its words, begin, stop."""
    head = words(source.source)
    whole = line(f"{source.source}\n{source.text}")
    if not all(name in whole for name in claim.names) or _told_of_another(claim, source.text, head):
        return []
    runs = list(_runs(claim, source.text, head))
    highest = max((share for share, *_ in runs), default=0.0)
    # What is nearest to the claim and denies it counts against all else.
    return [(share, a, b) for share, a, b, denied in runs if share == highest >= SHARE and denied == claim.denies]


def _runs(claim: _Claim, text: str, head: frozenset[str]) -> Iterator[tuple[float, int, int, bool]]:
    """The runs of sentences that hold a claim's numbers: share of its words, begin, stop, whether one denies."""
    places = spans(text)
    for first in range(len(places)):
        for last in range(first, min(first + WINDOW, len(places))):
            begin, stop = places[first][0], places[last][1]
            told, stands = quantities(text[begin:stop]), words(text[begin:stop]) | head
            if not all(any(number.agrees(t) for t in told) for numbers, _ in claim.parts for number in numbers):
                continue
            if _share(claim.own, stands) >= OWN:
                denied = any(denies(text[a:b]) for a, b in places[first : last + 1])
                yield _share(claim.words, stands), begin, stop, denied


def _told_of_another(claim: _Claim, text: str, head: frozenset[str]) -> bool:
    """Whether a part of the text with another number of the same unit has more of the words told of a number."""
    parts = [(quantities(part), words(part) - head) for a, b in spans(text) for part in clauses(text[a:b])]
    for numbers, said in claim.parts:
        for number in numbers:
            beside = [n for n in numbers if n is not number]
            with_it = with_another = 0
            for told, stands in parts:
                alike = len(said & stands) + sum(any(n.agrees(t) for t in told) for n in beside)
                if any(number.agrees(t) for t in told):
                    with_it = max(with_it, alike)
                elif any(t.unit == number.unit for t in told):
                    with_another = max(with_another, alike)
            if with_another > with_it:
                return True
    return False


def _share(wanted: frozenset[str], stands: frozenset[str]) -> float:
    return len(wanted & stands) / len(wanted) if wanted else 1.0
