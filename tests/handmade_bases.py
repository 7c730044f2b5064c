"""Folders that pass for bases in Hugging Face form, without a model in them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any


def write(folder: Path, *, weights: bytes = b"weights", card: dict[str, Any] | None = None) -> Path:
    """Write the folder, with a card where one is given."""
    folder.mkdir(parents=True)
    (folder / "config.json").write_text("{}")
    (folder / "tokenizer.json").write_text("{}")
    (folder / "model.safetensors").write_bytes(weights)
    if card is not None:
        (folder / "card.json").write_text(json.dumps(card))
    return folder
