"""Make a file or a folder exactly once, whole or not at all, whoever else tries at the same time. Knows no models.

TARGET                what is made, renamed into place when it is whole and on the disk
TARGET.verified.json  {"<file>": {"size": bytes, "sha256": hex, "ctime_ns": time of its last change}}
TARGET.lock           held by the process that makes it; the system frees it when that process dies
TARGET.part-XXXX/     work under way, or what a killed process left; the next holder of the lock removes it
"""

from __future__ import annotations

import errno
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from crossfade.errors import ModelError
from crossfade.models.gguf_file import file_sha256


def make_once(
    target: Path,
    make: Callable[[Path], None],
    *,
    is_whole: Callable[[], bool] | None = None,
    waiting: Callable[[], None] | None = None,
) -> Path:
    """The target, made by `make(path)` at a temporary path unless it is whole already.

    It is whole if `is_whole` says so or, by default, if its files are those that were recorded when it was made.
    `make` may use the temporary path's parent as scratch space. `waiting` is called twice a second while another
    process works on the same target. What `make` raises leaves nothing behind; OSError says what the disk refused.
    """
    whole = is_whole or partial(_is_as_recorded, target)
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
            for path in _files(part / target.name):  # after a power cut a name must not lead to half a file
                with path.open("rb+") as file:
                    os.fsync(file.fileno())
            if target.is_dir():  # a folder does not replace a folder that has files in it
                os.replace(target, part / "old")
            os.replace(part / target.name, target)
            if is_whole is None:  # killed before this line, it is made again
                _record(target, {str(path.relative_to(target)): file_sha256(path) for path in _files(target)})
        finally:
            shutil.rmtree(part, ignore_errors=True)
    return target


def _files(target: Path) -> list[Path]:
    return [target] if target.is_file() else sorted(path for path in target.rglob("*") if path.is_file())


def _record(target: Path, hashes: dict[str, str]) -> None:
    found = {}
    for name, sha256 in hashes.items():
        status = (target / name).stat()
        found[name] = {"size": status.st_size, "sha256": sha256, "ctime_ns": status.st_ctime_ns}
    record = _record_path(target)
    beside = record.with_name(f"{record.name}.{os.getpid()}")
    try:
        beside.write_text(json.dumps(found, indent=2), encoding="utf-8")
        os.replace(beside, record)
    finally:
        beside.unlink(missing_ok=True)


def _record_path(target: Path) -> Path:
    return target.with_name(f"{target.name}.verified.json")


def _is_as_recorded(target: Path) -> bool:
    """Whether each recorded file has its size and sha256; what did not change since it was recorded is not read.

    A file that changed in the same tick of the clock as its record may have changed after it, so it is read too.
    """
    record = _record_path(target)
    try:
        recorded: dict[str, Any] = json.loads(record.read_text(encoding="utf-8"))
        written, read = record.stat().st_ctime_ns, False
        for name, entry in recorded.items():
            status = (target / name).stat()
            if status.st_size != entry["size"]:
                return False
            if not status.st_ctime_ns == entry["ctime_ns"] < written:
                read = True
                if file_sha256(target / name) != entry["sha256"]:
                    return False
        if read:  # copied or moved, as it seems: the next start need not read it
            with suppress(OSError):
                _record(target, {name: entry["sha256"] for name, entry in recorded.items()})
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return False
    return bool(recorded)


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
