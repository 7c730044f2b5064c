"""LoRA folders written by hand, without torch or PEFT, so that each test can bend exactly one thing in them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import save_file

from crossfade.adapters.peft_config import CONFIG_FILE
from crossfade.adapters.peft_files import CARD_FILE, WEIGHTS_FILE
from crossfade.models.gguf_file import BaseDescription

WIDTH, FEED_FORWARD, HEADS, KV_HEADS = 64, 128, 4, 2
SHAPES = {
    "self_attn.q_proj": (64, 64),
    "self_attn.k_proj": (32, 64),
    "self_attn.v_proj": (32, 64),
    "self_attn.o_proj": (64, 64),
    "mlp.gate_proj": (128, 64),
    "mlp.up_proj": (128, 64),
    "mlp.down_proj": (64, 128),
}
"""(outputs, inputs) of each linear layer of the tiny models."""
IDENTITY = "a" * 64


def description(architecture: str = "llama", **changes: Any) -> BaseDescription:
    """The description of a tiny base that does not exist."""
    fields: dict[str, Any] = {
        "architecture": architecture,
        "name": "Tiny",
        "layers": 2,
        "width": WIDTH,
        "feed_forward": FEED_FORWARD,
        "heads": HEADS,
        "kv_heads": KV_HEADS,
        "head_width": WIDTH // HEADS,
        "context": 256,
        "vocabulary": 300,
        "file_type": 0,
        "chat_template": "",
        "control_tokens": (),
        "end_token": "",
        "source": "",
    }
    return BaseDescription(**(fields | changes))


def matrices(*modules: str, rank: int = 4, seed: int = 0, dtype: str = "float32") -> dict[str, Any]:
    """Random A and B of the named layers, all of layer 0 where none is named, by their names in a PEFT file."""
    random, found = np.random.default_rng(seed), {}
    for module in modules or [f"model.layers.0.{part}" for part in SHAPES]:
        outputs, inputs = SHAPES.get(module.split(".", 3)[-1], (64, 64))
        for side, shape in (("A", (rank, inputs)), ("B", (outputs, rank))):
            found[f"base_model.model.{module}.lora_{side}.weight"] = random.normal(0, 0.2, shape).astype(dtype)
    return found


def config(**changes: Any) -> dict[str, Any]:
    """The least configuration that is allowed, with changes."""
    return {"peft_type": "LORA", "r": 4, "lora_alpha": 8, "target_modules": ["q_proj", "v_proj"]} | changes


def write(
    folder: Path,
    tensors: Mapping[str, Any] | None = None,
    *,
    settings: Mapping[str, Any] | None = None,
    card: Mapping[str, Any] | None = None,
) -> Path:
    """Write a folder of the given tensors (all layers where None), configuration and card."""
    folder.mkdir(parents=True, exist_ok=True)
    save_file(dict(matrices() if tensors is None else tensors), folder / WEIGHTS_FILE)
    (folder / CONFIG_FILE).write_text(json.dumps(config() if settings is None else settings), encoding="utf-8")
    if card is not None:
        (folder / CARD_FILE).write_text(json.dumps(card), encoding="utf-8")
    return folder
