"""A blend as a person writes it: `domain`, `style:0.6`, `domain+style:0.6`. Pure; knows no adapter."""

from __future__ import annotations

from crossfade.errors import QuestionError
from crossfade.types import Blend


def weighted(text: str) -> tuple[str, float]:
    """`style` or `style:0.6` as (name, weight). Raises QuestionError."""
    name, _, weight = text.strip().partition(":")
    try:
        return name.strip(), float(weight or 1)
    except ValueError:
        raise QuestionError(f"Adapter {text!r} is not allowed; write NAME or NAME:WEIGHT, such as style:0.6.") from None


def written_blend(text: str) -> Blend:
    """The blend of a text, its parts joined by `+`. Raises QuestionError."""
    return tuple(weighted(part) for part in text.split("+"))
