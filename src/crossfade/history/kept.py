"""One turn of a conversation as it is kept: the question, the whole answer or the error, and a key made of them.

Knows neither a database nor a page.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

from crossfade.errors import StorageError
from crossfade.types import Answer, Query

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pydantic import TypeAdapter

TITLE_CHARACTERS = 60
MOST_TITLE_CHARACTERS = 200
"""Of a title that a person writes."""
_SINCE: dict[str, Any] = {"answer": {"generation": {"log_probability", "withheld"}}}
"""The fields that turns kept before have not, in pydantic's form. No two turns differ in these alone."""


@dataclass(frozen=True, slots=True)
class KeptTurn:
    """A turn that has ended. `schema` and `form` are those that its answer was held against."""

    query: Query
    answer: Answer | None = None
    error: str = ""
    schema: dict[str, Any] | None = None
    form: str = "json"

    @property
    def searched(self) -> str:
        """What a search looks through: question and answer, without capitals."""
        return folded(f"{self.query.text}\n{self.answer.generation.text if self.answer else ''}")


def turn_to_json(turn: KeptTurn) -> str:
    """The turn with everything in it, as one line of JSON. Raises StorageError for text that is no Unicode."""
    return _json_of(turn)


def turn_from_json(text: str) -> KeptTurn:
    """The turn that `turn_to_json` wrote, equal to it. Raises StorageError where it is none."""
    from pydantic import ValidationError

    try:
        return _adapter().validate_json(text)
    except ValidationError as error:
        raise StorageError(f"This is no kept turn ({where(error)}).") from None


def keys_of(turns: Sequence[KeptTurn]) -> tuple[str, ...]:
    """A key for each turn: the same turn has the same one wherever it is kept, and a repeated one is numbered.

    What the answer was held against is not in it, so that another wording of a schema makes no other turn; nor is what
    turns have told of since the first were kept, so that those keep their keys, and with them their thumbs.
    """
    seen: dict[str, int] = {}
    keys = []
    for turn in turns:
        told = _json_of(KeptTurn(turn.query, turn.answer, turn.error), without=_SINCE)
        key = hashlib.sha256(told.encode()).hexdigest()
        seen[key] = seen.get(key, 0) + 1
        keys.append(key if seen[key] == 1 else f"{key}-{seen[key]}")
    return tuple(keys)


def title_of(question: str) -> str:
    """The first words of a question."""
    words = " ".join(question.split())
    if len(words) <= TITLE_CHARACTERS:
        return words
    cut = words[: TITLE_CHARACTERS + 1]
    return (cut.rpartition(" ")[0] if " " in cut[TITLE_CHARACTERS // 2 :] else cut[:-1]) + " …"


def clean_title(title: str) -> str:
    """A title that a person wrote, in one line of a bounded length; it may be empty."""
    return " ".join(title.split())[:MOST_TITLE_CHARACTERS].strip()


def folded(text: str) -> str:
    """A text as searches compare it."""
    return text.casefold()


def where(error: Any) -> str:
    """The first complaint of a pydantic ValidationError, with its place."""
    first = error.errors(include_url=False, include_input=False, include_context=False)[0]
    place = ".".join(map(str, first["loc"])) or "its beginning"
    return f"{place}: {first['msg']}"


def _json_of(turn: KeptTurn, *, without: dict[str, Any] | None = None) -> str:
    try:
        return _adapter().dump_json(turn, exclude=without).decode()
    except ValueError as error:
        raise StorageError("This turn holds characters that are no text, and cannot be kept.") from error


@cache
def _adapter() -> TypeAdapter[KeptTurn]:
    # Loaded when first needed: it takes as long as the rest of this room.
    from pydantic import TypeAdapter

    return TypeAdapter(KeptTurn)
