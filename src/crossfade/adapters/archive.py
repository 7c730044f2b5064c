"""An adapter as one zip file, and back from a zip or a folder that may come from anybody. Knows no engine.

    json/adapter_config.json  json/adapter_model.safetensors  json/card.json

Three files are taken, whatever else lies beside them. Nothing is unpacked before the whole list of contents was looked
through, and what is unpacked is counted: a bomb costs neither disk nor memory.
"""

from __future__ import annotations

import io
import os
import shutil
import stat
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path, PurePosixPath
from typing import IO

from crossfade.adapters.manage import check_new_name
from crossfade.adapters.ownership import set_owner
from crossfade.adapters.peft_config import CONFIG_FILE
from crossfade.adapters.peft_files import CARD_FILE, MAX_CONFIG_BYTES, WEIGHTS_FILE, AdapterFiles, read_adapter
from crossfade.adapters.registry import Registry
from crossfade.adapters.swap import put, workplace
from crossfade.errors import AdapterError

FILES = (CONFIG_FILE, WEIGHTS_FILE, CARD_FILE)
MAX_ENTRIES = 200
MAX_BYTES = 2_000_000_000
"""Of all files of an archive together, unpacked; the weights of a rank of 64 for 8 billion parameters are 0.3e9."""
MAX_RATIO = 100
"""Weights shrink by a tenth, and a card to a twentieth; only what is made to burst shrinks more."""
_SMALL = 1_000_000
"""An entry up to here, in bytes, may have any ratio."""
_MOST_AT_ONCE = 1 << 17
"""The longest piece, in bytes, that is read of an archive: its table of contents is read as one."""
_NESTED = (".zip", ".tar", ".gz", ".tgz", ".bz2", ".xz", ".zst", ".7z", ".rar", ".whl", ".jar")
_DATE = (1980, 1, 1, 0, 0, 0)


def pack(adapter: AdapterFiles, out: Path, *, replace: bool = False) -> Path:
    """Write the adapter as a zip file, whole or not at all; the same adapter always gives the same bytes.

    Raises AdapterError where `out` exists, the adapter has changed since it was read, or the disk refuses.
    """
    if out.exists() and (out.is_dir() or not replace):
        raise AdapterError(f"{out} exists already. Choose another file, or give --replace.")
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        handle, part = tempfile.mkstemp(prefix=f".{out.name}.", dir=out.parent)
        try:
            with os.fdopen(handle, "wb") as file, zipfile.ZipFile(file, "w") as archive:
                for name in FILES:
                    if (adapter.folder / name).is_file():
                        _add(archive, f"{adapter.name}/{name}", adapter.folder / name)
            if read_adapter(adapter.folder).sha256 != adapter.sha256:
                raise AdapterError(f"Adapter {adapter.name!r} changed while it was packed. Pack it again.")
            os.chmod(part, 0o644)  # mkstemp makes it private; it is made to be passed on
            os.replace(part, out)
        finally:
            Path(part).unlink(missing_ok=True)
    except OSError as error:
        raise AdapterError(f"{out} cannot be written: {error}. Free some space or give another place.") from error
    return out


def take_in(source: Path, folder: Path, *, registry: Registry, name: str = "", owner: str = "") -> AdapterFiles:
    """Take an adapter in from a folder or a zip file, checked, and put it into `folder` under its name or another one.

    It appears whole or not at all. Raises AdapterError, with the reason, for whatever is not an adapter that may be
    served, and for a name that is not allowed or is taken.
    """
    label = source.name or str(source)
    with _told(label), _opened(source, label) as (own_name, files):
        chosen = name or own_name
        try:
            check_new_name(chosen, registry)
        except AdapterError as error:
            raise error if name else AdapterError(f"{error} Give one by --name, or in the field beside.") from None
        with workplace(folder / chosen) as scratch:
            if (folder / chosen).exists():
                raise AdapterError(f"Adapter {chosen!r} exists already. Choose another name.")
            made = scratch / chosen
            made.mkdir()
            for file, (size, open_file) in files.items():
                with open_file() as read, (made / file).open("xb") as write:
                    _copy(read, write, most=size, label=f"{file} of {label}")
            read_adapter(made)
            set_owner(made, owner)
            put(made, folder / chosen)
    return read_adapter(folder / chosen)


Openers = dict[str, tuple[int, Callable[[], IO[bytes]]]]
"""For each of FILES that is there: its bytes at most, and how it is opened."""


@contextmanager
def _opened(source: Path, label: str) -> Iterator[tuple[str, Openers]]:
    """The adapter's own name and its files, of a folder or an archive."""
    if source.is_dir():
        yield source.resolve().name, _of_folder(source)
        return
    if not source.exists():
        raise AdapterError(f"There is no {source}. Give the path of a folder or of a zip file.")
    if not source.is_file() or not zipfile.is_zipfile(source):
        raise AdapterError(f"{label} is neither a folder nor a zip file. Give one that holds {CONFIG_FILE}.")
    with _Sparing(str(source)) as file, zipfile.ZipFile(file) as archive:
        yield _of_archive(archive, source, label)


