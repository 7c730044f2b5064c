"""Prompts of every form of file: the same question whatever it is wrapped in, and never its response."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from crossfade.errors import TrainingError
from crossfade.training.prompt_file import Asked, read_prompts

USER, ANSWER = {"role": "user", "content": "Hi?"}, {"role": "assistant", "content": "secret"}
SYSTEM = {"role": "system", "content": "Be kind."}
ROWS: dict[str, dict[str, Any]] = {
    "prompts alone": {"prompt": "Hi?"},
    "one column of another name": {"frage": "Hi?"},
    "with an id": {"question": "Hi?", "id": 7},
    "pair": {"question": "Hi?", "answer": "secret"},
    "ticket": {"message": "Hi?", "ticket": {"a": "secret"}},
    "label": {"text": "Hi?", "label": "secret"},
    "conversation": {"messages": [USER, ANSWER]},
    "conversation that waits": {"messages": [USER]},
    "sharegpt": {"conversations": [{"from": "human", "value": "Hi?"}, {"from": "gpt", "value": "secret"}]},
    "sharegpt that waits": {"conversations": [{"from": "human", "value": "Hi?"}]},
}


def prompts(tmp_path: Path, *rows: dict[str, Any], column: str = "") -> tuple[Asked, ...]:
    path = tmp_path / "prompts.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    asked, broken = read_prompts(path, column=column)
    assert broken == ()
    return asked


@pytest.mark.parametrize("form", ROWS)
def test_the_prompt_is_found_in_every_form(form: str, tmp_path: Path) -> None:
    assert prompts(tmp_path, ROWS[form]) == (Asked(1, "Hi?"),)


@pytest.mark.parametrize(
    "row",
    [
        {"prompt": "Hi?", "system": "Be kind."},
        {"prompt": "Hi?", "response": "secret", "system": "Be kind."},
        {"messages": [SYSTEM, USER]},
        {"messages": [SYSTEM, USER, ANSWER]},
    ],
)
def test_a_row_s_own_system_message_comes_along(row: dict[str, Any], tmp_path: Path) -> None:
    assert prompts(tmp_path, row) == (Asked(1, "Hi?", "Be kind."),)


def test_an_instruction_and_its_input_are_one_prompt(tmp_path: Path) -> None:
    asked = (Asked(1, "Translate.\n\nchat"),)
    assert prompts(tmp_path, {"instruction": "Translate.", "input": "chat"}) == asked
    assert prompts(tmp_path, {"instruction": "Translate.", "input": "chat", "output": "secret"}) == asked


def test_each_line_of_a_text_is_a_prompt_and_empty_ones_are_none(tmp_path: Path) -> None:
    path = tmp_path / "prompts.txt"
    path.write_text("\ufeffHi?\n\n  How much, “really”? \n", encoding="utf-8")
    assert read_prompts(path) == ((Asked(1, "Hi?"), Asked(3, "How much, “really”?")), ())


def test_a_column_can_be_named(tmp_path: Path) -> None:
    row = {"question": "No.", "title": "Hi?", "id": 7}
    assert prompts(tmp_path, row, column="title") == (Asked(1, "Hi?"),)
    with pytest.raises(TrainingError, match="no column 'titel'"):
        prompts(tmp_path, row, column="titel")
    with pytest.raises(TrainingError, match=r"cannot be guessed.*a, b; name one"):
        prompts(tmp_path, {"a": "Hi?", "b": "Ho?"})


def test_rows_without_one_prompt_are_listed(tmp_path: Path) -> None:
    path = tmp_path / "prompts.jsonl"
    rows = [{"messages": [USER]}, {"messages": [USER, ANSWER, USER]}, {"messages": []}, {"other": 1}]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows) + "broken\n")
    asked, broken = read_prompts(path)
    assert asked == (Asked(1, "Hi?"),)
    assert [row.line for row in broken] == [2, 3, 4, 5]
    assert "several turns" in broken[0].why


def test_a_file_of_another_kind_is_told_with_text_among_the_allowed(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match=r"another kind\. Allowed: \.jsonl.*\.txt"):
        read_prompts(tmp_path / "prompts.docx")
