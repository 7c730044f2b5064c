"""One conversation as it is kept for a session. Pure; knows no component and not how an answer is made."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

from crossfade.evaluation.automatic import Automatic
from crossfade.types import MODES, Answer, Blend, Generation, Query, Turn
from crossfade.ui import render
from crossfade.ui.language import say

MOST_TURNS = 100
"""A longer conversation loses its oldest turns: each redraw sends it whole."""


@dataclass(frozen=True, slots=True)
class Shown:
    """One question and what came of it: a reason to wait, an answer that may be growing, an error.

    `schema` and `form` are those that its answer is held against; `automatic` chooses the mode when the answer begins.
    `thread` is the id of the conversation that it belongs to. `instead` are the turns whose place it takes once it is
    answered: until then they are kept.
    """

    query: Query
    schema: dict[str, Any] | None = None
    answer: Answer | None = None
    waiting: str = ""
    error: str = ""
    automatic: Automatic | None = None
    form: str = "json"
    thread: str = field(default="", compare=False)
    instead: tuple[Shown, ...] = ()

    @property
    def open(self) -> bool:
        """Whether its end is still to come."""
        return not self.error and not (self.answer and self.answer.generation.finish)

    @property
    def answered(self) -> bool:
        """Whether it ended with an answer: one that was stopped before its first word is none."""
        generation = self.answer.generation if self.answer and not self.error else Generation(finish="cancelled")
        return bool(generation.text or generation.finish != "cancelled") and not self.open

    @property
    def asked(self) -> Query:
        """The query as it was asked in the end: automatic modes are chosen late."""
        return self.answer.query if self.answer else self.query

    def failed(self, error: str) -> Shown:
        """The same, ended by an error; what was answered so far stays."""
        return replace(self, waiting="", error=error)

    def messages(
        self, language: str = "en", *, place: int = 0, last: bool = False, mark: str = ""
    ) -> list[dict[str, str]]:
        """Question and answer as messages of a chatbot, in HTML, with what can be done with them.

        `mark` is a line above the question; `place` is where the turn stands in its conversation.
        """
        parts = (
            [render.answer_html(self.answer, schema=self.schema, form=self.form, language=language)]
            if self.answer
            else []
        )
        parts += [render.note_html(self.waiting, kind="wait"), render.note_html(self.error, kind="error")]
        if not self.open:
            parts.append(_answer_actions(self, language, place=place, last=last))
        edit = action_html("edit", say(language, "chat.edit"), turn=place)
        question = f'{mark}{render.question_html(self.query.text, language=language)}<div class="cf-acts">{edit}</div>'
        return [
            {"role": "user", "content": f'<div class="cf-turn">{question}</div>'},
            {"role": "assistant", "content": "".join(parts)},
        ]


Conversation = tuple[Shown, ...]


def all_messages(turns: Conversation, language: str = "en") -> list[dict[str, str]]:
    """The messages of a whole conversation; where the mode, the adapters, the corpus or the task change, it says so."""
    told = []
    for place, turn in enumerate(turns):
        mark = mark_html(turns[place - 1].asked, turn.asked, language) if place else ""
        told += turn.messages(language, place=place, last=place == len(turns) - 1, mark=mark)
    return told


def settled(turns: Conversation) -> Conversation:
    """The turns once the last one has ended: answered, it takes the place of others; else those are back in theirs."""
    if not turns or turns[-1].open or not turns[-1].instead:
        return turns
    *before, last = turns
    return (*before, replace(last, instead=())) if last.answered else (*before, *last.instead)


def mark_html(before: Query, now: Query, language: str) -> str:
    """The line between two turns: how the later one is asked, where that is not as the earlier one was."""
    told = [now.mode]
    if now.blend:
        told.append(say(language, "chat.from_adapter", adapter=blend_words(now.blend)))
    if now.corpus != before.corpus:
        told.append(say(language, "chat.from_corpus", corpus=now.corpus))
    if now.task != before.task:
        told.append(say(language, "chat.from_task", task=now.task))
    if (now.mode, now.blend, now.corpus, now.task) == (before.mode, before.blend, before.corpus, before.task):
        return ""
    line = say(language, "chat.from_here", what=" · ".join(told))
    return f'<div class="cf-from"><span>{render.escape(line)}</span></div>'


def blend_words(blend: Blend) -> str:
    """The adapters of a blend with their weights, `domain × 0.8 + style × 0.6`; a weight of 1 is not told."""
    return " + ".join(name if weight == 1 else f"{name} × {weight:g}" for name, weight in blend)


def action_html(do: str, text: str, *, turn: int = 0, mode: str = "", title: str = "") -> str:
    """A button that the page's script hands to the server: what to do, with which turn, in which mode.

    It tells them by its classes: of a message's attributes Gradio keeps few others.
    """
    classes = f"cf-act cf-do-{do} cf-at-{turn}{f' cf-in-{mode}' if mode else ''}"
    told = f' title="{render.escape(title)}"' if title else ""
    return f'<button type="button" class="{classes}"{told}>{render.escape(text)}</button>'


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


def _answer_actions(shown: Shown, language: str, *, place: int, last: bool) -> str:
    parts = []
    if shown.answer and shown.answer.generation.text:
        parts.append(action_html("copy", say(language, "chat.copy"), turn=place))
    if last:
        again, again_in = say(language, "chat.again_title"), say(language, "chat.again_in_title")
        parts.append(action_html("retry", say(language, "chat.again"), turn=place, title=again))
        modes = "".join(action_html("retry", mode, turn=place, mode=mode) for mode in MODES)
        opens = action_html("menu", say(language, "chat.again_in"), title=again_in)
        parts.append(f'<div class="cf-menu">{opens}<div class="cf-menu-list">{modes}</div></div>')
        parts.append(
            action_html("undo", say(language, "chat.undo"), turn=place, title=say(language, "chat.undo_title"))
        )
    return f'<div class="cf-acts">{"".join(parts)}</div>' if parts else ""