def _of_folder(folder: Path) -> Openers:
    found: Openers = {}
    for name in FILES:
        path = folder / name
        if path.is_symlink():
            raise AdapterError(f"{path} is a link, which is not followed. Put the file itself there.")
        if path.is_file():
            found[name] = (_most(name), partial(io.FileIO, str(path)))
    return found


def _of_archive(archive: zipfile.ZipFile, source: Path, label: str) -> tuple[str, Openers]:
    """Look through the whole table of contents, then name the files that are taken."""
    entries = archive.infolist()
    if len(entries) > MAX_ENTRIES:
        raise AdapterError(f"{label} is refused: it holds {len(entries):,} files; allowed are {MAX_ENTRIES}.")
    for entry in entries:
        _check_entry(entry, label)
    total = sum(entry.file_size for entry in entries)
    if total > MAX_BYTES:
        raise AdapterError(f"{label} is refused: it unpacks to {total:,} bytes; allowed are {MAX_BYTES:,}.")
    configs = [PurePosixPath(e.filename) for e in entries if PurePosixPath(e.filename).name == CONFIG_FILE]
    depth = min((len(path.parts) for path in configs), default=0)
    places = [path.parent for path in configs if len(path.parts) == depth]
    if len(places) != 1:
        told = f"holds {len(places)} adapters side by side" if places else f"has no {CONFIG_FILE}"
        raise AdapterError(f"{label} is refused: it {told}. Pack the folder of one adapter.")
    found: Openers = {}
    for name in FILES:
        here = [entry for entry in entries if PurePosixPath(entry.filename) == places[0] / name]
        if len(here) > 1:
            raise AdapterError(f"{label} is refused: it holds {name} twice. Pack it again.")
        if here and here[0].file_size > _most(name):
            raise AdapterError(
                f"{label} is refused: its {name} has {here[0].file_size:,} bytes; allowed are {_most(name):,}."
            )
        if here:
            found[name] = (here[0].file_size, partial(archive.open, here[0]))
    return places[0].name or source.stem, found


def _check_entry(entry: zipfile.ZipInfo, label: str) -> None:
    """Raises AdapterError for an entry that has no place in an adapter's archive."""

    def refuse(why: str) -> AdapterError:
        return AdapterError(f"{label} is refused: its entry {entry.filename[:120]!r} {why}.")

    path, kind = PurePosixPath(entry.filename), stat.S_IFMT(entry.external_attr >> 16)
    if ".." in path.parts or path.is_absolute() or any(sign in entry.orig_filename for sign in "\\:\0"):
        raise refuse("leads out of the archive; allowed are plain relative paths")
    if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
        raise refuse("is a link or a device; allowed are plain files")
    if entry.flag_bits & 1:
        raise refuse("is encrypted; pack it without a password")
    if entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):  # the others unpack without a bound
        raise refuse("is compressed in a way that is not read; use deflate or none")
    if path.suffix.lower() in _NESTED:
        raise refuse("is an archive itself; pack the adapter's files alone")
    if entry.file_size > max(_SMALL, MAX_RATIO * entry.compress_size):
        raise refuse(f"unpacks to {entry.file_size:,} bytes from {entry.compress_size:,}, as a bomb does")


class _Sparing(io.FileIO):
    """A file of which no long piece is read at once, whatever an archive says of the length of its own table."""

    def read(self, size: int | None = -1, /) -> bytes:
        """The next bytes. Raises AdapterError for more than _MOST_AT_ONCE."""
        left = os.fstat(self.fileno()).st_size - self.tell()
        if (wanted := left if size is None or size < 0 else min(size, left)) > _MOST_AT_ONCE:
            raise AdapterError(f"The archive is refused: its table of contents has {wanted:,} bytes.")
        return super().read(wanted) or b""


def _most(name: str) -> int:
    return MAX_BYTES if name == WEIGHTS_FILE else MAX_CONFIG_BYTES


def _copy(read: IO[bytes], write: IO[bytes], *, most: int, label: str) -> None:
    """Copy piece by piece; more than `most` bytes, whatever was announced, end in an AdapterError."""
    written = 0
    while piece := read.read(_MOST_AT_ONCE // 2):
        written += len(piece)
        if written > most:
            raise AdapterError(f"{label} has more than {most:,} bytes, which are the most that is taken.")
        write.write(piece)


def _add(archive: zipfile.ZipFile, name: str, path: Path) -> None:
    """Weights do not shrink, so they are stored; the date is always the same."""
    entry = zipfile.ZipInfo(name, _DATE)
    entry.compress_type = zipfile.ZIP_STORED if path.name == WEIGHTS_FILE else zipfile.ZIP_DEFLATED
    entry.external_attr = (stat.S_IFREG | 0o644) << 16
    entry.file_size = path.stat().st_size  # says beforehand whether the sizes need 64 bits
    with path.open("rb") as read, archive.open(entry, "w") as write:
        shutil.copyfileobj(read, write)


@contextmanager
def _told(label: str) -> Iterator[None]:
    """Turn what a broken archive or the disk does into an AdapterError."""
    try:
        yield
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, ValueError) as error:
        raise AdapterError(f"{label} is no whole zip file: {error}. Pack or copy it again.") from error
    except OSError as error:
        raise AdapterError(f"{label} cannot be taken in: {error}. Check the path and the space on the disk.") from error
