"""Conversations as lists of turns: OpenAI's messages and ShareGPT's. Every answer to a person is learned but those of
`weight` 0, as in OpenAI's files: they are context. What follows the last learned answer is left out."""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from typing import Any

from crossfade.types import Message

Conversation = tuple[tuple[Message, ...], str, tuple[int, ...]]
"""The messages of the prompt, the response, and the places among the messages of the answers that are learned too."""
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
    """OpenAI's chat messages, `role`, `content` and `weight`. Raises ValueError with what is wrong in one clause."""
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
    learned: list[int] = []
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
        if role == "assistant" and turn.get("weight") != 0:
            learned.append(len(turns) - 1)
    if not learned:
        context = any(turn.role == "assistant" for turn in turns)
        raise ValueError(f"{column} holds no answer of an assistant" + (" but of weight 0" if context else ""))
    asked = [place for place, turn in enumerate(turns) if turn.role == "user"]
    if not asked or asked[0] > learned[-1]:
        raise ValueError(f"{column} holds no question before the answer")
    *earlier, last = learned
    return tuple(turns[:last]), turns[last].content, tuple(place for place in earlier if place > asked[0])


def as_messages(messages: Sequence[Message], learned: Collection[int] = ()) -> list[dict[str, Any]]:
    """A conversation in OpenAI's form. The last answer is learned, and of those before it the ones at these places."""
    last = len(messages) - 1
    return [
        {"role": turn.role, "content": turn.content}
        | ({"weight": 0} if turn.role == "assistant" and place != last and place not in learned else {})
        for place, turn in enumerate(messages)
    ]


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
