"""What is kept of people is bounded, for each and for all; what is over a bound is refused, and nothing is dropped."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from crossfade.errors import StorageError
from crossfade.history.bounds import Bounds, kept_by
from crossfade.history.comparisons import Comparisons
from crossfade.history.conversations import Conversations, Kept
from crossfade.history.database import Database
from crossfade.history.feedback import Feedback, Thumb
from crossfade.history.kept import keys_of
from crossfade.history.shares import Shares
from crossfade.history.votes import TIE, Vote, Votes
from history_kit import turn

LONG = turn("What is the fee?", said="Seven. " * 3000)
COLUMNS = {"turns": "kept", "feedback": "kept", "votes": "answers", "shares": "content", "comparisons": "content"}


class History:
    """All stores on one database."""

    def __init__(self, path: Path, **bounds: int) -> None:
        self.database = Database(path, Bounds(**bounds))
        self.conversations, self.feedback = Conversations(self.database), Feedback(self.database)
        self.votes, self.shares = Votes(self.database), Shares(self.database)
        self.comparisons = Comparisons(self.database)

    def bytes(self, owner: str) -> int:
        with self.database.transaction() as connection:
            return kept_by(connection, owner)

    def rows(self, owner: str) -> dict[str, int]:
        """How many rows of an owner each table has."""
        with self.database.transaction() as connection:
            return {
                table: connection.execute(f"SELECT count(*) FROM {table} WHERE owner = ?", (owner,)).fetchone()[0]
                for table in COLUMNS
            }

    def counted_anew(self, owner: str) -> int:
        with self.database.transaction() as connection:
            return sum(
                len(row[0].encode())
                for table, column in COLUMNS.items()
                for row in connection.execute(f"SELECT {column} FROM {table} WHERE owner = ?", (owner,))
            )


def save(history: History, owner: str, id: str, *, about: str = "fee") -> None:
    history.conversations.save(owner, id, turns=[turn(f"What is the {about}? 手续费", said="Seven. " * 3000)])


def add(history: History, owner: str) -> None:
    history.conversations.add(owner, [Kept("Fees", (LONG,))])


def thumb(history: History, owner: str) -> None:
    history.feedback.give(owner, keys_of([LONG])[0], LONG, thumb=Thumb(True))


def vote(history: History, owner: str) -> None:
    assert LONG.answer
    history.votes.put(owner, Vote("c", TIE, (LONG.answer, LONG.answer)))


def share(history: History, owner: str) -> None:
    history.shares.publish(owner, "Seven. " * 3000, title="Fees")


def compare(history: History, owner: str) -> None:
    history.comparisons.begin(owner, "c", "Seven. " * 3000)


WAYS: list[Callable[[History, str], None]] = [lambda h, o: save(h, o, f"one of {o}"), add, thumb, vote, share, compare]


@pytest.mark.parametrize("write", WAYS)
def test_what_goes_over_an_owner_s_bound_is_refused_and_nothing_is_lost(
    write: Callable[[History, str], None], tmp_path: Path
) -> None:
    history = History(tmp_path / "history.sqlite", each=40_000)
    history.shares.publish("ann", "x" * 39_000, title="first")
    before = history.rows("ann")
    with pytest.raises(StorageError, match=r"at most 0\.04 MB are kept for one person\. Export"):
        write(history, "ann")
    assert history.rows("ann") == before
    assert history.bytes("ann") == 39_000
    write(History(tmp_path / "history.sqlite", each=100_000), "bob")  # somebody else has room of their own
    assert history.shares.take_back("ann", history.shares.of("ann")[0].number)
    write(History(tmp_path / "history.sqlite", each=100_000), "ann")
    assert sum(history.rows("ann").values()) == 1


def test_who_is_over_the_bound_may_still_delete_and_shorten(tmp_path: Path) -> None:
    path = tmp_path / "history.sqlite"
    history = History(path)
    for id in ("one", "two"):
        save(history, "ann", id)
    thumb(history, "ann")
    history.database.close()
    smaller = History(path, each=10)
    smaller.conversations.delete("ann", "one")
    smaller.feedback.take_back("ann", keys_of([LONG])[0])
    kept = smaller.conversations.open("ann", "two")
    smaller.conversations.save("ann", "two", turns=[], before=kept.keys)
    assert (smaller.bytes("ann"), smaller.rows("ann")) == (0, dict.fromkeys(COLUMNS, 0))


def test_what_goes_over_the_bound_of_all_is_refused_and_nothing_is_lost(tmp_path: Path) -> None:
    history = History(tmp_path / "history.sqlite", all=400_000)

    def fill() -> None:
        for number in range(100):
            save(history, f"visitor {number}", f"{number}")

    with pytest.raises(StorageError, match=r"bound of 0\.4 MB: nothing more is kept, and nothing is lost"):
        fill()
    written = [number for number in range(100) if history.rows(f"visitor {number}")["turns"]]
    assert written == list(range(len(written))), "no earlier one went to make room"
    assert 2 < len(written) < 100
    more = "Seven. " * 6000  # more than one of the conversations, which had no place either, and less than two
    with pytest.raises(StorageError, match="CROSSFADE_HISTORY_MB"):
        history.shares.publish("visitor 0", more, title="Fees")
    for number in (0, 1):
        history.conversations.delete(f"visitor {number}", f"{number}")
    history.shares.publish("visitor 0", more, title="Fees")


def test_bytes_are_counted_as_they_are_whatever_is_replaced_or_deleted(tmp_path: Path) -> None:
    history = History(tmp_path / "history.sqlite")
    for _ in range(2):  # the second time each takes the place of the first, or stands there already
        for number, write in enumerate(WAYS):
            write(history, "ann")
            assert history.bytes("ann") == history.counted_anew("ann") > 0, number
    save(history, "ann", "one of ann", about="loan")
    history.conversations.delete("ann", "one of ann")
    assert history.bytes("ann") == history.counted_anew("ann")
    assert history.bytes("bob") == 0


def test_what_an_earlier_version_kept_is_counted_too(tmp_path: Path) -> None:
    path = tmp_path / "history.sqlite"
    first = History(path)
    for write in WAYS:
        write(first, "ann")
    before = first.bytes("ann")
    first.database.close()
    with sqlite3.connect(path) as earlier:
        for table in COLUMNS:
            earlier.execute(f"DROP TRIGGER {table}_counted")
            earlier.execute(f"DROP TRIGGER {table}_uncounted")
        earlier.execute("DROP TABLE kept_bytes")
    earlier.close()
    assert History(path).bytes("ann") == before > 0


def test_a_comparison_that_grows_over_the_bound_stays_as_it_was(tmp_path: Path) -> None:
    history = History(tmp_path / "history.sqlite", each=10_000)
    history.comparisons.begin("ann", "c", "Seven. ")
    with pytest.raises(StorageError, match="at most"):
        history.comparisons.grow("ann", "c", "Seven. " * 3000)
    assert history.comparisons.last("ann") == ("c", "Seven. ")
    assert history.bytes("ann") == history.counted_anew("ann") == len("Seven. ")
