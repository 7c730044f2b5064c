"""A tokenizer that needs no library: one token for each character."""

from __future__ import annotations

from typing import Any


class LetterTokenizer:
    """Has of a Hugging Face tokenizer what counting and encoding use."""

    eos_token, eos_token_id = "<|end|>", 0
    chat_template = "{}"
    all_special_tokens = ("<|end|>",)

    def apply_chat_template(self, chat: list[dict[str, str]], **_: Any) -> str:
        return "".join(f"[{turn['role']}]{turn['content']}" for turn in chat) + "[assistant]"

    def __call__(self, text: str, **_: Any) -> dict[str, list[int]]:
        return {"input_ids": [ord(sign) for sign in text]}
