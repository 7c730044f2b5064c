"""Count the tokens of rows: with a tokenizer as in training, or roughly without one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from crossfade.training.data import TrainingRow
from crossfade.types import Message

Count = Callable[[TrainingRow], int]
"""The tokens of a row as it is trained on, prompt and response."""
CountPrompt = Callable[[Sequence[Message]], int]
"""The tokens of a prompt, opened for the answer."""
CHARACTERS = 4
"""Characters of a token, about, in English with a vocabulary of tens of thousands."""
OF_A_TURN = 4
"""Tokens, about, with which a chat template begins and ends a turn."""


def rough_count(row: TrainingRow) -> int:
    """About how many tokens a row has: a quarter of its characters, and some for each turn. Code has more."""
    texts = [*(message.content for message in row.messages), row.response]
    return sum(-(-len(text) // CHARACTERS) + OF_A_TURN for text in texts)


def open_tokenizer(base_folder: Path) -> Any:
    """The tokenizer of a base in Hugging Face form. Needs the extra `train`."""
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(base_folder, local_files_only=True, trust_remote_code=False)


def tokenizer_count(tokenizer: Any) -> Count:
    """Counts the tokens that a Hugging Face tokenizer with a chat template makes of a row, as `encode_rows` does."""

    def count(row: TrainingRow) -> int:
        chat = [{"role": message.role, "content": message.content} for message in row.messages]
        prompt = tokenizer.apply_chat_template(chat, tokenize=False, add_generation_prompt=True)
        texts = (prompt, row.response)
        return sum(len(tokenizer(text, add_special_tokens=False)["input_ids"]) for text in texts) + 1

    return count


def rough_prompt_count(messages: Sequence[Message]) -> int:
    """About how many tokens a prompt has, as `rough_count` has it."""
    return rough_count(TrainingRow(tuple(messages), ""))


def tokenizer_prompt_count(tokenizer: Any) -> CountPrompt:
    """Counts the tokens that a Hugging Face tokenizer with a chat template makes of a prompt."""

    def count(messages: Sequence[Message]) -> int:
        chat = [{"role": message.role, "content": message.content} for message in messages]
        text = tokenizer.apply_chat_template(chat, tokenize=False, add_generation_prompt=True)
        return len(tokenizer(text, add_special_tokens=False)["input_ids"])

    return count
