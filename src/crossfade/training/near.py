"""Find texts that are almost the same. Pure but for numpy; knows no rows.

Two texts are near when the sets of their words and pairs of neighbouring words share at least `NEAR` of their union
(Jaccard). What more than a tenth of the texts have is passed over: else all that are written with one template, "What
is the monthly fee of ...?", would be one.

Comparing every pair of 20,000 texts takes minutes, and an inverted index takes as long where many texts are built
alike, which is when it matters. So candidates come from MinHash with bands (Broder, "On the resemblance and containment
of documents", 1997; Leskovec et al., "Mining of Massive Datasets", 3.4), whose time grows with the number of texts
alone, and each candidate is then compared exactly: a pair below `NEAR` is never called near. A pair at 0.8 is no
candidate with a probability of (1 - 0.8^5)^25 = 0.00005, more alike ones more rarely.
"""

from __future__ import annotations

import re
import unicodedata
import zlib
from collections import Counter
from collections.abc import Callable, Sequence
from itertools import chain, pairwise

import numpy as np
from numpy.typing import NDArray

NEAR = 0.8
COMMON, FEW = 0.1, 10
"""What stands in more than this share of the texts, and in more than so many, is passed over."""
BANDS, IN_BAND = 25, 5
MOST_COMPARED = 10
"""A text is compared with so many of its bucket at most, those before it in the alphabet, so that the time stays
linear where thousands are built alike; there the others are reached through these."""
TOLD_EVERY = 1000
"""How far it is, is told after so many texts."""
_WORD = re.compile("[\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7af]|[$€£]?\\w+%?")
"""A word, or one sign of a script that writes none apart."""


def normalised(text: str) -> str:
    """A text without what makes no difference: case, kinds of spaces, and forms of the same letter (NFKC)."""
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split())


def shingles(text: str) -> frozenset[str]:
    """The words of a text and its pairs of neighbouring words; the text itself where it has no word."""
    text = normalised(text)
    words = _WORD.findall(text)
    return frozenset((*words, *map(" ".join, pairwise(words)))) or frozenset((text,))


def near_groups(
    texts: Sequence[str], *, near: float = NEAR, progress: Callable[[int, int], None] = lambda done, total: None
) -> tuple[tuple[int, ...], ...]:
    """The numbers of the texts in groups, each in one; a text near none is a group of its own.

    Near is passed on: two texts that are near a third are in one group. Groups and members are in ascending order.
    The groups do not depend on the order of the texts. 20,000 texts of 20 words take two
    to four seconds, of 300 words a quarter of a minute. `progress` is told of what is done and of all; what it raises
    ends the work.
    """
    distinct: dict[str, list[int]] = {}
    for number, text in enumerate(texts):
        distinct.setdefault(normalised(text), []).append(number)
    keys = sorted(distinct)
    steps = 2 * len(keys) + BANDS * len(keys) // 10  # a text of a band takes about a tenth of its shingles' time
    found: list[frozenset[str]] = []
    for number, key in enumerate(keys):
        if number % TOLD_EVERY == 0:
            progress(number, steps)
        found.append(shingles(key))
    sets = _telling(found)
    leader = list(range(len(keys)))

    hashed = _bands(sets, lambda done: progress(len(keys) + done, steps))
    for number, band in enumerate(hashed.T if keys else ()):
        buckets: dict[int, list[int]] = {}
        for member, key in enumerate(band.tolist()):
            if member % TOLD_EVERY == 0:
                progress(2 * len(keys) + (number * len(keys) + member) // 10, steps)
            others = buckets.setdefault(key, [])
            for other in others[-MOST_COMPARED:]:
                one, two = _lead(leader, other), _lead(leader, member)
                if one != two and jaccard(sets[other], sets[member]) >= near:
                    leader[max(one, two)] = min(one, two)
            others.append(member)
    groups: dict[int, list[int]] = {}
    for member, key in enumerate(keys):
        groups.setdefault(_lead(leader, member), []).extend(distinct[key])
    return tuple(sorted(tuple(sorted(group)) for group in groups.values()))


def near_rows(wordings: Sequence[Sequence[str]]) -> tuple[tuple[int, ...], ...]:
    """The numbers of rows, each with its wordings, in groups: of those in one, some wording is near to another's.

    An empty wording is none. Groups and members are in ascending order.
    """
    there = [(row, text) for row, texts in enumerate(wordings) for text in texts if text]
    leader = list(range(len(wordings)))

    for first, *others in near_groups([text for _, text in there]):
        for other in others:
            one, two = sorted(_lead(leader, there[member][0]) for member in (first, other))
            leader[two] = one
    groups: dict[int, list[int]] = {}
    for row in range(len(wordings)):
        groups.setdefault(_lead(leader, row), []).append(row)
    return tuple(map(tuple, groups.values()))


def _lead(leader: list[int], member: int) -> int:
    """The first of a member's group; the way to it becomes shorter."""
    while leader[member] != member:
        leader[member] = leader[leader[member]]
        member = leader[member]
    return member


def _telling(sets: Sequence[frozenset[str]]) -> list[frozenset[str]]:
    """The sets without what so many share that it is a template's; a set of that alone stays as it is."""
    counts = Counter(chain.from_iterable(sets))
    most = max(FEW, COMMON * len(sets))
    common = {shingle for shingle, count in counts.items() if count > most}
    return [found - common or found for found in sets]


def jaccard(one: frozenset[str], other: frozenset[str]) -> float:
    """The share of the union of two sets that both have, from 0 to 1."""
    shared = len(one & other)
    return shared / (len(one) + len(other) - shared) if one or other else 1.0


def _bands(sets: Sequence[frozenset[str]], progress: Callable[[int], None]) -> NDArray[np.uint64]:
    """(texts, BANDS): texts with the same value in a column share IN_BAND smallest hashes.

    The hashes are factor * x + shift modulo 2^64, of which the upper bits decide (Dietzfelbinger et al., "A reliable
    randomized algorithm for the closest-pair problem", 1997); without a division they are three times as fast.
    """
    draw = np.random.Generator(np.random.PCG64(5))
    factor, shift = draw.integers(0, 1 << 63, size=(2, BANDS * IN_BAND, 1), dtype=np.uint64) * 2 + 1
    mix = draw.integers(0, 1 << 63, size=IN_BAND, dtype=np.uint64) * 2 + 1
    found = np.empty((len(sets), BANDS), dtype=np.uint64)
    for row, members in enumerate(sets):
        if row % TOLD_EVERY == 0:
            progress(row)
        values = np.array([zlib.crc32(member.encode(errors="replace")) for member in members], dtype=np.uint64)
        least = (factor * values + shift).min(axis=1)
        found[row] = (least.reshape(BANDS, IN_BAND) * mix).sum(axis=1, dtype=np.uint64)
    return found
