"""Thumbs on the chat's answers, with the box that opens for a better answer. Knows not how an answer is made.

Each thumb is kept at once; what is written in the box is added to it. A second press on the same thumb takes it back.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import gradio as gr

from crossfade.history.database import Database
from crossfade.history.feedback import Feedback, Thumb
from crossfade.history.kept import KeptTurn, keys_of
from crossfade.history.opinions import Opinions
from crossfade.ui import answering, downloads, render
from crossfade.ui.controls import AT_ONCE
from crossfade.ui.conversation import Conversation, all_messages
from crossfade.ui.conversation_list import ConversationList
from crossfade.ui.language import label, language_of, say
from crossfade.ui.opened import Open, to_keep
from crossfade.ui.owner import owner_of

Changes = dict[Any, Any]
UP, DOWN = "Like", "Dislike"
"""What Gradio calls its two thumbs."""


@dataclass(frozen=True, slots=True)
class Judging:
    """The turn that the box is about, by its key, and its conversation."""

    key: str
    turn: KeptTurn
    conversation: str


class FeedbackBox:
    """Draws the box, hidden at first, into the `gr.Blocks` that is open; `wire` joins it to the chat."""

    def __init__(self, database: Database) -> None:
        self._feedback, self._opinions = Feedback(database), Opinions(database)
        self._judged = gr.State(None)
        with gr.Column(visible=False, elem_id="feedback", elem_classes="cf-feedback") as self.box:
            self.head = gr.HTML("", js_on_load=None)
            with gr.Row():
                self.better = gr.Textbox(
                    label=label("feedback.better"),
                    info=label("feedback.better_info"),
                    lines=2,
                    max_lines=8,
                    scale=2,
                    elem_id="feedback-better",
                )
                self.remark = gr.Textbox(
                    label=label("feedback.remark"), lines=2, max_lines=3, scale=1, elem_id="feedback-remark"
                )
            with gr.Row(elem_classes="cf-list-buttons"):
                self.save = gr.Button(
                    label("feedback.save"), variant="primary", size="sm", min_width=60, elem_id="feedback-save"
                )
                self.back = gr.Button(label("feedback.take_back"), size="sm", min_width=60, elem_id="feedback-back")
                self.close = gr.Button(label("feedback.close"), size="sm", min_width=60, elem_id="feedback-close")
            self.notice = gr.HTML("", elem_id="feedback-notice", js_on_load=None)
        self._text, self._name = gr.Textbox(visible=False), gr.Textbox(visible=False)

    def wire(self, chat: Any, conversations: ConversationList) -> None:
        """Join the box to the chat and to the list of its conversations, which has been wired before."""
        self._chat, open_ = chat, conversations.open
        self._outputs = [self._judged, self.box, self.head, self.better, self.remark, self.notice, chat.chatbot]
        written = [self._judged, self.better, self.remark]
        chat.chatbot.like(self._like, [chat.turns, open_], self._outputs, **AT_ONCE)
        self.save.click(self._save, written, self._outputs, **AT_ONCE)
        self.back.click(self._take_back, [self._judged, chat.turns], self._outputs, **AT_ONCE)
        self.close.click(lambda: gr.Column(visible=False), None, self.box, **AT_ONCE)
        for event in conversations.shown_again:
            event.then(self._show_again, [self._judged, chat.turns, open_], self._outputs, **AT_ONCE)
        with conversations.panel.files:
            button = gr.Button(label("feedback.export"), size="sm", min_width=60, elem_id="feedback-export")
        told = conversations.panel.told
        made = button.click(self._export, None, [self._text, self._name, told], **AT_ONCE)
        made.then(None, [self._text, self._name], None, js=downloads.SAVE)

    def _like(self, request: gr.Request, event: gr.LikeData, turns: Conversation, open_: Open | None) -> Changes:
        language = language_of(request)
        number = turn_at(all_messages(turns, language), event.index)
        if number is None or number >= len(turns) or turns[number].open or turns[number].answer is None:
            note = {self.head: render.note_html(say(language, "feedback.not_yet")), self.notice: ""}
            return note | {self._judged: None, self.box: gr.Column(visible=True)} | self._marks(request, turns)
        ended = to_keep(turns)
        key = keys_of(ended)[number]
        where = turns[number].thread or (open_.id if open_ else "")
        try:
            owner = owner_of(request)
            if event.liked not in (True, False):
                self._feedback.take_back(owner, key)
                return self._closed() | self._marks(request, turns)
            before = self._feedback.of(owner, [key]).get(key, Thumb(False))
            thumb = Thumb(bool(event.liked), before.better, before.remark)
            self._feedback.give(owner, key, ended[number], thumb=thumb, conversation=where)
        except Exception as error:
            told = {self._judged: None, self.box: gr.Column(visible=True)} | self._failed(request, error)
            return told | self._marks(request, turns)
        head = say(language, "feedback.liked") if thumb.liked else say(language, "feedback.disliked")
        return {
            self._judged: Judging(key, ended[number], where),
            self.box: gr.Column(visible=True),
            self.head: f"<b>{head}</b>",
            self.better: thumb.better,
            self.remark: thumb.remark,
            self.notice: "",
        } | self._marks(request, turns)

    def _save(self, request: gr.Request, judged: Judging | None, better: str | None, remark: str | None) -> Changes:
        """Add what was written to the thumb; it is that of the answer that was judged, whatever came after it."""
        if judged is None:
            return self._closed()
        try:
            owner = owner_of(request)
            if before := self._feedback.of(owner, [judged.key]).get(judged.key):
                thumb = Thumb(before.liked, better or "", remark or "")
                where = judged.conversation
                self._feedback.give(owner, judged.key, judged.turn, thumb=thumb, conversation=where)
        except Exception as error:
            return self._failed(request, error)
        return self._closed()

    def _take_back(self, request: gr.Request, judged: Judging | None, turns: Conversation) -> Changes:
        try:
            if judged:
                self._feedback.take_back(owner_of(request), judged.key)
        except Exception as error:
            return self._failed(request, error)
        return self._closed() | self._marks(request, turns)

    def _show_again(
        self, request: gr.Request, judged: Judging | None, turns: Conversation, open_: Open | None
    ) -> Changes:
        """The thumbs of the turns that are shown now. What is being written in the box stays, in its conversation."""
        left = judged is not None and (open_ is None or open_.id != judged.conversation)
        return (self._closed() if left else {}) | self._marks(request, turns)

    def _export(self, request: gr.Request) -> list[Any]:
        language = language_of(request)
        try:
            made = self._opinions.rows(owner_of(request))
        except Exception as error:
            return ["", "", render.note_html(answering.sentence(error, language), kind="error")]
        if not made.rows:
            return ["", "", render.note_html(say(language, "feedback.nothing"))]
        text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in made.rows)
        told = say(language, "feedback.exported", rows=len(made.rows), thumbs=made.thumbs, votes=made.votes)
        return [text, downloads.file_name("feedback", "jsonl"), render.note_html(told)]

    def _marks(self, request: gr.Request, turns: Conversation) -> Changes:
        """The thumbs as the chatbot shows them; none where they cannot be read."""
        ended = to_keep(turns)
        try:
            keys = keys_of(ended)
            thumbs = self._feedback.of(owner_of(request), keys) if owner_of(request) else {}
        except Exception as error:
            return self._failed(request, error)
        by_turn = {number: thumbs[key] for number, key in enumerate(keys) if key in thumbs}
        values = feedback_values(all_messages(turns, language_of(request)), by_turn)
        return {self._chat.chatbot: gr.Chatbot(feedback_value=values)}

    def _closed(self) -> Changes:
        return {self._judged: None, self.box: gr.Column(visible=False), self.notice: ""}

    def _failed(self, request: gr.Request, error: Exception) -> Changes:
        why = say(language_of(request), "feedback.not_kept", why=answering.sentence(error, language_of(request)))
        return {self.notice: render.note_html(why, kind="error")}


def turn_at(messages: Sequence[Mapping[str, Any]], index: Any) -> int | None:
    """The number of the turn, from 0, that a message belongs to, each turn having one question; None for no message."""
    if not isinstance(index, int) or not 0 <= index < len(messages):
        return None
    asked = sum(message["role"] == "user" for message in messages[: index + 1])
    return asked - 1 if asked else None


def feedback_values(messages: Sequence[Mapping[str, Any]], thumbs: Mapping[int, Thumb]) -> list[str | None]:
    """The thumbs as Gradio takes them: one value for each run of messages that are not a person's."""
    values: list[str | None] = []
    asked, before = 0, "user"
    for message in messages:
        role = message["role"]
        if role == "user":
            asked += 1
        elif before == "user":
            thumb = thumbs.get(asked - 1)
            values.append(None if thumb is None else UP if thumb.liked else DOWN)
        before = role
    return values
