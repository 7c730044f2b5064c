"""Answer questions with passages from an index in memory. Knows nothing of files, corpora, prompts or generation."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from crossfade.errors import QuestionError
from crossfade.retrieval.embedding import Embedder
from crossfade.retrieval.ranking import WordIndex, fuse
from crossfade.types import Passage, Turn

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """How passages are cut and ranked. The defaults were chosen by `benchmarks/retrieval_xquad.py` and on follow-ups.

    `size` is in words and signs; `constant` is the k of reciprocal-rank fusion; `depth` is how many passages each
    ranking names; the weight of BM25 is 1. With history, the rankings of the question alone weigh 1 and those of the
    last `turns` questions with it `follow_up`.
    """

    size: int = 160
    constant: float = 10.0
    depth: int = 50
    dense: float = 0.8
    follow_up: float = 1.0
    turns: int = 2


def searchable(passage: Passage) -> str:
    """What is embedded and indexed for a passage: its title and headings stand first, as they name the product."""
    return "\n".join(part for part in (passage.title, passage.heading, passage.text) if part)


class Index:
    """The passages of one corpus with their vectors (exact inner product) and words (BM25); several threads may ask.

    `rebuilt` says why the index had to be made when it was loaded: empty when it was not, `new`, `documents changed:
    ...`, `embedder changed`, `settings changed`, `files damaged`. `embedded` is how many passages were embedded then.
    `unsaved` says why it could not be written, so that it is in memory alone, or is empty.
    """

    def __init__(
        self, passages: Sequence[Passage], faiss_index: Any, embedder: Embedder, *, ids: Sequence[int], recipe: Recipe
    ) -> None:
        self.passages = tuple(passages)
        self.recipe = recipe
        self.rebuilt = ""
        self.embedded = 0
        self.unsaved = ""
        self._faiss = faiss_index
        self._embedder = embedder
        self._ids = list(ids)
        self._row_of = {identifier: row for row, identifier in enumerate(ids)}
        self.words = WordIndex([searchable(passage) for passage in passages])

    def retrieve(
        self,
        question: str,
        *,
        history: Sequence[Turn] = (),
        k: int = 3,
        only: Collection[str] | None = None,
        without: Collection[str] = (),
    ) -> tuple[Passage, ...]:
        """The k best passages for a question, scores falling from at most 1.

        `only` and `without` are names of documents; what is not allowed takes no place among the k. Raises
        QuestionError for an empty question and for a k below 1.
        """
        if not question.strip():
            raise QuestionError("The question is empty. Type what you want to know.")
        if k < 1:
            raise QuestionError(f"{k} passages were asked for; it must be 1 or more. Switch RAG off to use none.")
        question = question.encode("utf-8", "replace").decode()
        allowed = self._allowed(only, without)
        if not self.passages or (allowed is not None and not allowed.any()):
            return ()
        asked = [(1.0, question)]
        if history:
            before = [turn.question for turn in history[-self.recipe.turns :]]
            asked.append((self.recipe.follow_up, "\n".join([*before, question])))
        depth = max(self.recipe.depth, k)
        vectors = self._embedder.embed([text for _, text in asked])
        dense = [self.scored(vector, depth=depth, allowed=allowed) for vector in vectors]
        bm25 = [self.words.scored(text, depth=depth, allowed=allowed) for _, text in asked]
        rankings = []
        for (weight, _), near, alike in zip(asked, dense, bm25, strict=True):
            rankings.append((weight * self.recipe.dense, [row for row, _ in near]))
            rankings.append((weight, [row for row, _ in alike]))
        best = fuse(rankings, constant=self.recipe.constant)[:k]
        found = []
        for row, score in best:
            (near_rank, near_score), (alike_rank, alike_score) = _best_place(dense, row), _best_place(bm25, row)
            ranks: dict[str, Any] = {"dense": near_score, "dense_rank": near_rank}
            ranks |= {"bm25": alike_score, "bm25_rank": alike_rank}
            found.append(replace(self.passages[row], score=score, **ranks))
        return tuple(found)

    def _allowed(self, only: Collection[str] | None, without: Collection[str]) -> NDArray[np.bool_] | None:
        """Which rows may be named, `(len(passages),)`, or None for all."""
        import numpy as np

        if only is None and not without:
            return None
        return np.array([(only is None or p.document in only) and p.document not in without for p in self.passages])

    def nearest(
        self, vector: NDArray[np.float32], *, depth: int, allowed: NDArray[np.bool_] | None = None
    ) -> list[int]:
        """Rows by falling inner product with a unit vector `(dimensions,)`."""
        return [row for row, _ in self.scored(vector, depth=depth, allowed=allowed)]

    def scored(
        self, vector: NDArray[np.float32], *, depth: int, allowed: NDArray[np.bool_] | None = None
    ) -> list[tuple[int, float]]:
        """The rows of `nearest`, each with its inner product."""
        import faiss
        import numpy as np

        params = None
        search_parameters: Any = faiss.SearchParameters  # its stubs leave out the keywords
        if allowed is not None:
            chosen = np.array(self._ids, dtype=np.int64)[allowed]
            params = search_parameters(sel=faiss.IDSelectorBatch(chosen))
        products, found = self._faiss.search(vector[None, :], min(depth, len(self._ids)), params=params)
        # FAISS fills up with -1 where a filter leaves fewer than were asked for.
        pairs = zip(found[0], products[0], strict=True)
        return [(self._row_of[int(identifier)], float(product)) for identifier, product in pairs if identifier >= 0]


def _best_place(rankings: Sequence[Sequence[tuple[int, float]]], row: int) -> tuple[int | None, float | None]:
    """Where a row stands best, from 1, and its score there; None where no ranking names it."""
    places = [(rank, s) for ranking in rankings for rank, (r, s) in enumerate(ranking, start=1) if r == row]
    return min(places, key=lambda place: place[0], default=(None, None))
