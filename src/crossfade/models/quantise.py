"""Re-quantise a base GGUF to a kind the CPU's kernels like better. Knows the `gguf` package, not the engine.

The copy has the source's metadata, a new `general.file_type` and the source's identity in `crossfade.source.sha256`.
Going from 4 bits to 8 loses next to nothing; Q4_0 rounds anew and is to be measured before it is trusted.
"""

from __future__ import annotations

import math
from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from crossfade.errors import ModelError
from crossfade.models.gguf_file import SOURCE_KEY, base_identity, describe
from crossfade.models.gguf_header import read_metadata
from crossfade.models.gguf_write import checked
from crossfade.models.once import disk_errors, make_once

if TYPE_CHECKING:
    import gguf

Kind = Literal["Q8_0", "Q4_0"]
_FILE_TYPES = {"Q8_0": 7, "Q4_0": 2}  # gguf.LlamaFileType MOSTLY_Q8_0, MOSTLY_Q4_0
_BLOCK = 32  # both kinds share one scale among 32 values of a row
_FORMAT = 1


def requantise(source: Path, home: Path, kind: str) -> Path:
    """The path of `source` in another quantisation, made once and kept in `home/models/quantised`.

    Raises ModelError for an unknown kind, a source with a type that cannot be read, or a disk that refuses.
    """
    if kind not in _FILE_TYPES:
        raise ModelError(f"Unknown quantisation {kind!r}. Allowed: {', '.join(_FILE_TYPES)}.")
    if describe(source, home).file_type == _FILE_TYPES[kind]:
        return source
    identity = base_identity(source, home)
    target = home / "models" / "quantised" / f"{identity[:16]}-{kind}-{_FORMAT}.gguf"
    with disk_errors(home):
        return make_once(target, lambda part: _convert(source, part, kind, identity))


def _convert(source: Path, part: Path, kind: str, identity: str) -> None:
    try:
        _copy(source, part, kind, identity)
    except (NotImplementedError, ValueError, IndexError, KeyError) as error:
        raise ModelError(f"{source} cannot be re-quantised to {kind}: {error}. Use it as it is.") from error


def _copy(source: Path, part: Path, kind: str, identity: str) -> None:
    """Write the copy tensor by tensor, so that a large base never stands in memory twice."""
    import gguf
    import numpy

    reader = gguf.GGUFReader(source)
    writer = gguf.GGUFWriter(part, arch=str(read_metadata(source)["general.architecture"]))
    copy_keys(reader, writer, without=("general.file_type", SOURCE_KEY))
    writer.add_file_type(_FILE_TYPES[kind])
    writer.add_string(SOURCE_KEY, identity)
    types = {tensor.name: _new_type(tensor, kind) for tensor in reader.tensors}
    for tensor in reader.tensors:
        new, data = types[tensor.name], tensor.data
        if new is None:
            writer.add_tensor_info(tensor.name, data.shape, data.dtype, data.nbytes, tensor.tensor_type)
        else:
            packed = gguf.quant_shape_to_byte_shape([int(n) for n in reversed(tensor.shape)], new)
            writer.add_tensor_info(tensor.name, packed, numpy.dtype(numpy.uint8), math.prod(packed), new)
    try:
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_ti_data_to_file()
        for tensor in reader.tensors:
            new = types[tensor.name]
            writer.write_tensor_data(checked(tensor.data if new is None else _repack(tensor, new)))
    finally:
        writer.close()


def copy_keys(reader: gguf.GGUFReader, writer: gguf.GGUFWriter, *, without: Collection[str]) -> None:
    """Copy a GGUF's metadata, all but the named keys; the architecture is the writer's own."""
    import gguf

    for name, field in reader.fields.items():
        if name.startswith("GGUF.") or name == "general.architecture" or name in without:
            continue
        if name == "general.alignment":
            writer.add_custom_alignment(int(field.contents()))
            continue
        is_array = field.types[0] == gguf.GGUFValueType.ARRAY
        value = field.contents()
        if is_array and not value:  # the writer knows no empty array, and to a reader it is the same as none
            continue
        writer.add_key_value(name, value, field.types[0], sub_type=field.types[-1] if is_array else None)


def _new_type(tensor: Any, kind: str) -> Any:
    """The type to convert to, or None to copy.

    Vectors and the routers of mixtures stay exact. The embedding, which is the output too where the head is tied, is
    never taken below 8 bits, because every token's score hangs on it.
    """
    import gguf

    if len(tensor.shape) < 2 or "ffn_gate_inp" in tensor.name or int(tensor.shape[0]) % _BLOCK:
        return None
    wanted = gguf.GGMLQuantizationType[kind]
    if kind == "Q4_0" and tensor.name in ("token_embd.weight", "output.weight"):
        wanted = gguf.GGMLQuantizationType.Q8_0
    return None if tensor.tensor_type == wanted else wanted


def _repack(tensor: Any, new: Any) -> Any:
    import gguf

    return gguf.quants.quantize(gguf.quants.dequantize(tensor.data, tensor.tensor_type), new)
