"""Turn a BERT sentence embedder in safetensors into a GGUF, so that llama.cpp embeds and torch is never imported.

Knows the two formats and nothing of retrieval. The vocabulary is rewritten as llama.cpp's WordPiece tokenizer wants it:
a piece that starts a word gets a leading `▁` (U+2581), a continuation loses its `##`; see `BertModel.set_vocab` in
https://github.com/ggml-org/llama.cpp/blob/master/convert_hf_to_gguf.py.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from crossfade.errors import ModelError
from crossfade.models.gguf_file import file_sha256
from crossfade.models.gguf_write import checked
from crossfade.models.once import disk_errors, make_once

_NORMAL, _UNKNOWN, _CONTROL = 1, 2, 3  # gguf.TokenType
_SPECIAL = {"[PAD]": "pad", "[UNK]": "unk", "[CLS]": "cls", "[SEP]": "sep", "[MASK]": "mask"}
_FORMAT = 1


def embedder_gguf(folder: Path, home: Path) -> Path:
    """The GGUF (F32, mean pooling) of a BERT folder with config.json, vocab.txt and model.safetensors.

    Made once and kept in `home/models/embedders` by the weights' sha256. Raises ModelError for another architecture,
    a missing or broken file, or a disk that refuses.
    """
    try:
        identity = _identity(folder)
    except OSError as error:
        raise ModelError(f"The embedder in {folder} cannot be read: {error}. Fetch it again.") from error
    target = home / "models" / "embedders" / f"{identity[:16]}-{_FORMAT}.gguf"
    with disk_errors(home):
        return make_once(target, lambda part: _convert(folder, part))


def _identity(folder: Path) -> str:
    """The weights' sha256, from the marker that the download left if the file still has that size."""
    weights = folder / "model.safetensors"
    try:
        marked = json.loads((folder / "verified.json").read_text(encoding="utf-8"))["model.safetensors"]
        if marked["size"] == weights.stat().st_size:
            return str(marked["sha256"])
    except (OSError, ValueError, KeyError, TypeError):
        pass
    return file_sha256(weights)


def _convert(folder: Path, part: Path) -> None:
    import gguf
    import numpy
    from safetensors import SafetensorError, safe_open

    config = _config(folder)
    writer = gguf.GGUFWriter(part, arch="bert")
    _add_shape(writer, config, folder.name)
    _add_vocabulary(writer, folder, config)
    names = gguf.get_tensor_name_map(gguf.MODEL_ARCH.BERT, config["num_hidden_layers"])
    try:
        with safe_open(folder / "model.safetensors", framework="numpy") as weights:
            for name in sorted(weights.keys()):
                plain = name.removeprefix("bert.")
                # Position ids are 0, 1, 2, ..., and the pooler belongs to a task that is not embedding.
                if plain.endswith("position_ids") or plain.startswith("pooler."):
                    continue
                new = names.get_name(plain, try_suffixes=(".weight", ".bias"))
                if new is None:
                    raise ModelError(f"The embedder in {folder} has an unknown tensor {name!r}; it is no plain BERT.")
                writer.add_tensor(new, checked(weights.get_tensor(name).astype(numpy.float32, copy=False)))
    except SafetensorError as error:
        raise ModelError(f"{folder}/model.safetensors is broken ({error}). Fetch it again.") from error
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def _config(folder: Path) -> dict[str, Any]:
    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        kind = config["model_type"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ModelError(f"{folder}/config.json cannot be read ({error}). Fetch the embedder again.") from error
    if kind != "bert":
        raise ModelError(f"The embedder in {folder} is a {kind!r}. Allowed: 'bert' (such as minilm), or a ready .gguf.")
    return dict(config)


def _add_shape(writer: Any, config: dict[str, Any], name: str) -> None:
    import gguf

    writer.add_name(name)
    writer.add_context_length(config["max_position_embeddings"])
    writer.add_embedding_length(config["hidden_size"])
    writer.add_feed_forward_length(config["intermediate_size"])
    writer.add_block_count(config["num_hidden_layers"])
    writer.add_head_count(config["num_attention_heads"])
    writer.add_layer_norm_eps(config["layer_norm_eps"])
    writer.add_causal_attention(False)
    writer.add_pooling_type(gguf.PoolingType.MEAN)
    writer.add_file_type(gguf.LlamaFileType.ALL_F32)


def _add_vocabulary(writer: Any, folder: Path, config: dict[str, Any]) -> None:
    """Tokens as llama.cpp's WordPiece reads them. `vocab.txt` has one token a line; its line number is its id."""
    try:
        lines = (folder / "vocab.txt").read_text(encoding="utf-8").split("\n")
    except (OSError, ValueError) as error:
        raise ModelError(f"{folder}/vocab.txt cannot be read ({error}). Fetch the embedder again.") from error
    pieces = lines[:-1] if lines[-1] == "" else lines
    if len(pieces) != config["vocab_size"] or not set(_SPECIAL) <= set(pieces):
        raise ModelError(
            f"{folder}/vocab.txt has {len(pieces)} tokens; it should have {config['vocab_size']}, among them "
            f"{', '.join(_SPECIAL)}. Fetch the embedder again."
        )
    unused = {piece for piece in pieces if piece.startswith("[unused") and piece.endswith("]")}
    writer.add_tokenizer_model("bert")
    writer.add_tokenizer_pre("default")
    writer.add_token_list(
        [piece if piece in _SPECIAL or piece in unused else _phantom_space(piece) for piece in pieces]
    )
    writer.add_token_types([_token_type(piece) for piece in pieces])
    writer.add_token_type_count(config["type_vocab_size"])
    ids = {kind: pieces.index(piece) for piece, kind in _SPECIAL.items()}
    writer.add_bos_token_id(ids["cls"])
    writer.add_sep_token_id(ids["sep"])
    writer.add_eos_token_id(ids["sep"])
    writer.add_unk_token_id(ids["unk"])
    writer.add_pad_token_id(ids["pad"])
    writer.add_mask_token_id(ids["mask"])


def _phantom_space(piece: str) -> str:
    return piece[2:] if piece.startswith("##") else "▁" + piece


def _token_type(piece: str) -> int:
    if piece == "[UNK]":
        return _UNKNOWN
    return _CONTROL if piece in _SPECIAL else _NORMAL
