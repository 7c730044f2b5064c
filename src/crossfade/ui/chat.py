"""The chat tab: a conversation, three switches, and the facts under each answer. Knows not how an answer is made.

A question goes three steps: `_accept` checks and shows it, `_answer` streams, `_finish` frees the controls, also where
the second step never came to run because the queue was full. The conversation is kept in the session, on the server.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from threading import Event
from typing import TYPE_CHECKING, Any

import gradio as gr

from crossfade.compare import query_in_mode
from crossfade.errors import AdapterError, CrossfadeError, EngineError
from crossfade.evaluation.automatic import choose, read_automatic
from crossfade.types import mode_name
from crossfade.ui import answering, render
from crossfade.ui.controls import (
    AT_ONCE,
    QUIET,
    Catalog,
    Controls,
    answer_settings,
    corpus_and_choice,
    make_query,
    refresh,
    wire,
)
from crossfade.ui.conversation import MOST_TURNS, Conversation, Shown, all_messages, history
from crossfade.ui.mixer import Mixer
from crossfade.ui.running import Running
from crossfade.ui.suggestions import suggestions_of
from crossfade.ui.switches import Switches

if TYPE_CHECKING:
    from crossfade.startup import Startup

TAB = "chat"
AUTO = "Choose the mode by the rule that the last report found; the switches below wait."
GREETING = "**Ask about the documents.** Then change the mode and ask the same again."


class ChatTab:
    """Draws the tab into the `gr.Blocks` that is open, and answers its events."""

    def __init__(self, startup: Startup, running: Running, *, busy: Callable[[], bool], report: Any) -> None:
        """`report` holds the session's last report as JSON, or None: with one, auto is offered."""
        self._startup = startup
        self._report = report
        self._running = running
        self._busy = busy
        self._catalog = Catalog(startup)
        self._draw()
        self._wire()

    def _draw(self) -> None:
        self.turns = gr.State(())
        with gr.Row(elem_classes="cf-chat"):
            with gr.Column(scale=3, min_width=320):
                self.chatbot = gr.Chatbot(
                    show_label=False,
                    label="Conversation",
                    elem_id="chat-log",
                    height="max(280px, calc(100dvh - 350px))",
                    buttons=[],
                    layout="panel",
                    latex_delimiters=[],
                    placeholder=GREETING,
                    examples=[{"text": suggestion.text} for suggestion in suggestions_of(self._catalog)],
                )
                self.switches = Switches(self._catalog)
                self._draw_question()
            with gr.Column(scale=1, min_width=280, elem_classes="cf-side"):
                corpus, choice = corpus_and_choice(self._catalog)
                self.auto = gr.Checkbox(label="Auto", info=AUTO, visible=False, elem_id="switch-auto")
                self.switches.draw_boxes()
                mixer = Mixer(self._catalog.loaded())
                self.controls = Controls(corpus, choice, *answer_settings(self._catalog), mixer)
                self.clear = gr.Button("Clear the conversation", size="sm", elem_id="chat-clear")

    def _draw_question(self) -> None:
        with gr.Row(elem_classes="cf-ask"):
            self.box = gr.Textbox(
                label="Your question",
                show_label=False,
                placeholder="Your question",
                container=False,
                lines=1,
                max_lines=8,
                scale=5,
                min_width=160,
                elem_id="chat-question",
            )
            size: dict[str, Any] = {"scale": 0, "min_width": 90}
            self.send = gr.Button("Send", variant="primary", elem_id="chat-send", **size)
            self.halt = gr.Button("Stop", variant="stop", elem_id="chat-stop", visible=False, **size)
        self.notice = gr.HTML("", elem_id="chat-notice")

    def _wire(self) -> None:
        wire(self._catalog, self.controls)
        self.switches.wire(self.controls, notice=self.notice)
        self.chatbot.example_select(self._example, self.controls.corpus, [self.box, self.controls.choice], **AT_ONCE)
        buttons = [self.send, self.halt, self.clear]
        accepted = gr.on(
            [self.send.click, self.box.submit],
            self._accept,
            [self.box, self.turns, self._report, self.auto, *self.switches.values, *self.controls.values],
            [self.box, self.chatbot, self.turns, self.notice, *buttons],
            **AT_ONCE,
        )
        answered = accepted.success(
            self._answer,
            self.turns,
            [self.chatbot, self.turns],
            concurrency_id=answering.QUEUE,
            concurrency_limit=self._startup.settings.slots,
            **QUIET,
        )
        # Stop also frees the controls where the answer still waits for its place: then nobody else would.
        freed = [[self.box, self.turns], [self.box, self.chatbot, self.turns, *buttons]]
        answered.then(self._finish, *freed, **AT_ONCE)
        # What follows a success does not follow a failure, such as a place in the queue that was refused.
        answered.failure(self._refuse, *freed, **AT_ONCE)
        self.halt.click(self._stop, None, None, **AT_ONCE).then(self._finish, *freed, **AT_ONCE)
        self._report.change(lambda r: gr.Checkbox(visible=bool(r and r["auto"])), self._report, self.auto, **AT_ONCE)
        self.clear.click(lambda: ((), [], ""), None, [self.turns, self.chatbot, self.notice], **AT_ONCE)

    def refresh(self, trigger: Any) -> None:
        """Read the adapters again when the trigger fires: some are refused only while they load."""
        where = [self.controls.corpus, self.controls.choice, *self.switches.values]
        refreshed = refresh(trigger, self._catalog, self.controls)
        refreshed.then(self.switches.choice_changed, where, self.switches.changed, **AT_ONCE)

    def _accept(
        self,
        request: gr.Request,
        text: str,
        turns: Conversation,
        report: dict[str, Any] | None,
        auto: bool,
        fine_tune: bool,
        rag: bool,
        icl: bool,
        *values: Any,
    ) -> tuple[Any, ...]:
        """Take the question from the box into the conversation, or leave it there and say what is wrong with it."""
        session = str(request.session_hash)
        try:
            if self._busy():
                raise EngineError(answering.BUSY)
            asked = make_query(self._catalog, text, values)
            choice = asked.choice
            automatic = read_automatic(report) if report and auto else None
            if automatic:
                automatic.check(asked.query)
                query = asked.query
            else:
                if fine_tune and not choice.adapter:
                    raise AdapterError(choice.why_off)
                mode = mode_name(fine_tune=fine_tune, rag=rag, icl=icl)
                query = query_in_mode(asked.query, mode, blend=asked.blend)
            query = replace(query, history=history(turns, corpus=query.corpus, task=query.task))
        except CrossfadeError as error:
            return (*[gr.skip()] * 3, render.note_html(str(error), kind="error"), *[gr.skip()] * 3)
        if not self._running.begin(session, TAB):
            raise gr.Error(answering.ALREADY, print_exception=False)
        task = choice.task
        shown = Shown(query, task.schema, waiting=answering.WAITING, automatic=automatic, form=task.form)
        turns = (*turns, shown)[-MOST_TURNS:]
        return "", all_messages(turns), turns, "", *_buttons(answering=True)

    def _answer(self, request: gr.Request, turns: Conversation) -> Iterator[tuple[Any, Any]]:
        """Stream the answer to the last question of the conversation."""
        session = str(request.session_hash)
        stop = self._running.take(session, TAB)
        if stop is None or not turns:
            yield gr.skip(), gr.skip()
            return
        try:
            yield from self._growing(turns[:-1], turns[-1], stop)
        finally:
            # Also when Gradio drops this generator because the browser went away: the engine ends with it.
            self._running.close(session, TAB)

    def _growing(self, before: Conversation, shown: Shown, stop: Event) -> Iterator[tuple[Any, Any]]:
        earlier = all_messages(before)
        try:
            for line in answering.until_ready(self._startup, stop):
                yield [*earlier, *replace(shown, waiting=line).messages()], gr.skip()
            shown = replace(shown, waiting="", error=answering.STOPPED if stop.is_set() else "")
            if not stop.is_set():
                pipeline, passages, why = answering.ready_pipeline(self._startup), None, ""
                if shown.automatic:
                    query, passages, why = choose(pipeline, shown.query, shown.automatic)
                    shown = replace(shown, query=query)
                stream = pipeline.stream(shown.query, stop=stop, passages=passages)
                with closing(answering.thinned(stream, important=lambda a: bool(a.generation.finish))) as answers:
                    for answer in answers:
                        if why:
                            answer = replace(answer, notices=(why, *answer.notices))
                        shown = replace(shown, answer=answer)
                        yield [*earlier, *shown.messages()], gr.skip()
        except Exception as error:
            shown = shown.failed(answering.sentence(error))
        yield [*earlier, *shown.messages()], (*before, shown)

    def _refuse(self, request: gr.Request, box: str, turns: Conversation) -> tuple[Any, ...]:
        """Free the controls after an answer whose place in the queue was refused, or whose writing broke down."""
        waited = self._running.waits(str(request.session_hash), TAB)
        return self._finish(request, box, turns, why=answering.BUSY if waited else answering.UNEXPECTED)

    def _finish(
        self, request: gr.Request, box: str, turns: Conversation, why: str = answering.STOPPED
    ) -> tuple[Any, ...]:
        """Free the controls. A question that failed goes back into the box, unless something new stands there."""
        if not self._running.forget(str(request.session_hash), TAB) or not turns:
            return (gr.skip(),) * 6
        *before, shown = turns
        if shown.open:
            shown = shown.failed(why)
        turns = (*before, shown)
        text = shown.query.text if shown.error and not box.strip() else gr.skip()
        return text, all_messages(turns), turns, *_buttons(answering=False)

    def _stop(self, request: gr.Request) -> None:
        self._running.stop(str(request.session_hash), TAB)

    def _example(self, corpus: str | None, event: gr.SelectData) -> tuple[str, Any]:
        text = str(event.value["text"])
        task = next((s.task for s in suggestions_of(self._catalog) if s.text == text), "")
        key = next((c.key for c in self._catalog.choices(corpus) if c.task.name == task), None)
        return text, key or gr.skip()


def _buttons(*, answering: bool) -> tuple[Any, Any, Any]:
    return gr.Button(visible=not answering), gr.Button(visible=answering), gr.Button(interactive=not answering)
