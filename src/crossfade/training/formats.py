"""Write objects in JSON, YAML or Markdown, and the rows of a table whose responses are objects in another of these.

    json       {"product": "loan", "amount": 12.5, "date": "2026-03-05", "customer": null}
    yaml       product: loan              markdown    # Ticket
               amount: 12.5
               date: '2026-03-05'                     - **product:** loan
               customer: null                         - **amount:** 12.5

Knows no parser: the one that will judge the answers is given, and what it does not read back is not written.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import yaml

from crossfade.corpora.registry import FORMS
from crossfade.errors import TrainingError
from crossfade.training.chats import as_messages
from crossfade.training.forms import Mapping as Columns
from crossfade.training.forms import check_mapping, to_examples
from crossfade.training.table import Broken, Record, Table
from crossfade.types import Message

TOLD_EVERY = 100
Read = Callable[[str, str], dict[str, Any] | None]
"""Reads a text in a form as an object; None where it is none."""


@dataclass(frozen=True, slots=True)
class Rewritten:
    """Rows with their responses in another form, and those that have no object or one that the form cannot tell."""

    rows: tuple[dict[str, Any], ...]
    broken: tuple[Broken, ...]


def rewritten(
    table: Table,
    mapping: Columns,
    form: str,
    *,
    read: Read,
    heading: str = "",
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Rewritten:
    """The rows of a table, their responses, objects or texts of one, in a form; all other columns stay.

    A Markdown list has the `heading`, by default the name of the response's column. `progress` is told of the rows done
    and of all; what it raises ends the work. Raises TrainingError for an unknown form and a mapping that does not fit.
    """
    if form not in FORMS:
        raise TrainingError(f"Unknown form {form!r}. Known: {', '.join(FORMS)}.")
    check_mapping(table, mapping)
    title = heading or (mapping.response or "answer").capitalize()
    rows: list[dict[str, Any]] = []
    broken = list(table.broken)
    for number, record in enumerate(table.records):
        if number % TOLD_EVERY == 0:
            progress(number, len(table.records))
        try:
            rows.append(_row(record, replace(table, records=(record,), broken=()), mapping, form, read, title))
        except ValueError as error:
            broken.append(Broken(record.line, str(error)))
    return Rewritten(tuple(rows), tuple(sorted(broken, key=lambda row: row.line)))


def written(value: Mapping[str, Any], form: str, *, read: Read, heading: str = "") -> str:
    """An object of JSON's kinds of values as a text in a form, its keys in their order.

    Raises ValueError, naming the field, where `read` would not give the same object back.
    """
    text = _WRITERS[form](value, heading)
    if _same(read(text, form), value):
        return text
    for key, item in value.items():
        if not _same(read(_WRITERS[form]({key: item}, heading), form), {key: item}):
            raise ValueError(f"{form} cannot tell {key!r} as it is: {json.dumps(item, ensure_ascii=False)[:60]}")
    raise ValueError(f"the object cannot be read back from {form}")


def _row(record: Record, alone: Table, mapping: Columns, form: str, read: Read, heading: str) -> dict[str, Any]:
    """Raises ValueError with what is wrong in one clause."""
    examples, broken = to_examples(alone, mapping)
    if broken:
        raise ValueError(broken[0].why)
    row = examples[0].row
    given = record.values[mapping.response] if mapping.response else row.response
    value = given if isinstance(given, dict) else next(_objects(str(given), read), None)
    if value is None:
        raise ValueError("its response is no object in JSON, YAML or Markdown")
    text = written(value, form, read=read, heading=heading)
    if mapping.response:
        return {**record.values, mapping.response: text}
    return {**record.values, mapping.prompt: as_messages((*row.messages, Message("assistant", text)))}


def _objects(text: str, read: Read) -> Iterator[dict[str, Any]]:
    for form in FORMS:
        if (value := read(text, form)) is not None:
            yield value


def _same(one: Mapping[str, Any] | None, other: Mapping[str, Any]) -> bool:
    """Whether two objects are the same in JSON: in Python, 1 is 1.0 and True too, and the order does not matter."""
    return one is not None and json.dumps(one, allow_nan=False) == json.dumps(other, allow_nan=False)


class _Dumper(yaml.SafeDumper):
    """Writes what stands twice twice: a learner should see no anchors."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def _json(value: Mapping[str, Any], heading: str) -> str:
    return json.dumps(value, ensure_ascii=False, allow_nan=False)


def _yaml(value: Mapping[str, Any], heading: str) -> str:
    text = yaml.dump(
        dict(value), Dumper=_Dumper, sort_keys=False, allow_unicode=True, default_flow_style=False, width=sys.maxsize
    )
    return str(text).strip()


def _markdown(value: Mapping[str, Any], heading: str) -> str:
    fields = [f"- **{key}:** {item if isinstance(item, str) else json.dumps(item)}" for key, item in value.items()]
    return "\n".join([*([f"# {heading}", ""] if heading else []), *fields])


_WRITERS: dict[str, Callable[[Mapping[str, Any], str], str]] = {"json": _json, "yaml": _yaml, "markdown": _markdown}
