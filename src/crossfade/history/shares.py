"""What somebody published under a random link, until it is taken back. Knows nothing of what is published.

The link's token is told once, to who published; the file holds its SHA-256 alone, so that who reads the file can open
no link. A token has 256 random bits: nothing that was not shared is found by trying.
"""

from __future__ import annotations

import hashlib
import secrets
import time
from dataclasses import dataclass

from crossfade.errors import StorageError
from crossfade.history.database import Database

MOST_SHARED = 200
"""Things that one owner has published at the same time."""
MOST_BYTES = 2_000_000
"""Of one thing that is published."""

_TABLE = """
CREATE TABLE IF NOT EXISTS shares (
    number INTEGER PRIMARY KEY AUTOINCREMENT, owner TEXT NOT NULL, token_sha256 TEXT NOT NULL UNIQUE,
    at REAL NOT NULL, title TEXT NOT NULL, content TEXT NOT NULL
);
CREATE INDEX IF NOT EXISTS shares_owner ON shares (owner);
"""


@dataclass(frozen=True, slots=True)
class Shared:
    """One thing that its owner published; `at` is in seconds since 1970."""

    number: int
    title: str
    at: float


class Shares:
    """What is published, in a database."""

    def __init__(self, database: Database) -> None:
        self._database = database
        database.add_tables(_TABLE, bulky=("shares", "content"))

    def publish(self, owner: str, content: str, *, title: str) -> str:
        """The token under which the content can be opened from now on. Raises StorageError."""
        if not owner:
            raise StorageError("This browser keeps no cookie, so that it could take nothing back. Allow cookies here.")
        if (size := len(content.encode())) > MOST_BYTES:
            raise StorageError(
                f"This has {size:,} bytes; at most {MOST_BYTES:,} are shared. Share fewer columns, or shorter answers."
            )
        token = secrets.token_urlsafe(32)
        with self._database.writing(owner) as connection:
            (count,) = connection.execute("SELECT count(*) FROM shares WHERE owner = ?", (owner,)).fetchone()
            if count >= MOST_SHARED:
                raise StorageError(f"You share {count} links; at most {MOST_SHARED} can be. Take one back first.")
            connection.execute(
                "INSERT INTO shares (owner, token_sha256, at, title, content) VALUES (?, ?, ?, ?, ?)",
                (owner, _hash(token), time.time(), title, content),
            )
        return token

    def open(self, token: str) -> str | None:
        """What is published under a token, or None. Raises StorageError where the file cannot be read."""
        with self._database.transaction() as connection:
            row = connection.execute("SELECT content FROM shares WHERE token_sha256 = ?", (_hash(token),)).fetchone()
        return str(row["content"]) if row else None

    def of(self, owner: str) -> tuple[Shared, ...]:
        """What an owner has published, newest first. Raises StorageError."""
        if not owner:
            return ()
        with self._database.transaction() as connection:
            rows = connection.execute(
                "SELECT number, title, at FROM shares WHERE owner = ? ORDER BY number DESC", (owner,)
            ).fetchall()
        return tuple(Shared(row["number"], row["title"], row["at"]) for row in rows)

    def take_back(self, owner: str, number: int) -> bool:
        """End a link of an owner's; False where that owner has none of this number. Raises StorageError."""
        with self._database.transaction() as connection:
            gone = connection.execute("DELETE FROM shares WHERE owner = ? AND number = ?", (owner, number))
        return bool(owner) and gone.rowcount > 0


def _hash(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()
