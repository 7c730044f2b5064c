"""A tiny random BERT, made without torch, embedded by llama.cpp as the real one is."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from crossfade.errors import ModelError
from crossfade.models.embedder_gguf import embedder_gguf
from crossfade.retrieval import LlamaCppEmbedder

WIDTH, INNER, LAYERS, POSITIONS = 32, 64, 2, 128
SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
WORDS = ["fee", "card", "wire", "bank", "rate", "."]


def tiny_bert(folder: Path) -> Path:
    """A BERT folder with random weights and a vocabulary of a few words."""
    chance = np.random.default_rng(0)

    def normal(*shape: int) -> np.ndarray:
        return chance.normal(0, 0.3, shape).astype(np.float32)

    tensors = {
        "embeddings.word_embeddings.weight": normal(len(SPECIAL + WORDS), WIDTH),
        "embeddings.position_embeddings.weight": normal(POSITIONS, WIDTH),
        "embeddings.token_type_embeddings.weight": normal(2, WIDTH),
    }
    norms = ["embeddings.LayerNorm"]
    for layer in range(LAYERS):
        at = f"encoder.layer.{layer}"
        dense = {f"{at}.attention.self.{part}": (WIDTH, WIDTH) for part in ("query", "key", "value")}
        dense |= {f"{at}.attention.output.dense": (WIDTH, WIDTH)}
        dense |= {f"{at}.intermediate.dense": (INNER, WIDTH), f"{at}.output.dense": (WIDTH, INNER)}
        for name, shape in dense.items():
            tensors |= {f"{name}.weight": normal(*shape), f"{name}.bias": normal(shape[0])}
        norms += [f"{at}.attention.output.LayerNorm", f"{at}.output.LayerNorm"]
    for name in norms:
        tensors |= {f"{name}.weight": np.ones(WIDTH, np.float32), f"{name}.bias": np.zeros(WIDTH, np.float32)}
    folder.mkdir()
    save_file(tensors, folder / "model.safetensors")
    (folder / "vocab.txt").write_text("\n".join(SPECIAL + WORDS) + "\n", encoding="utf-8")
    config = {
        "model_type": "bert",
        "vocab_size": len(SPECIAL + WORDS),
        "hidden_size": WIDTH,
        "intermediate_size": INNER,
        "num_hidden_layers": LAYERS,
        "num_attention_heads": 4,
        "max_position_embeddings": POSITIONS,
        "type_vocab_size": 2,
        "layer_norm_eps": 1e-12,
    }
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def gguf(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("home")
    return embedder_gguf(tiny_bert(home / "bert"), home)


@pytest.fixture(scope="module")
def embedder(gguf: Path) -> LlamaCppEmbedder:
    return LlamaCppEmbedder(gguf)


def test_vectors_have_length_one_and_the_width_that_is_told(embedder: LlamaCppEmbedder) -> None:
    vectors = embedder.embed(["fee", "card wire", "bank rate fee"])
    assert vectors.shape == (3, embedder.dimensions) == (3, WIDTH)
    assert vectors.dtype == np.float32
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)


def test_a_text_has_the_same_vector_alone_and_in_any_batch(embedder: LlamaCppEmbedder) -> None:
    texts = [" ".join(WORDS[n % 5] for n in range(length)) for length in (1, 40, 3, 90, 7, 2, 60)]
    batch = embedder.embed(texts)
    assert np.allclose(batch, np.concatenate([embedder.embed([text]) for text in texts]), atol=2e-3)
    assert np.allclose(batch[::-1], embedder.embed(texts[::-1]), atol=2e-3)
    assert not np.allclose(batch[0], batch[2], atol=1e-2)


@pytest.mark.parametrize("words", [127, 400, 600, 5000])
def test_a_text_too_long_is_cut_and_its_end_is_not_seen(embedder: LlamaCppEmbedder, words: int) -> None:
    long = embedder.embed(["fee " * words + "card " * words])
    assert np.allclose(np.linalg.norm(long), 1, atol=1e-5)
    assert np.allclose(embedder.embed(["bank", "fee " * words + "card " * words])[1], long, atol=2e-3)
    assert np.allclose(long, embedder.embed(["fee " * words + "wire " * words]), atol=1e-2)


def test_no_text_gives_no_vector_and_an_empty_text_gives_one(embedder: LlamaCppEmbedder) -> None:
    assert embedder.embed([]).shape == (0, WIDTH)
    assert embedder.embed(["", "  \n", "\ud800", "\x00"]).shape == (4, WIDTH)


def test_threads_get_what_one_thread_gets(embedder: LlamaCppEmbedder) -> None:
    texts = [" ".join(WORDS[(n * k) % 5] for n in range(k)) for k in range(1, 25)]
    with ThreadPoolExecutor(8) as pool:
        rows = list(pool.map(lambda text: embedder.embed([text])[0], texts))
    assert np.allclose(rows, embedder.embed(texts), atol=2e-3)


def test_the_identity_is_that_of_the_bytes(embedder: LlamaCppEmbedder, gguf: Path, tmp_path: Path) -> None:
    copy = tmp_path / "other-name.gguf"
    copy.write_bytes(gguf.read_bytes())
    assert LlamaCppEmbedder(copy).identity == embedder.identity
    assert (LlamaCppEmbedder(copy).name, len(embedder.identity)) == ("other-name", 64)


def test_a_missing_embedder_is_named(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"no embedder at .*gone\.gguf.*--fetch minilm"):
        LlamaCppEmbedder(tmp_path / "gone.gguf")


def test_a_broken_embedder_is_named(tmp_path: Path) -> None:
    (tmp_path / "broken.gguf").write_bytes(b"GGUF" + bytes(100))
    with pytest.raises(ModelError, match=r"broken\.gguf cannot be used"):
        LlamaCppEmbedder(tmp_path / "broken.gguf")
