"""A set of questions to measure modes on: read from JSONL or CSV, checked line by line. Knows no engine and no score.

A row of `questions.jsonl`; the question alone is required:

    {"question": "How much is a wire?", "answers": ["$25", "25 dollars"], "documents": ["wires"], "tags": ["fees"]}
    {"question": "Who designed the logo?", "answers": []}
    {"question": "Great quarter for Acme", "label": "positive"}
    {"question": "My card is gone. Jo", "object": {"product": "card"}, "schema": {"type": "object"}}

An empty list of answers says that no document answers: the right answer is to say so. `form` is what an object is
written in, json, yaml or markdown; by default it is the task's. In CSV a list has `|` between its items, an object is
JSON; its cells are parted by commas, semicolons or tabs.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from crossfade.corpora.registry import FORMS, check_schema, read_rows
from crossfade.errors import CorpusError, QuestionError

MOST = 100_000
"""Rows of one set."""
ALIASES = {"message": "question", "ticket": "object", "split": "tags", "answer": "answers"}
"""Other names of a field, as the shipped sets and many others have them."""
FIELDS = ("id", "question", "answers", "documents", "answerable", "label", "object", "schema", "form", "tags")
_TRUE, _FALSE = ("true", "yes", "1"), ("false", "no", "0")


@dataclass(frozen=True)
class EvalQuestion:
    """One question and what is known of its answer. `answerable` is None where nobody says; `line` counts from 1.

    `form` is "" where it is the task's.
    """

    id: str
    text: str
    line: int
    answers: tuple[str, ...] = ()
    documents: tuple[str, ...] = ()
    answerable: bool | None = None
    label: str = ""
    object: Mapping[str, Any] | None = None
    schema: Mapping[str, Any] | None = None
    tags: tuple[str, ...] = ()
    form: str = ""


@dataclass(frozen=True)
class QuestionSet:
    """The questions of a file, and the names of fields in it that mean nothing here."""

    questions: tuple[EvalQuestion, ...]
    unknown_fields: tuple[str, ...] = ()


def read_questions(path: Path) -> QuestionSet:
    """The questions of a .jsonl, .csv or .tsv file. Raises QuestionError naming the line and what is wrong with it."""
    try:
        table = path.suffix.lower() in (".csv", ".tsv")
        rows = list(_csv_rows(path)) if table else list(enumerate(read_rows(path), start=1))
    except CorpusError as error:
        raise QuestionError(str(error)) from error
    if not rows:
        raise QuestionError(f"{path} has no questions. Give one in each line, at least one.")
    if len(rows) > MOST:
        raise QuestionError(f"{path} has {len(rows):,} rows; at most {MOST:,} are measured at once. Split it.")
    questions = []
    seen: dict[str, int] = {}
    for line, row in rows:
        try:
            question = _question(row, line)
        except ValueError as error:
            raise QuestionError(f"{path}, line {line}: {error}") from None
        if question.id in seen:
            raise QuestionError(
                f"{path}, line {line}: the {'id' if 'id' in row else 'question'} is that of line {seen[question.id]}. "
                "Each may stand once."
            )
        seen[question.id] = line
        questions.append(question)
    names = dict.fromkeys(name for _, row in rows for name in row)
    return QuestionSet(tuple(questions), tuple(name for name in names if ALIASES.get(name, name) not in FIELDS))


def header_of(line: str) -> tuple[str, tuple[str, ...]]:
    """What parts the cells of a table by its first line, `,`, `;` or a tab, and the names in that line.

    It is what makes most names of fields, and a comma where none makes more: what a program guesses from the rows
    may be a mark of their texts.
    """

    def names(mark: str) -> tuple[str, ...]:
        try:
            return tuple(name.strip() for name in next(csv.reader([line], delimiter=mark), []))
        except csv.Error:  # a cell of more than 100,000 characters is no name
            return ()

    mark = max(",;\t", key=lambda mark: sum(ALIASES.get(name, name) in FIELDS for name in names(mark)))
    return mark, names(mark)


def _csv_rows(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """Line number and row, empty cells left out; lists and objects are read from their text."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise QuestionError(f"Cannot read {path}: {error}. It must be a UTF-8 text file.") from error
    mark, _ = header_of(next(iter(text.splitlines()), ""))
    reader = csv.DictReader(io.StringIO(text, newline=""), strict=True, delimiter=mark)
    told = {",": "commas", ";": "semicolons", "\t": "tabs"}[mark]
    try:
        for cells in reader:
            line = reader.line_num
            if None in cells:
                raise QuestionError(
                    f"{path}, line {line}: more cells than the header has names. Quote texts that hold {told}."
                )
            yield line, {name.strip(): _cell(name.strip(), value, path, line) for name, value in cells.items() if value}
    except csv.Error as error:
        raise QuestionError(
            f"{path}, line {reader.line_num}: not CSV ({error}). Quote texts that hold {told}."
        ) from error


