"""Read the prompts of a file of any form, or one of plain lines; responses that it holds are not looked at."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from crossfade.errors import TrainingError
from crossfade.training.forms import Example, Mapping, check_column, to_examples
from crossfade.training.guess import INPUTS, PROMPTS, SYSTEMS, guess, named
from crossfade.training.table import Broken, Record, Table, read_table

_ANSWERS = {"role": {"role": "assistant", "content": "-"}, "from": {"from": "gpt", "value": "-"}}
"""What closes a conversation that ends with a question, by the key of who speaks."""


@dataclass(frozen=True, slots=True)
class Asked:
    """One prompt, the line that it stands on, and its row's own system message, "" where there is none."""

    line: int
    text: str
    system: str = ""


def read_prompts(path: Path, *, column: str = "") -> tuple[tuple[Asked, ...], tuple[Broken, ...]]:
    """The prompts of a file and the rows that have none. `column` holds them, "" to be guessed.

    In a .txt file each line is a prompt. Raises TrainingError as `read_table` does, and where no column can be guessed.
    """
    table = read_table(path, lines=True)
    mapping = _mapping(table, column)
    if mapping.form in ("messages", "sharegpt"):
        table = replace(table, records=tuple(_closed(record, mapping.prompt) for record in table.records))
    examples, broken = to_examples(table, mapping)
    asked: list[Asked] = []
    several: list[Broken] = []
    for example in examples:
        found = _asked(example)
        if found is None:
            several.append(Broken(example.line, "it has several turns, and a row holds one prompt and its response"))
        else:
            asked.append(found)
    return tuple(asked), tuple(sorted((*broken, *several), key=lambda row: row.line))


def _mapping(table: Table, column: str) -> Mapping:
    """A mapping that reads prompts alone: the column of the response is that of the prompt, which is never empty."""
    if column:
        check_column(table, column, role="prompt")
    try:
        found = guess(table, prompt=column)
    except TrainingError:  # for want of a response, as a rule
        found = None
    if found and found.form in ("messages", "sharegpt"):
        return found
    prompt = column or named(table, PROMPTS) or (table.columns[0] if len(table.columns) == 1 else "")
    if not prompt:
        raise TrainingError(
            f"{table.name}: the column of the prompt cannot be guessed. It has {', '.join(table.columns)}; name one."
        )
    more = named(table, INPUTS, besides=(prompt,)) if prompt.lower() == "instruction" else ""
    return Mapping(
        form="alpaca" if more else "pair",
        prompt=prompt,
        response=prompt,
        input=more,
        system=named(table, SYSTEMS, besides=(prompt,)),
    )


def _closed(record: Record, column: str) -> Record:
    """The row with a response to what a person said last, which the reader of conversations wants to see."""
    turns = record.values.get(column)
    last: Any = turns[-1] if isinstance(turns, list) and turns else None
    key = next((key for key in _ANSWERS if isinstance(last, dict) and last.get(key) in ("user", "human")), "")
    return replace(record, values={**record.values, column: [*turns, _ANSWERS[key]]}) if turns and key else record


def _asked(example: Example) -> Asked | None:
    """The prompt of an example, or None where it has turns before its last question."""
    first, *rest = example.row.messages
    if first.role == "system" and len(rest) == 1:
        return Asked(example.line, rest[0].content, first.content)
    return None if rest else Asked(example.line, first.content)
