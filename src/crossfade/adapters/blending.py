"""Write a blend of LoRA adapters as one adapter that does exactly the same. Knows the files and no engine.

The update of a blend is the weighted sum of its parts' updates, sum of w_i s_i B_i A_i. Written side by side,
A = [A_1; A_2; ...] and B = [w_1 s_1 B_1, w_2 s_2 B_2, ...], one LoRA of the added ranks and scale 1 gives that sum.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from crossfade.adapters.peft_config import CONFIG_FILE, MAX_RANK
from crossfade.adapters.peft_files import (
    CARD_FILE,
    NAME,
    WEIGHTS_FILE,
    AdapterFiles,
    read_adapter,
    read_weights,
)
from crossfade.adapters.swap import put, workplace
from crossfade.errors import AdapterError
from crossfade.types import MAX_WEIGHT

Parts = tuple[tuple[AdapterFiles, float], ...]
Matrix = np.ndarray[Any, np.dtype[np.float32]]
_KEY = "base_model.model.{}.lora_{}.weight"


def sum_of_updates(parts: Parts) -> dict[str, tuple[Matrix, Matrix]]:
    """For each layer A (ranks, inputs) and B (outputs, ranks) in float32, whose product B A is the blend's update.

    Raises AdapterError where two parts are made for layers of different shapes, a rank gets beyond MAX_RANK, or a part
    is of P-Tuning.
    """
    stacked: dict[str, tuple[list[Matrix], list[Matrix]]] = {}
    for adapter, weight in parts:
        if adapter.kind == "P_TUNING":
            raise AdapterError(f"Adapter {adapter.name!r} is of P-Tuning, virtual tokens that cannot be blended.")
        tensors = read_weights(adapter)
        for module, (_, _, _, scale) in adapter.modules.items():
            a, b = (tensors[_KEY.format(module, side)].astype(np.float32) for side in "AB")
            sides = stacked.setdefault(module, ([], []))
            if sides[0] and (sides[0][0].shape[1], sides[1][0].shape[0]) != (a.shape[1], b.shape[0]):
                names = " and ".join(part.name for part, _ in parts)
                raise AdapterError(f"{names} cannot be blended: their {module} have other shapes. They need one base.")
            sides[0].append(a)
            sides[1].append(b * np.float32(weight * scale))
    found = {module: (np.concatenate(a), np.concatenate(b, axis=1)) for module, (a, b) in stacked.items()}
    highest = max(len(a) for a, _ in found.values())
    if highest > MAX_RANK:
        raise AdapterError(f"The blend would have rank {highest}; at most {MAX_RANK} is served. Leave a part out.")
    return found


def write_blend(parts: Parts, out: Path, *, replace: bool = False) -> AdapterFiles:
    """Write the blend as an adapter folder `out`, which appears whole or not at all; its name is the folder's.

    Weights are kept in float32, so that nothing is lost against the parts. Raises AdapterError: fewer than one part,
    parts of different bases, a name or weight that is not allowed, `out` is taken.
    """
    check_blend_parts(parts)
    if not NAME.fullmatch(out.name):
        raise AdapterError(f"Adapter name {out.name!r} is not allowed: use up to 64 of a-z, 0-9, - and _.")
    if out.exists() and not replace:
        raise AdapterError(f"{out} exists already. Choose another name, or give --replace.")
    update = sum_of_updates(parts)
    try:
        with workplace(out) as scratch:
            folder = scratch / out.name
            folder.mkdir()
            _write(folder, update, parts)
            read_adapter(folder)
            put(folder, out)
    except OSError as error:
        raise AdapterError(
            f"The blend cannot be written to {out}: {error}. Free some space or give another place."
        ) from error
    return read_adapter(out)


def check_blend_parts(parts: Parts) -> None:
    """Raises AdapterError unless there is a part, each is named once, weights are allowed and the bases agree."""
    names = [adapter.name for adapter, _ in parts]
    if not names:
        raise AdapterError("A blend needs at least one adapter. Name one, such as domain, or several with weights.")
    if len(set(names)) < len(names):
        raise AdapterError(f"The blend {', '.join(names)} names an adapter twice; name it once.")
    for adapter, weight in parts:
        if not 0 < weight <= MAX_WEIGHT:
            raise AdapterError(
                f"Weight {weight} of adapter {adapter.name!r} is not allowed; use above 0 to {MAX_WEIGHT}."
            )
    bases = {adapter.base_sha256 for adapter, _ in parts if adapter.base_sha256}
    if len(bases) > 1:
        raise AdapterError(f"{' and '.join(names)} were trained for different bases; a blend needs one base.")


def _write(folder: Path, update: dict[str, tuple[Matrix, Matrix]], parts: Parts) -> None:
    from safetensors.numpy import save_file

    ranks = {module: len(a) for module, (a, _) in update.items()}
    most = max(ranks.values())
    others = {module: rank for module, rank in ranks.items() if rank != most}
    names = {adapter.base_name for adapter, _ in parts}
    config = {
        "peft_type": "LORA",
        "task_type": "CAUSAL_LM",
        "base_model_name_or_path": names.pop() if len(names) == 1 else "",
        "r": most,
        "lora_alpha": most,
        "rank_pattern": others,
        "alpha_pattern": others,
        "target_modules": sorted({module.rpartition(".")[2] for module in update}),
        "bias": "none",
        "inference_mode": True,
    }
    (folder / CONFIG_FILE).write_text(json.dumps(config, indent=2, sort_keys=True) + "\n", encoding="utf-8")
    tensors = {
        _KEY.format(m, side): np.ascontiguousarray(x)
        for m, ab in update.items()
        for side, x in zip("AB", ab, strict=True)
    }
    save_file(tensors, folder / WEIGHTS_FILE, metadata={"format": "pt"})
    first = parts[0][0]
    words = " + ".join(adapter.name if weight == 1 else f"{adapter.name} x {weight:g}" for adapter, weight in parts)
    card = {
        "purpose": f"Blend of {words}",
        "task": first.card.get("task", ""),
        "corpus": first.card.get("corpus", ""),
        "method": "blend",
        "base": first.card.get("base", ""),
        "base_sha256": next((adapter.base_sha256 for adapter, _ in parts if adapter.base_sha256), ""),
        "parts": [{"name": a.name, "weight": w, "sha256": a.sha256} for a, w in parts],
    }
    (folder / CARD_FILE).write_text(json.dumps(card, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
