"""Conversations as they are kept: nothing is lost, and nobody finds what is somebody else's."""

from __future__ import annotations

import hashlib
import json
import sqlite3
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crossfade.errors import StorageError
from crossfade.history.conversations import Conversations, Kept, new_id
from crossfade.history.database import Database
from crossfade.history.feedback import Feedback, Thumb
from crossfade.history.kept import KeptTurn, keys_of, title_of, turn_from_json, turn_to_json
from history_kit import DOMAIN, failed, turn


@pytest.fixture
def database(tmp_path: Path) -> Database:
    return Database(tmp_path / "history.sqlite")


@pytest.fixture
def kept(database: Database) -> Conversations:
    return Conversations(database)


def rows(path: Path, table: str) -> int:
    with sqlite3.connect(path) as connection:
        return int(connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0])


def titles(kept: Conversations, owner: str = "ann", **more: str) -> list[str]:
    return [listed.title for listed in kept.newest(owner, **more)]  # type: ignore[arg-type]


@settings(deadline=None)
@given(text=st.text(), score=st.floats(allow_nan=False, allow_infinity=False))
def test_a_turn_comes_back_as_it_was_with_the_same_key(text: str, score: float) -> None:
    first = turn(text, said=text, seconds=score)
    again = turn_from_json(turn_to_json(first))
    assert again == first
    assert keys_of([again]) == keys_of([first])


def test_keys_tell_turns_apart_and_number_those_that_are_the_same() -> None:
    same, other = turn("q"), turn("q", said="Eight.")
    keys = keys_of([same, other, same])
    assert len(set(keys)) == 3
    assert keys == keys_of([same, other, same])
    held = KeptTurn(same.query, same.answer, schema={"type": "object"}, form="yaml")
    assert keys_of([held]) == keys_of([same])


@pytest.mark.parametrize("first", [turn("q", blend=DOMAIN), failed("q")], ids=["answered", "failed"])
def test_a_turn_that_was_kept_before_it_could_tell_of_abstaining_has_its_key_still(first: KeptTurn) -> None:
    told = json.loads(turn_to_json(first))
    if answer := told["answer"]:
        del answer["generation"]["log_probability"], answer["generation"]["withheld"]
    before = json.dumps(told, separators=(",", ":"), ensure_ascii=False)
    assert turn_from_json(before) == first
    assert keys_of([first]) == (hashlib.sha256(before.encode()).hexdigest(),)


def test_a_restart_loses_nothing(kept: Conversations, database: Database, tmp_path: Path) -> None:
    turns = (turn("What is the fee?", blend=DOMAIN), failed("And for students?"))
    kept.save("ann", "one", turns=turns)
    database.close()
    again = Conversations(Database(tmp_path / "history.sqlite")).open("ann", "one")
    assert again.turns == turns
    assert again.keys == keys_of(turns)
    assert again.title == "What is the fee?"


def test_the_newest_comes_first_and_a_page_of_the_list_is_bounded(kept: Conversations) -> None:
    for number in range(5):
        kept.save("ann", f"c{number}", turns=[turn(f"Question {number}")], now=number)
    assert titles(kept)[:2] == ["Question 4", "Question 3"]
    keys = kept.open("ann", "c1").keys
    kept.save("ann", "c1", turns=[turn("Question 1"), turn("more")], before=keys, now=9)
    assert titles(kept)[0] == "Question 1"
    assert len(kept.newest("ann", most=2)) == 2


def test_saving_the_same_again_changes_nothing(kept: Conversations, tmp_path: Path) -> None:
    for before in ((), keys_of([turn("q")])):
        kept.save("ann", "one", turns=[turn("q")], before=before, now=1)
    kept.save("ann", "one", turns=[turn("q")], now=1)
    assert rows(tmp_path / "history.sqlite", "turns") == 1


def test_two_pages_in_one_conversation_keep_the_turns_of_both(kept: Conversations) -> None:
    first = kept.save("ann", "one", turns=[turn("first")])
    kept.save("ann", "one", turns=[turn("first"), turn("left")], before=first)
    kept.save("ann", "one", turns=[turn("first"), turn("right")], before=first)
    assert [t.query.text for t in kept.open("ann", "one").turns] == ["first", "left", "right"]


def test_what_was_taken_back_goes_and_what_another_page_added_stays(kept: Conversations) -> None:
    known = kept.save("ann", "one", turns=[turn("first"), turn("second")])
    kept.save("ann", "one", turns=[turn("first"), turn("second"), turn("other page")], before=known)
    kept.save("ann", "one", turns=[turn("first")], before=known)
    assert [t.query.text for t in kept.open("ann", "one").turns] == ["first", "other page"]


def test_a_search_looks_at_titles_questions_and_answers_for_every_word(kept: Conversations) -> None:
    kept.save("ann", "a", turns=[turn("Was kostet eine ÜBERWEISUNG?", said="Fünf Euro.")], now=1)
    kept.save("ann", "b", turns=[turn("Fee?", said="100% of $7, or _none_.")], now=2)
    kept.save("ann", "c", turns=[turn("手续费是多少？", said="七美元。")], now=3)
    kept.rename("ann", "b", "My Questions")
    assert titles(kept, search="überweisung") == ["Was kostet eine ÜBERWEISUNG?"]
    assert titles(kept, search="EURO kostet") == ["Was kostet eine ÜBERWEISUNG?"]
    assert titles(kept, search="费") == ["手续费是多少？"]
    assert titles(kept, search="questions $7") == ["My Questions"]
    assert titles(kept, search="100%") == ["My Questions"]
    for nothing in ("euro $7", "%", "_", "' OR 1=1 --"):
        found = titles(kept, search=nothing)
        assert found == (["My Questions"] if nothing in ("%", "_") else [])
    assert len(titles(kept, search="  ")) == 3


