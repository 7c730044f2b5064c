"""The columns of one comparison. Pure; knows not how an answer is made."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from crossfade.compare import MAX_COLUMNS, query_in_mode
from crossfade.errors import CrossfadeError, QuestionError
from crossfade.types import Answer, Query, mode_switches
from crossfade.ui import answering, render
from crossfade.ui.controls import Asked


@dataclass(frozen=True, slots=True)
class Column:
    """One mode of a comparison: its query, or why there is none; then what came of it."""

    mode: str
    query: Query | None = None
    schema: dict[str, Any] | None = None
    answer: Answer | None = None
    waiting: str = ""
    error: str = ""
    form: str = "json"

    @property
    def open(self) -> bool:
        """Whether its end is still to come."""
        return not self.error and not (self.answer and self.answer.generation.finish)

    def grown(self, result: Answer | CrossfadeError) -> Column:
        """The column with more of its answer, or with what went wrong."""
        if isinstance(result, CrossfadeError):
            return replace(self, waiting="", error=str(result))
        return replace(self, waiting="", answer=result)

    def html(self) -> str:
        """The column as it stands."""
        return "".join(
            [
                f'<div class="cf-head"><b>{render.escape(self.mode)}</b> {render.mode_words(self.mode)}</div>',
                render.answer_html(self.answer, schema=self.schema, form=self.form) if self.answer else "",
                render.note_html(self.waiting, kind="wait"),
                render.note_html(self.error, kind="error"),
            ]
        )


Columns = tuple[Column, ...]


def make_columns(asked: Asked, modes: Sequence[str]) -> Columns:
    """A column for each mode; those that need an adapter which is not there say so and are not asked."""
    if not 2 <= len(modes) <= MAX_COLUMNS:
        raise QuestionError(f"{len(modes)} modes are chosen; a comparison takes 2 to {MAX_COLUMNS}.")
    columns, choice = [], asked.choice
    for mode in modes:
        if not choice.adapter and (mode_switches(mode) or (True,))[0]:
            columns.append(Column(mode, error=choice.why_off))
        else:
            query = query_in_mode(asked.query, mode, blend=asked.blend)
            task = choice.task
            columns.append(Column(mode, query, task.schema, waiting=answering.WAITING, form=task.form))
    if sum(column.open for column in columns) < 2:
        raise QuestionError(f"Fewer than 2 of the chosen modes can answer. {choice.why_off}")
    return tuple(columns)


def end_open(columns: Sequence[Column], error: str) -> Columns:
    """The columns, those without an end ended by this sentence."""
    return tuple(replace(column, waiting="", error=error) if column.open else column for column in columns)
