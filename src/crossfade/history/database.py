"""One SQLite file for all that is kept of people. Knows nothing of what its tables hold.

Every table has a column `owner`, which says whose a row is; a store asks for rows by owner and key together, so that
knowing a key opens nothing.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Lock

from crossfade.errors import StorageError

SECONDS_FOR_A_LOCK = 10
"""How long one writer waits for another; writes here take milliseconds."""


class Database:
    """A file that is opened when it is first used. Safe from several threads: one transaction at a time."""

    def __init__(self, path: Path) -> None:
        self._path, self._lock = path, Lock()
        self._opened: sqlite3.Connection | None = None
        self._schemas: list[tuple[str, Callable[[sqlite3.Connection], None] | None]] = []

    def add_tables(self, schema: str, then: Callable[[sqlite3.Connection], None] | None = None) -> None:
        """Tell the tables of a store, as `CREATE TABLE IF NOT EXISTS ...;` statements; made before the next use.

        `then` brings tables that an earlier version made to what they are now.
        """
        with self._lock:
            self._schemas.append((schema, then))

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """A connection whose changes are kept together at the end, or not at all after an exception.

        Raises StorageError where the file cannot be read or written.
        """
        with self._lock:
            try:
                connection = self._connection()
                with connection:
                    yield connection
            except (OSError, sqlite3.Error) as error:
                raise StorageError(
                    f"What you did cannot be kept in {self._path}: {error}. Free some space, or move the file away; "
                    "a new one is made."
                ) from error

    def close(self) -> None:
        """Close the file; the next use opens it again."""
        with self._lock:
            if self._opened is not None:
                self._opened.close()
                self._opened = None

    def _connection(self) -> sqlite3.Connection:
        if self._opened is None:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            opened = sqlite3.connect(self._path, check_same_thread=False, timeout=SECONDS_FOR_A_LOCK)
            opened.row_factory = sqlite3.Row
            opened.execute("PRAGMA journal_mode = WAL")
            opened.execute("PRAGMA foreign_keys = ON")
            self._path.chmod(0o600)
            self._opened = opened
        while self._schemas:
            schema, then = self._schemas[0]
            self._opened.executescript(schema)
            if then:
                with self._opened:
                    then(self._opened)
            self._schemas.pop(0)
        return self._opened
