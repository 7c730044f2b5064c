"""What can happen to a file that was whole: it is cut, or a byte of it changes, with or without its date."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

Damage = Callable[[Path], None]


def _cut(path: Path) -> None:
    os.truncate(path, path.stat().st_size - 100)


def _empty(path: Path) -> None:
    os.truncate(path, 0)


def _alter(path: Path) -> None:
    """Flip the last byte and put the date back, so that size and date are as before."""
    status = path.stat()
    data = bytearray(path.read_bytes())
    data[-1] ^= 255
    path.write_bytes(data)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


DAMAGES: tuple[Damage, ...] = (_cut, _empty, _alter)