def _cell(name: str, value: str, path: Path, line: int) -> Any:
    field = ALIASES.get(name, name)
    if field in ("answers", "documents", "tags"):
        return [item.strip() for item in value.split("|") if item.strip()]
    if field in ("object", "schema"):
        try:
            return json.loads(value)
        except ValueError as error:
            raise QuestionError(f"{path}, line {line}: {name} is not JSON ({error}).") from error
    if field == "answerable":
        plain = value.strip().lower()
        return True if plain in _TRUE else False if plain in _FALSE else value
    return value


def _question(row: Mapping[str, Any], line: int) -> EvalQuestion:
    """Raises ValueError with what is wrong and what is allowed."""
    for one, other in ALIASES.items():
        if row.get(one) is not None and row.get(other) is not None and other != "tags":
            raise ValueError(f"it has both {one} and {other}, which mean the same. Leave out one of the two.")
    told = {ALIASES.get(name, name): value for name, value in row.items() if value is not None}
    text = told.get("question")
    if not isinstance(text, str) or not text.strip():
        raise ValueError("there is no question. Write it as a text.")
    answerable = told.get("answerable")
    if answerable is not None and not isinstance(answerable, bool):
        raise ValueError(f"answerable is {answerable!r}; it must be true or false.")
    answers = _texts(told, "answers")
    if answerable is None and "answers" in told:
        answerable = bool(answers)
    if answerable is False and answers:
        raise ValueError("it is not answerable and has answers. Leave out one of the two.")
    for name in ("object", "schema"):
        if name in told and not isinstance(told[name], dict):
            raise ValueError(f"{name} must be a JSON object.")
        try:
            json.dumps(told.get(name), allow_nan=False)
        except ValueError:
            raise ValueError(f"{name} holds NaN or Infinity, which JSON does not know.") from None
    if "schema" in told:
        try:
            check_schema(told["schema"], "its schema")
        except CorpusError as error:
            raise ValueError(str(error)) from None
    form = told.get("form", "")
    if form and form not in FORMS:
        raise ValueError(f"form is {form!r}; it must be {', '.join(FORMS)}.")
    label = told.get("label", "")
    if not isinstance(label, str):
        raise ValueError(f"label is {label!r}; it must be a text.")
    return EvalQuestion(
        id=str(told["id"]) if "id" in told else hashlib.sha256(text.encode()).hexdigest()[:12],
        text=text,
        line=line,
        answers=answers,
        documents=_texts(told, "documents"),
        answerable=answerable,
        label=label.strip(),
        object=told.get("object"),
        schema=told.get("schema"),
        tags=_texts(told, "tags"),
        form=form,
    )


def _texts(told: Mapping[str, Any], name: str) -> tuple[str, ...]:
    """A list of texts; one text alone is a list of one."""
    value = told.get(name, [])
    items = [value] if isinstance(value, str) else value
    if not isinstance(items, list) or not all(isinstance(item, str) for item in items):
        raise ValueError(f"{name} must be a text or a list of texts.")
    return tuple(item.strip() for item in items if item.strip())
