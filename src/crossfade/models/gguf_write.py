"""Tensors that a GGUF writer cannot lose the end of. Knows arrays, and nothing of what they are.

`gguf.GGUFWriter` writes each tensor by its `tofile`, and numpy's keeps up to a page in a buffer of the C library
whose last flush it does not check: where the disk is full, a cut file passes for a whole one.
"""

from __future__ import annotations

from typing import Any

import numpy as np

Array = np.ndarray[Any, np.dtype[Any]]


def checked(values: Array) -> Array:
    """The same values, C-contiguous, to be given to a GGUF writer: their `tofile` raises OSError for a full disk."""
    return np.ascontiguousarray(values).view(_Checked)


class _Checked(Array):
    def tofile(self, fid: Any, /, sep: str = "", format: str = "%s") -> None:
        fid.write(self.data.cast("B"))
