"""Votes are their owner's, one a comparison; their sums and their exports."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from crossfade.compare import query_in_mode
from crossfade.errors import StorageError
from crossfade.evaluation.judge import read_votes
from crossfade.evaluation.questions import read_questions
from crossfade.history.database import Database
from crossfade.history.votes import BAD, ONE, TIE, Ballot, Vote, Votes, export, export_for_judge, standings
from crossfade.types import Answer, Generation, Passage, Query


def answers(*modes: str, text: str = "What is the fee?") -> tuple[Answer, ...]:
    query = Query(text, "tidewell", "answer")
    found = (Passage("The fee is $7.", "fees", "Fees", "Fees", 0, 5, 0.5),)
    return tuple(
        Answer(query_in_mode(query, mode, blend=(("domain", 1.0),)), found, generation=Generation(f"from {mode}"))
        for mode in modes
    )


@pytest.fixture
def votes(tmp_path: Path) -> Votes:
    return Votes(Database(tmp_path / "history.sqlite"))


def test_a_vote_comes_back_whole_to_its_owner_alone(votes: Votes) -> None:
    vote = Vote("c1", ONE, answers("base", "rag"), winner=1, remark="cites", at=5.0)
    votes.put("a", vote)
    assert votes.of("a") == (vote,)
    assert votes.of("b") == votes.of("") == ()


def test_a_later_vote_on_the_same_comparison_takes_its_place_and_no_other_owner_s(votes: Votes) -> None:
    first = Vote("c1", ONE, answers("base", "rag"), winner=1, at=5.0)
    votes.put("a", first)
    votes.put("b", first)
    votes.put("a", replace(first, verdict=BAD, winner=-1, at=6.0))
    assert [vote.verdict for vote in votes.of("a")] == [BAD]
    assert votes.of("b") == (first,)


@pytest.mark.parametrize(("verdict", "winner"), [(ONE, -1), (ONE, 2), (TIE, 0), (BAD, 1), ("best", 0)])
def test_a_vote_that_names_no_answer_rightly_is_refused(votes: Votes, verdict: str, winner: int) -> None:
    with pytest.raises(StorageError, match="A vote is"):
        votes.put("a", Vote("c", verdict, answers("base", "rag"), winner))
    with pytest.raises(StorageError, match="cookie"):
        votes.put("", Vote("c", TIE, answers("base", "rag")))
    assert votes.of("a") == ()


def test_what_sums_are_made_of_is_read_without_a_trace(votes: Votes) -> None:
    votes.put("a", Vote("c1", ONE, answers("base", "rag"), winner=1, at=5.0))
    votes.put("a", Vote("c2", TIE, answers("icl", "hybrid"), at=6.0))
    votes.put("b", Vote("c1", BAD, answers("base", "rag"), at=7.0))
    read: set[str] = set()
    asked: list[str] = []

    def note(action: int, table: str | None, column: str | None, *_: str | None) -> int:
        if action == sqlite3.SQLITE_READ and table == "votes":
            read.add(str(column))
        return sqlite3.SQLITE_OK

    with votes._database.transaction() as connection:
        connection.set_authorizer(note)
        connection.set_trace_callback(asked.append)
    assert votes.ballots("a") == (Ballot(ONE, 1, ("base", "rag")), Ballot(TIE, -1, ("icl", "hybrid")))
    assert votes.ballots("") == ()
    assert read == {"owner", "at", "verdict", "winner", "modes"}
    (question,) = (text for text in asked if text.startswith("SELECT"))
    with votes._database.transaction() as connection:
        (plan,) = connection.execute(f"EXPLAIN QUERY PLAN {question}").fetchall()
    assert "USING COVERING INDEX votes_told" in plan["detail"], "not even the rows that hold the traces"


def test_votes_of_an_earlier_version_are_counted_as_before(tmp_path: Path) -> None:
    path = tmp_path / "history.sqlite"
    first = Votes(Database(path))
    first.put("a", Vote("c1", ONE, answers("base", "rag"), winner=1, at=5.0))
    first.put("a", Vote("c2", ONE, answers("base", "rag"), winner=0, at=6.0))
    first._database.close()
    with sqlite3.connect(path) as earlier:
        earlier.execute("DROP INDEX votes_told")
        earlier.execute("ALTER TABLE votes DROP COLUMN modes")
        earlier.execute("UPDATE votes SET answers = '[broken' WHERE comparison = 'c2'")
    earlier.close()
    votes = Votes(Database(path))
    assert votes.ballots("a") == (Ballot(ONE, 1, ("base", "rag")), Ballot(ONE, 0, ()))
    assert [standing.mode for standing in standings(votes.ballots("a"))] == ["rag", "base"]
    votes.put("a", Vote("c3", TIE, answers("base", "rag"), at=7.0))
    assert len(votes.ballots("a")) == 3


def ballots(votes: Sequence[Vote]) -> list[Ballot]:
    return [Ballot(v.verdict, v.winner, tuple(answer.query.mode for answer in v.answers)) for v in votes]


def test_standings_count_wins_of_the_comparisons_that_have_a_winner(votes: Votes) -> None:
    both, three = answers("base", "rag"), answers("base", "rag", "hybrid")
    cast = [Vote(f"c{n}", ONE, both, winner=1) for n in range(8)]
    cast += [Vote("d", ONE, three, winner=2), Vote("e", TIE, three), Vote("f", BAD, three)]
    found = {standing.mode: standing for standing in standings(ballots(cast))}
    assert {mode: (s.wins, s.shown) for mode, s in found.items()} == {"rag": (8, 9), "hybrid": (1, 1), "base": (0, 9)}
    assert [s.mode for s in standings(ballots(cast))] == ["hybrid", "rag", "base"]
    # Wilson's interval for 8 of 9, from its formula with z = 1.96.
    assert found["rag"].low == pytest.approx(0.565, abs=0.001)
    assert found["rag"].high == pytest.approx(0.980, abs=0.001)
    assert found["rag"].chance == pytest.approx((8 / 2 + 1 / 3) / 9)
    assert standings([]) == ()


def test_a_mode_that_stands_twice_is_shown_once_and_wins_by_either() -> None:
    (standing,) = standings([Ballot(ONE, 1, ("rag", "rag"))])
    assert (standing.wins, standing.shown, standing.chance) == (1, 1, 1.0)


def test_the_export_has_a_line_a_comparison_with_the_traces() -> None:
    text = export([Vote("c", ONE, answers("base", "rag", text="手续费？\n"), winner=1, remark="好", at=0.0)])
    (row,) = map(json.loads, text.splitlines())
    assert (row["winner_mode"], row["remark"], row["at"][:4]) == ("rag", "好", "1970")
    assert [answer["answer"] for answer in row["answers"]] == ["from base", "from rag"]
    assert row["answers"][1]["passages"][0]["text"] == "The fee is $7."


def test_what_votes_say_of_single_answers_is_read_by_the_judge_s_check(tmp_path: Path) -> None:
    cast = [
        Vote("c", ONE, answers("base", "rag"), winner=1),
        Vote("d", BAD, answers("base", "icl", text="Another?")),
        Vote("e", TIE, answers("rag", "hybrid", text="A third?")),
    ]
    path, questions = tmp_path / "votes.jsonl", tmp_path / "questions.jsonl"
    path.write_text(export_for_judge(cast), encoding="utf-8")
    texts = ("What is the fee?", "Another?", "A third?")
    questions.write_text("".join(json.dumps({"question": text}) + "\n" for text in texts), encoding="utf-8")
    first, second, third = (question.id for question in read_questions(questions).questions)
    assert read_votes(path) == {
        (first, "rag"): True,
        (second, "base"): False,
        (second, "icl"): False,
        (third, "rag"): True,
        (third, "hybrid"): True,
    }
