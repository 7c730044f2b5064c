"""Thumbs on answers, with a better answer and a remark where given, each for its owner alone. Knows no page.

A thumb belongs to a turn by the turn's key, and is kept with the whole turn: what became of the conversation since
does not change what was judged. Who deletes a conversation deletes the thumbs given in it.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Collection
from dataclasses import dataclass

from crossfade.errors import StorageError
from crossfade.history.database import Database
from crossfade.history.kept import KeptTurn, turn_from_json, turn_to_json

MOST_CHARACTERS = 20_000
"""Of a better answer, and of a remark."""

TABLES = """
CREATE TABLE IF NOT EXISTS feedback (
  owner TEXT NOT NULL, key TEXT NOT NULL, conversation TEXT NOT NULL, liked INTEGER NOT NULL,
  better TEXT NOT NULL, remark TEXT NOT NULL, at REAL NOT NULL, kept TEXT NOT NULL, PRIMARY KEY (owner, key)
);
CREATE INDEX IF NOT EXISTS feedback_in ON feedback (owner, conversation);
"""
BULKY = ("feedback", "kept")


@dataclass(frozen=True, slots=True)
class Thumb:
    """Up or down, and what was written with it."""

    liked: bool
    better: str = ""
    remark: str = ""


@dataclass(frozen=True, slots=True)
class Judged:
    """A turn with its thumb; `at` is in seconds since 1970."""

    turn: KeptTurn
    thumb: Thumb
    at: float


def forget(connection: sqlite3.Connection, owner: str, conversation: str) -> None:
    """Delete the thumbs that were given in a conversation, within somebody's transaction."""
    connection.execute("DELETE FROM feedback WHERE owner = ? AND conversation = ?", (owner, conversation))


class Feedback:
    """The thumbs of a database. Every method raises StorageError where the file cannot be used."""

    def __init__(self, database: Database) -> None:
        self._database = database
        database.add_tables(TABLES, bulky=BULKY)

    def give(
        self, owner: str, key: str, turn: KeptTurn, *, thumb: Thumb, conversation: str = "", now: float | None = None
    ) -> None:
        """Keep a thumb; an earlier one on the same turn is replaced."""
        if not owner:
            raise StorageError("Nothing is kept for a browser that keeps no cookie. Allow cookies, then try again.")
        if turn.answer is None:
            raise StorageError("There is no answer to judge here.")
        for name, text in (("better answer", thumb.better), ("remark", thumb.remark)):
            if len(text) > MOST_CHARACTERS:
                raise StorageError(
                    f"The {name} has {len(text):,} characters; at most {MOST_CHARACTERS:,} are kept. Shorten it."
                )
        row = (owner, key, conversation, int(thumb.liked), thumb.better.strip(), thumb.remark.strip())
        with self._database.writing(owner) as connection:
            connection.execute(
                "INSERT OR REPLACE INTO feedback VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                (*row, time.time() if now is None else now, turn_to_json(turn)),
            )

    def take_back(self, owner: str, key: str) -> None:
        """Delete a thumb; nothing happens where there is none."""
        with self._database.transaction() as connection:
            connection.execute("DELETE FROM feedback WHERE owner = ? AND key = ?", (owner, key))

    def of(self, owner: str, keys: Collection[str]) -> dict[str, Thumb]:
        """The owner's thumbs on these turns, by key."""
        marks = ", ".join("?" * len(keys))
        with self._database.transaction() as connection:
            rows = connection.execute(
                f"SELECT key, liked, better, remark FROM feedback WHERE owner = ? AND key IN ({marks})",
                (owner, *keys),
            ).fetchall()
        return {row["key"]: Thumb(bool(row["liked"]), row["better"], row["remark"]) for row in rows}

    def all(self, owner: str | None) -> tuple[Judged, ...]:
        """The thumbs of one owner, or of all for None, oldest first."""
        chosen = ("", ()) if owner is None else (" WHERE owner = ?", (owner,))
        with self._database.transaction() as connection:
            rows = connection.execute(
                f"SELECT liked, better, remark, at, kept FROM feedback{chosen[0]} ORDER BY at, rowid", chosen[1]
            ).fetchall()
        return tuple(
            Judged(turn_from_json(r["kept"]), Thumb(bool(r["liked"]), r["better"], r["remark"]), r["at"]) for r in rows
        )
