"""The forms that training data comes in, and their rows as examples. Knows no file and no tokenizer.

    pair       {"question": "How much is a wire?", "answer": "$25"}
    messages   {"messages": [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello."}]}
    alpaca     {"instruction": "Translate.", "input": "chat", "output": "cat"}
    sharegpt   {"conversations": [{"from": "human", "value": "Hi"}, {"from": "gpt", "value": "Hello."}]}
    label      {"text": "Great quarter", "label": "good"}, asked with a template such as "Good or bad? {text}"

Of a conversation every answer is learned, but for those whose `weight` is 0.
A response that is no text becomes JSON with sorted keys, so that what means the same is written the same. To keep an
order of keys that matters, give the response as a text.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from crossfade.corpora.registry import TEXT
from crossfade.errors import TrainingError
from crossfade.prompts import question_in
from crossfade.training.chats import from_messages, from_sharegpt
from crossfade.training.data import TrainingRow
from crossfade.training.table import Broken, Record, Table
from crossfade.types import Message

FORMS = ("pair", "messages", "alpaca", "sharegpt", "label")


@dataclass(frozen=True, slots=True, kw_only=True)
class Mapping:
    """Which columns of a table are what. A column that is not used is "".

    `prompt` is the column of the prompt, of the list of messages, of Alpaca's instruction, or of the text to label;
    `input` is Alpaca's own. `system` is the column of a row's own system message, which wins over `instructions`, the
    system message of all rows ("" = none). `template` is what a text to label is asked with, `{text}` its place.
    """

    form: str
    prompt: str
    response: str = ""
    input: str = ""
    system: str = ""
    template: str = ""
    instructions: str = ""

    def columns(self) -> dict[str, str]:
        """The columns that are used, by what for."""
        used = {"prompt": self.prompt, "input": self.input, "response": self.response, "system": self.system}
        return {name: column for name, column in used.items() if column}


@dataclass(frozen=True, slots=True)
class Example:
    """A row to train on and the line it comes from.

    `text` is what the row itself asks, without what all rows share, the template and the instructions, and without the
    passages that it is read with: by it rows are compared and split, so that another template moves none.
    """

    line: int
    row: TrainingRow
    text: str = ""

    @property
    def asked(self) -> str:
        """The row's own text; its messages but the system's where none is given."""
        return self.text or "\n".join(m.content for m in self.row.messages if m.role != "system")


def to_examples(table: Table, mapping: Mapping) -> tuple[tuple[Example, ...], tuple[Broken, ...]]:
    """The rows of a table as examples, and the rows that are empty or broken, those the table lists among them.

    Raises TrainingError for an unknown form, a column that is not there, and a template without `{text}`.
    """
    check_mapping(table, mapping)
    examples: list[Example] = []
    broken = list(table.broken)
    for record in table.records:
        try:
            examples.append(_example(record, mapping))
        except ValueError as error:
            broken.append(Broken(record.line, str(error)))
    return tuple(examples), tuple(sorted(broken, key=lambda row: row.line))


def check_mapping(table: Table, mapping: Mapping) -> None:
    """Raises TrainingError where a mapping does not fit a table."""
    if mapping.form not in FORMS:
        raise TrainingError(f"Unknown form {mapping.form!r}. Known: {', '.join(FORMS)}.")
    for role, column in mapping.columns().items():
        check_column(table, column, role=role)
    if not mapping.response and mapping.form in ("pair", "alpaca", "label"):
        raise TrainingError(f"No column is named for the response. {table.name} has {', '.join(table.columns)}.")
    if mapping.form == "label" and TEXT not in mapping.template:
        raise TrainingError(f"The template {mapping.template!r} has no {TEXT}. Write it where each row's text belongs.")


def check_column(table: Table, column: str, *, role: str) -> None:
    """Raises TrainingError where a table has no such column."""
    if column not in table.columns:
        raise TrainingError(
            f"{table.name} has no column {column!r} for the {role}. It has {', '.join(table.columns)}; name one."
        )


def as_text(value: Any) -> str:
    """A value as the text that is learned: a text as it is, stripped; anything else as JSON with sorted keys."""
    if isinstance(value, str):
        return value.strip()
    return "" if value is None else json.dumps(value, ensure_ascii=False, sort_keys=True)


def _example(record: Record, mapping: Mapping) -> Example:
    """Raises ValueError with what is wrong in one clause."""
    if mapping.form in ("messages", "sharegpt"):
        read = from_messages if mapping.form == "messages" else from_sharegpt
        turns, response, also = read(record.values.get(mapping.prompt), mapping.prompt)
        asked = "\n".join(question_in(turn.content) for turn in turns if turn.role != "system")
    else:
        response = _needed(record, mapping.response)
        asked = "\n\n".join(_asked(record, mapping))
        template = mapping.template if mapping.form == "label" else TEXT
        turns, also = (Message("user", template.replace(TEXT, asked)),), ()
    if not any(turn.role == "system" for turn in turns):
        system = as_text(record.values.get(mapping.system)) if mapping.system else ""
        if system := system or mapping.instructions.strip():
            turns, also = (Message("system", system), *turns), tuple(place + 1 for place in also)
    return Example(record.line, TrainingRow(turns, response, also=also), asked)


def _asked(record: Record, mapping: Mapping) -> Iterator[str]:
    yield _needed(record, mapping.prompt)
    if mapping.input and (more := as_text(record.values.get(mapping.input))):
        yield more


def _needed(record: Record, column: str) -> str:
    if column not in record.values:
        raise ValueError(f"there is no {column}")
    text = as_text(record.values[column])
    if not text:
        raise ValueError(f"{column} is empty")
    return text
