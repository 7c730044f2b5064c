"""Make the GGUF twin of a PEFT LoRA adapter for llama.cpp, cached by the adapter's hash. Knows no engine.

Format: keys `general.type` = "adapter", `adapter.type` = "lora", `adapter.lora.alpha`; for each layer the tensors
`<gguf name>.lora_a` (rank, inputs) and `.lora_b` (outputs, rank). llama.cpp scales a layer by alpha / rank, so what
else scales a layer is multiplied into B. Models of the Llama architecture keep the rows of q and k in the order of
interleaved rotary pairs; the rows of B are permuted alike.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np

from crossfade.adapters.peft_files import AdapterFiles, check_base, read_weights
from crossfade.errors import AdapterError
from crossfade.models.gguf_file import BaseDescription
from crossfade.models.gguf_write import checked
from crossfade.models.once import make_once

ARCHITECTURES = ("llama", "qwen2")
_LINEAR = re.compile(r"model\.layers\.(?P<layer>\d{1,4})\.(?P<linear>self_attn\.[qkvo]_proj|mlp\.(gate|up|down)_proj)")
_ALPHA = 1.0
"""llama.cpp scales by alpha / rank; any alpha will do, since B is multiplied by what is left."""
Matrix = np.ndarray[Any, np.dtype[np.float32]]
_FORMAT = 1
"""Part of the cached file's name: raise it when what is written changes."""


def gguf_layer(module: str, base: BaseDescription) -> tuple[str, tuple[int, int]] | None:
    """The GGUF name of a transformers layer and its shape (outputs, inputs), or None where the base has none such."""
    match = _LINEAR.fullmatch(module)
    if match is None or int(match["layer"]) >= base.layers:
        return None
    query, keys = base.heads * base.head_width, base.kv_heads * base.head_width
    name, shape = {
        "self_attn.q_proj": ("attn_q", (query, base.width)),
        "self_attn.k_proj": ("attn_k", (keys, base.width)),
        "self_attn.v_proj": ("attn_v", (keys, base.width)),
        "self_attn.o_proj": ("attn_output", (base.width, query)),
        "mlp.gate_proj": ("ffn_gate", (base.feed_forward, base.width)),
        "mlp.up_proj": ("ffn_up", (base.feed_forward, base.width)),
        "mlp.down_proj": ("ffn_down", (base.width, base.feed_forward)),
    }[match["linear"]]
    return f"blk.{match['layer']}.{name}.weight", shape


def check_fit(adapter: AdapterFiles, base: BaseDescription, *, identity: str) -> None:
    """Raise AdapterError with the reason where the adapter cannot work on the base of that identity.

    Compared are the recorded base, where one is recorded, the architecture, and the shape of every layer.
    """

    def refuse(why: str) -> AdapterError:
        return AdapterError(f"Adapter {adapter.name!r} is refused: {why}.")

    check_base(adapter, identity=identity)
    if adapter.kind == "P_TUNING":
        raise refuse("it is of P-Tuning, which the transformers engine alone serves; set CROSSFADE_ENGINE=transformers")
    if base.architecture not in ARCHITECTURES:
        raise refuse(f"adapters are served on {' and '.join(ARCHITECTURES)} models; the base is {base.architecture!r}")
    for module, (inputs, outputs, _, _) in adapter.modules.items():
        layer = gguf_layer(module, base)
        if layer is None:
            raise refuse(f"it changes {module}; the base has no such attention or feed-forward layer")
        if layer[1] != (outputs, inputs):
            raise refuse(
                f"its {module} is made for {outputs} x {inputs} weights; the base has {layer[1][0]} x {layer[1][1]}"
            )


def gguf_twin(adapter: AdapterFiles, base: BaseDescription, *, identity: str, home: Path) -> Path:
    """The path of the adapter's GGUF twin, made on first use, and again where its file was cut or altered since.

    Raises AdapterError where the adapter does not fit the base or the disk refuses.
    """
    check_fit(adapter, base, identity=identity)
    path = home / "adapters" / f"{adapter.sha256}-{base.architecture}-{base.heads}-{base.kv_heads}-{_FORMAT}.gguf"
    try:
        return make_once(path, lambda part: _write(part, _tensors(adapter, base), base))
    except OSError as error:
        raise AdapterError(
            f"Adapter {adapter.name!r} cannot be converted: {error}. Free some space or make {path.parent} writable."
        ) from error


def _tensors(adapter: AdapterFiles, base: BaseDescription) -> dict[str, Matrix]:
    """The twin's tensors by their GGUF names."""
    found, weights = {}, read_weights(adapter)
    for module, (_, _, rank, scale) in adapter.modules.items():
        a, b = (weights[f"base_model.model.{module}.lora_{side}.weight"].astype(np.float32) for side in "AB")
        with np.errstate(over="ignore"):  # what overflows is refused below
            b = b * np.float32(scale * rank / _ALPHA)
        if not (np.isfinite(a).all() and np.isfinite(b).all()):
            raise AdapterError(f"Adapter {adapter.name!r} is refused: {module} holds values that are not finite.")
        if base.architecture == "llama" and module.endswith(("q_proj", "k_proj")):
            b = permute_rotary(b, base.heads if module.endswith("q_proj") else base.kv_heads)
        layer = gguf_layer(module, base)
        assert layer is not None  # check_fit has seen to that
        found[f"{layer[0]}.lora_a"], found[f"{layer[0]}.lora_b"] = a, b
    return found


def _write(path: Path, tensors: dict[str, Matrix], base: BaseDescription) -> None:
    import gguf

    writer = gguf.GGUFWriter(path, base.architecture)
    try:
        writer.add_type(gguf.GGUFType.ADAPTER)
        writer.add_string("adapter.type", "lora")
        writer.add_float32("adapter.lora.alpha", _ALPHA)
        for name, values in tensors.items():
            writer.add_tensor(name, checked(values))
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
    finally:
        writer.close()


def permute_rotary(rows: Matrix, heads: int) -> Matrix:
    """Reorder rows (heads * 2 * half, n) from half-split to interleaved rotary pairs, as GGUF keeps Llama's q and k."""
    half = rows.shape[0] // heads // 2
    return rows.reshape(heads, 2, half, rows.shape[1]).swapaxes(1, 2).reshape(rows.shape)
