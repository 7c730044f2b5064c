"""A converted embedder must embed as torch does: a tiny random BERT here, the real one where it has been fetched."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy
import pytest

from crossfade.errors import ModelError
from crossfade.models.embedder_gguf import embedder_gguf
from damage import DAMAGES, Damage

SENTENCES = [
    "The fee is $12.50 on 2026-11-22.",
    "What is the overdraft limit?",
    "naïve café, “quotes” and ÜBER",
    "Dogs run; cats sleep. Don't they?",
    "unaffordability xyzzyq",
    "  spaces   and\nnewlines\t here ",
    "email: a.b@c.com",
    "短い文 test",
    "A",
    "fee limit " * 20,
]


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch = pytest.importorskip("torch")
    transformers = pytest.importorskip("transformers")
    folder = tmp_path_factory.mktemp("embedder")
    letters = [chr(code) for code in range(33, 127) if not chr(code).isupper()]
    words = ["fee", "limit", "the", "is", "dog", "cat", "over", "##draft", "##s", "短", "文"]
    pieces = ["[PAD]", "[unused0]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *words, *letters]
    pieces += [f"##{letter}" for letter in letters if letter.isalnum()]
    (folder / "vocab.txt").write_text("\n".join(dict.fromkeys(pieces)) + "\n", encoding="utf-8")
    torch.manual_seed(0)
    config = transformers.BertConfig(
        vocab_size=len(dict.fromkeys(pieces)),
        hidden_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=128,
        max_position_embeddings=128,
        initializer_range=0.2,
    )
    transformers.BertModel(config).save_pretrained(folder)
    return folder


def by_torch(folder: Path, texts: list[str]) -> Any:
    """Unit vectors (text, width): the mean of the last hidden states over the tokens that are no padding."""
    import torch
    from transformers import BertModel, BertTokenizer

    tokenizer = BertTokenizer(str(folder / "vocab.txt"))
    model = BertModel.from_pretrained(folder, dtype=torch.float32).eval()
    batch = tokenizer(texts, padding=True, return_tensors="pt")
    with torch.no_grad():
        hidden = model(**batch).last_hidden_state
    mask = batch["attention_mask"][:, :, None]
    return torch.nn.functional.normalize((hidden * mask).sum(1) / mask.sum(1), dim=1).numpy()


def by_llama_cpp(path: Path, texts: list[str], context: int) -> Any:
    import xllamacpp

    parameters = xllamacpp.CommonParams()
    parameters.model.path, parameters.embedding, parameters.verbosity = str(path), True, 0
    parameters.pooling_type = xllamacpp.llama_pooling_type.LLAMA_POOLING_TYPE_MEAN
    parameters.n_ctx = parameters.n_batch = parameters.n_ubatch = context
    parameters.n_parallel = 1
    reply = xllamacpp.Server(parameters).handle_embeddings({"input": texts, "model": "embedder"})
    reply = json.loads(reply) if isinstance(reply, str) else reply
    return numpy.array([entry["embedding"] for entry in reply["data"]])


@pytest.mark.filterwarnings("ignore::FutureWarning")
def test_the_converted_embedder_embeds_as_torch_does(tiny: Path, tmp_path: Path) -> None:
    path = embedder_gguf(tiny, tmp_path)
    cosines = (by_torch(tiny, SENTENCES) * by_llama_cpp(path, SENTENCES, 128)).sum(axis=1)
    assert cosines.min() >= 0.999


def test_converting_is_done_once(tiny: Path, tmp_path: Path) -> None:
    path = embedder_gguf(tiny, tmp_path)
    written = path.stat().st_mtime_ns
    assert embedder_gguf(tiny, tmp_path) == path
    assert path.stat().st_mtime_ns == written


@pytest.mark.parametrize("damage", DAMAGES)
def test_an_embedder_that_was_cut_or_altered_is_made_again(tiny: Path, tmp_path: Path, damage: Damage) -> None:
    path = embedder_gguf(tiny, tmp_path)
    whole = path.read_bytes()
    damage(path)
    assert path.read_bytes() != whole
    assert embedder_gguf(tiny, tmp_path) == path
    assert path.read_bytes() == whole


def test_a_folder_that_is_no_bert_is_refused(tmp_path: Path) -> None:
    (tmp_path / "model.safetensors").write_bytes(b"")
    (tmp_path / "config.json").write_text('{"model_type": "llama"}')
    with pytest.raises(ModelError, match="'llama'"):
        embedder_gguf(tmp_path, tmp_path / "home")
    with pytest.raises(ModelError, match="cannot be read"):
        embedder_gguf(tmp_path / "missing", tmp_path / "home")


def test_a_vocabulary_of_another_length_is_refused(tiny: Path, tmp_path: Path) -> None:
    import shutil

    folder = tmp_path / "copy"
    shutil.copytree(tiny, folder)
    with (folder / "vocab.txt").open("a", encoding="utf-8") as file:
        file.write("more\n")
    with pytest.raises(ModelError, match="tokens"):
        embedder_gguf(folder, tmp_path / "home")
