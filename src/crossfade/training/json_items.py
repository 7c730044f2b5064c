"""The items of a JSON file's list, one after the other, each with its line. Knows no rows."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

from crossfade.errors import TrainingError

_DECODER = json.JSONDecoder()
_SPACE = re.compile(r"[ \t\n\r]*")


def json_items(text: str, name: str) -> Iterator[tuple[int, Any]]:
    """(line from 1, value) of each item of a list, or of the one list of objects that an object holds.

    Raises TrainingError, naming line and column, for what is not JSON, and for an object with no such list or several.
    """
    try:
        line, last = 1, 0
        for at, value in _array(text, _list_at(text, name)):
            line += text.count("\n", last, at)
            last = at
            yield line, value
    except json.JSONDecodeError as error:
        raise TrainingError(
            f"{name}, line {error.lineno}, column {error.colno}: not JSON ({error.msg}). Mend it there; in a JSONL "
            "file one broken line would not spoil the others."
        ) from None
    except (ValueError, RecursionError):
        raise TrainingError(f"{name}: a number is too long or the nesting too deep. Simplify the rows.") from None


def _list_at(text: str, name: str) -> int:
    """Where the list begins."""
    at = _after(text, 0)
    if not text[at:]:
        raise TrainingError(f"{name} has no rows. Give a list of objects, a prompt and a response in each.")
    if text[at] == "[":
        return at
    lists = list(_lists(text, at)) if text[at] == "{" else []
    if len(lists) != 1:
        found = f"several ({', '.join(key for key, _ in lists)})" if lists else "none"
        raise TrainingError(f"{name} must be a list of objects or an object with one such list; there is {found}.")
    return lists[0][1]


def _lists(text: str, at: int) -> Iterator[tuple[str, int]]:
    """Key and place of the lists of objects, or empty lists, that an object holds."""
    at = _after(text, at + 1)
    while text[at : at + 1] != "}":
        key, at = _DECODER.raw_decode(text, at)
        start = _after(text, _expected(text, _after(text, at), ":"))
        value, at = _DECODER.raw_decode(text, start)
        if isinstance(value, list) and (not value or isinstance(value[0], dict)):
            yield str(key), start
        at = _next(text, at, "}")
    _ended(text, at + 1)


def _array(text: str, at: int) -> Iterator[tuple[int, Any]]:
    """Place and value of each item of the list that begins at a place."""
    is_all = at == _after(text, 0)
    at = _after(text, at + 1)
    while text[at : at + 1] != "]":
        value, end = _DECODER.raw_decode(text, at)
        yield at, value
        at = _next(text, end, "]")
    if is_all:
        _ended(text, at + 1)


def _next(text: str, at: int, close: str) -> int:
    """The place of the next item, or of the sign that closes."""
    at = _after(text, at)
    return at if text[at : at + 1] == close else _after(text, _expected(text, at, ","))


def _expected(text: str, at: int, sign: str) -> int:
    if text[at : at + 1] != sign:
        raise json.JSONDecodeError(f"expected {sign!r}", text, at)
    return at + 1


def _ended(text: str, at: int) -> None:
    """See that nothing follows: a second list would be passed over without a word."""
    at = _after(text, at)
    if text[at:]:
        raise json.JSONDecodeError("Extra data", text, at)


def _after(text: str, at: int) -> int:
    match = _SPACE.match(text, at)
    return match.end() if match else at
