"""Which answer of a comparison somebody found best, kept with the whole traces; how often each mode won. Draws nothing.

A vote is its owner's alone, one for each comparison; a later one takes the place of the earlier.
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from crossfade.errors import StorageError
from crossfade.history.answers import answer_from_json, answer_to_json
from crossfade.history.database import Database
from crossfade.trace import answer_as_dict
from crossfade.types import Answer

ONE, TIE, BAD = "one", "tie", "bad"
"""One answer is the best; all are equally good; none is any good."""
LEVEL = 0.95
MOST_REMARK = 2_000
"""Characters of a remark."""

_TABLE = """
CREATE TABLE IF NOT EXISTS votes (
    owner TEXT NOT NULL, comparison TEXT NOT NULL, at REAL NOT NULL, verdict TEXT NOT NULL, winner INTEGER NOT NULL,
    remark TEXT NOT NULL, answers TEXT NOT NULL, modes TEXT NOT NULL DEFAULT '', PRIMARY KEY (owner, comparison)
);
"""
_INDEX = "CREATE INDEX IF NOT EXISTS votes_told ON votes (owner, at, verdict, winner, modes)"
# It holds all that sums are made of, so that they read no trace.


@dataclass(frozen=True, slots=True)
class Vote:
    """A verdict on the answers of one comparison; `winner` is the place of the best one, -1 where there is none.

    `at` is in seconds since 1970.
    """

    comparison: str
    verdict: str
    answers: tuple[Answer, ...]
    winner: int = -1
    remark: str = ""
    at: float = 0.0


@dataclass(frozen=True, slots=True)
class Ballot:
    """What sums need of a vote: its verdict, the winner's place, and the modes of the answers."""

    verdict: str
    winner: int
    modes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Standing:
    """How often a mode won: `wins` of the `shown` comparisons that have a winner and in which it stood.

    `low` and `high` bound its share of wins at 95% (Wilson 1927); `chance` is the share of a blind choice.
    """

    mode: str
    wins: int
    shown: int
    low: float
    high: float
    chance: float


class Votes:
    """The votes in a database."""

    def __init__(self, database: Database) -> None:
        self._database = database
        database.add_tables(_TABLE, bulky=("votes", "answers"), then=_with_modes)

    def put(self, owner: str, vote: Vote) -> None:
        """Keep a vote, in place of an earlier one on the same comparison. Raises StorageError."""
        if not owner:
            raise StorageError("This browser keeps no cookie, so that nothing can be kept for it. Allow cookies here.")
        named = 0 <= vote.winner < len(vote.answers) if vote.verdict == ONE else vote.winner == -1
        if vote.verdict not in (ONE, TIE, BAD) or not named:
            raise StorageError(
                f"A vote is {ONE} with a winner among {len(vote.answers)} answers, {TIE} or {BAD}; this is "
                f"{vote.verdict!r} with {vote.winner}."
            )
        answers = json.dumps([answer_to_json(answer) for answer in vote.answers])
        row = (owner, vote.comparison, vote.at or time.time(), vote.verdict, vote.winner, vote.remark[:MOST_REMARK])
        with self._database.writing(owner) as connection:
            connection.execute(
                "INSERT OR REPLACE INTO votes (owner, comparison, at, verdict, winner, remark, answers, modes)"
                " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                (*row, answers, _modes(vote.answers)),
            )

    def ballots(self, owner: str) -> tuple[Ballot, ...]:
        """What sums need of the votes of an owner, oldest first; no trace is read. Raises StorageError."""
        if not owner:
            return ()
        with self._database.transaction() as connection:
            rows = connection.execute(
                "SELECT verdict, winner, modes FROM votes WHERE owner = ? ORDER BY at", (owner,)
            ).fetchall()
        return tuple(Ballot(row["verdict"], row["winner"], tuple(json.loads(row["modes"]))) for row in rows)

    def of(self, owner: str | None) -> tuple[Vote, ...]:
        """The votes of an owner, or of all for None, with their traces, oldest first. Raises StorageError."""
        if owner == "":
            return ()
        chosen = ("", ()) if owner is None else (" WHERE owner = ?", (owner,))
        with self._database.transaction() as connection:
            rows = connection.execute(f"SELECT * FROM votes{chosen[0]} ORDER BY at", chosen[1]).fetchall()
        return tuple(
            Vote(
                comparison=row["comparison"],
                verdict=row["verdict"],
                answers=tuple(answer_from_json(text) for text in json.loads(row["answers"])),
                winner=row["winner"],
                remark=row["remark"],
                at=row["at"],
            )
            for row in rows
        )


