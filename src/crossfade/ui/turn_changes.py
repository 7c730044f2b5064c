"""What copy, undo and edit do with a conversation, and what an edit or a retry does that failed."""

from __future__ import annotations

from typing import Any

import gradio as gr

from crossfade.ui import render
from crossfade.ui.actions import turn_of
from crossfade.ui.conversation import Conversation, Shown, action_html, all_messages
from crossfade.ui.language import language_of, say


def copied_text(event: gr.EventData, turns: Conversation) -> str:
    """The text of a turn's answer, as the model wrote it."""
    shown = next(iter(turns[turn_of(event) :]), None)
    return shown.answer.generation.text if shown and shown.answer else ""


def undo(request: gr.Request, box: str, turns: Conversation) -> tuple[Any, ...]:
    """Take the last turn back; its question goes into the box, unless something new stands there."""
    if not turns or turns[-1].open:
        return (gr.skip(),) * 4
    *before, last = turns
    text = gr.skip() if (box or "").strip() else last.query.text
    return text, all_messages(tuple(before), language_of(request)), tuple(before), last


def edit(request: gr.Request, event: gr.EventData, turns: Conversation) -> tuple[Any, ...]:
    """Put a question back into the box; when it is sent, it and what followed it give way to the new one."""
    place, language = turn_of(event), language_of(request)
    if not 0 <= place < len(turns) or turns[-1].open:
        return (gr.skip(),) * 3
    return turns[place].query.text, _editing_html(place, language), place


def put_back(failed: Shown, place: int, *, box: str, language: str) -> tuple[Any, str, int | None]:
    """Box, notice and edited place after a turn failed that was to take the place of others, which are shown again.

    Its question goes into the box, unless something new stands there, and is edited still where it was.
    """
    told = say(language, "chat.put_back", why=failed.error or say(language, "chat.stopped"))
    note, question = render.note_html(told, kind="error"), failed.query.text
    edited, free = question != failed.instead[0].query.text, not box.strip()
    if edited and free:
        return question, note + _editing_html(place, language), place
    note += render.question_html(question, language=language) if edited else ""
    return question if free else gr.skip(), note, None


def _editing_html(place: int, language: str) -> str:
    cancel = action_html("cancel", say(language, "chat.cancel"))
    told = render.escape(say(language, "chat.editing", number=place + 1))
    return f'<div class="cf-note" role="status">{told} {cancel}</div>'
