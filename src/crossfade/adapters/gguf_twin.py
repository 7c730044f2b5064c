"""Make the GGUF twin of a PEFT LoRA adapter for llama.cpp, cached by the adapter's hash. Knows no engine.

Format: keys `general.type` = "adapter", `adapter.type` = "lora", `adapter.lora.alpha`; for each layer the tensors
`<gguf name>.lora_a` (rank, inputs) and `.lora_b` (outputs, rank). llama.cpp scales a layer by alpha / rank, so what
else scales a layer is multiplied into B. Models of the Llama architecture keep the rows of q and k in the order of
interleaved rotary pairs; the rows of B are permuted alike.
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from crossfade.adapters.peft_files import WEIGHTS_FILE, AdapterFiles
from crossfade.errors import AdapterError
from crossfade.models.gguf_file import Description

ARCHITECTURES = ("llama", "qwen2")
_FORMAT = 1
"""Part of the cached file's name: raise it when what is written changes."""


def gguf_name(module: str, base: Description) -> str:
    """The GGUF name of a transformers layer without `.weight`. Raises AdapterError where the base has none such."""
    import gguf

    architecture = {name: arch for arch, name in gguf.MODEL_ARCH_NAMES.items()}[base.architecture]
    names = gguf.get_tensor_name_map(architecture, base.layers)
    found: str | None = names.get_name(module)
    if found is None:
        raise AdapterError(f"the base has no layer {module}")
    return found


def check_fit(adapter: AdapterFiles, base: Description) -> None:
    """Raise AdapterError with the reason where the adapter cannot work on the base.

    Compared are the recorded base, where one is recorded, the architecture, and the shape of every layer.
    """

    def refuse(why: str) -> AdapterError:
        return AdapterError(f"Adapter {adapter.name!r} is refused: {why}.")

    if adapter.base_sha256 and adapter.base_sha256 != base.identity:
        raise refuse(
            f"it was trained for the base {adapter.base_sha256[:12]}, and {base.identity[:12]} is running; "
            "run that base, or train the adapter again for this one"
        )
    if base.architecture not in ARCHITECTURES:
        raise refuse(f"adapters are served on {' and '.join(ARCHITECTURES)} models; the base is {base.architecture!r}")
    for module, (inputs, outputs, _, _) in adapter.modules.items():
        try:
            shape = base.shapes.get(gguf_name(module, base) + ".weight")
        except AdapterError as error:
            raise refuse(str(error)) from error
        if shape != (outputs, inputs):
            raise refuse(f"{module} changes a {outputs} x {inputs} matrix; the base has {shape or 'none'}")


def gguf_twin(adapter: AdapterFiles, base: Description, *, home: Path) -> Path:
    """The path of the adapter's GGUF twin, made on first use. Raises AdapterError where it does not fit the base."""
    check_fit(adapter, base)
    path = home / "adapters" / f"{adapter.sha256}-{base.architecture}-{base.heads}-{_FORMAT}.gguf"
    if path.is_file():
        return path
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, suffix=".part")
    os.close(handle)
    try:
        _write(Path(temporary), adapter, base)
        os.replace(temporary, path)
    except OSError as error:
        raise AdapterError(
            f"Adapter {adapter.name!r} cannot be converted: {error}. Free some space or make {path.parent} writable."
        ) from error
    finally:
        Path(temporary).unlink(missing_ok=True)
    return path


def _write(path: Path, adapter: AdapterFiles, base: Description) -> None:
    import gguf
    from safetensors import safe_open

    alpha = 1.0
    writer = gguf.GGUFWriter(path, base.architecture)
    writer.add_type(gguf.GGUFType.ADAPTER)
    writer.add_string("adapter.type", "lora")
    writer.add_float32("adapter.lora.alpha", alpha)
    with safe_open(adapter.folder / WEIGHTS_FILE, framework="numpy") as file:
        for module, (_, _, rank, scale) in adapter.modules.items():
            a, b = (_tensor(file, module, side, adapter.name) for side in "AB")
            b *= scale * rank / alpha
            if base.architecture == "llama" and module.endswith(("q_proj", "k_proj")):
                b = permute_rotary(b, base.heads if module.endswith("q_proj") else base.kv_heads)
            name = gguf_name(module, base)
            writer.add_tensor(f"{name}.weight.lora_a", np.ascontiguousarray(a))
            writer.add_tensor(f"{name}.weight.lora_b", np.ascontiguousarray(b))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def _tensor(file: Any, module: str, side: str, name: str) -> np.ndarray[Any, np.dtype[np.float32]]:
    try:
        values: np.ndarray[Any, np.dtype[np.float32]] = file.get_tensor(
            f"base_model.model.{module}.lora_{side}.weight"
        ).astype(np.float32)
    except (TypeError, AttributeError) as error:  # bfloat16 has no numpy type
        raise AdapterError(f"Adapter {name!r} is refused: store its weights as float32 or float16 ({error}).") from error
    if not np.isfinite(values).all():
        raise AdapterError(f"Adapter {name!r} is refused: {module} holds values that are not finite.")
    return values


def permute_rotary(
    rows: np.ndarray[Any, np.dtype[np.float32]], heads: int
) -> np.ndarray[Any, np.dtype[np.float32]]:
    """Reorder rows (heads * 2 * half, n) from half-split to interleaved rotary pairs, as GGUF keeps Llama's q and k."""
    half = rows.shape[0] // heads // 2
    return rows.reshape(heads, 2, half, rows.shape[1]).swapaxes(1, 2).reshape(rows.shape)
