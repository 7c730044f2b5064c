"""Conversations as they are kept, each for its owner alone. Knows neither a page nor how an answer is made.

Every method asks for owner and id together: an id of somebody else's conversation is one that is not there. A turn is
added by its key, so that the same turn written twice stands once, and two pages that write into one conversation keep
the turns of both.
"""

from __future__ import annotations

import secrets
import sqlite3
import time
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from crossfade.errors import StorageError
from crossfade.history import feedback
from crossfade.history.database import Database
from crossfade.history.kept import KeptTurn, clean_title, folded, keys_of, title_of, turn_from_json, turn_to_json

GONE = "This conversation is not there any more. Choose another one, or start a new one."
MOST_WORDS = 12
"""Of a search; more are not looked for."""

TABLES = """
CREATE TABLE IF NOT EXISTS conversations (
  id TEXT PRIMARY KEY, owner TEXT NOT NULL, title TEXT NOT NULL, searched TEXT NOT NULL,
  created REAL NOT NULL, changed REAL NOT NULL
);
CREATE INDEX IF NOT EXISTS conversations_of ON conversations (owner, changed DESC, id);
CREATE TABLE IF NOT EXISTS turns (
  number INTEGER PRIMARY KEY, owner TEXT NOT NULL,
  conversation TEXT NOT NULL REFERENCES conversations (id) ON DELETE CASCADE,
  key TEXT NOT NULL, searched TEXT NOT NULL, kept TEXT NOT NULL, UNIQUE (conversation, key)
);
CREATE INDEX IF NOT EXISTS turns_of ON turns (owner, conversation);
"""
# What is searched stands before the whole trace, so that a search need not read that.


@dataclass(frozen=True, slots=True)
class Listed:
    """A conversation as a list shows it; `changed` is in seconds since 1970."""

    id: str
    title: str
    changed: float


@dataclass(frozen=True, slots=True)
class Kept:
    """A whole conversation; `keys` are those of its turns. A new one that is not kept yet has no id."""

    title: str
    turns: tuple[KeptTurn, ...]
    created: float = 0.0
    id: str = ""
    keys: tuple[str, ...] = ()


def new_id() -> str:
    """An id that nobody guesses."""
    return secrets.token_urlsafe(16)


