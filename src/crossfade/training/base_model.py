"""A base as it is trained: its weights in float32, and its linear layers. Knows no method."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from crossfade.errors import TrainingError
from crossfade.models.torch_libraries import quiet_libraries


def load_whole(base_folder: Path, **options: Any) -> Any:
    """The base in float32: autocast keeps the products fast, and the update is added to exact weights."""
    import torch
    from safetensors import SafetensorError
    from transformers import AutoModelForCausalLM

    quiet_libraries()
    try:
        model = AutoModelForCausalLM.from_pretrained(
            base_folder, dtype=torch.float32, local_files_only=True, trust_remote_code=False, **options
        )
    except (OSError, ValueError, SafetensorError) as error:
        raise TrainingError(
            f"The base in {base_folder} cannot be loaded: {error}. Remove that folder; it is made again."
        ) from error
    model.config.use_cache = False
    return model


def linear_layers(model: Any) -> list[str]:
    """The last part of the name of each linear layer but the head, sorted: `down_proj`, `gate_proj`, ..., `v_proj`.

    PEFT's own "all-linear" writes each layer's full path into the config of a small model.
    """
    return sorted({name.rpartition(".")[2] for name, _ in linear(model)})


def linear(model: Any) -> list[tuple[str, Any]]:
    """(name, layer) of each linear layer but the head."""
    from torch.nn import Linear

    head = model.get_output_embeddings()
    return [(n, m) for n, m in model.named_modules() if isinstance(m, Linear) and m is not head]