@pytest.mark.parametrize("other", ["bob", "", "ANN", "%"])
def test_nobody_else_finds_opens_renames_or_deletes_it(other: str, kept: Conversations) -> None:
    kept.save("ann", "one", turns=[turn("secret")])
    assert kept.newest(other) == kept.newest(other, search="secret") == kept.all(other) == ()
    for forbidden in (
        lambda: kept.open(other, "one"),
        lambda: kept.rename(other, "one", "mine"),
        lambda: kept.delete(other, "one"),
    ):
        with pytest.raises(StorageError, match="not there any more"):
            forbidden()
    if other:
        with pytest.raises(StorageError, match="not there any more"):
            kept.save(other, "one", turns=[turn("planted")])
    found = kept.open("ann", "one")
    assert (found.title, len(found.turns)) == ("secret", 1)


def test_without_an_owner_nothing_is_kept(kept: Conversations, tmp_path: Path) -> None:
    assert kept.save("", "one", turns=[turn("q")]) == keys_of([turn("q")])
    assert not (tmp_path / "history.sqlite").exists()
    with pytest.raises(StorageError, match="cookie"):
        kept.add("", [Kept("t", (turn("q"),))])


def test_what_is_deleted_is_gone_from_every_table_with_its_thumbs(
    kept: Conversations, database: Database, tmp_path: Path
) -> None:
    thumbs = Feedback(database)
    for id, owner in (("one", "ann"), ("two", "ann"), ("three", "bob")):
        (key,) = kept.save(owner, id, turns=[turn(f"q {id}")])
        thumbs.give(owner, key, turn(f"q {id}"), thumb=Thumb(True), conversation=id)
    kept.delete("ann", "one")
    path = tmp_path / "history.sqlite"
    assert [rows(path, table) for table in ("conversations", "turns", "feedback")] == [2, 2, 2]
    with pytest.raises(StorageError):
        kept.open("ann", "one")


def test_a_title_is_one_line_bounded_and_not_empty(kept: Conversations) -> None:
    kept.save("ann", "one", turns=[turn("q")])
    assert kept.rename("ann", "one", "  <b>a\n\tb</b> ") == "<b>a b</b>"
    assert len(kept.rename("ann", "one", "x" * 5000)) == 200
    with pytest.raises(StorageError, match="needs a title"):
        kept.rename("ann", "one", " \n ")
    assert title_of("one two") == "one two"
    long = title_of("word " * 40)
    assert long.endswith("word …")
    assert len(long) < 70
    assert len(title_of("字" * 500)) < 70


def test_added_conversations_get_new_ids_and_keep_their_order(kept: Conversations) -> None:
    whole = [Kept(f"t{n}", (turn(f"q{n}"), failed("x")), created=5.0, id="taken") for n in range(3)]
    ids = kept.add("ann", whole)
    assert "taken" not in ids
    assert len(set(ids)) == 3
    assert titles(kept) == ["t0", "t1", "t2"]
    assert [k.turns for k in kept.all("ann")] == [k.turns for k in whole]


def test_adding_is_all_or_nothing(kept: Conversations, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("crossfade.history.conversations.new_id", lambda: "same")
    with pytest.raises(StorageError):
        kept.add("ann", [Kept("a", (turn("q"),)), Kept("b", (turn("q"),))])
    assert kept.newest("ann") == ()


def test_a_file_that_cannot_be_written_is_told_in_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    kept = Conversations(Database(tmp_path / "file" / "history.sqlite"))
    with pytest.raises(StorageError, match="cannot be kept"):
        kept.save("ann", "one", turns=[turn("q")])


def test_the_newest_turns_of_ten_thousand_are_read_and_the_list_asks_for_no_turn(
    kept: Conversations, database: Database
) -> None:
    text = turn_to_json(turn("q"))
    kept.save("ann", "big", turns=[turn("q")])
    with database.transaction() as connection:
        connection.executemany(
            "INSERT INTO turns (owner, conversation, key, searched, kept) VALUES ('ann', 'big', ?, 'q', ?)",
            [(f"k{number}", text) for number in range(10_000)],
        )
        plan = " ".join(
            row["detail"]
            for row in connection.execute(
                "EXPLAIN QUERY PLAN SELECT id, title, changed FROM conversations WHERE owner = ?"
                " ORDER BY changed DESC, id LIMIT ?",
                ("ann", 50),
            )
        )
    assert "conversations_of" in plan
    assert "TEMP B-TREE" not in plan
    found = kept.open("ann", "big", most_turns=100)
    assert (len(found.turns), found.keys[-1]) == (100, "k9999")
    assert titles(kept, search="q") == ["q"]


def test_ids_are_not_guessed() -> None:
    assert len({new_id() for _ in range(100)}) == 100
    assert len(new_id()) >= 22
