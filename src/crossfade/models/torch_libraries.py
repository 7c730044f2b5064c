"""Whether torch and its kin are installed, and what this machine computes in. Imports torch lazily."""

from __future__ import annotations

import importlib.util
import logging
import sys
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

from crossfade.errors import ModelError, TrainingError
from crossfade.settings import checkout

_NEEDED = ("torch", "transformers", "peft", "accelerate")


def missing_libraries() -> list[str]:
    """Which of the libraries that training and the transformers engine stand on are not installed."""
    return [name for name in _NEEDED if importlib.util.find_spec(name) is None]


def how_to_install(extra: str) -> str:
    """The command that installs an extra; in a checkout it is given at its root.

    Its pip is that of the `.venv` which `make` makes there, where this runs in it: another one installs elsewhere.
    """
    root = checkout()
    if root is None:
        return f"pip install 'crossfade[{extra}]'"
    pip = ".venv/bin/pip" if Path(sys.prefix).resolve() == root / ".venv" else "pip"
    return f"{pip} install -e '.[{extra}]'"


def require_training_libraries() -> None:
    """Raises TrainingError, with the command that mends it, when the extra `train` is not installed."""
    if missing := missing_libraries():
        raise TrainingError(
            f"Training needs the extra 'train' ({', '.join(missing)} not found): {how_to_install('train')}"
        )


def require_torch_libraries(what: str) -> None:
    """Raises ModelError, with the command that mends it, where `what` (a sentence's beginning) cannot be done."""
    if missing := missing_libraries():
        raise ModelError(
            f"{what} needs the extra 'transformers' ({', '.join(missing)} not found): {how_to_install('transformers')}"
        )


def quiet_libraries() -> None:
    """Keep from people what the libraries tell each other: bars over loaded weights, kernels that only a hub has."""
    logging.getLogger("bitsandbytes").setLevel(logging.ERROR)  # before it is imported, which transformers may do
    from transformers.utils.logging import disable_progress_bar

    disable_progress_bar()


def device_name() -> str:
    """`cuda` where there is one, else `cpu`."""
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"


def gpu_memory() -> int:
    """The memory in bytes of the GPU that is trained on, 0 where there is none."""
    import torch

    return int(torch.cuda.get_device_properties(0).total_memory) if torch.cuda.is_available() else 0


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
