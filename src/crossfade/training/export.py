"""Write an adapter or a blend for use elsewhere: merged into its base, as a folder or a GGUF, or alone as a GGUF.

The merged folder is the base's weights plus the update, W + sum of w_i s_i B_i A_i, in fp16, with the base's tokenizer.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from crossfade.adapters.blending import Parts, check_blend_parts, sum_of_updates
from crossfade.adapters.gguf_merge import Step, merge_gguf
from crossfade.adapters.gguf_twin import gguf_twin
from crossfade.adapters.peft_files import CARD_FILE, check_base
from crossfade.errors import AdapterError
from crossfade.models.fetch import Progress, fetch
from crossfade.models.gguf_file import base_identity, describe
from crossfade.models.hf_folder import hf_folder
from crossfade.models.torch_libraries import quiet_libraries, require_training_libraries
from crossfade.settings import Settings
from crossfade.training.save import check_free, save_base

KINDS = {
    "folder": "the base with the adapter inside it, as a Hugging Face folder in fp16",
    "gguf": "the base with the adapter inside it, as a GGUF",
    "adapter-gguf": "the adapter alone, as a GGUF for llama.cpp's --lora",
}
"""What can be made, each with a line for people."""


def export(
    settings: Settings,
    parts: Parts,
    *,
    to: str,
    out: Path,
    progress: Progress | None = None,
    report: Callable[[str], None] = lambda line: None,
    step: Step = lambda done, total: None,
) -> Path:
    """Write the parts, on the base of the settings, as one of KINDS to `out`, which appears whole or not at all.

    `report` is called with each stage, a sentence, and `step` with how many of the base's layers are merged; what they
    raise ends the work. Raises AdapterError, ModelError, TrainingError.
    """
    if to not in KINDS:
        raise AdapterError(f"Unknown form {to!r}. Known: {', '.join(KINDS)}.")
    check_blend_parts(parts)
    for adapter, _ in parts:
        if adapter.kind == "P_TUNING":
            raise AdapterError(
                f"Adapter {adapter.name!r} is of P-Tuning: its virtual tokens cannot be merged. Pack it."
            )
    if to == "folder":
        require_training_libraries()
        check_free(out)
    elif out.exists():
        raise AdapterError(f"{out} exists already. Choose another file or remove it first.")
    if to == "adapter-gguf" and (len(parts) > 1 or parts[0][1] != 1):
        raise AdapterError(
            "A blend is no adapter yet: write it as one by `crossfade adapters blend`, then export that."
        )
    report("Fetching the base")
    source = fetch(settings.base, settings.home, progress=progress)
    identity = base_identity(source, settings.home)
    if to == "folder":
        report("Converting the base; about half a minute the first time")
        folder = hf_folder(source, settings.home)
        report("Merging")
        return merge_folder(parts, folder, out, base=settings.base, identity=identity, step=step)
    if source.is_dir():
        raise AdapterError(
            f"The base {source} is a Hugging Face folder, and a GGUF is made from a GGUF base alone. Export a folder, "
            "and convert that by llama.cpp's convert_hf_to_gguf.py."
        )
    report("Converting")
    if to == "gguf":
        return merge_gguf(parts, source, out, identity=identity, step=step)
    adapter = parts[0][0]
    twin = gguf_twin(adapter, describe(source, settings.home), identity=identity, home=settings.home)
    return _copied(twin, out)


def merge_folder(
    parts: Parts, base_folder: Path, out: Path, *, base: str, identity: str, step: Step = lambda done, total: None
) -> Path:
    """Write the base of that name and identity, as it lies in `base_folder`, with the blend inside it to a new folder.

    Raises AdapterError for a part that does not fit, TrainingError where a value is beyond fp16 or the disk refuses.
    """
    import torch
    from transformers import AutoModelForCausalLM

    for adapter, _ in parts:
        check_base(adapter, identity=identity)
    update = sum_of_updates(parts)
    quiet_libraries()
    local: dict[str, Any] = {"local_files_only": True, "trust_remote_code": False, "use_safetensors": True}
    model = AutoModelForCausalLM.from_pretrained(base_folder, dtype=torch.float32, **local)
    layers = dict(model.named_modules())
    tied = model.get_input_embeddings().weight
    for number, (name, (a, b)) in enumerate(update.items()):
        step(number, len(update))
        layer = layers.get(name)
        if not isinstance(layer, torch.nn.Linear) or layer.weight is tied:
            raise AdapterError(f"The base has no layer {name} to merge into. Choose the base it was trained for.")
        if tuple(layer.weight.shape) != (len(b), a.shape[1]):
            there = " x ".join(map(str, layer.weight.shape))
            raise AdapterError(f"{name} is made for {len(b)} x {a.shape[1]} weights; the base has {there}.")
        with torch.no_grad():
            layer.weight += torch.from_numpy(b) @ torch.from_numpy(a)
    step(len(update), len(update))
    text = json.dumps(_card(parts, base=base, identity=identity), indent=1, ensure_ascii=False) + "\n"
    save_base(model, out, base_folder=base_folder, beside={CARD_FILE: text})
    return out


def _card(parts: Parts, *, base: str, identity: str) -> dict[str, Any]:
    purposes = [adapter.purpose for adapter, _ in parts if adapter.purpose]
    return {
        "purpose": purposes[0] if len(purposes) == 1 else f"{' + '.join(adapter.name for adapter, _ in parts)}, merged",
        "method": "merged",
        "base": base,
        "base_sha256": identity,
        "parts": [{"name": a.name, "weight": w, "sha256": a.sha256} for a, w in parts],
    }


def _copied(source: Path, out: Path) -> Path:
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=f".{out.name}.", dir=out.parent) as scratch:
            part = Path(scratch) / out.name
            shutil.copyfile(source, part)
            os.replace(part, out)
    except OSError as error:
        raise AdapterError(f"{out} cannot be written: {error}. Free some space or give another place.") from error
    return out
