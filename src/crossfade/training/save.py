"""Write a trained PEFT model as an adapter folder, whole or not at all. Knows the format and no method or trainer."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from pathlib import Path
from typing import Any

from crossfade.errors import TrainingError

_KEPT = ("adapter_config.json", "adapter_model.safetensors")


def save_adapter(model: Any, out: Path, *, base: str) -> Path:
    """Write `adapter_config.json` and `adapter_model.safetensors` (fp16) into a new folder `out`.

    `base` is the base's catalogue name; the path it was trained from means nothing elsewhere. Raises TrainingError
    when the folder exists with something in it, cannot be written, or a weight does not fit fp16.
    """
    from safetensors import SafetensorError  # what a full disk is to safetensors; it is no OSError

    check_free(out)
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        part = Path(tempfile.mkdtemp(prefix=f".{out.name}.part-", dir=out.parent))
        try:
            # "auto" would look on a hub for whether the vocabulary was resized.
            model.save_pretrained(part, safe_serialization=True, save_embedding_layers=False)
            _rewrite_config(part / _KEPT[0], base)
            _to_half(part / _KEPT[1])
            for extra in part.iterdir():
                if extra.name not in _KEPT:
                    extra.unlink()
            part.chmod(0o755)  # mkdtemp makes it private; an adapter is to be shared
            os.replace(part, out)
        finally:
            shutil.rmtree(part, ignore_errors=True)
    except (OSError, SafetensorError) as error:
        why = getattr(error, "strerror", None) or error
        raise TrainingError(
            f"The adapter cannot be written to {out}: {why}. Free some space or save elsewhere."
        ) from error
    return out


def check_free(out: Path) -> None:
    """Raises TrainingError when `out` exists and is not an empty folder, so that no adapter is overwritten."""
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise TrainingError(f"{out} exists already. Choose another name or remove it first.")


def _rewrite_config(path: Path, base: str) -> None:
    config = json.loads(path.read_text(encoding="utf-8"))
    config["base_model_name_or_path"] = base
    if isinstance(config.get("target_modules"), list):
        config["target_modules"] = sorted(config["target_modules"])  # a set's order differs from run to run
    path.write_text(json.dumps(config, indent=2, sort_keys=True) + "\n", encoding="utf-8")


def _to_half(path: Path) -> None:
    import torch
    from safetensors.torch import load_file, save_file

    weights = {name: weight.to(torch.float16).contiguous() for name, weight in load_file(path).items()}
    broken = [name for name, weight in weights.items() if not bool(torch.isfinite(weight).all())]
    if broken:
        raise TrainingError(
            f"{broken[0]} has values beyond fp16; the run diverged. Lower learning_rate and train again."
        )
    save_file(weights, path, metadata={"format": "pt"})
