"""What every engine checks of a request before it reaches the model. Knows no engine."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from crossfade.errors import AdapterError
from crossfade.types import MAX_WEIGHT, Blend


def check_blend(blend: Blend, loaded: Collection[str]) -> None:
    """Raises AdapterError where a blend names an adapter that is not loaded, one twice, or a weight out of range."""
    if len({name for name, _ in blend}) < len(blend):
        raise AdapterError(f"The blend {', '.join(name for name, _ in blend)} names an adapter twice; name it once.")
    for name, weight in blend:
        if name not in loaded:
            raise AdapterError(f"Unknown adapter {name!r}. Loaded: {', '.join(sorted(loaded)) or 'none'}.")
        if not 0.0 <= weight <= MAX_WEIGHT:
            raise AdapterError(f"Weight {weight} of adapter {name!r} is not allowed; use 0 to {MAX_WEIGHT}.")


def defuse(text: str, control_tokens: Sequence[str]) -> str:
    """The text with a space inside every control token of the model, so that it is read as plain text."""
    for token in control_tokens:
        if token in text:
            text = text.replace(token, f"{token[0]} {token[1:]}")
    return text
