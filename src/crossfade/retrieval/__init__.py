"""Find the passages of a corpus that a question needs: dense and BM25 rankings, fused.

The only room that knows LlamaIndex, FAISS and bm25s. It knows nothing of prompts, modes or generation. Importing it is
light; the heavy libraries come in when an index is built, opened or asked.
"""

from crossfade.retrieval.embedding import Embedder, LlamaCppEmbedder
from crossfade.retrieval.index import Index, Recipe
from crossfade.retrieval.loading import Progress, build_index, load_index, open_index
from crossfade.retrieval.splitting import split

__all__ = [
    "Embedder",
    "Index",
    "LlamaCppEmbedder",
    "Progress",
    "Recipe",
    "build_index",
    "load_index",
    "open_index",
    "split",
]