class Conversations:
    """The conversations of a database. An empty owner has none, and keeps none.

    Every method raises StorageError where the file cannot be used; those of one conversation also where the owner has
    none of that id.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        database.add_tables(TABLES, bulky=("turns", "kept"))
        database.add_tables(feedback.TABLES, bulky=feedback.BULKY)

    def save(
        self,
        owner: str,
        id: str,
        *,
        turns: Sequence[KeptTurn],
        before: Collection[str] = (),
        now: float | None = None,
    ) -> tuple[str, ...]:
        """Keep these turns and give their keys; the conversation is made with its first turn.

        `before` are the keys that whoever saves has seen in it: those of them that `turns` has no more were taken back
        and go; what somebody else has added stays. With its last turn the conversation goes.
        """
        keys = keys_of(turns)
        if not owner:
            return keys
        now = time.time() if now is None else now
        added = [(key, turn) for key, turn in zip(keys, turns, strict=True) if key not in before]
        taken_back = [key for key in before if key not in keys]
        if not added and not taken_back:
            return keys
        with self._database.writing(owner) as connection:
            if added:
                # Made by the first turn that is new: where it was deleted meanwhile, the title is none of those gone.
                title = title_of(added[0][1].query.text)
                connection.execute(
                    "INSERT OR IGNORE INTO conversations VALUES (?, ?, ?, ?, ?, ?)",
                    (id, owner, title, folded(title), now, now),
                )
                _check(connection, owner, id)
            _add(connection, owner, id, added)
            connection.executemany(
                "DELETE FROM turns WHERE owner = ? AND conversation = ? AND key = ?",
                [(owner, id, key) for key in taken_back],
            )
            if not turns:
                connection.execute(
                    "DELETE FROM conversations WHERE owner = ? AND id = ?"
                    " AND NOT EXISTS (SELECT 1 FROM turns WHERE conversation = id)",
                    (owner, id),
                )
            connection.execute("UPDATE conversations SET changed = ? WHERE owner = ? AND id = ?", (now, owner, id))
        return keys

    def newest(self, owner: str, *, search: str = "", most: int = 50) -> tuple[Listed, ...]:
        """The owner's conversations, newest first, that hold every word of a search in title, questions or answers."""
        sql = "SELECT id, title, changed FROM conversations WHERE owner = ?"
        values: list[str | int] = [owner]
        for word in folded(search).split()[:MOST_WORDS]:
            sql += (
                " AND (instr(searched, ?) OR id IN"
                " (SELECT conversation FROM turns WHERE owner = ? AND instr(searched, ?)))"
            )
            values += [word, owner, word]
        sql += " ORDER BY changed DESC, id LIMIT ?"
        with self._database.transaction() as connection:
            rows = connection.execute(sql, (*values, most)).fetchall() if owner else ()
        return tuple(Listed(row["id"], row["title"], row["changed"]) for row in rows)

    def open(self, owner: str, id: str, *, most_turns: int = -1) -> Kept:
        """The conversation with its newest turns, all for -1."""
        with self._database.transaction() as connection:
            row = _check(connection, owner, id)
            found = connection.execute(
                "SELECT key, kept FROM turns WHERE owner = ? AND conversation = ? ORDER BY number DESC LIMIT ?",
                (owner, id, most_turns),
            ).fetchall()[::-1]
        turns = tuple(turn_from_json(turn["kept"]) for turn in found)
        return Kept(row["title"], turns, row["created"], row["id"], tuple(turn["key"] for turn in found))

    def rename(self, owner: str, id: str, title: str) -> str:
        """Give it another title, which is returned as it is kept: in one line, and not empty."""
        title = clean_title(title)
        if not title:
            raise StorageError("A conversation needs a title: give it a word or more.")
        with self._database.transaction() as connection:
            _check(connection, owner, id)
            connection.execute(
                "UPDATE conversations SET title = ?, searched = ? WHERE owner = ? AND id = ?",
                (title, folded(title), owner, id),
            )
        return title

    def delete(self, owner: str, id: str) -> None:
        """Delete it with its turns and with the thumbs that were given in it."""
        with self._database.transaction() as connection:
            _check(connection, owner, id)
            feedback.forget(connection, owner, id)
            connection.execute("DELETE FROM conversations WHERE owner = ? AND id = ?", (owner, id))

    def size(self, owner: str) -> tuple[int, int, int]:
        """How many conversations and turns the owner has, and in how many characters."""
        with self._database.transaction() as connection:
            (conversations,) = connection.execute(
                "SELECT count(*) FROM conversations WHERE owner = ?", (owner,)
            ).fetchone()
            turns, characters = connection.execute(
                "SELECT count(*), coalesce(sum(length(kept)), 0) FROM turns WHERE owner = ?", (owner,)
            ).fetchone()
        return (conversations, turns, characters) if owner else (0, 0, 0)

    def all(self, owner: str) -> tuple[Kept, ...]:
        """Every conversation of the owner with all its turns, newest first."""
        with self._database.transaction() as connection:
            ids = (
                [
                    r["id"]
                    for r in connection.execute(
                        "SELECT id FROM conversations WHERE owner = ? ORDER BY changed DESC, id", (owner,)
                    )
                ]
                if owner
                else []
            )
        return tuple(self.open(owner, id) for id in ids)

    def add(self, owner: str, conversations: Sequence[Kept], *, now: float | None = None) -> tuple[str, ...]:
        """Keep whole conversations under new ids, all or none; the first is the newest. Gives the ids."""
        if not owner:
            raise StorageError("Nothing is kept for a browser that keeps no cookie. Allow cookies, then try again.")
        now = time.time() if now is None else now
        ids = tuple(new_id() for _ in conversations)
        with self._database.writing(owner) as connection:
            for id, kept in reversed(list(zip(ids, conversations, strict=True))):
                first = kept.turns[0].query.text if kept.turns else ""
                title = clean_title(kept.title) or title_of(first) or "…"
                connection.execute(
                    "INSERT INTO conversations VALUES (?, ?, ?, ?, ?, ?)",
                    (id, owner, title, folded(title), kept.created or now, now),
                )
                _add(connection, owner, id, list(zip(keys_of(kept.turns), kept.turns, strict=True)))
                now += 1e-3  # so that their order stays
        return ids


def _add(connection: sqlite3.Connection, owner: str, id: str, turns: Sequence[tuple[str, KeptTurn]]) -> None:
    connection.executemany(
        "INSERT OR IGNORE INTO turns (owner, conversation, key, searched, kept) VALUES (?, ?, ?, ?, ?)",
        [(owner, id, key, turn.searched, turn_to_json(turn)) for key, turn in turns],
    )


def _check(connection: sqlite3.Connection, owner: str, id: str) -> sqlite3.Row:
    """The row of a conversation of this owner. Raises StorageError where there is none."""
    row = connection.execute(
        "SELECT id, title, created FROM conversations WHERE owner = ? AND id = ? AND owner <> ''", (owner, id)
    ).fetchone()
    if row is None:
        raise StorageError(GONE)
    found: sqlite3.Row = row
    return found
