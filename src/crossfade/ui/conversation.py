"""One conversation as it is kept for a session. Pure; knows neither Gradio nor how an answer is made."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from crossfade.evaluation.automatic import Automatic
from crossfade.types import Answer, Query, Turn
from crossfade.ui import render

MOST_TURNS = 100
"""A longer conversation loses its oldest turns: each redraw sends it whole."""


@dataclass(frozen=True, slots=True)
class Shown:
    """One question and what came of it: a reason to wait, an answer that may be growing, an error.

    `schema` and `form` are those of the question's task; `automatic` chooses the mode when the answer begins.
    """

    query: Query
    schema: dict[str, Any] | None = None
    answer: Answer | None = None
    waiting: str = ""
    error: str = ""
    automatic: Automatic | None = None
    form: str = "json"

    @property
    def open(self) -> bool:
        """Whether its end is still to come."""
        return not self.error and not (self.answer and self.answer.generation.finish)

    def failed(self, error: str) -> Shown:
        """The same, ended by an error; what was answered so far stays."""
        return replace(self, waiting="", error=error)

    def messages(self) -> list[dict[str, str]]:
        """Question and answer as messages of a chatbot, in HTML."""
        parts = [render.answer_html(self.answer, schema=self.schema, form=self.form)] if self.answer else []
        parts += [render.note_html(self.waiting, kind="wait"), render.note_html(self.error, kind="error")]
        return [
            {"role": "user", "content": render.question_html(self.query.text)},
            {"role": "assistant", "content": "".join(parts)},
        ]


Conversation = tuple[Shown, ...]


def all_messages(turns: Conversation) -> list[dict[str, str]]:
    """The messages of a whole conversation."""
    return [message for turn in turns for message in turn.messages()]


def history(turns: Conversation, *, corpus: str, task: str) -> tuple[Turn, ...]:
    """The earlier turns that a new question is given: answered ones of its own corpus and task, as plain text.

    Those of another task were asked under other instructions, and would teach the model a wrong form.
    """
    return tuple(
        Turn(question=shown.answer.query.text, answer=shown.answer.generation.text)
        for shown in turns
        if shown.answer and shown.answer.generation.text and not shown.error
        if (shown.query.corpus, shown.query.task) == (corpus, task)
    )
