"""Our embedder and index as LlamaIndex sees them, for query engines and agents built there.

Imports LlamaIndex when imported; nothing on the way of a question needs it. Knows nothing of how passages are ranked.
"""

from __future__ import annotations

from typing import Any

from llama_index.core.base.base_retriever import BaseRetriever
from llama_index.core.base.embeddings.base import BaseEmbedding
from llama_index.core.bridge.pydantic import PrivateAttr
from llama_index.core.schema import NodeWithScore, QueryBundle, TextNode

from crossfade.retrieval.embedding import Embedder
from crossfade.retrieval.index import Index
from crossfade.types import Passage


class CrossfadeEmbedding(BaseEmbedding):  # type: ignore[misc]
    """A LlamaIndex embedding model around an `Embedder`; pass it explicitly, as the default there is a paid API."""

    _embedder: Any = PrivateAttr()

    def __init__(self, embedder: Embedder) -> None:
        super().__init__(model_name=embedder.name)
        self._embedder = embedder

    def _get_text_embeddings(self, texts: list[str]) -> list[list[float]]:
        return [[float(x) for x in vector] for vector in self._embedder.embed(texts)]

    def _get_text_embedding(self, text: str) -> list[float]:
        return self._get_text_embeddings([text])[0]

    def _get_query_embedding(self, query: str) -> list[float]:
        return self._get_text_embedding(query)

    async def _aget_query_embedding(self, query: str) -> list[float]:
        return self._get_text_embedding(query)


class CrossfadeRetriever(BaseRetriever):  # type: ignore[misc]
    """A LlamaIndex retriever around an `Index`; it gives `k` nodes with the fused score."""

    def __init__(self, index: Index, *, k: int = 3) -> None:
        super().__init__()
        self._index = index
        self._k = k

    def _retrieve(self, query_bundle: QueryBundle) -> list[NodeWithScore]:
        found = self._index.retrieve(query_bundle.query_str, k=self._k)
        return [NodeWithScore(node=as_node(passage), score=passage.score) for passage in found]


def as_node(passage: Passage) -> TextNode:
    """A passage as a node whose id is its place in the corpus; title and heading are metadata."""
    return TextNode(
        id_=f"{passage.document}:{passage.start}-{passage.end}",
        text=passage.text,
        metadata={"document": passage.document, "title": passage.title, "heading": passage.heading},
        start_char_idx=passage.start,
        end_char_idx=passage.end,
    )
