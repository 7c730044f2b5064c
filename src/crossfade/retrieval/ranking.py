"""Rank passages by words (BM25) and fuse rankings. Knows nothing of embedding, documents on disk or conversations."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_PATTERN = r"(?u)\b\w+\b"
"""Unlike the default of bm25s this keeps single signs: `$5`, `7 days`."""


class WordIndex:
    """BM25 over English texts, stemmed, without stop words.

    Held in memory and made again from the texts at every start (some 10,000 passages a second), so that nothing on
    disk can disagree with them. Robertson and Zaragoza, The Probabilistic Relevance Framework (2009).
    """

    def __init__(self, texts: Sequence[str]) -> None:
        import bm25s

        logging.getLogger("bm25s").setLevel(logging.WARNING)  # it sets itself to DEBUG when it is imported
        self._size = len(texts)
        self._bm25: Any = None
        words = _words(texts)
        if any(words):
            self._bm25 = bm25s.BM25(k1=1.5, b=0.75)
            self._bm25.index(words, show_progress=False)

    def rank(self, text: str, *, depth: int, allowed: NDArray[np.bool_] | None = None) -> list[int]:
        """Rows of the passages that share words with the text, best first, at most `depth`."""
        return [row for row, _ in self.scored(text, depth=depth, allowed=allowed)]

    def scored(self, text: str, *, depth: int, allowed: NDArray[np.bool_] | None = None) -> list[tuple[int, float]]:
        """The rows of `rank`, each with its BM25 score."""
        import numpy as np

        words = _words([text])[0]
        if self._bm25 is None or not words:
            return []
        scores = self._bm25.get_scores(words)
        if allowed is not None:
            scores = np.where(allowed, scores, 0.0)
        top = np.argpartition(-scores, min(depth, self._size) - 1)[:depth]
        # Equal scores keep the order of the corpus, so that the same question always has the same answer.
        best = sorted(top, key=lambda row: (-scores[row], row))
        return [(int(row), float(scores[row])) for row in best if scores[row] > 0]


def _words(texts: Sequence[str]) -> list[list[str]]:
    import bm25s
    import Stemmer

    # A stemmer costs under a microsecond to make and may not be shared between threads.
    stemmer = Stemmer.Stemmer("english")
    found: list[list[str]] = bm25s.tokenize(
        list(texts), stopwords="en", stemmer=stemmer, token_pattern=_PATTERN, return_ids=False, show_progress=False
    )
    return found


def fuse(rankings: Iterable[tuple[float, Sequence[int]]], *, constant: float) -> list[tuple[int, float]]:
    """Weighted reciprocal-rank fusion: (row, score) best first; 1.0 is the first place in every ranking.

    score(d) = sum of w / (constant + rank of d), over the highest possible. Cormack, Clarke and Büttcher, Reciprocal
    Rank Fusion outperforms Condorcet and individual Rank Learning Methods (SIGIR 2009), with weights added.
    """
    scores: dict[int, float] = {}
    total = 0.0
    for weight, ranking in rankings:
        total += weight / (constant + 1)
        for rank, row in enumerate(ranking, start=1):
            scores[row] = scores.get(row, 0.0) + weight / (constant + rank)
    return sorted(((row, score / total) for row, score in scores.items()), key=lambda pair: (-pair[1], pair[0]))
