"""Keep an index on disk so that a torn one is noticed and a killed writer leaves the old. Knows nothing of corpora.

A folder holds one index:

    manifest.json                 format, settings, embedder, documents, and the sha256 of the two files it points to
    passages-<sha256 part>.json   [{"id", "key", "document", "heading", "start", "end"}, ...]
    vectors-<sha256 part>.faiss   IndexIDMap2(IndexFlatIP) of unit vectors under the same ids

The files are named by their content and written first, the manifest is replaced last: whoever is killed in between
leaves the old index. Texts are not kept; they are read from the documents.
"""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock

from crossfade.errors import CorpusError

_PATIENCE = 60.0
"""Seconds to wait for another process that writes the same index."""
_ABANDONED = 3600.0
"""Seconds after which a half-written file belongs to nobody who is still writing."""


@dataclass(frozen=True, slots=True)
class Stored:
    """What a folder holds: its manifest, the rows of its passages, and the FAISS index with the same ids in order."""

    manifest: dict[str, Any]
    rows: list[dict[str, Any]]
    faiss: Any


class DamagedError(Exception):
    """A file of the index is missing, torn, or is not what the manifest says. Never leaves the room."""


def read(folder: Path) -> Stored | None:
    """What the folder holds, checked against its manifest; None without a manifest. Raises DamagedError."""
    import faiss
    import numpy as np

    path = folder / "manifest.json"
    try:
        if not path.exists():
            return None
        manifest = json.loads(path.read_text(encoding="utf-8"))
        found = {}
        for name, digest in manifest["files"].items():
            # The name alone: a manifest cannot point out of its folder.
            data = (folder / Path(name).name).read_bytes()
            if hashlib.sha256(data).hexdigest() != digest:
                raise DamagedError(f"{name} is not what the manifest says")
            found[name.partition("-")[0]] = data
        rows = json.loads(found["passages"])
        index: Any = faiss.deserialize_index(np.frombuffer(found["vectors"], dtype=np.uint8))
        ids = [int(row["id"]) for row in rows]
        if ids != faiss.vector_to_array(index.id_map).tolist() or max(ids, default=-1) >= int(manifest["next_id"]):
            raise DamagedError("passages and vectors do not belong together")
        return Stored(manifest, rows, index)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RuntimeError) as error:
        raise DamagedError(f"{type(error).__name__}: {error}") from error


def write(folder: Path, manifest: dict[str, Any], *, rows: list[dict[str, Any]], faiss_index: Any) -> None:
    """Write the two files, then the manifest that points to them, then remove those of the index before.

    Raises CorpusError where the folder cannot be written.
    """
    import faiss

    contents = {"passages.json": _json(rows), "vectors.faiss": faiss.serialize_index(faiss_index).tobytes()}
    files: dict[str, str] = {}
    new: list[Path] = []
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = folder.with_name(f".{folder.name}.lock")
        with FileLock(lock, timeout=_PATIENCE):  # another writer would tidy away what no manifest names yet
            for label, data in contents.items():
                digest = hashlib.sha256(data).hexdigest()
                stem, _, ending = label.partition(".")
                name = f"{stem}-{digest[:16]}.{ending}"
                files[name] = digest
                if not (folder / name).exists():
                    new.append(folder / name)
                _replace(folder / name, data)
            _replace(folder / "manifest.json", _json({**manifest, "files": files}))
            new.clear()
            _tidy(folder, set(files))
    except OSError as error:
        with suppress(OSError):
            for path in new:  # no manifest points to them, and the disk may be full
                path.unlink(missing_ok=True)
        raise CorpusError(
            f"The index cannot be written to {folder}: {error}. Make room, or set CROSSFADE_HOME to a folder of yours."
        ) from error


def _tidy(folder: Path, kept: set[str]) -> None:
    for pattern, age in (("passages-*.json", 0.0), ("vectors-*.faiss", 0.0), ("*.new", _ABANDONED)):
        for path in folder.glob(pattern):
            with suppress(FileNotFoundError):  # another process may have removed it in between
                if path.name not in kept and time.time() - path.stat().st_mtime >= age:
                    path.unlink()


def _json(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False, indent=1).encode()


def _replace(path: Path, data: bytes) -> None:
    """Write beside and rename into place, so that the name never shows half a file."""
    handle, beside = tempfile.mkstemp(dir=path.parent, prefix=path.name, suffix=".new")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(beside, path)
    except BaseException:
        Path(beside).unlink(missing_ok=True)
        raise
