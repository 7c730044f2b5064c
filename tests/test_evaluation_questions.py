"""Question sets: what is read, and what is refused with its line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from crossfade.errors import QuestionError
from crossfade.evaluation.questions import EvalQuestion, read_questions


def jsonl(tmp_path: Path, *rows: object) -> Path:
    path = tmp_path / "set.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def table(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "set.csv"
    path.write_text(text, encoding="utf-8")
    return path


def test_a_question_alone_is_enough(tmp_path: Path) -> None:
    (found,) = read_questions(jsonl(tmp_path, {"question": "Why?"})).questions
    assert (found.text, found.line, found.answers, found.answerable) == ("Why?", 1, (), None)
    assert found.id


def test_everything_that_a_row_may_tell_is_read(tmp_path: Path) -> None:
    row = {
        "id": "q1",
        "question": "How much?",
        "answers": ["$7", "7 dollars"],
        "documents": ["fees"],
        "tags": ["money"],
        "label": "fee",
        "object": {"a": 1},
        "schema": {"type": "object"},
    }
    (found,) = read_questions(jsonl(tmp_path, row)).questions
    assert found == EvalQuestion(
        "q1", "How much?", 1, ("$7", "7 dollars"), ("fees",), True, "fee", {"a": 1}, {"type": "object"}, ("money",)
    )


def test_no_answers_say_that_no_document_answers(tmp_path: Path) -> None:
    found = read_questions(jsonl(tmp_path, {"question": "Who?", "answers": []}, {"question": "Why?"})).questions
    assert [q.answerable for q in found] == [False, None]


def test_other_names_of_a_field_are_understood_and_unknown_ones_are_told(tmp_path: Path) -> None:
    rows = ({"message": "Lost card", "ticket": {"a": 1}, "colour": "red"}, {"question": "Fee?", "answer": "$7"})
    found = read_questions(jsonl(tmp_path, *rows))
    assert found.unknown_fields == ("colour",)
    assert [(q.text, q.object, q.answers) for q in found.questions] == [
        ("Lost card", {"a": 1}, ()),
        ("Fee?", None, ("$7",)),
    ]


def test_a_table_is_read_with_lists_between_bars(tmp_path: Path) -> None:
    text = 'question,answers,answerable,object\n"How much, then?",$7 | 7 dollars,,\nWho?,,no,"{""a"": 1}"\n'
    found = read_questions(table(tmp_path, text)).questions
    assert [(q.text, q.answers, q.answerable, q.object, q.line) for q in found] == [
        ("How much, then?", ("$7", "7 dollars"), True, None, 2),
        ("Who?", (), False, {"a": 1}, 3),
    ]


@pytest.mark.parametrize(("mark", "name"), [(",", "commas"), (";", "semicolons"), ("\t", "tabs")])
def test_cells_are_parted_by_what_parts_the_header(tmp_path: Path, mark: str, name: str) -> None:
    path = tmp_path / "set.csv"
    rows = [["question", "answers", "tags"], ['"Is it, or not; then?"', "$1|$2", "a"]]
    path.write_text("".join(mark.join(row) + "\n" for row in rows), encoding="utf-8-sig")
    (found,) = read_questions(path).questions
    assert (found.text, found.answers, found.tags) == ("Is it, or not; then?", ("$1", "$2"), ("a",))
    path.write_text(mark.join(["question", "answers"]) + "\n" + mark.join(["a", "b", "c"]) + "\n")
    with pytest.raises(
        QuestionError, match=f"line 2: more cells than the header has names. Quote texts that hold {name}"
    ):
        read_questions(path)
    path.with_suffix(".tsv").write_text("question\tanswers\nWhy; or why not, then?\t$1\n")
    assert read_questions(path.with_suffix(".tsv")).questions[0].text == "Why; or why not, then?"


def test_the_shipped_sets_are_read() -> None:
    root = Path(__file__).resolve().parents[1] / "corpora" / "tidewell"
    answers = read_questions(root / "eval.jsonl")
    assert answers.unknown_fields == ()
    assert {q.answerable for q in answers.questions} == {True, False}
    assert all((q.answerable is False) == ("absent" in q.tags) for q in answers.questions)
    assert all(q.object for q in read_questions(root / "eval_json.jsonl").questions)


@pytest.mark.parametrize(
    ("row", "why"),
    [
        ({}, "line 2: there is no question"),
        ({"question": "  "}, "there is no question"),
        ({"question": 3}, "there is no question"),
        ({"question": "b", "answers": [1]}, "answers must be a text or a list of texts"),
        ({"question": "b", "answerable": "perhaps"}, "answerable is 'perhaps'"),
        ({"question": "b", "answerable": False, "answers": ["x"]}, "not answerable and has answers"),
        ({"question": "b", "object": []}, "object must be a JSON object"),
        ({"question": "b", "schema": {"type": 3}}, "its schema is no JSON Schema"),
        ({"question": "b", "label": 1}, "label is 1"),
        ({"question": "b", "form": "xml"}, "form is 'xml'; it must be json, yaml, markdown"),
        ({"question": "a"}, "line 2: the question is that of line 1"),
        ({"question": "b", "object": {"x": float("nan")}}, "object holds NaN"),
        ({"question": "b", "answer": "x", "answers": ["y"]}, "both answer and answers"),
    ],
)
def test_a_broken_row_is_told_with_its_line(tmp_path: Path, row: object, why: str) -> None:
    with pytest.raises(QuestionError, match=why):
        read_questions(jsonl(tmp_path, {"question": "a"}, row))


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("question\n", "has no questions"),
        ("question\na,b\n", "line 2: more cells"),
        ('question\n"a\n', "not CSV"),
        ("question,object\na,{\n", "line 2: object is not JSON"),
        ("", "has no questions"),
    ],
)
def test_a_broken_table_is_told(tmp_path: Path, text: str, why: str) -> None:
    with pytest.raises(QuestionError, match=why):
        read_questions(table(tmp_path, text))


def test_a_file_that_is_none_and_one_of_bytes_are_told(tmp_path: Path) -> None:
    for name in ("none.csv", "none.jsonl"):
        with pytest.raises(QuestionError, match="Cannot read"):
            read_questions(tmp_path / name)
    (tmp_path / "bytes.csv").write_bytes(b"question\n\xff\xfe\n")
    with pytest.raises(QuestionError, match="UTF-8"):
        read_questions(tmp_path / "bytes.csv")
