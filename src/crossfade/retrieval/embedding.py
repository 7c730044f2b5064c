"""Turn texts into unit vectors, in this process and without torch. Knows nothing of documents, passages or indexes."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from crossfade.errors import ModelError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

MAX_TOKENS = 512
"""What all-MiniLM-L6-v2 has positions for, [CLS] and [SEP] included; the rest of a longer text is not seen."""

_SLOTS = 4


class Embedder(Protocol):
    """Maps texts to unit vectors. Same identity and text give the same vector, to three digits or more."""

    @property
    def name(self) -> str:
        """The model's name, for people."""

    @property
    def identity(self) -> str:
        """The sha256 of the weights, in hexadecimal."""

    @property
    def dimensions(self) -> int:
        """The width of a vector."""

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """The vectors of the texts, `(len(texts), dimensions)` float32, each of length 1."""


class LlamaCppEmbedder:
    """A GGUF sentence encoder with mean pooling, such as all-MiniLM-L6-v2, run by llama.cpp through xllamacpp.

    Several threads may call `embed` at once. More than one compute thread pays on an idle machine only, since they wait
    for each other at every layer: on two cores a question of 6 ms took 250 ms beside a training run, with one thread 9
    to 30 ms. Raises ModelError where the file is missing or is no embedding model.
    """

    def __init__(self, gguf: Path, threads: int = 1) -> None:
        import xllamacpp

        if not gguf.is_file():
            raise ModelError(f"There is no embedder at {gguf}. Fetch it again: crossfade models --fetch minilm")
        with gguf.open("rb") as file:
            self._identity = hashlib.file_digest(file, "sha256").hexdigest()
        self._name = gguf.stem
        params = xllamacpp.CommonParams()
        params.model.path = str(gguf)
        params.embedding = True
        params.pooling_type = xllamacpp.llama_pooling_type.LLAMA_POOLING_TYPE_MEAN
        params.n_parallel = _SLOTS
        # A slot has n_ctx / n_parallel, and an encoder must see the whole text in one micro-batch.
        params.n_ctx = params.n_batch = params.n_ubatch = _SLOTS * MAX_TOKENS
        params.cpuparams.n_threads = params.cpuparams_batch.n_threads = threads
        params.cache_ram_mib = 0
        params.ui = False
        params.verbosity = 0
        try:
            self._server = xllamacpp.Server(params)
            self._dimensions = int(self.embed(["warm up"]).shape[1])
        except (RuntimeError, ValueError, MemoryError) as error:
            raise ModelError(f"{gguf} cannot be used as an embedder: {error}. Fetch it again.") from error

    @property
    def name(self) -> str:
        """The file's name without its ending."""
        return self._name

    @property
    def identity(self) -> str:
        """The sha256 of the GGUF file."""
        return self._identity

    @property
    def dimensions(self) -> int:
        """The width of a vector, 384 for all-MiniLM-L6-v2."""
        return self._dimensions

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """The vectors of the texts, `(len(texts), dimensions)` float32 of length 1; texts are cut at 512 tokens."""
        import numpy as np

        if not texts:
            return np.zeros((0, self._dimensions), dtype=np.float32)
        # The server refuses the empty text, and a lone surrogate, which JSON may bring, is no UTF-8.
        reply = self._ask([text.encode("utf-8", "replace").decode() if text.strip() else "." for text in texts])
        if "error" in reply and len(texts) > 1:
            # One text of the batch is too long; alone, each finds its own length.
            return np.concatenate([self.embed([text]) for text in texts])
        rows = [row["embedding"] for row in sorted(reply["data"], key=lambda row: int(row["index"]))]
        vectors = np.asarray(rows, dtype=np.float32)
        return np.ascontiguousarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True))

    def _ask(self, texts: list[str]) -> dict[str, Any]:
        """The server's reply; a single text that is too long is cut until it fits. Raises ModelError if it refuses."""
        while True:
            reply: dict[str, Any] = self._server.handle_embeddings({"input": texts})
            error = reply.get("error")
            if error is None:
                return reply
            if "too large" not in error["message"] and error.get("type") != "exceed_context_size_error":
                raise ModelError(f"The embedder {self._name!r} refused a text: {error['message']}.")
            if len(texts) > 1:
                return reply
            # Beyond a micro-batch the server does not say how long the text is.
            share = min(error["n_ctx"] / error["n_prompt_tokens"] if "n_ctx" in error else 0.5, 0.98)
            texts = [texts[0][: max(1, int(len(texts[0]) * share))]]
