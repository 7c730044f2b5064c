"""The rules of a written voice, as `[tasks.NAME.rules]` of a corpus.toml gives them. Each may be left out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any


@dataclass(frozen=True, slots=True)
class Rules:
    """What a reply has to keep. An empty text, list or number asks for nothing.

    `words` is the least and the most; `opening` begins the reply, `closing` its last line, followed by at most
    `closing_words`; `avoid` are words and phrases; `address` asks for "we" and "you", `calm` for no exclamation mark
    and no word in capitals.
    """

    words: tuple[int, int] = (0, 0)
    sentence_words: int = 0
    opening: str = ""
    closing: str = ""
    closing_words: int = 0
    avoid: tuple[str, ...] = ()
    address: bool = False
    calm: bool = False


def read_rules(table: Mapping[str, Any]) -> Rules:
    """The rules of a TOML table. Raises ValueError naming the one that is not allowed."""
    defaults = {field.name: field.default for field in fields(Rules)}
    for name, value in table.items():
        if name not in defaults:
            raise ValueError(f"rules.{name}; known rules: {', '.join(defaults)}")
        if not isinstance(value, list if name in ("words", "avoid") else type(defaults[name])):
            raise ValueError(f"rules.{name} = {value!r}")
    made: dict[str, Any] = {n: tuple(value) if isinstance(value, list) else value for n, value in table.items()}
    words, avoid = made.get("words", (0, 0)), made.get("avoid", ())
    if len(words) != 2 or not all(type(n) is int for n in words) or not 0 <= words[0] <= words[1]:
        raise ValueError(f"rules.words = {list(words)!r}, which must be the least and the most number of words")
    if not all(isinstance(word, str) and word for word in avoid):
        raise ValueError("rules.avoid must be a list of texts")
    if min(made.get("sentence_words", 0), made.get("closing_words", 0)) < 0:
        raise ValueError("rules count words from 0")
    return Rules(**made)
