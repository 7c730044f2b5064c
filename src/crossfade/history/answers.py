"""Whole answers, with their traces, as JSON text and back."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

from crossfade.errors import StorageError
from crossfade.types import Answer

if TYPE_CHECKING:
    from pydantic import TypeAdapter


def answer_to_json(answer: Answer) -> str:
    """The answer with everything in it, as one line of JSON."""
    return _adapter().dump_json(answer).decode()


def answer_from_json(text: str) -> Answer:
    """The answer that `answer_to_json` wrote, equal to it. Raises StorageError where it is none."""
    from pydantic import ValidationError

    try:
        return _adapter().validate_json(text)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(map(str, first["loc"])) or "its beginning"
        raise StorageError(f"This is no kept answer ({place}: {first['msg']}).") from None


@cache
def _adapter() -> TypeAdapter[Answer]:
    # Loaded when first needed: it takes as long as the rest of this room.
    from pydantic import TypeAdapter

    return TypeAdapter(Answer)
