"""The last comparison of each owner, until it is cleared or another one begins. Knows nothing of what is compared."""

from __future__ import annotations

from crossfade.history.database import Database

_TABLE = """
CREATE TABLE IF NOT EXISTS comparisons (owner TEXT PRIMARY KEY, name TEXT NOT NULL, content TEXT NOT NULL);
"""
_PUT = "INSERT OR REPLACE INTO comparisons VALUES (?, ?, ?)"


class Comparisons:
    """The comparisons in a database. An empty owner has none. Every method raises StorageError."""

    def __init__(self, database: Database) -> None:
        self._database = database
        database.add_tables(_TABLE, bulky=("comparisons", "content"))

    def begin(self, owner: str, name: str, content: str) -> None:
        """Keep a comparison in place of the one before."""
        if owner:
            with self._database.writing(owner) as connection:
                connection.execute(_PUT, (owner, name, content))

    def grow(self, owner: str, name: str, content: str) -> None:
        """Keep more of a comparison; nothing where it was cleared meanwhile, or another one has begun."""
        with self._database.writing(owner) as connection:
            there = "SELECT 1 FROM comparisons WHERE owner = ? AND name = ?"
            if connection.execute(there, (owner, name)).fetchone():
                connection.execute(_PUT, (owner, name, content))

    def last(self, owner: str) -> tuple[str, str] | None:
        """Name and content of the owner's last comparison, or None."""
        with self._database.transaction() as connection:
            row = connection.execute("SELECT name, content FROM comparisons WHERE owner = ?", (owner,)).fetchone()
        return (row["name"], row["content"]) if row else None

    def clear(self, owner: str) -> None:
        """Keep the owner's last comparison no longer."""
        with self._database.transaction() as connection:
            connection.execute("DELETE FROM comparisons WHERE owner = ?", (owner,))
