"""Rows to train on, and their tokens with a mark on those that count. Knows a tokenizer, and no model or trainer.

The text of a row is what the model meets when it answers: the base's own chat template over the messages, opened for
the assistant, then the response, then the token that ends a turn. Prompt and response are tokenized apart, because at
inference the prompt's tokens are fixed before the first token of the answer.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from crossfade.errors import TrainingError
from crossfade.types import Message


@dataclass(frozen=True, slots=True)
class TrainingRow:
    """One example: the messages of a prompt and the response to learn.

    `also` are the places among the messages of earlier answers that are learned too. `kind` tells how `compose` made
    it, "" for a person's own row; it is not learned, and rows are the same without it.
    """

    messages: tuple[Message, ...]
    response: str
    kind: str = field(default="", compare=False)
    also: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class EncodedRow:
    """The tokens of a row, and the (start, end) of those that are learned: each answer with the token that ends it.

    The last answer is the response.
    """

    tokens: tuple[int, ...]
    learned: tuple[tuple[int, int], ...]

    def __len__(self) -> int:
        return len(self.tokens)

    @property
    def prompt_length(self) -> int:
        """How many tokens stand before the response."""
        return self.learned[-1][0]


@dataclass(frozen=True, slots=True)
class EncodedRows:
    """The rows that fit, and (row number from 1, its tokens) of each that is longer than allowed."""

    rows: tuple[EncodedRow, ...]
    too_long: tuple[tuple[int, int], ...]


def encode_rows(
    rows: Sequence[TrainingRow], tokenizer: Any, *, max_tokens: int, may_be_none: bool = False
) -> EncodedRows:
    """Tokenize rows.

    Raises TrainingError for no rows, an empty response, a control token in a row, or when no row fits, which
    `may_be_none` allows.
    """
    if not rows:
        raise TrainingError("There are no rows to train on. Give at least one question with its response.")
    if tokenizer.eos_token_id is None or not tokenizer.chat_template:
        raise TrainingError("The base has no chat template or no end-of-turn token; choose an instruct (chat) model.")
    encoded = [_encode(row, tokenizer, number) for number, row in enumerate(rows, start=1)]
    too_long = tuple((number, len(row)) for number, row in enumerate(encoded, start=1) if len(row) > max_tokens)
    fitting = tuple(row for row in encoded if len(row) <= max_tokens)
    if not fitting and not may_be_none:
        raise TrainingError(
            f"Each of the {len(rows)} rows is longer than max_tokens = {max_tokens} (the shortest has "
            f"{min(map(len, encoded))}). Shorten them or raise max_tokens."
        )
    return EncodedRows(rows=fitting, too_long=too_long)


def rows_sha256(rows: Sequence[TrainingRow]) -> str:
    """The sha256 (hex) of the rows, in order, as canonical JSON; what a card names as an adapter's data."""
    digest = hashlib.sha256()
    for row in rows:
        messages = [[message.role, message.content] for message in row.messages]
        told = [messages, row.response, *([row.also] if row.also else [])]
        digest.update(json.dumps(told, ensure_ascii=False).encode() + b"\n")
    return digest.hexdigest()


def _encode(row: TrainingRow, tokenizer: Any, number: int) -> EncodedRow:
    if not row.response.strip() or not row.messages:
        raise TrainingError(
            f"Row {number} has no {'response' if row.messages else 'messages'}. Fill it in or remove it."
        )
    for token in tokenizer.all_special_tokens:
        if any(token in text for text in (row.response, *(message.content for message in row.messages))):
            raise TrainingError(
                f"Row {number} contains the control token {token!r}, which would end or forge a turn. Remove it there."
            )
    texts = [*(row.messages[place].content for place in row.also), row.response]
    tokens: list[int] = []
    learned: list[tuple[int, int]] = []
    told = ""
    for end, answer in zip([*row.also, len(row.messages)], texts, strict=True):
        prompt = _prompt(row.messages[:end], tokenizer)
        if not prompt.startswith(told):  # this template writes a turn otherwise once others follow it
            tokens, learned, told = [], [], ""
        tokens += _tokens(prompt.removeprefix(told), tokenizer)
        start = len(tokens)
        tokens += [*_tokens(answer, tokenizer), tokenizer.eos_token_id]
        learned.append((start, len(tokens)))
        told = prompt + answer + tokenizer.eos_token
    return EncodedRow(tuple(tokens), tuple(learned))


def _prompt(messages: Sequence[Message], tokenizer: Any) -> str:
    chat = [{"role": message.role, "content": message.content} for message in messages]
    return str(tokenizer.apply_chat_template(chat, tokenize=False, add_generation_prompt=True))


def _tokens(text: str, tokenizer: Any) -> list[int]:
    found: list[int] = tokenizer(text, add_special_tokens=False)["input_ids"]
    return found
