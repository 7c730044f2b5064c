"""The fixed words of a report's page in English, and how they come into another language: whoever has one passes it in.

The words of tables and sentences stand where these are made; a page passes all of them through `Reader.said`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Reader:
    """Who reads a page: the language's short name, and what says an English sentence in it; what it knows not stays."""

    language: str = "en"
    said: Callable[[str], str] = str

    def words(self) -> dict[str, str]:
        """The fixed words of the page, by their names in it."""
        return {name: self.said(text) for name, text in WORDS.items()}


WORDS = {
    "save_as": "Save as",
    "modes": "Modes",
    "intervals": "Intervals are 95%, by bootstrap; where the questions rest on ten documents or more, those of one "
    "document are drawn together. Seconds are those that passed for one answer while others were written beside it.",
    "scores": "Scores with their intervals",
    "by_tag": "Right by tag",
    "by_seconds": "Right against seconds of an answer",
    "by_tokens": "Right against tokens in and out",
    "token_unit": "tokens",
    "differences": "Differences",
    "switches": "What each switch changed",
    "against": "against",
    "fixed": "fixed",
    "and_broke": "and broke",
    "auto": "A mode for each question",
    "causes": "Why answers are wrong",
    "mode": "mode",
    "number_shows": "A number shows its questions in the grid.",
    "every_question": "Every question",
    "show": "Show",
    "all_questions": "all questions",
    "with": "with",
    "find": "words of a question",
    "all_again": "all again",
    "close": "Close",
    "question": "question",
    "of": "of",
    "documents": "In",
    "tags": "Tags",
    "no_document": "No document answers this.",
    "accepted": "Accepted",
    "withheld": "withheld, held too unlikely",
    "tokens_in": "tokens in",
    "tokens_out": "tokens out",
    "those_with": "those with",
    "right": "right",
    "wrong": "wrong",
    "refused": "refused",
    "failed": "failed",
    "unscored": "unscored",
}
