"""The check that the extra `train` is installed, and the precision this machine trains in. Imports torch lazily."""

from __future__ import annotations

import importlib.util
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

from crossfade.errors import TrainingError

_NEEDED = ("torch", "transformers", "peft", "accelerate")


def require_training_libraries() -> None:
    """Raises TrainingError, with the command that mends it, when the extra `train` is not installed."""
    missing = [name for name in _NEEDED if importlib.util.find_spec(name) is None]
    if missing:
        raise TrainingError(
            f"Training needs the extra 'train' ({', '.join(missing)} not found): pip install 'crossfade[train]'"
        )


def device_name() -> str:
    """`cuda` where there is one, else `cpu`."""
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"


def has_fast_bfloat16(device: str) -> bool:
    """Whether bfloat16 products are done in hardware; without it they are slower than float32 several times over."""
    import torch

    if device == "cuda":
        return bool(torch.cuda.is_bf16_supported())
    flags = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")  # private in torch: they may go without notice
    checks = [getattr(torch.cpu, flag) for flag in flags if hasattr(torch.cpu, flag)]
    if checks:
        return any(check() for check in checks)
    try:
        words = set(Path("/proc/cpuinfo").read_text(encoding="ascii", errors="replace").split())
    except OSError:
        return False
    return bool(words & {"avx512_bf16", "amx_bf16"})


def autocast(device: str) -> AbstractContextManager[Any]:
    """A context in which matrix products run in bfloat16 where that is fast, and in float32 elsewhere."""
    import torch

    return torch.autocast(device, torch.bfloat16) if has_fast_bfloat16(device) else nullcontext()
