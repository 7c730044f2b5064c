"""The one file of what people did, and whole answers in it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crossfade.errors import StorageError
from crossfade.history.answers import answer_from_json, answer_to_json
from crossfade.history.database import Database
from crossfade.types import Answer, Generation, Message, Passage, Prompt, Query, Turn

TABLE = "CREATE TABLE IF NOT EXISTS notes (owner TEXT NOT NULL, text TEXT NOT NULL);"


def notes(database: Database) -> list[str]:
    with database.transaction() as connection:
        return [row["text"] for row in connection.execute("SELECT text FROM notes")]


def test_what_is_kept_is_there_after_closing_and_for_its_user_alone(tmp_path: Path) -> None:
    database = Database(tmp_path / "new" / "history.sqlite")
    database.add_tables(TABLE, bulky=("notes", "text"))
    with database.transaction() as connection:
        connection.execute("INSERT INTO notes VALUES ('a', 'kept')")
    database.close()
    assert notes(database) == ["kept"]
    assert (tmp_path / "new" / "history.sqlite").stat().st_mode & 0o077 == 0


def test_a_change_that_breaks_off_is_not_kept(tmp_path: Path) -> None:
    database = Database(tmp_path / "history.sqlite")
    database.add_tables(TABLE, bulky=("notes", "text"))

    def half() -> None:
        with database.transaction() as connection:
            connection.execute("INSERT INTO notes VALUES ('a', 'half')")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        half()
    assert notes(database) == []


def test_a_file_of_another_kind_is_told_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "history.sqlite"
    path.write_bytes(b"this is no database, whatever its name says" * 100)
    database = Database(path)
    database.add_tables(TABLE, bulky=("notes", "text"))
    with pytest.raises(StorageError, match=r"history\.sqlite.*move the file away"):
        notes(database)
    assert path.read_bytes().startswith(b"this is no database")


@settings(deadline=None)
@given(text=st.text(), score=st.floats(allow_nan=False, allow_infinity=False), seconds=st.floats(0, 1e6))
def test_an_answer_comes_back_as_it_was(text: str, score: float, seconds: float) -> None:
    answer = Answer(
        query=Query(text, "tidewell", "answer", blend=(("domain", 0.5),), rag=True, history=(Turn("q", text),)),
        passages=(Passage(text, "fees.md", "Fees", "Wires", 3, 9, score),),
        prompt=Prompt((Message("user", text),), 12, left_out=("1 passage",)),
        generation=Generation(text, 5, None, 7, seconds, seconds, "stop", (("domain", 0.5, "ab" * 32),)),
        notices=(text,),
    )
    written = answer_to_json(answer)
    assert "\n" not in written
    assert answer_from_json(written) == answer
    assert answer_from_json(answer_to_json(replace(answer, prompt=None))).prompt is None


def test_what_is_no_answer_is_refused() -> None:
    with pytest.raises(StorageError, match="no kept answer"):
        answer_from_json('{"query": 3}')
