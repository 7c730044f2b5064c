"""Choose the worked examples that help with a question: near to it, not all alike, within a token budget.

Knows nothing of prompts, corpora or which model embeds.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Protocol

from crossfade.types import Example

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

RELEVANCE = 0.7
"""The lambda of maximal marginal relevance: 1 takes the nearest examples however alike they are."""


class Embeds(Protocol):
    """What is asked of an embedder here: unit vectors, `(len(texts), dimensions)` float32."""

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """The vectors of the texts."""


class ExampleStore:
    """The examples of one task. Their questions are embedded when they are first needed, once; threads may share it."""

    def __init__(self, examples: Sequence[Example], embedder: Embeds) -> None:
        self.examples = tuple(examples)
        self._embedder = embedder
        self._vectors: NDArray[np.float32] | None = None
        self._lock = threading.Lock()

    def choose(self, question: str, *, k: int, budget: int, count: Callable[[Example], int]) -> tuple[Example, ...]:
        """At most k examples whose `count`s sum to at most `budget` tokens, the most useful last.

        The one nearest to the question is taken first, then by maximal marginal relevance: similarity to the question
        less likeness to what is taken. One that does not fit is passed over. An example that asks the very question
        is left out, as it would hand over the answer. Carbonell and Goldstein, The Use of MMR (SIGIR 1998).
        """
        if k < 1 or budget < 1 or not self.examples:
            return ()
        vectors = self._embedded()
        relevance = vectors @ self._embedder.embed([question])[0]
        likeness = vectors @ vectors.T
        asked = _plain(question)
        left = [row for row, example in enumerate(self.examples) if _plain(example.question) != asked]
        taken: list[int] = []
        while left and len(taken) < k:
            best = max(left, key=lambda row: (_worth(row, relevance, likeness, taken), -row))
            left.remove(best)
            tokens = count(self.examples[best])
            if tokens <= budget:
                budget -= tokens
                taken.append(best)
        return tuple(self.examples[row] for row in sorted(taken, key=lambda row: (relevance[row], -row)))

    def _embedded(self) -> NDArray[np.float32]:
        with self._lock:
            if self._vectors is None:
                self._vectors = self._embedder.embed([example.question for example in self.examples])
            return self._vectors


def choose(
    question: str,
    examples: Sequence[Example],
    embedder: Embeds,
    *,
    k: int,
    budget: int,
    count: Callable[[Example], int],
) -> tuple[Example, ...]:
    """`ExampleStore.choose` for examples that are used once; a store keeps their vectors for the next question."""
    return ExampleStore(examples, embedder).choose(question, k=k, budget=budget, count=count)


def _worth(row: int, relevance: NDArray[np.float32], likeness: NDArray[np.float32], taken: Sequence[int]) -> float:
    alike = max((float(likeness[row, other]) for other in taken), default=0.0)
    return RELEVANCE * float(relevance[row]) - (1 - RELEVANCE) * alike


def _plain(text: str) -> str:
    return " ".join(text.lower().split())
