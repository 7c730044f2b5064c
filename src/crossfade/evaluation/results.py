"""One stored answer of a run, and the key under which it is kept. Knows no engine; a result is plain JSON on disk.

The key is a hash of all that the answer depends on: question, mode, blend with the adapters' hashes, corpus, base,
engine and settings. What was answered once under a key is not asked again.
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections.abc import Mapping
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path
from threading import Lock
from typing import Any

from crossfade.errors import SettingsError
from crossfade.types import Answer


@dataclass(frozen=True, slots=True)
class Found:
    """A passage that an answer was given. `dense` is its cosine with the question, None where that was not kept."""

    document: str
    source: str
    text: str
    start: int
    end: int
    score: float
    dense: float | None = None


@dataclass(frozen=True, slots=True)
class Result:
    """What one question was answered in one mode, and what it cost; `error` has the reason where it failed.

    `cached_tokens` is None where the engine did not tell. Seconds are those that passed for this question, of which
    `at_once` shared the machine. `withheld` is the answer in whose place the text stands, since it was too unlikely.
    """

    text: str = ""
    passages: tuple[Found, ...] = ()
    prompt_tokens: int = 0
    cached_tokens: int | None = None
    new_tokens: int = 0
    seconds_to_first: float = 0.0
    seconds: float = 0.0
    finish: str = ""
    adapters: tuple[tuple[str, float, str], ...] = ()
    left_out: tuple[str, ...] = ()
    at_once: int = 1
    error: str = ""
    withheld: str = ""

    @classmethod
    def of(cls, answer: Answer, *, seconds_retrieving: float = 0.0, at_once: int = 1) -> Result:
        """What is kept of an answer; a retrieval that was shared with other modes counts for each that used it."""
        generation = answer.generation
        return cls(
            text=generation.text,
            passages=tuple(
                Found(p.document, p.source, p.text, p.start, p.end, p.score, p.dense) for p in answer.passages
            ),
            prompt_tokens=generation.prompt_tokens or 0,
            cached_tokens=generation.cached_tokens,
            new_tokens=generation.new_tokens,
            seconds_to_first=answer.seconds_to_first + seconds_retrieving,
            seconds=answer.seconds + seconds_retrieving,
            finish=generation.finish,
            adapters=generation.adapters,
            left_out=answer.prompt.left_out if answer.prompt else (),
            at_once=at_once,
            withheld=generation.withheld,
        )

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Result:
        """The result that `as_json` wrote."""
        more = {
            "passages": tuple(Found(**found) for found in data["passages"]),
            "adapters": tuple((name, weight, sha256) for name, weight, sha256 in data["adapters"]),
            "left_out": tuple(data["left_out"]),
        }
        return cls(**{**data, **more})

    def as_json(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return asdict(self)


def key_of(**depends_on: Any) -> str:
    """The sha256 (hex) of what an answer depends on, as canonical JSON."""
    return hashlib.sha256(json.dumps(depends_on, sort_keys=True, ensure_ascii=False).encode()).hexdigest()


class Store:
    """Results by key in one SQLite file; each is safe on disk when `put` returns, also if the process is killed."""

    def __init__(self, path: Path) -> None:
        """Open or make the file. Raises SettingsError where it cannot be used."""
        self._path, self._lock = path, Lock()
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._db = sqlite3.connect(path, check_same_thread=False, timeout=30)
            self._db.execute("CREATE TABLE IF NOT EXISTS results (key TEXT PRIMARY KEY, value TEXT NOT NULL)")
            self._db.commit()
        except (OSError, sqlite3.Error) as error:
            raise self._broken(error) from error

    def get(self, key: str) -> Result | None:
        """The result under a key, or None where there is none or it cannot be read."""
        try:
            with self._lock, closing(self._db.execute("SELECT value FROM results WHERE key = ?", (key,))) as rows:
                row = rows.fetchone()
        except sqlite3.Error as error:
            raise self._broken(error) from error
        try:
            return Result.from_json(json.loads(row[0])) if row else None
        except (ValueError, KeyError, TypeError):
            return None  # of another version: it is asked again

    def put(self, key: str, result: Result) -> None:
        """Keep a result. Raises SettingsError where the disk is full."""
        try:
            with self._lock, self._db:
                value = json.dumps(result.as_json(), ensure_ascii=False)
                self._db.execute("INSERT OR REPLACE INTO results VALUES (?, ?)", (key, value))
        except sqlite3.Error as error:
            raise self._broken(error) from error

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    def _broken(self, error: Exception) -> SettingsError:
        return SettingsError(
            f"Results cannot be kept in {self._path}: {error}. Free some space, or move the file away; it is made anew."
        )