def standings(ballots: Sequence[Ballot]) -> tuple[Standing, ...]:
    """How often each mode won, the highest share first; a mode that stands twice in a comparison wins by either."""
    from scipy.stats import binomtest

    wins: dict[str, int] = defaultdict(int)
    chances: dict[str, list[float]] = defaultdict(list)
    for ballot in ballots:
        if ballot.verdict != ONE or not ballot.modes:
            continue
        for mode in set(ballot.modes):
            wins[mode] += ballot.modes[ballot.winner] == mode
            chances[mode].append(ballot.modes.count(mode) / len(ballot.modes))
    found = []
    for mode, each in chances.items():
        interval = binomtest(wins[mode], len(each)).proportion_ci(LEVEL, method="wilson")
        low, high = float(interval.low), float(interval.high)
        found.append(Standing(mode, wins[mode], len(each), low, high, sum(each) / len(each)))
    return tuple(sorted(found, key=lambda standing: (-standing.wins / standing.shown, standing.mode)))


def export(votes: Sequence[Vote]) -> str:
    """The votes as JSON lines, one a comparison, with the whole trace of each answer."""
    return "".join(json.dumps(_row(vote), ensure_ascii=False) + "\n" for vote in votes)


def export_for_judge(votes: Sequence[Vote]) -> str:
    """What the votes say of single answers, as `evaluation.judge.read_votes` reads it: rows of id, mode, right.

    The best answer is right, and so are those of a tie; where all are bad none is. What is merely not the best has no
    row, since the vote does not say whether it is right. An id is that of a question without one of its own in a set.
    """
    told: dict[tuple[str, str], bool] = {}
    for vote in votes:
        for place, answer in enumerate(vote.answers):
            if vote.verdict != ONE or place == vote.winner:
                told[_question_id(answer.query.text), answer.query.mode] = vote.verdict != BAD
    rows = [{"id": id_, "mode": mode, "right": right} for (id_, mode), right in told.items()]
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


def _modes(answers: Sequence[Answer]) -> str:
    return json.dumps([answer.query.mode for answer in answers])


def _with_modes(connection: sqlite3.Connection) -> None:
    """Add the modes to votes of an earlier version, whose traces alone told them."""
    if "modes" not in {row["name"] for row in connection.execute("PRAGMA table_info(votes)")}:
        connection.execute("ALTER TABLE votes ADD COLUMN modes TEXT NOT NULL DEFAULT ''")
    connection.execute(_INDEX)
    for row in connection.execute("SELECT rowid FROM votes WHERE modes = ''").fetchall():
        (told,) = connection.execute("SELECT answers FROM votes WHERE rowid = ?", tuple(row)).fetchone()
        try:
            modes = _modes([answer_from_json(text) for text in json.loads(told)])
        except (StorageError, ValueError):  # broken on disk: it counts for no mode, and stops nobody else's
            modes = "[]"
        connection.execute("UPDATE votes SET modes = ? WHERE rowid = ?", (modes, row["rowid"]))


def _row(vote: Vote) -> dict[str, Any]:
    question = vote.answers[0].query.text if vote.answers else ""
    return {
        "id": _question_id(question),
        "comparison": vote.comparison,
        "at": datetime.fromtimestamp(vote.at, UTC).isoformat(timespec="seconds"),
        "question": question,
        "verdict": vote.verdict,
        "winner": None if vote.winner < 0 else vote.winner,
        "winner_mode": None if vote.winner < 0 else vote.answers[vote.winner].query.mode,
        "remark": vote.remark,
        "answers": [answer_as_dict(answer) for answer in vote.answers],
    }


def _question_id(text: str) -> str:
    """The id that `evaluation.questions` gives a question without one."""
    return hashlib.sha256(text.encode()).hexdigest()[:12]
