"""Find training rows that ask what a judging row asks. Pure but for the embedder that is passed in.

A training row overlaps a judging row where its text is almost the same (half of the word trigrams), where it means
the same (cosine of embeddings), or where it asks for the same fact: one gold document, an accepted answer inside the
taught answer, and similar wording.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

SAME_MEANING = 0.85
SAME_FACT = 0.55
SAME_WORDS = 0.5
FEWEST_TRIGRAMS = 3
AT_ONCE, TOLD_EVERY = 64, 1000

Embed = Callable[[Sequence[str]], NDArray[np.float32]]


@dataclass(frozen=True, slots=True)
class Overlap:
    """Row numbers (from 0) of a training and a judging row that ask the same, and how that was seen."""

    training: int
    judging: int
    why: str


def overlaps(
    training: Sequence[dict[str, Any]],
    judging: Sequence[dict[str, Any]],
    embed: Embed,
    *,
    same_words: float = SAME_WORDS,
    same_meaning: float = SAME_MEANING,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> list[Overlap]:
    """The overlaps between rows with `question` (or `message`), one at most for each training row.

    `answer`, `answers` and `documents` are looked at where both rows have them. `embed` gives unit vectors
    (rows, dimensions). `same_words` is the least share of trigrams, `same_meaning` the least cosine that counts alone.
    `progress` is told of what is done and of all; what it raises ends the work.
    """
    if not training or not judging:
        return []
    asked, judged = [_text(r) for r in training], [_text(r) for r in judging]
    meant, steps = [], 2 * len(training)
    found: list[Overlap] = []
    for i in range(0, len(asked), AT_ONCE):
        progress(i, steps)
        meant.append(embed(asked[i : i + AT_ONCE]))
    cosine = np.concatenate(meant) @ embed(judged).T
    by_words = _Shared(judged, least=same_words)
    for i in range(len(training)):
        if i % AT_ONCE == 0:
            progress(len(training) + i, steps)
        shared = by_words.of(asked[i])
        near = {*np.flatnonzero(cosine[i] >= min(same_meaning, SAME_FACT)).tolist(), *shared}
        for j in sorted(near, key=lambda j: -cosine[i, j]):
            value = float(cosine[i, j])
            if j in shared:
                found.append(Overlap(i, j, f"shared word trigrams {shared[j]:.0%}"))
            elif value >= same_meaning:
                found.append(Overlap(i, j, f"cosine {value:.2f}"))
            elif value >= SAME_FACT and _same_fact(training[i], judging[j]):
                found.append(Overlap(i, j, f"same document and answer, cosine {value:.2f}"))
            else:
                continue
            break
    return found


def shared_words(
    training: Sequence[dict[str, Any]],
    judging: Sequence[dict[str, Any]],
    *,
    same_words: float = SAME_WORDS,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> list[Overlap]:
    """What `overlaps` finds by words alone, in a time that grows with the rows and not with their product."""
    by_words = _Shared([_text(row) for row in judging], least=same_words)
    found = []
    for i, row in enumerate(training):
        if i % TOLD_EVERY == 0:
            progress(i, len(training))
        if shared := by_words.of(_text(row)):
            j = min(shared)
            found.append(Overlap(i, j, f"shared word trigrams {shared[j]:.0%}"))
    return found


class _Shared:
    """Finds the texts that share at least so much of the word trigrams of the shorter of two."""

    def __init__(self, texts: Sequence[str], *, least: float) -> None:
        self._least, self._grams = least, [_trigrams(text) for text in texts]
        self._having: dict[tuple[str, ...], list[int]] = {}
        for j, grams in enumerate(self._grams):
            for gram in grams:
                self._having.setdefault(gram, []).append(j)

    def of(self, text: str) -> dict[int, float]:
        """The share for each text, by its number."""
        own = _trigrams(text)
        counts = Counter(j for gram in own for j in self._having.get(gram, ()))
        fewest = {j: min(len(own), len(self._grams[j])) for j in counts}
        return {
            j: count / fewest[j]
            for j, count in counts.items()
            if fewest[j] >= FEWEST_TRIGRAMS and count >= self._least * fewest[j]
        }


def _same_fact(row: dict[str, Any], judge: dict[str, Any]) -> bool:
    if not set(row.get("documents") or ()) & set(judge.get("documents") or ()):
        return False
    taught = f" {' '.join(_words(str(row.get('answer', ''))))} "
    return any(f" {' '.join(_words(a))} " in taught for a in judge.get("answers", ()))


def _text(row: dict[str, Any]) -> str:
    return str(row.get("question") or row.get("message") or "")


def _words(text: str) -> list[str]:
    return re.findall(r"[\w$%.]*\w%?", text.lower())


def _trigrams(text: str) -> frozenset[tuple[str, ...]]:
    words = _words(text)
    return frozenset(zip(words, words[1:], words[2:], strict=False))
