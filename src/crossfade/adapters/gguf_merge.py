"""Write a GGUF base with a blend of LoRA adapters inside it, as one file that llama.cpp serves by itself.

A layer that the blend changes is unpacked, W + B A, and kept as F16; every other tensor stays as it is in the base, so
nothing is rounded twice. It is a base of its own: the identity of the old one is not carried over.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from crossfade.adapters.blending import Parts, check_blend_parts, sum_of_updates
from crossfade.adapters.gguf_twin import check_fit, gguf_layer, permute_rotary
from crossfade.errors import AdapterError
from crossfade.models.gguf_file import SOURCE_KEY, BaseDescription, describe
from crossfade.models.gguf_write import checked
from crossfade.models.quantise import copy_keys

Step = Callable[[int, int], None]
"""Called with the layers that are merged and with all; what it raises ends the work and leaves nothing."""
Matrix = np.ndarray[Any, np.dtype[np.float32]]
_MOSTLY_F16 = 1  # gguf.LlamaFileType


def merge_gguf(parts: Parts, source: Path, out: Path, *, identity: str, step: Step = lambda done, total: None) -> Path:
    """Write the GGUF base `source`, of that identity, with the blend inside it to `out`, whole or not at all.

    Raises AdapterError: `out` exists, an adapter that does not fit, a value beyond F16, a disk that refuses.
    """
    base = describe(source)
    check_blend_parts(parts)
    for adapter, _ in parts:
        check_fit(adapter, base, identity=identity)
    if out.exists():
        raise AdapterError(f"{out} exists already. Choose another file or remove it first.")
    added = _by_gguf_name(parts, base)
    name = " + ".join([base.name, *(a.name if w == 1 else f"{a.name} x {w:g}" for a, w in parts)])
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=f".{out.name}.", dir=out.parent) as scratch:
            part = Path(scratch) / out.name
            _write(source, part, base, added, name=name, step=step)
            os.replace(part, out)
    except OSError as error:
        raise AdapterError(f"{out} cannot be written: {error}. Free some space or give another place.") from error
    return out


def _by_gguf_name(parts: Parts, base: BaseDescription) -> dict[str, tuple[Matrix, Matrix]]:
    """A (rank, inputs) and B (outputs, rank) by the tensor's name, B's rows in the order that the GGUF keeps."""
    found = {}
    for module, (a, b) in sum_of_updates(parts).items():
        layer = gguf_layer(module, base)
        assert layer is not None  # check_fit has seen to that
        if base.architecture == "llama" and module.endswith(("q_proj", "k_proj")):
            b = permute_rotary(b, base.heads if module.endswith("q_proj") else base.kv_heads)
        found[layer[0]] = (a, b)
    return found


def _write(
    source: Path, part: Path, base: BaseDescription, added: dict[str, tuple[Matrix, Matrix]], *, name: str, step: Step
) -> None:
    """Tensor by tensor, so that a large base never stands in memory whole."""
    import gguf

    reader = gguf.GGUFReader(source)
    writer = gguf.GGUFWriter(part, arch=base.architecture)
    if missing := sorted(set(added) - {tensor.name for tensor in reader.tensors}):
        raise AdapterError(f"{source} has no tensor {missing[0]}, which the adapter changes. Choose its own base.")
    copy_keys(reader, writer, without=("general.file_type", "general.name", SOURCE_KEY))
    writer.add_file_type(_MOSTLY_F16)
    writer.add_name(name)
    for tensor in reader.tensors:
        if tensor.name in added:
            shape = [int(n) for n in reversed(tensor.shape)]
            writer.add_tensor_info(tensor.name, shape, np.dtype(np.float16), 2 * int(np.prod(shape)))
        else:
            data = tensor.data
            writer.add_tensor_info(tensor.name, data.shape, data.dtype, data.nbytes, tensor.tensor_type)
    try:
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_ti_data_to_file()
        for number, tensor in enumerate(reader.tensors):
            step(number, len(reader.tensors))
            writer.write_tensor_data(checked(_changed(tensor, added.get(tensor.name))))
    finally:
        writer.close()


def _changed(tensor: Any, update: tuple[Matrix, Matrix] | None) -> Any:
    import gguf

    if update is None:
        return tensor.data
    a, b = update
    with np.errstate(over="ignore"):  # what overflows is refused below
        weights = (gguf.quants.dequantize(tensor.data, tensor.tensor_type) + b @ a).astype(np.float16)
    if not np.isfinite(weights).all():
        raise AdapterError(f"The merged {tensor.name} has values beyond F16. Lower the adapter's weight.")
    return weights
