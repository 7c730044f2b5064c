"""The chat tab: a conversation, three switches, and the facts under each answer. Knows not how an answer is made.

`_accept` checks and shows a question, `_answer` streams, `_finish` puts one that failed back into the box. The
conversation is kept in the session, on the server.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from threading import Event
from typing import TYPE_CHECKING, Any

import gradio as gr

from crossfade.compare import query_in_mode
from crossfade.errors import AdapterError, CrossfadeError
from crossfade.evaluation.automatic import read_automatic
from crossfade.history.conversations import new_id
from crossfade.models.catalogue import knows_english_only
from crossfade.types import mode_name, mode_switches
from crossfade.ui import answering, render
from crossfade.ui.actions import COPY, Actions, is_action, mode_of, turn_of
from crossfade.ui.asking import Asking, send_or_stop
from crossfade.ui.columns import schema_of
from crossfade.ui.controls import (
    AT_ONCE,
    Catalog,
    Controls,
    answer_settings,
    corpus_and_choice,
    make_query,
    refresh,
    wire,
)
from crossfade.ui.conversation import MOST_TURNS, Conversation, Shown, all_messages, history, settled
from crossfade.ui.crossfader import Crossfader
from crossfade.ui.first_screen import english_note, first_screen_html, has_chinese
from crossfade.ui.growing import growing
from crossfade.ui.language import label, language_of, say
from crossfade.ui.mixer import Mixer
from crossfade.ui.running import Running
from crossfade.ui.schema_editor import SchemaEditor
from crossfade.ui.suggestions import suggestions_of
from crossfade.ui.switches import Switches, auto_box
from crossfade.ui.turn_changes import copied_text, edit, put_back, undo

if TYPE_CHECKING:
    from crossfade.startup import Startup

TAB = "chat"


class ChatTab:
    """Draws the tab into the `gr.Blocks` that is open, and answers its events."""

    def __init__(self, startup: Startup, running: Running, *, busy: Callable[[], bool], report: Any) -> None:
        """`report` holds the session's last report as JSON, or None: with one, auto is offered."""
        self._startup = startup
        self.left: Callable[[gr.Request, Conversation, Shown], None] = lambda *_: None
        self._report = report
        self._catalog = Catalog(startup)
        self._asking = Asking(startup, running, TAB, busy=busy)
        self._draw()
        self._wire()

    def _draw(self) -> None:
        self.turns = gr.State(())
        self.editing = gr.State(None)
        self.dropped = gr.State(None)
        self.actions = Actions()
        self.copied = gr.Textbox(visible=False)
        with gr.Row(elem_classes="cf-chat"):
            with gr.Column(scale=3, min_width=320):
                self.chatbot = gr.Chatbot(
                    show_label=False,
                    label=label("chat.conversation"),
                    elem_id="chat-log",
                    height="max(280px, calc(100dvh - 370px))",
                    buttons=[],
                    layout="panel",
                    latex_delimiters=[],
                    placeholder=self._first_screen("en"),
                )
                self.below_log = gr.Column(elem_classes="cf-below-log")
                self.switches = Switches(self._catalog)
                self._draw_question()
            with gr.Column(scale=1, min_width=280, elem_classes="cf-side"):
                corpus, choice = corpus_and_choice(self._catalog)
                self.auto = gr.Checkbox(
                    label=label("chat.auto"), info=label("chat.auto_info"), visible=False, elem_id="switch-auto"
                )
                self.switches.draw_boxes()
                mixer = Mixer(self._catalog.loaded(), open=True)
                self.controls = Controls(corpus, choice, *answer_settings(self._catalog), mixer)
                self.schema = SchemaEditor(self._catalog, name="chat")
        self.crossfader = Crossfader(self._startup, self._asking, self._catalog)

    def _draw_question(self) -> None:
        with gr.Row(elem_classes="cf-ask"):
            self.box = gr.Textbox(
                label=label("chat.question"),
                show_label=False,
                placeholder=label("chat.question"),
                container=False,
                lines=1,
                max_lines=8,
                scale=5,
                min_width=160,
                elem_id="chat-question",
            )
            size: dict[str, Any] = {"scale": 0, "min_width": 90}
            self.send = gr.Button(label("chat.send"), variant="primary", elem_id="chat-send", **size)
            self.halt = gr.Button(label("chat.stop"), variant="stop", elem_id="chat-stop", visible=False, **size)
        self.notice = gr.HTML("", elem_id="chat-notice")
        self.keys = gr.HTML(_keys_html("en"), elem_id="chat-keys")

    def _wire(self) -> None:
        wire(self._catalog, self.controls)
        self.schema.wire(self.controls.corpus)
        self.switches.wire(self.controls, notice=self.notice, auto=self.auto)
        buttons = [self.send, self.halt]
        given = [self.turns, self._report, self.auto]
        given += [*self.switches.values, *self.schema.values, *self.controls.values]
        drawn = [self.box, self.chatbot, self.turns, self.notice, self.editing, *buttons, *self.switches.values]
        accepted = gr.on(
            [self.send.click, self.box.submit, self.actions.retry],
            self._accept,
            [self.box, self.editing, *given],
            drawn,
            **AT_ONCE,
        )
        self.accepted = accepted
        self.ended = self._asking.wire(
            accepted,
            buttons,
            notice=self.notice,
            answer=self._answer,
            given=[self.turns],
            drawn=[self.chatbot, self.turns],
            finish=self._finish,
            left=[self.box, self.turns],
            freed=[self.box, self.chatbot, self.turns, self.notice, self.editing],
        )
        self._report.change(auto_box, self._report, self.auto, **AT_ONCE)
        self._wire_actions()
        self.crossfader.wire(self.controls, self.switches, self.schema, box=self.box, turns=self.turns)

    def _wire_actions(self) -> None:
        actions, edited = self.actions, [self.box, self.notice, self.editing]
        actions.copy(copied_text, self.turns, self.copied, **AT_ONCE).then(None, self.copied, None, js=COPY, **AT_ONCE)
        undone = [self.box, self.chatbot, self.turns, self.dropped]
        self.undone = actions.undo(undo, [self.box, self.turns], undone, **AT_ONCE)
        actions.edit(edit, self.turns, edited, **AT_ONCE)
        actions.cancel(lambda: ("", "", None), None, edited, **AT_ONCE)
        chosen = [self.box, self.controls.choice, *self.switches.values, self.auto, self.notice]
        actions.example(self._example, self.controls.corpus, chosen, **AT_ONCE)

    def refresh(self, trigger: Any) -> None:
        """Read the adapters again when the trigger fires: some are refused only while they load."""
        refreshed = refresh(trigger, self._catalog, self.controls)
        self.switches.follow(refreshed.then)
        self.crossfader.refresh(trigger)
        self.schema.refresh(trigger, self.controls.corpus)
        trigger(self._speak, None, [self.chatbot, self.keys], **AT_ONCE)

    def _accept(
        self,
        request: gr.Request,
        event: gr.EventData,
        text: str,
        editing: int | None,
        turns: Conversation,
        *given: Any,
    ) -> tuple[Any, ...]:
        """Take the question from the box into the conversation, or leave it there and say what is wrong with it.

        A retry asks the last question again: in place of its answer, or below it where the click named another mode.
        """
        if is_action(event):
            if not turns or turns[-1].open:
                raise gr.Error(say(language_of(request), "chat.already"), print_exception=False)
            mode = mode_of(event)
            place = len(turns) if mode else len(turns) - 1
            return self._begin(request, turns[-1].query.text, turns, *given, place=place, box=gr.skip(), mode=mode)
        place = len(turns) if editing is None else editing
        return self._begin(request, text, turns, *given, place=place, box="")

    def _begin(
        self,
        request: gr.Request,
        text: str,
        turns: Conversation,
        report: dict[str, Any] | None,
        auto: bool,
        *given: Any,
        place: int,
        box: Any,
        mode: str = "",
    ) -> tuple[Any, ...]:
        """Begin an answer in the mode of the switches, or in another one that they then show.

        It comes after the turns before `place`, and takes the place of the others once it is answered.
        """
        turns, instead, thread = turns[:place], turns[place:], turns[0].thread if turns else new_id()
        language = language_of(request)
        switches, written, values = mode_switches(mode) or given[:3], given[3:6], given[6:]
        try:
            self._asking.check(language)
            mine = self._catalog.of(request)
            asked = make_query(mine, text, values, language=language)
            asked = replace(asked, query=self.schema.put(asked.query, written))
            choice = asked.choice
            automatic = read_automatic(report) if report and auto and not mode else None
            if automatic:
                automatic.check(asked.query)
                mine.check(*[blend for _, blend in automatic.columns.values()], language=language)
                query = asked.query
            else:
                fine_tune, rag, icl = switches
                if fine_tune and not choice.adapter:
                    raise AdapterError(choice.why_off)
                query = query_in_mode(asked.query, mode_name(fine_tune=fine_tune, rag=rag, icl=icl), blend=asked.blend)
            query = replace(query, history=history(turns, corpus=query.corpus, task=query.task))
        except CrossfadeError as error:
            told = render.note_html(answering.sentence(error, language), kind="error")
            return (*[gr.skip()] * 3, told, *[gr.skip()] * 6)
        self._asking.begin(request)
        schema, form = schema_of(query, choice.task)
        shown = Shown(
            query,
            schema,
            waiting=say(language, "chat.waiting"),
            automatic=automatic,
            form=form,
            thread=thread,
            instead=instead,
        )
        turns = (*turns, shown)[-MOST_TURNS:]
        english = self._english_only and has_chinese(text)
        drawn = switches if mode else [gr.skip()] * 3
        note = english_note(language) if english else ""
        return box, all_messages(turns, language), turns, note, None, *send_or_stop(answering=True), *drawn

    def _answer(self, request: gr.Request, stop: Event, turns: Conversation) -> Iterator[tuple[Any, Any]]:
        """Stream the answer to the last question of the conversation."""
        language = language_of(request)
        # Of what is yielded, Gradio sends the messages that have changed: the last one.
        messages = all_messages(turns, language)
        *before, shown = turns
        with self._asking.if_left(request, lambda: self.left(request, turns, shown)):
            with closing(growing(self._startup, shown, stop, language)) as grown:
                for shown in grown:
                    yield [*messages[:-1], shown.messages(language, place=len(before), last=True)[1]], gr.skip()
            yield all_messages((*before, shown), language), (*before, shown)

    def _finish(self, request: gr.Request, why: str, box: str, turns: Conversation) -> list[Any]:
        """What is drawn at the end; a question that failed goes into the box, unless something new stands there."""
        if not turns:
            return [gr.skip()] * 5
        *before, last = turns
        shown = last.failed(why) if last.open else last
        kept, language = settled((*before, shown)), language_of(request)
        if shown.instead and not shown.answered:
            box, note, editing = put_back(shown, len(before), box=box, language=language)
            return [box, all_messages(kept, language), kept, note, editing]
        text = shown.query.text if shown.error and not box.strip() else gr.skip()
        # An answer that came to its end is drawn already.
        messages = all_messages(kept, language) if last.open else gr.skip()
        return [text, messages, kept, gr.skip(), gr.skip()]

    def _example(self, request: gr.Request, event: gr.EventData, corpus: str | None) -> tuple[Any, ...]:
        suggestion = next(iter(suggestions_of(self._catalog)[turn_of(event) :]), None)
        if suggestion is None:
            return (gr.skip(),) * 7
        key = next((c.key for c in self._catalog.of(request).choices(corpus) if c.task.name == suggestion.task), None)
        switches = self.switches.pressed(request, suggestion.mode, corpus, key)
        return suggestion.text, key or gr.skip(), *switches

    def _speak(self, request: gr.Request) -> tuple[Any, Any]:
        language = language_of(request)
        return gr.Chatbot(placeholder=self._first_screen(language)), _keys_html(language)

    def _first_screen(self, language: str) -> str:
        return first_screen_html(
            suggestions_of(self._catalog),
            corpora=str(self._startup.settings.corpora),
            language=language,
        )

    @property
    def _english_only(self) -> bool:
        return knows_english_only(self._startup.settings.base)


def _keys_html(language: str) -> str:
    return f'<div class="cf-keys">{render.escape(say(language, "chat.keys"))}</div>'
