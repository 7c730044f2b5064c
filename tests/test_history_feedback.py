"""Thumbs, and the rows to train on that come of them."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from cli_kit import Crossfade
from crossfade.errors import StorageError
from crossfade.history.database import Database
from crossfade.history.feedback import Feedback, Judged, Thumb
from crossfade.history.feedback_rows import CUT, DOWN, NO_PROMPT, NO_WINNER, OLDER, UNLIKED, feedback_rows
from crossfade.history.kept import KeptTurn, keys_of
from crossfade.history.votes import BAD, ONE, TIE, Vote, Votes
from crossfade.training.guess import guess
from crossfade.training.report import data_report
from crossfade.training.table import read_table
from crossfade.training.tokens import rough_count
from crossfade.types import Message, Prompt
from history_kit import DOMAIN, failed, turn

UP, DOWNWARD = Thumb(True), Thumb(False)


@pytest.fixture
def thumbs(tmp_path: Path) -> Feedback:
    return Feedback(Database(tmp_path / "history.sqlite"))


def give(thumbs: Feedback, owner: str, kept: KeptTurn, thumb: Thumb = UP, at: float = 1.0) -> str:
    (key,) = keys_of([kept])
    thumbs.give(owner, key, kept, thumb=thumb, now=at)
    return key


def test_a_thumb_is_kept_with_the_whole_turn_and_changed_and_taken_back(thumbs: Feedback) -> None:
    key = give(thumbs, "ann", turn("q"), Thumb(False, " $8 ", " wrong "))
    assert thumbs.of("ann", [key, "other"]) == {key: Thumb(False, "$8", "wrong")}
    assert thumbs.all("ann") == (Judged(turn("q"), Thumb(False, "$8", "wrong"), 1.0),)
    give(thumbs, "ann", turn("q"), UP)
    assert thumbs.of("ann", [key]) == {key: UP}
    thumbs.take_back("ann", key)
    assert thumbs.of("ann", [key]) == {}
    assert thumbs.of("ann", []) == {}


def test_thumbs_are_one_s_own(thumbs: Feedback) -> None:
    key = give(thumbs, "ann", turn("q"))
    thumbs.take_back("bob", key)
    assert thumbs.of("bob", [key]) == {}
    assert thumbs.all("bob") == ()
    give(thumbs, "bob", turn("q"), DOWNWARD)
    assert thumbs.of("ann", [key]) == {key: UP}
    assert len(thumbs.all(None)) == 2


def test_what_cannot_be_judged_is_told(thumbs: Feedback) -> None:
    with pytest.raises(StorageError, match="cookie"):
        give(thumbs, "", turn("q"))
    with pytest.raises(StorageError, match="no answer"):
        give(thumbs, "ann", failed("q"))
    with pytest.raises(StorageError, match="20,001 characters"):
        give(thumbs, "ann", turn("q"), Thumb(True, "x" * 20_001))


def judged(kept: KeptTurn, thumb: Thumb = UP, at: float = 1.0) -> Judged:
    return Judged(kept, thumb, at)


def test_a_row_is_the_prompt_the_response_and_where_it_came_from() -> None:
    (row,) = feedback_rows([judged(turn("q", blend=DOMAIN), at=1_800_000_000)]).rows
    assert row["messages"] == [
        {"role": "system", "content": "Answer in few words."},
        {"role": "user", "content": "q"},
        {"role": "assistant", "content": "Seven dollars."},
    ]
    assert row["mode"] == "hybrid"
    assert row["adapters"] == [{"name": "domain", "weight": 1.0, "sha256": "ab" * 32}]
    assert row["date"] == "2027-01-15T08:00:00+00:00"
    assert (row["source"], row["corpus"], row["task"]) == ("thumb up", "bank", "answer")


def responses(*all: Judged) -> list[str]:
    return [row["messages"][-1]["content"] for row in feedback_rows(all).rows]


def test_a_better_answer_goes_before_the_answer_and_a_thumb_down_alone_gives_none() -> None:
    assert responses(judged(turn("q"), Thumb(True, "Better."))) == ["Better."]
    assert responses(judged(turn("q"), Thumb(False, "Better."))) == ["Better."]
    found = feedback_rows([judged(turn("q"), DOWNWARD)])
    assert (found.rows, found.thumbs, found.left_out) == ((), 1, {DOWN: 1})


def test_of_several_about_one_prompt_the_newest_decides() -> None:
    old, new = judged(turn("q", said="Old."), at=1), judged(turn("q", said="New."), at=2)
    assert responses(old, new) == responses(new, old) == ["New."]
    assert feedback_rows([old, new]).left_out == {OLDER: 1}
    assert responses(old, judged(turn("q", said="Old."), DOWNWARD, at=3)) == []
    assert feedback_rows([old, judged(turn("q", said="Old."), DOWNWARD, at=3)]).left_out == {DOWN: 1, UNLIKED: 1}
    assert responses(judged(turn("q", said="Old."), DOWNWARD, at=0), old) == ["Old."]
    assert responses(old, judged(turn("q", said="Bad."), DOWNWARD, at=3)) == ["Old."], "another answer was disliked"
    assert responses(old, judged(turn("q", said="Old."), replace(DOWNWARD, better="Better."), at=3)) == ["Better."]
    assert len(responses(old, judged(turn("other"), at=2))) == 2


def test_what_was_cut_off_and_what_has_no_prompt_gives_no_row() -> None:
    cut = turn("q", finish="length")
    assert feedback_rows([judged(cut)]).left_out == {CUT: 1}
    assert responses(judged(cut, Thumb(True, "Whole."))) == ["Whole."]
    assert cut.answer
    bare = KeptTurn(cut.query, replace(cut.answer, prompt=None))
    assert feedback_rows([judged(bare), judged(failed("x"))]).left_out == {NO_PROMPT: 2}


def test_worked_examples_are_left_out_and_earlier_turns_stay() -> None:
    texts = ["rules", "earlier", "said", "example", "reply", "example 2", "reply 2", "question"]
    roles = ["system", *["user", "assistant"] * 3, "user"]
    messages = tuple(map(Message, roles, texts))
    kept = turn("question")
    assert kept.answer
    kept = replace(kept, answer=replace(kept.answer, prompt=Prompt(messages, 9, examples=2, turns=1)))
    (row,) = feedback_rows([judged(kept)]).rows
    assert [m["content"] for m in row["messages"]] == ["rules", "earlier", "said", "question", "Seven dollars."]
    assert [m.get("weight") for m in row["messages"]] == [None, None, 0, None, None], "only what was judged is learned"


def vote(*said: str, winner: int = 0, verdict: str = ONE, at: float = 1.0) -> Vote:
    """A vote on answers to one prompt, told apart by what they say."""
    kept = [turn("q", said=text, blend=DOMAIN) for text in said]
    answers = tuple(one.answer for one in kept if one.answer)
    return Vote("c", verdict, answers, winner if verdict == ONE else -1, at=at)


def test_a_vote_gives_its_winner_s_prompt_and_text_with_where_it_came_from() -> None:
    found = feedback_rows([], [vote("Six.", "Seven.", winner=1, at=1_800_000_000)])
    (row,) = found.rows
    assert [m["content"] for m in row["messages"]] == ["Answer in few words.", "q", "Seven."]
    assert (row["source"], row["mode"], row["date"]) == ("vote", "hybrid", "2027-01-15T08:00:00+00:00")
    assert row["adapters"] == [{"name": "domain", "weight": 1.0, "sha256": "ab" * 32}]
    assert (found.thumbs, found.votes, found.left_out) == (0, 1, {})


def test_a_vote_that_names_no_answer_gives_no_row_and_all_bad_takes_back_what_was_liked_before() -> None:
    found = feedback_rows([], [vote("Six.", "Seven.", verdict=TIE), vote("Six.", "Seven.", verdict=BAD)])
    assert (found.rows, found.votes, found.left_out) == ((), 2, {NO_WINNER: 2})
    liked = judged(turn("q", said="Seven."), at=1)
    found = feedback_rows([liked], [vote("Six.", "Seven.", verdict=BAD, at=2)])
    assert (found.rows, found.left_out) == ((), {NO_WINNER: 1, UNLIKED: 1})
    assert len(feedback_rows([liked], [vote("Six.", "Seven.", verdict=BAD, at=0)]).rows) == 1


def test_the_newer_of_a_thumb_and_a_vote_about_one_prompt_decides() -> None:
    liked = judged(turn("q", said="Liked."), at=2)
    for at, response in ((1, "Liked."), (3, "Won.")):
        found = feedback_rows([liked], [vote("Won.", "Lost.", at=at)])
        assert [row["messages"][-1]["content"] for row in found.rows] == [response]
        assert found.left_out == {OLDER: 1}


def fill(path: Path, count: int = 40) -> None:
    thumbs = Feedback(Database(path))
    things = ["river", "window", "ladder", "violin", "harbor", "candle", "pepper", "glacier"]
    for number in range(count):
        asked = turn(f"Where is the {things[number % 8]} of {things[number // 8]}?", said=f"By the {number}.")
        give(thumbs, f"owner {number % 3}", asked, UP if number % 4 else Thumb(False, "Nowhere."), at=number)
    give(thumbs, "ann", turn("bad"), DOWNWARD)
    Votes(Database(path)).put("bob", vote("Six.", "Seven."))


def test_the_command_writes_everybody_s_rows_and_the_report_accepts_them(
    run: Crossfade, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("CROSSFADE_HOME", str(tmp_path / "home"))
    fill(tmp_path / "home" / "history.sqlite")
    out = tmp_path / "rows.jsonl"
    done = run("data", "feedback", "--out", str(out))
    assert done.code == 0
    assert "41 rows of 41 thumbs and 1 votes" in done.out
    assert DOWN in done.out
    table = read_table(out)
    report = data_report(table, guess(table), count=rough_count, rough=True)
    assert (report.usable, report.errors, report.broken) == (41, (), ())
    assert (report.contradictions, report.duplicates) == ((), ())
    assert run("data", "report", str(out), "--rough").code == 0
    assert "there already" in run("data", "feedback", "--out", str(out)).error()
    told = json.loads(run("data", "feedback", "--out", str(out), "--replace", "--json").out)
    assert (told["rows"], told["thumbs"], told["votes"], told["left_out"]) == (41, 41, 1, {DOWN: 1})


def test_without_thumbs_the_command_says_what_to_do(
    run: Crossfade, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("CROSSFADE_HOME", str(tmp_path / "home"))
    out = tmp_path / "rows.jsonl"
    assert "no thumbs" in run("data", "feedback", "--out", str(out)).error()
    assert not (tmp_path / "home" / "history.sqlite").exists()
    give(Feedback(Database(tmp_path / "home" / "history.sqlite")), "ann", turn("q"), DOWNWARD)
    assert "better answer" in run("data", "feedback", "--out", str(out)).error()
    assert not out.exists()
