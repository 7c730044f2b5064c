"""Bring up the index of a corpus: opened if what is on disk fits, else built, reusing what did not change.

Knows nothing of questions, ranking, or how the files on disk are kept whole.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from crossfade.corpora.registry import Corpus, Document
from crossfade.errors import CorpusError
from crossfade.retrieval.embedding import Embedder
from crossfade.retrieval.index import Index, Recipe, searchable
from crossfade.retrieval.splitting import split
from crossfade.retrieval.store import DamagedError, Stored, read, write
from crossfade.types import Passage

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

FORMAT = 1
_BATCH = 32

Progress = Callable[[int, int], None]
"""Called with how many passages are embedded and how many there are to embed. To cancel, raise from it."""


def load_index(
    corpus: Corpus, embedder: Embedder, folder: Path, progress: Progress | None = None, *, recipe: Recipe | None = None
) -> Index:
    """The index of a corpus, opened if it fits and else built; `Index.rebuilt` says why it was.

    Only passages whose text, heading or title changed are embedded again. Where the folder cannot be written the index
    is there all the same, in memory, and `Index.unsaved` says why. Raises CorpusError for a broken document.
    """
    recipe = recipe or Recipe()
    stored, reason = _inspect(corpus, embedder, folder, recipe)
    if stored and not reason:
        try:
            return _open(stored, corpus, embedder, recipe)
        except DamagedError:
            stored, reason = None, "files damaged"
    index = _build(corpus, embedder, folder, recipe=recipe, progress=progress, stored=stored)
    index.rebuilt = reason
    return index


def build_index(
    corpus: Corpus, embedder: Embedder, folder: Path, progress: Progress | None = None, *, recipe: Recipe | None = None
) -> Index:
    """Build the index of a corpus from nothing, whatever the folder holds. Raises like `load_index`."""
    index = _build(corpus, embedder, folder, recipe=recipe or Recipe(), progress=progress, stored=None)
    index.rebuilt = "new"
    return index


def open_index(corpus: Corpus, embedder: Embedder, folder: Path, *, recipe: Recipe | None = None) -> Index:
    """Open the index of a corpus, embedding nothing. Raises CorpusError, with the reason, if it does not fit."""
    recipe = recipe or Recipe()
    stored, reason = _inspect(corpus, embedder, folder, recipe)
    try:
        if stored and not reason:
            return _open(stored, corpus, embedder, recipe)
    except DamagedError:
        reason = "files damaged"
    raise CorpusError(
        f"The index of corpus {corpus.name!r} in {folder} cannot be used: {reason}. Build it with `crossfade index`."
    )


def _inspect(corpus: Corpus, embedder: Embedder, folder: Path, recipe: Recipe) -> tuple[Stored | None, str]:
    """What is stored, if its vectors are of use, and the reason to build, empty if there is none."""
    try:
        stored = read(folder)
        if stored is None:
            return None, "new"
        manifest = stored.manifest
        if manifest["format"] != FORMAT:
            return None, "settings changed"
        if manifest["embedder"]["identity"] != embedder.identity:
            return None, "embedder changed"
        if stored.faiss.d != embedder.dimensions:
            return None, "files damaged"
        if manifest["splitter"] != {"size": recipe.size}:
            return stored, "settings changed"
        return stored, _changes(manifest["documents"], _describe(corpus))
    except (DamagedError, KeyError, TypeError, AttributeError):
        return None, "files damaged"


def _describe(corpus: Corpus) -> dict[str, dict[str, str]]:
    return {document.name: {"title": document.title, "sha256": document.sha256} for document in corpus.documents}


def _changes(old: dict[str, Any], new: dict[str, Any]) -> str:
    """What differs, for people: `documents changed: fees changed, cards added`; empty when nothing does."""
    parts = [f"{name} added" for name in new if name not in old]
    parts += [f"{name} changed" for name in new if name in old and old[name] != new[name]]
    parts += [f"{name} removed" for name in old if name not in new]
    rest = f" and {len(parts) - 5} more" if len(parts) > 5 else ""
    return f"documents changed: {', '.join(parts[:5])}{rest}" if parts else ""


def _open(stored: Stored, corpus: Corpus, embedder: Embedder, recipe: Recipe) -> Index:
    """The index in memory. Raises DamagedError where passages, vectors and documents do not belong together."""
    documents = {document.name: document for document in corpus.documents}
    try:
        passages = [_passage(documents[row["document"]], row) for row in stored.rows]
        if any(_key(passage) != row["key"] for passage, row in zip(passages, stored.rows, strict=True)):
            raise DamagedError("passages and documents do not belong together")
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise DamagedError(str(error)) from error
    return Index(passages, stored.faiss, embedder, ids=[int(row["id"]) for row in stored.rows], recipe=recipe)


def _passage(document: Document, row: dict[str, Any]) -> Passage:
    start, end = int(row["start"]), int(row["end"])
    return Passage(document.text[start:end], document.name, document.title, str(row["heading"]), start, end, 0.0)


def _key(passage: Passage) -> str:
    """The same for passages that have the same vector."""
    return hashlib.sha256(searchable(passage).encode()).hexdigest()


def _build(
    corpus: Corpus,
    embedder: Embedder,
    folder: Path,
    *,
    recipe: Recipe,
    progress: Progress | None,
    stored: Stored | None,
) -> Index:
    import faiss
    import numpy as np

    passages = [passage for document in corpus.documents for passage in split(document, size=recipe.size)]
    keys = [_key(passage) for passage in passages]
    known = {row["key"]: stored.faiss.reconstruct(int(row["id"])) for row in stored.rows} if stored else {}
    missing = {key: searchable(passage) for key, passage in zip(keys, passages, strict=True) if key not in known}
    known |= _embed(missing, embedder, progress)
    ids, next_id = _number(passages, keys, stored)
    vectors = np.zeros((len(keys), embedder.dimensions), dtype=np.float32)
    for row, key in enumerate(keys):
        vectors[row] = known[key]
    index = faiss.IndexIDMap2(faiss.IndexFlatIP(embedder.dimensions))
    index.add_with_ids(vectors, np.array(ids, dtype=np.int64))
    rows = [
        {"id": i, "key": key, "document": p.document, "heading": p.heading, "start": p.start, "end": p.end}
        for i, key, p in zip(ids, keys, passages, strict=True)
    ]
    manifest = {
        "format": FORMAT,
        "splitter": {"size": recipe.size},
        "embedder": {"name": embedder.name, "identity": embedder.identity, "dimensions": embedder.dimensions},
        "documents": _describe(corpus),
        "next_id": next_id,
    }
    made = Index(passages, index, embedder, ids=ids, recipe=recipe)
    made.embedded = len(missing)
    try:
        write(folder, manifest, rows=rows, faiss_index=index)
    except CorpusError as error:
        made.unsaved = str(error)
    return made


def _embed(texts: dict[str, str], embedder: Embedder, progress: Progress | None) -> dict[str, NDArray[np.float32]]:
    """The vectors by key; neighbours in length go together, since a batch takes as long as its longest text."""
    keys = sorted(texts, key=lambda key: (len(texts[key]), key))
    found: dict[str, NDArray[np.float32]] = {}
    for first in range(0, len(keys), _BATCH):
        if progress:
            progress(first, len(keys))
        batch = keys[first : first + _BATCH]
        found |= dict(zip(batch, embedder.embed([texts[key] for key in batch]), strict=True))
    if progress:
        progress(len(keys), len(keys))
    return found


def _number(passages: list[Passage], keys: list[str], stored: Stored | None) -> tuple[list[int], int]:
    """An id for each passage, its old one where it had one, and the next; ids only grow and are never given twice."""
    rows = stored.rows if stored else []
    spare: dict[tuple[str, str], list[int]] = {}
    for row in reversed(rows):
        spare.setdefault((row["document"], row["key"]), []).append(int(row["id"]))
    next_id = int(stored.manifest["next_id"]) if stored else 0
    ids = []
    for passage, key in zip(passages, keys, strict=True):
        mine = spare.get((passage.document, key))
        if mine:
            ids.append(mine.pop())
        else:
            ids.append(next_id)
            next_id += 1
    return ids, next_id
