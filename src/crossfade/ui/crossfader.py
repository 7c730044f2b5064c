"""The crossfader: one question on five mixes of two adapters, from the first alone to the second alone, in a row.

Mode, task, schema and sampling are those of the chat. Knows not how an answer is made.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from threading import Event
from typing import TYPE_CHECKING, Any

import gradio as gr

from crossfade.compare import compare
from crossfade.errors import AdapterError, CrossfadeError, QuestionError
from crossfade.types import Answer, Blend
from crossfade.ui import answering, render
from crossfade.ui.asking import Asking, ends, send_or_stop
from crossfade.ui.columns import schema_of
from crossfade.ui.controls import AT_ONCE, Asked, Catalog, Controls, make_query, offered_anew
from crossfade.ui.conversation import Conversation, Shown, blend_words, history
from crossfade.ui.language import label, language_of, say
from crossfade.ui.phrases import said
from crossfade.ui.schema_editor import SchemaEditor
from crossfade.ui.switches import Switches

if TYPE_CHECKING:
    from crossfade.startup import Startup

TAB = "crossfader"
SHARES = (0.0, 0.25, 0.5, 0.75, 1.0)
"""How much of the second adapter each of the answers has."""


@dataclass(frozen=True, slots=True)
class Step:
    """One answer of the row: how much of the second adapter is in it, and what came of it."""

    share: float
    shown: Shown

    def html(self, language: str) -> str:
        """The step as it stands."""
        shown, words, answer = self.shown, blend_words(self.shown.query.blend), ""
        if shown.answer:
            answer = render.answer_html(shown.answer, schema=shown.schema, form=shown.form, language=language)
        return "".join(
            [
                f'<div class="cf-head"><b>{self.share:.0%}</b> {render.escape(words)}</div>',
                answer,
                render.note_html(shown.waiting, kind="wait"),
                render.note_html(said(language, shown.error), kind="error"),
            ]
        )


Steps = tuple[Step, ...]


def faded(first: str, second: str, share: float) -> Blend:
    """The mix of two adapters with so much of the second, from 0 to 1; one without a weight is not in it."""
    return tuple((name, weight) for name, weight in ((first, 1 - share), (second, share)) if weight)


def steps_of(asked: Asked, first: str, second: str, *, waiting: str) -> Steps:
    """The five answers to come of one question, each to be held against the question's own schema or its task's."""
    schema, form = schema_of(asked.query, asked.choice.task)
    queries = [replace(asked.query, blend=faded(first, second, share)) for share in SHARES]
    return tuple(
        Step(share, Shown(query, schema, waiting=waiting, form=form))
        for share, query in zip(SHARES, queries, strict=True)
    )


class Crossfader:
    """Draws the folded panel into the `gr.Blocks` that is open, and answers its events."""

    def __init__(self, startup: Startup, asking: Asking, catalog: Catalog) -> None:
        self._startup, self._asking, self._catalog = startup, asking.of(TAB), catalog
        names = catalog.loaded()
        self.steps = gr.State(())
        with gr.Accordion(label("chat.fader"), open=False, elem_id="fader"):
            with gr.Row(elem_classes="cf-fader-controls"):
                self.first = gr.Dropdown(
                    names, value=names[0] if names else None, label=label("chat.fader_first"), elem_id="fader-first"
                )
                self.share = gr.Slider(
                    0, 100, value=50, step=5, label=label("chat.fader_share"), info=label("chat.fader_share_info"),
                    scale=2, elem_id="fader-share",
                )  # fmt: skip
                self.second = gr.Dropdown(
                    names,
                    value=names[1] if len(names) > 1 else None,
                    label=label("chat.fader_second"),
                    elem_id="fader-second",
                )
            with gr.Row(elem_classes="cf-fader-buttons"):
                self.ask = gr.Button(label("chat.fader_ask"), variant="primary", elem_id="fader-ask")
                self.halt = gr.Button(label("chat.stop"), variant="stop", visible=False, elem_id="fader-stop")
            self.notice = gr.HTML("", elem_id="fader-notice")
            with gr.Row(elem_classes="cf-fader", elem_id="fader-row"):
                self.cells = [
                    gr.HTML("", visible=False, elem_classes="cf-column", elem_id=f"fader-{number}")
                    for number in range(len(SHARES))
                ]

    def wire(self, controls: Controls, switches: Switches, schema: SchemaEditor, *, box: Any, turns: Any) -> None:
        """Ask with the controls of the chat; the slider sets the chat's own mix."""
        self._schema = schema
        pair = [self.first, self.second]
        drawn = [self.steps, self.notice, *self.cells, self.ask, self.halt]
        accepted = self.ask.click(
            self._accept,
            [box, turns, *pair, switches.rag, switches.icl, *schema.values, *controls.values],
            drawn,
            **AT_ONCE,
        )
        shown = [self.steps, *self.cells]
        self._asking.wire(
            accepted,
            [self.ask, self.halt],
            notice=self.notice,
            answer=self._answer,
            given=[self.steps],
            drawn=shown,
            finish=self._finish,
            left=[self.steps],
            freed=shown,
        )

        def set_mix(
            request: gr.Request,
            first: str | None,
            second: str | None,
            share: float,
            key: str | None,
            corpus: str | None,
        ) -> Any:
            mine = self._catalog.of(request)
            choice = mine.choice_if_there(corpus, key)
            if not first or not second or first == second or choice is None or not choice.adapter:
                return [gr.skip()] * (1 + len(controls.mixer.drawn))
            part = min(max(float(share or 0) / 100, 0.0), 1.0)
            weights = {choice.adapter: 0.0, first: round(1 - part, 2), second: round(part, 2)}
            return [True, *controls.mixer.draw(mine.loaded(), weights, chosen=choice.adapter)]

        self.share.release(
            set_mix,
            [*pair, self.share, controls.choice, controls.corpus],
            [switches.fine_tune, *controls.mixer.drawn],
            **AT_ONCE,
        )

    def refresh(self, trigger: Any) -> None:
        """Offer the adapters as they are when the trigger fires."""

        def offer(request: gr.Request, first: str | None, second: str | None) -> list[Any]:
            names = self._catalog.of(request).loaded()
            one = first or next(iter(names), None)
            other = second or next((name for name in names if name != one), None)
            offered = [*names, *(name for name in (one, other) if name and name not in names)]
            return [offered_anew(offered, one, first), offered_anew(offered, other, second)]

        trigger(offer, [self.first, self.second], [self.first, self.second], **AT_ONCE)

    def _accept(
        self,
        request: gr.Request,
        text: str,
        turns: Conversation,
        first: str | None,
        second: str | None,
        rag: bool,
        icl: bool,
        *values: Any,
    ) -> list[Any]:
        """Make the five answers ready: of the question in the box, or of the last one that was asked."""
        language = language_of(request)
        if not (text or "").strip() and turns:
            text = turns[-1].query.text
        try:
            self._asking.check(language)
            if not (text or "").strip():
                raise QuestionError(say(language, "chat.fader_no_question"))
            if not first or not second or first == second:
                raise AdapterError(say(language, "chat.fader_two"))
            count, mine = len(self._schema.values), self._catalog.of(request)
            asked = make_query(mine, text, values[count:], language=language)
            mine.check(((first, 1.0), (second, 1.0)), language=language)
            query = self._schema.put(asked.query, values[:count])
        except CrossfadeError as error:
            skipped = [gr.skip()] * (len(SHARES) + 2)
            return [gr.skip(), render.note_html(answering.sentence(error, language), kind="error"), *skipped]
        self._asking.begin(request)
        # A question that follows another one is asked with it, as in the chat.
        earlier = history(turns, corpus=query.corpus, task=query.task)
        asked = replace(asked, query=replace(query, rag=rag, icl=icl, history=earlier))
        steps = steps_of(asked, first, second, waiting=say(language, "chat.waiting"))
        said = f'<div class="cf-note cf-fader-asked">{render.question_html(text, language=language)}</div>'
        cells = [gr.HTML(step.html(language), visible=True) for step in steps]
        return [steps, said, *cells, *send_or_stop(answering=True)]

    def _answer(self, request: gr.Request, stop: Event, steps: Steps) -> Iterator[list[Any]]:
        """Stream the five answers."""
        language = language_of(request)
        now = list(steps)
        try:
            for line in answering.until_ready(self._startup, stop, language):
                now = [replace(step, shown=replace(step.shown, waiting=line)) for step in now]
                yield [gr.skip(), *_drawn(now, language)]
            if not stop.is_set():
                queries = [step.shown.query for step in now]
                stream = compare(answering.ready_pipeline(self._startup), queries, stop=stop)
                with closing(answering.thinned(stream, important=ends)) as results:
                    for place, result in results:
                        now[place] = _grown(now[place], result)
                        cells: list[Any] = [gr.skip()] * len(SHARES)
                        cells[place] = now[place].html(language)
                        yield [gr.skip() if now[place].shown.open else tuple(now), *cells]
                        if stop.is_set() and not now[place].shown.open:
                            break
            ended = _ended(now, say(language, "chat.stopped"))
        except Exception as error:
            ended = _ended(now, answering.sentence(error, language))
        yield [ended, *_drawn(ended, language)]

    def _finish(self, request: gr.Request, why: str, steps: Steps) -> list[Any]:
        """What is to be drawn at the end: nothing where each answer came to its own."""
        if not any(step.shown.open for step in steps):
            return [gr.skip()] * (len(SHARES) + 1)
        ended = _ended(steps, why)
        return [ended, *_drawn(ended, language_of(request))]


def _grown(step: Step, result: Answer | CrossfadeError) -> Step:
    if isinstance(result, CrossfadeError):
        return replace(step, shown=step.shown.failed(str(result)))
    return replace(step, shown=replace(step.shown, waiting="", answer=result))


def _ended(steps: Sequence[Step], why: str) -> Steps:
    return tuple(replace(step, shown=step.shown.failed(why)) if step.shown.open else step for step in steps)


def _drawn(steps: Sequence[Step], language: str) -> list[Any]:
    drawn = [step.html(language) for step in steps]
    return [*drawn, *[gr.skip()] * (len(SHARES) - len(drawn))]
