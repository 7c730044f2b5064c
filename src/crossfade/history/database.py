"""One SQLite file for all that is kept of people. Knows nothing of what its tables hold.

Every table has a column `owner`, which says whose a row is; a store asks for rows by owner and key together, so that
knowing a key opens nothing. What is kept of one owner, and of all, is bounded.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Lock

from crossfade.errors import StorageError
from crossfade.history.bounds import Bounds, check, count, kept_by

SECONDS_FOR_A_LOCK = 10
"""How long one writer waits for another; writes here take milliseconds."""


@dataclass(frozen=True, slots=True)
class _Store:
    schema: str
    bulky: tuple[str, str]
    then: Callable[[sqlite3.Connection], None] | None


class Database:
    """A file that is opened when it is first used. Safe from several threads: one transaction at a time."""

    def __init__(self, path: Path, bounds: Bounds | None = None) -> None:
        self._path, self._lock = path, Lock()
        self._bounds = bounds or Bounds()
        self._opened: sqlite3.Connection | None = None
        self._stores: list[_Store] = []

    def add_tables(
        self, schema: str, *, bulky: tuple[str, str], then: Callable[[sqlite3.Connection], None] | None = None
    ) -> None:
        """Tell the tables of a store, as `CREATE TABLE IF NOT EXISTS ...;` statements; made before the next use.

        `bulky` are the table and its column that hold nearly all of its bytes: these are bounded for each owner. `then`
        brings tables that an earlier version made to what they are now.
        """
        with self._lock:
            self._stores.append(_Store(schema, bulky, then))

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

    @contextmanager
    def writing(self, owner: str) -> Iterator[sqlite3.Connection]:
        """A transaction that may add to what is kept of an owner.

        Raises StorageError as that does, and where more would be kept than may be; less is always taken.
        """
        with self.transaction() as connection:
            before = kept_by(connection, owner)
            yield connection
            if kept_by(connection, owner) > before:
                check(connection, owner, self._bounds)

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
            opened.execute("PRAGMA recursive_triggers = ON")  # so that what a row replaces is counted no more
            self._path.chmod(0o600)
            self._opened = opened
        while self._stores:
            store = self._stores[0]
            self._opened.executescript(store.schema)
            count(self._opened, *store.bulky)
            if store.then:
                with self._opened:
                    store.then(self._opened)
            self._stores.pop(0)
        return self._opened
