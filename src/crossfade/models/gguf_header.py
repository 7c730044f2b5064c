"""Read the metadata of a GGUF file without its weights. Knows the container format and nothing of models.

The `gguf` package builds a numpy view for each of a vocabulary's tokens, which takes seconds; a plain walk over the
bytes takes a tenth of one. Format: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md (versions 2 and 3,
little-endian).
"""

from __future__ import annotations

import mmap
import struct
from pathlib import Path

from crossfade.errors import ModelError

Scalar = int | float | bool | str
Value = Scalar | list[Scalar]

_SCALARS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
_STRING, _ARRAY = 8, 9


def read_metadata(path: Path) -> dict[str, Value]:
    """Every key of the file with its value. Raises ModelError for a file that is no GGUF or is cut short."""
    try:
        with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            return _walk(data)
    except OSError as error:
        raise ModelError(f"The model file {path} cannot be read: {error.strerror}. Check the path.") from error
    except (struct.error, ValueError, KeyError, IndexError, RecursionError) as error:
        raise ModelError(f"{path} is not a whole GGUF file ({error}). Fetch it again.") from error


def _walk(data: mmap.mmap) -> dict[str, Value]:
    magic, version, _, keys = struct.unpack_from("<4sIQQ", data, 0)
    if magic != b"GGUF" or version not in (2, 3):
        raise ValueError(f"magic {magic!r}, version {version}; expected b'GGUF', version 2 or 3")
    found: dict[str, Value] = {}
    offset = 24
    for _ in range(keys):
        key, offset = _string(data, offset)
        (kind,) = struct.unpack_from("<I", data, offset)
        found[key], offset = _value(data, offset + 4, kind)
    return found


def _value(data: mmap.mmap, offset: int, kind: int) -> tuple[Value, int]:
    if kind == _STRING:
        return _string(data, offset)
    if kind == _ARRAY:
        return _array(data, offset)
    code = "<" + _SCALARS[kind]
    (value,) = struct.unpack_from(code, data, offset)
    return value, offset + struct.calcsize(code)


def _array(data: mmap.mmap, offset: int) -> tuple[list[Scalar], int]:
    kind, count = struct.unpack_from("<IQ", data, offset)
    offset += 12
    if count > len(data):
        raise ValueError(f"an array of {count} items")
    if kind == _STRING:
        strings: list[Scalar] = []
        for _ in range(count):
            text, offset = _string(data, offset)
            strings.append(text)
        return strings, offset
    code = f"<{count}{_SCALARS[kind]}"
    return list(struct.unpack_from(code, data, offset)), offset + struct.calcsize(code)


def _string(data: mmap.mmap, offset: int) -> tuple[str, int]:
    (length,) = struct.unpack_from("<Q", data, offset)
    end = offset + 8 + length
    if end > len(data):
        raise ValueError("a string runs past the end")
    # A few vocabularies hold tokens that are no UTF-8. They are never control tokens: a stand-in character will do.
    return data[offset + 8 : end].decode("utf-8", errors="replace"), end
