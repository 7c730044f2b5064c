"""Put an adapter folder in another one's place so that a kill at any moment loses neither. Knows no adapter format.

NAME           the adapter
.NAME.XXXX/    work under way, or what a killed run left; the next run that makes NAME removes it
.NAME.old/     what NAME replaces, between two renames; where a kill left it alone, `restore` puts it back
.NAME.lock     held by the process that makes NAME; the system frees it when that process dies
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from glob import escape
from pathlib import Path

from filelock import FileLock, Timeout

from crossfade.errors import AdapterError


@contextmanager
def workplace(folder: Path) -> Iterator[Path]:
    """A scratch folder beside `folder`, whose only maker the caller is until it leaves.

    What a killed run left is put back or removed first. Raises AdapterError where another process makes the same one,
    and OSError.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    lock = _lock(folder)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise AdapterError(f"Another process is making {folder}. Wait for it, or choose another name.") from None
    try:
        _put_back(folder)
        for leftover in folder.parent.glob(f".{escape(folder.name)}.*"):
            if leftover.is_dir():
                shutil.rmtree(leftover, ignore_errors=True)
        scratch = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
        try:
            yield scratch
        finally:
            shutil.rmtree(scratch, ignore_errors=True)
    finally:
        lock.release()


def put(made: Path, folder: Path) -> None:
    """Move `made`, which lies in the workplace of `folder`, to `folder`; what was there stays where this fails.

    Raises OSError.
    """
    try:
        if folder.exists():
            os.replace(folder, _old(folder))
        os.replace(made, folder)
    finally:
        _put_back(folder)
    if _old(folder).exists():
        os.replace(_old(folder), made)  # removed with the scratch: never half a folder under a name that is put back


def restore(root: Path) -> dict[str, str]:
    """Put back each adapter under `root` that a killed run moved aside; the names that cannot be, with the reason."""
    failed = {}
    for old in root.glob(".*.old"):
        folder = root / old.name.removeprefix(".").removesuffix(".old")
        try:
            with _lock(folder).acquire(timeout=0):
                _put_back(folder)
        except Timeout:
            continue  # it is being replaced at this moment, by a process that lives
        except OSError as error:
            failed[folder.name] = f"A killed run left {old}, which cannot be put back: {error}. Rename it to {folder}."
    return failed


def _put_back(folder: Path) -> None:
    if _old(folder).exists() and not folder.exists():
        os.replace(_old(folder), folder)


def _old(folder: Path) -> Path:
    return folder.with_name(f".{folder.name}.old")


def _lock(folder: Path) -> FileLock:
    return FileLock(folder.with_name(f".{folder.name}.lock"))
