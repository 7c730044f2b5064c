"""What a GGUF base model is: its identity, its shape, its chat template. Knows nothing of where the file came from.

The identity is the sha256 of the weights as first published. A re-quantised copy carries its source's identity in the
key `crossfade.source.sha256`, so an adapter trained on one fits the other.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from crossfade.errors import ModelError
from crossfade.models.gguf_header import Value, read_metadata

SOURCE_KEY = "crossfade.source.sha256"
_CONTROL = 3  # gguf.TokenType.CONTROL
_CACHE_FORMAT = 1


@dataclass(frozen=True, slots=True)
class BaseDescription:
    """The shape of a base model. `context` is in tokens; `end_token` closes an answer; `source` is SOURCE_KEY's value.

    Projections are (out, in): q is (heads * head_width, width), k and v (kv_heads * head_width, width), gate and up
    (feed_forward, width).
    """

    architecture: str
    name: str
    layers: int
    width: int
    feed_forward: int
    heads: int
    kv_heads: int
    head_width: int
    context: int
    vocabulary: int
    file_type: int
    chat_template: str
    control_tokens: tuple[str, ...]
    end_token: str
    source: str


def describe(path: Path, home: Path | None = None) -> BaseDescription:
    """The description of a GGUF, kept in `home` by path, size and time when a home is given.

    Raises ModelError for a file that is no GGUF or lacks what a language model needs.
    """
    found = _cached(home, path, "describe", lambda: asdict(_description(path, read_metadata(path))))
    return BaseDescription(**{**found, "control_tokens": tuple(found["control_tokens"])})


def base_identity(path: Path, home: Path | None = None) -> str:
    """The sha256 (hex) of the weights as first published, the same for a file and what was re-quantised from it.

    That of a folder is its safetensors file's; of several, the sha256 of theirs in hex, one after the other by name.
    """
    if path.is_dir():
        parts = [_weights_sha256(file, home) for file in sorted(path.glob("*.safetensors"))]
        return parts[0] if len(parts) == 1 else hashlib.sha256("".join(parts).encode()).hexdigest()

    def compute() -> dict[str, Any]:
        return {"sha256": describe(path, home).source or file_sha256(path)}

    return str(_cached(home, path, "identity", compute)["sha256"])


def _weights_sha256(file: Path, home: Path | None) -> str:
    return str(_cached(home, file, "sha256", lambda: {"sha256": file_sha256(file)})["sha256"])


def file_sha256(path: Path) -> str:
    """The sha256 (hex) of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _description(path: Path, keys: dict[str, Value]) -> BaseDescription:
    architecture = str(keys.get("general.architecture", ""))

    def number(name: str, default: int | None = None) -> int:
        value = keys.get(f"{architecture}.{name}", default)
        if isinstance(value, list):  # some architectures give a number for each layer
            value = max((int(v) for v in value), default=default)
        if not isinstance(value, int | float):
            raise ModelError(f"{path} lacks the key {architecture}.{name}; it is not a language model in GGUF form.")
        return int(value)

    split = keys.get("split.count", 0)
    if isinstance(split, int) and split > 1:
        raise ModelError(f"{path} is one of {split} parts. Join them with llama-gguf-split --merge and use the result.")
    tokens, types = keys.get("tokenizer.ggml.tokens", []), keys.get("tokenizer.ggml.token_type", [])
    if not isinstance(tokens, list) or not isinstance(types, list) or not tokens:
        raise ModelError(f"{path} has no vocabulary; it is not a language model in GGUF form.")
    control = tuple(str(t) for t, kind in zip(tokens, types, strict=False) if kind == _CONTROL)
    end = keys.get("tokenizer.ggml.eos_token_id", -1)
    width, heads = number("embedding_length"), number("attention.head_count")
    return BaseDescription(
        architecture=architecture,
        name=str(keys.get("general.name", path.stem)),
        layers=number("block_count"),
        width=width,
        feed_forward=number("feed_forward_length", 0),
        heads=heads,
        kv_heads=number("attention.head_count_kv", heads),
        head_width=number("attention.key_length", width // max(heads, 1)),
        context=number("context_length"),
        vocabulary=len(tokens),
        file_type=int(str(keys.get("general.file_type", -1))),
        chat_template=str(keys.get("tokenizer.chat_template", "")),
        control_tokens=control,
        end_token=str(tokens[end]) if isinstance(end, int) and 0 <= end < len(tokens) else "",
        source=str(keys.get(SOURCE_KEY, "")),
    )


def _cached(home: Path | None, path: Path, what: str, compute: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """The computed value, or the one kept for the same path, size and time; a broken cache is computed anew."""
    try:
        status = path.stat()
    except OSError as error:
        raise ModelError(f"The model file {path} cannot be read: {error.strerror}. Check the path.") from error
    if home is None:
        return compute()
    key = {"path": str(path.resolve()), "size": status.st_size, "mtime_ns": status.st_mtime_ns, "format": _CACHE_FORMAT}
    name = hashlib.sha256(str(path.resolve()).encode()).hexdigest()[:24]
    kept = home / "models" / "described" / f"{name}.{what}.json"
    try:
        entry = json.loads(kept.read_text(encoding="utf-8"))
        if entry["key"] == key:
            return dict(entry["value"])
    except (OSError, ValueError, KeyError, TypeError):
        pass
    value = compute()
    beside = kept.with_name(f"{kept.name}.{os.getpid()}")
    try:
        kept.parent.mkdir(parents=True, exist_ok=True)
        beside.write_text(json.dumps({"key": key, "value": value}), encoding="utf-8")
        os.replace(beside, kept)
    except OSError:  # a home that cannot be written costs time only: the value is computed at each start
        beside.unlink(missing_ok=True)
    return value
