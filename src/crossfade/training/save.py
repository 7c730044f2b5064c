"""Write what was learned as a folder, whole or not at all: an adapter, a difference as an adapter, or a whole base.

Knows the formats, and no method or trainer.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from crossfade.errors import TrainingError

if TYPE_CHECKING:
    from torch import Tensor

_CONFIG, _WEIGHTS = "adapter_config.json", "adapter_model.safetensors"


def save_adapter(model: Any, out: Path, *, base: str) -> None:
    """Write `adapter_config.json` and `adapter_model.safetensors` (fp16) into a new folder `out`.

    `base` is the base's catalogue name; the path it was trained from means nothing elsewhere. Raises TrainingError
    when the folder exists with something in it, cannot be written, or a weight does not fit fp16.
    """
    from safetensors.torch import load_file

    with _whole(out) as part:
        # "auto" would look on a hub for whether the vocabulary was resized.
        model.save_pretrained(part, safe_serialization=True, save_embedding_layers=False)
        config = json.loads((part / _CONFIG).read_text(encoding="utf-8"))
        weights = load_file(part / _WEIGHTS)
        for made in part.iterdir():
            made.unlink()
        _write(part, config, weights, base=base)


def save_difference(changed: Mapping[str, tuple[Tensor, Tensor]], out: Path, *, base: str) -> None:
    """Write linear layers' weights before and after, each (outputs, inputs), as a LoRA adapter of full rank.

    An update D of rank min(outputs, inputs) is B A exactly, where the one of the two on the shorter side is the unit
    matrix and the other is D. Raises TrainingError like `save_adapter`.
    """
    import torch

    weights: dict[str, Tensor] = {}
    ranks: dict[str, int] = {}
    for name, (before, after) in changed.items():
        update = (after.detach().float() - before.detach().float()).cpu()
        outputs, inputs = update.shape
        rank = ranks[name] = min(outputs, inputs)
        a, b = (torch.eye(rank), update) if inputs == rank else (update, torch.eye(rank))
        weights |= {f"base_model.model.{name}.lora_{side}.weight": m for side, m in (("A", a), ("B", b))}
    config = {
        "peft_type": "LORA",
        "task_type": "CAUSAL_LM",
        "r": max(ranks.values()),
        "lora_alpha": max(ranks.values()),
        "lora_dropout": 0.0,
        "bias": "none",
        "inference_mode": True,
        "target_modules": sorted(ranks),
        "rank_pattern": ranks,
        "alpha_pattern": ranks,
    }
    with _whole(out) as part:
        _write(part, config, weights, base=base)


def save_base(model: Any, out: Path, *, base_folder: Path, beside: Mapping[str, str] = MappingProxyType({})) -> None:
    """Write a whole model (fp16) with the tokenizer of `base_folder`, and texts by file name, into a new folder `out`.

    The model itself is in fp16 afterwards. Raises TrainingError like `save_adapter`.
    """
    import torch

    with _whole(out) as part:
        model.to(torch.float16)
        _check_finite(model.state_dict())
        model.config.use_cache = True
        model.save_pretrained(part, safe_serialization=True)
        for file in base_folder.iterdir():
            if file.name.startswith(
                ("tokenizer", "chat_template", "special_tokens", "vocab", "merges", "added_tokens")
            ):
                shutil.copyfile(file, part / file.name)
        for name, text in beside.items():
            (part / name).write_text(text, encoding="utf-8")


def check_free(out: Path) -> None:
    """Raises TrainingError when `out` exists and is not an empty folder, so that no adapter is overwritten."""
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise TrainingError(f"{out} exists already. Choose another name or remove it first.")


@contextmanager
def _whole(out: Path) -> Iterator[Path]:
    """A folder to write into that becomes `out` at the end, and leaves nothing where that fails."""
    from safetensors import SafetensorError  # what a full disk is to safetensors; it is no OSError

    check_free(out)
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        part = Path(tempfile.mkdtemp(prefix=f".{out.name}.part-", dir=out.parent))
        try:
            yield part
            part.chmod(0o755)  # mkdtemp makes it private, and safetensors its files; both are to be shared
            for file in part.iterdir():
                file.chmod(0o644)
            os.replace(part, out)
        finally:
            shutil.rmtree(part, ignore_errors=True)
    except (OSError, SafetensorError) as error:
        why = getattr(error, "strerror", None) or error
        raise TrainingError(
            f"The adapter cannot be written to {out}: {why}. Free some space or save elsewhere."
        ) from error


def _write(part: Path, config: dict[str, Any], weights: Mapping[str, Tensor], *, base: str) -> None:
    import torch
    from safetensors.torch import save_file

    config["base_model_name_or_path"] = base
    if isinstance(config.get("target_modules"), list):
        config["target_modules"] = sorted(config["target_modules"])  # a set's order differs from run to run
    (part / _CONFIG).write_text(json.dumps(config, indent=2, sort_keys=True) + "\n", encoding="utf-8")
    halves = {name: weight.detach().to(torch.float16).contiguous() for name, weight in weights.items()}
    _check_finite(halves)
    save_file(halves, part / _WEIGHTS, metadata={"format": "pt"})


def _check_finite(weights: Mapping[str, Tensor]) -> None:
    broken = [name for name, weight in weights.items() if not bool(weight.isfinite().all())]
    if broken:
        raise TrainingError(
            f"{broken[0]} has values beyond fp16; the run diverged. Lower learning_rate and train again."
        )
