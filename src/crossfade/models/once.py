"""Make a file or a folder exactly once, whole or not at all, whoever else tries at the same time. Knows no models.

TARGET              what is made, renamed into place when it is whole
TARGET.lock         held by the process that makes it; the system frees it when that process dies
TARGET.part-XXXX/   work under way, or what a killed process left; the next holder of the lock removes it
"""

from __future__ import annotations

import errno
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from crossfade.errors import ModelError


def make_once(
    target: Path,
    make: Callable[[Path], None],
    *,
    is_whole: Callable[[], bool] | None = None,
    waiting: Callable[[], None] | None = None,
) -> Path:
    """The target, made by `make(path)` at a temporary path unless it is whole already (by default: unless it exists).

    `make` may use the temporary path's parent as scratch space. `waiting` is called twice a second while another
    process works on the same target. What `make` raises leaves nothing behind; OSError says what the disk refused.
    """
    whole = is_whole or target.exists
    if whole():
        return target
    target.parent.mkdir(parents=True, exist_ok=True)
    with _only_one(target, waiting or (lambda: None)):
        for leftover in target.parent.glob(f"{target.name}.part-*"):
            shutil.rmtree(leftover, ignore_errors=True)
        if whole():
            return target
        part = Path(tempfile.mkdtemp(prefix=f"{target.name}.part-", dir=target.parent))
        try:
            make(part / target.name)
            if target.is_dir():  # a folder does not replace a folder that has files in it
                os.replace(target, part / "old")
            os.replace(part / target.name, target)
        finally:
            shutil.rmtree(part, ignore_errors=True)
    return target


@contextmanager
def _only_one(target: Path, waiting: Callable[[], None]) -> Iterator[None]:
    lock = FileLock(target.with_name(f"{target.name}.lock"))
    while True:
        try:
            lock.acquire(timeout=0.5)
            break
        except Timeout:
            waiting()
    try:
        yield
    finally:
        lock.release()


@contextmanager
def disk_errors(home: Path) -> Iterator[None]:
    """Turn what the disk refuses inside the block into a ModelError that names the home and what to do."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise ModelError(f"The disk of {home} is full. Free some space or set CROSSFADE_HOME elsewhere.") from error
        raise ModelError(
            f"Models cannot be kept in {home}: {error.strerror or error}. Make it writable or set CROSSFADE_HOME "
            "elsewhere."
        ) from error
