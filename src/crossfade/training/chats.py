"""Conversations as lists of turns: OpenAI's messages and ShareGPT's. The last answer is learned, the turns before it
are its prompt, and what a person said after it, which nobody answered, is left out."""

from __future__ import annotations

import json
from typing import Any

from crossfade.types import Message

Conversation = tuple[tuple[Message, ...], str]
"""The messages of the prompt and the response."""
_ROLES = {"system": "system", "developer": "system", "user": "user", "assistant": "assistant"}
_FROM = {
    "system": "system",
    "human": "user",
    "user": "user",
    "gpt": "assistant",
    "chatgpt": "assistant",
    "assistant": "assistant",
    "model": "assistant",
}


def from_messages(value: Any, column: str) -> Conversation:
    """OpenAI's chat messages, `role` and `content`. Raises ValueError with what is wrong in one clause."""
    return _conversation(value, column, keys=("role", "content"), roles=_ROLES)


def from_sharegpt(value: Any, column: str) -> Conversation:
    """ShareGPT's turns, `from` and `value`. Raises ValueError with what is wrong in one clause."""
    return _conversation(value, column, keys=("from", "value"), roles=_FROM)


def looks_like(value: Any, key: str) -> bool:
    """Whether a value is a list of turns that have a key, `role` or `from`."""
    try:
        turns = _listed(value)
    except ValueError:
        return False
    return bool(turns) and isinstance(turns[0], dict) and key in turns[0]


def _conversation(value: Any, column: str, *, keys: tuple[str, str], roles: dict[str, str]) -> Conversation:
    turns: list[Message] = []
    for number, turn in enumerate(_listed(value), start=1):
        where = f"{column}, turn {number}"
        if not isinstance(turn, dict) or not isinstance(turn.get(keys[0]), str):
            raise ValueError(f"{where} has no {keys[0]}")
        role = roles.get(turn[keys[0]].lower())
        if role is None:
            raise ValueError(f"{where} is by {turn[keys[0]]!r}; allowed are {', '.join(roles)}")
        content = _text(turn.get(keys[1]), where)
        if not content:
            raise ValueError(f"{where} has no text")
        turns.append(Message(role, content))
    while turns and turns[-1].role != "assistant":
        turns.pop()
    if not turns:
        raise ValueError(f"{column} holds no answer of an assistant")
    if all(turn.role != "user" for turn in turns):
        raise ValueError(f"{column} holds no question before the answer")
    return tuple(turns[:-1]), turns[-1].content


def _listed(value: Any) -> list[Any]:
    """A list; in a CSV it is written as JSON."""
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except (ValueError, RecursionError):
            raise ValueError("it is not a list of turns") from None
    if not isinstance(value, list):
        raise ValueError("it is not a list of turns")
    return value


def _text(content: Any, where: str) -> str:
    """The text of a turn, which may come in parts."""
    if isinstance(content, list):
        kinds = [part.get("type") if isinstance(part, dict) else None for part in content]
        if other := [kind for kind in kinds if kind != "text"]:
            raise ValueError(f"{where} has a part of the kind {other[0]!r}; text alone can be learned")
        content = "".join(str(part.get("text", "")) for part in content)
    if content is not None and not isinstance(content, str):
        raise ValueError(f"{where} is no text")
    return (content or "").strip()
