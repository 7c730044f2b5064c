"""What copy, undo and edit do with a conversation. Knows nothing of how a question is answered."""

from __future__ import annotations

from typing import Any

import gradio as gr

from crossfade.ui import render
from crossfade.ui.actions import turn_of
from crossfade.ui.conversation import Conversation, action_html, all_messages
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
    cancel = action_html("cancel", say(language, "chat.cancel"))
    told = render.escape(say(language, "chat.editing", number=place + 1))
    return turns[place].query.text, f'<div class="cf-note" role="status">{told} {cancel}</div>', place
