"""How much is kept of each owner and of all together, and how much may be. Knows not what it is.

Nothing is dropped to make room: what would go over a bound is refused, and whoever wrote it is told.
"""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass

from crossfade.errors import StorageError

MB = 1_000_000
_KEPT = "CREATE TABLE IF NOT EXISTS kept_bytes (owner TEXT PRIMARY KEY, bytes INTEGER NOT NULL) WITHOUT ROWID"
_COUNTING = (
    """
    CREATE TRIGGER {table}_counted AFTER INSERT ON {table} BEGIN
      INSERT INTO kept_bytes SELECT NEW.owner, 0 WHERE NOT EXISTS (SELECT 1 FROM kept_bytes WHERE owner = NEW.owner);
      UPDATE kept_bytes SET bytes = bytes + length(CAST(NEW.{column} AS BLOB)) WHERE owner = NEW.owner;
    END
    """,
    """
    CREATE TRIGGER {table}_uncounted AFTER DELETE ON {table} BEGIN
      UPDATE kept_bytes SET bytes = bytes - length(CAST(OLD.{column} AS BLOB)) WHERE owner = OLD.owner;
    END
    """,
    "INSERT INTO kept_bytes SELECT DISTINCT owner, 0 FROM {table} WHERE owner NOT IN (SELECT owner FROM kept_bytes)",
    """
    UPDATE kept_bytes SET bytes = bytes + coalesce(
      (SELECT sum(length(CAST({column} AS BLOB))) FROM {table} WHERE {table}.owner = kept_bytes.owner), 0)
    """,
)
# Counted as rows come and go: to look through all of somebody's traces at every writing would read them all.
# The insertion is without a conflict clause, in whose place that of the statement outside would be taken.


@dataclass(frozen=True, slots=True)
class Bounds:
    """The most bytes that are kept of one owner, and of all together in one file."""

    each: int = 200 * MB
    all: int = 2_000 * MB


def count(connection: sqlite3.Connection, table: str, column: str) -> None:
    """Count a table's bytes, those of the column that is most of a row, from now on; what it holds already too."""
    there = "SELECT 1 FROM sqlite_master WHERE type = 'trigger' AND name = ?"
    with connection:
        connection.execute("BEGIN IMMEDIATE")  # two processes count it once, and one that is killed not by half
        connection.execute(_KEPT)
        if connection.execute(there, (f"{table}_counted",)).fetchone() is None:
            for statement in _COUNTING:
                connection.execute(statement.format(table=table, column=column))


def kept_by(connection: sqlite3.Connection, owner: str) -> int:
    """The bytes that are counted of an owner."""
    row = connection.execute("SELECT bytes FROM kept_bytes WHERE owner = ?", (owner,)).fetchone()
    return int(row["bytes"]) if row else 0


def check(connection: sqlite3.Connection, owner: str, bounds: Bounds) -> None:
    """Raises StorageError where an owner, or all together, have more than may be kept."""
    if (mine := kept_by(connection, owner)) > bounds.each:
        raise StorageError(
            f"With this your conversations, thumbs, votes and links would have {mine / MB:,.1f} MB; at most "
            f"{bounds.each / MB:,g} MB are kept for one person. Export what you want to have, then delete some."
        )
    (pages,), (free,), (size,) = (
        connection.execute(f"PRAGMA {name}").fetchone() for name in ("page_count", "freelist_count", "page_size")
    )
    if (pages - free) * size > bounds.all:
        raise StorageError(
            f"What is kept of all who use this page has come to its bound of {bounds.all / MB:,g} MB: nothing more is "
            "kept, and nothing is lost. Delete what you need no more, or have CROSSFADE_HISTORY_MB raised."
        )
