"""The compare tab: one question through two to six modes, side by side. Knows not how an answer is made.

Like a question of the chat, a comparison goes three steps: `_accept`, `_answer`, `_finish`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from threading import Event
from typing import TYPE_CHECKING, Any

import gradio as gr

from crossfade.compare import MAX_COLUMNS, compare
from crossfade.errors import CrossfadeError, EngineError
from crossfade.types import MODES, Answer
from crossfade.ui import answering, render
from crossfade.ui.columns import Column, Columns, end_open, make_columns
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
from crossfade.ui.mixer import Mixer
from crossfade.ui.running import Running
from crossfade.ui.suggestions import suggestions_of

if TYPE_CHECKING:
    from crossfade.startup import Startup

TAB = "compare"
ALL_MODES = (*MODES, "rag+icl", "fine-tune+icl", "hybrid+icl")


class CompareTab:
    """Draws the tab into the `gr.Blocks` that is open, and answers its events."""

    def __init__(self, startup: Startup, running: Running, *, busy: Callable[[], bool]) -> None:
        self._startup = startup
        self._running = running
        self._busy = busy
        self._catalog = Catalog(startup)
        self._draw()
        self._wire()

    def _draw(self) -> None:
        self.asked = gr.State(())
        with gr.Row(elem_classes="cf-compare"):
            with gr.Column(scale=3, min_width=320):
                with gr.Row(elem_classes="cf-ask"):
                    self.box = gr.Textbox(
                        label="One question for every mode",
                        placeholder="One question for every mode",
                        show_label=False,
                        container=False,
                        lines=1,
                        max_lines=8,
                        scale=5,
                        min_width=160,
                        elem_id="compare-question",
                    )
                    size: dict[str, Any] = {"scale": 0, "min_width": 100}
                    self.send = gr.Button("Compare", variant="primary", elem_id="compare-send", **size)
                    self.halt = gr.Button("Stop", variant="stop", elem_id="compare-stop", visible=False, **size)
                self.notice = gr.HTML("", elem_id="compare-notice")
                self.modes = gr.CheckboxGroup(
                    list(ALL_MODES),
                    value=list(MODES),
                    label=f"Modes, 2 to {MAX_COLUMNS}",
                    info="One retrieval and one seed for all.",
                    elem_id="compare-modes",
                )
                with gr.Row(elem_classes="cf-examples"):
                    self.examples = [(gr.Button(_short(s.text), size="sm"), s) for s in suggestions_of(self._catalog)]
            with gr.Column(scale=1, min_width=280, elem_classes="cf-side"):
                corpus, choice = corpus_and_choice(self._catalog)
                mixer = Mixer(self._catalog.loaded())
                self.controls = Controls(corpus, choice, *answer_settings(self._catalog), mixer)
        with gr.Row(elem_classes="cf-columns", elem_id="compare-columns"):
            self.columns = [
                gr.HTML("", visible=False, min_width=230, elem_classes="cf-column", elem_id=f"column-{n}")
                for n in range(MAX_COLUMNS)
            ]

    def _wire(self) -> None:
        wire(self._catalog, self.controls)
        for button, suggestion in self.examples:
            button.click(
                lambda corpus, s=suggestion: (s.text, self._key(corpus, s.task)),
                self.controls.corpus,
                [self.box, self.controls.choice],
                **AT_ONCE,
            )
        buttons = [self.send, self.halt]
        accepted = gr.on(
            [self.send.click, self.box.submit],
            self._accept,
            [self.box, self.modes, *self.controls.values],
            [self.asked, self.notice, *self.columns, *buttons],
            **AT_ONCE,
        )
        answered = accepted.success(
            self._answer,
            self.asked,
            [self.asked, *self.columns],
            concurrency_id=answering.QUEUE,
            concurrency_limit=self._startup.settings.slots,
            **QUIET,
        )
        # Stop also frees the controls where the comparison still waits for its place: then nobody else would.
        freed = [self.asked, [self.asked, *self.columns, *buttons]]
        answered.then(self._finish, *freed, **AT_ONCE)
        # What follows a success does not follow a failure, such as a place in the queue that was refused.
        answered.failure(self._refuse, *freed, **AT_ONCE)
        self.halt.click(self._stop, None, None, **AT_ONCE).then(self._finish, *freed, **AT_ONCE)

    def refresh(self, trigger: Any) -> None:
        """Read the adapters again when the trigger fires: some are refused only while they load."""
        refresh(trigger, self._catalog, self.controls)

    def _accept(self, request: gr.Request, text: str, modes: list[str], *values: Any) -> list[Any]:
        """Make the columns ready, or say what is wrong with the question. It stays in its box in either case."""
        try:
            if self._busy():
                raise EngineError(answering.BUSY)
            asked = make_query(self._catalog, text, values)
            columns = make_columns(asked, [mode for mode in ALL_MODES if mode in modes])
        except CrossfadeError as error:
            return [gr.skip(), render.note_html(str(error), kind="error"), *[gr.skip()] * (MAX_COLUMNS + 2)]
        if not self._running.begin(str(request.session_hash), TAB):
            raise gr.Error(answering.ALREADY, print_exception=False)
        drawn = [gr.HTML(column.html(), visible=True) for column in columns]
        rest = [gr.HTML("", visible=False)] * (MAX_COLUMNS - len(columns))
        return [columns, "", *drawn, *rest, *_buttons(answering=True)]

    def _answer(self, request: gr.Request, columns: Columns) -> Iterator[list[Any]]:
        """Stream the answers, column by column."""
        session = str(request.session_hash)
        stop = self._running.take(session, TAB)
        if stop is None:
            yield [gr.skip()] * (MAX_COLUMNS + 1)
            return
        try:
            yield from self._growing(columns, stop)
        finally:
            # Also when Gradio drops this generator because the browser went away: the engine ends with it.
            self._running.close(session, TAB)

    def _growing(self, columns: Columns, stop: Event) -> Iterator[list[Any]]:
        now = list(columns)
        asked = [place for place, column in enumerate(now) if column.query]
        try:
            for line in answering.until_ready(self._startup, stop):
                yield _redraw([replace(c, waiting=line) if c.open else c for c in now], asked)
            queries = [query for column in now if (query := column.query)]
            if not stop.is_set():
                stream = compare(answering.ready_pipeline(self._startup), queries, stop=stop)
                with closing(answering.thinned(stream, important=_ends)) as results:
                    for number, result in results:
                        place = asked[number]
                        now[place] = now[place].grown(result)
                        yield _redraw(now, [place])
                        if stop.is_set() and not now[place].open:
                            break
            now = list(end_open(now, answering.STOPPED))
        except Exception as error:
            now = list(end_open(now, answering.sentence(error)))
        yield [tuple(now), *_redraw(now, asked)[1:]]

    def _refuse(self, request: gr.Request, columns: Columns) -> list[Any]:
        """Free the controls after a comparison whose place in the queue was refused, or whose writing broke down."""
        waited = self._running.waits(str(request.session_hash), TAB)
        return self._finish(request, columns, why=answering.BUSY if waited else answering.UNEXPECTED)

    def _finish(self, request: gr.Request, columns: Columns, why: str = answering.STOPPED) -> list[Any]:
        """Free the controls."""
        if not self._running.forget(str(request.session_hash), TAB):
            return [gr.skip()] * (MAX_COLUMNS + 3)
        left = [place for place, column in enumerate(columns) if column.open]
        columns = end_open(columns, why)
        return [columns, *_redraw(columns, left)[1:], *_buttons(answering=False)]

    def _stop(self, request: gr.Request) -> None:
        self._running.stop(str(request.session_hash), TAB)

    def _key(self, corpus: str | None, task: str) -> Any:
        return next((c.key for c in self._catalog.choices(corpus) if c.task.name == task), None) or gr.skip()


def _ends(item: tuple[int, Answer | CrossfadeError]) -> bool:
    return not isinstance(item[1], Answer) or bool(item[1].generation.finish)


def _redraw(columns: Sequence[Column], places: Sequence[int]) -> list[Any]:
    """The outputs that draw some of the columns and leave the others: folded-out passages stay open."""
    drawn: list[Any] = [gr.skip() for _ in range(MAX_COLUMNS + 1)]
    for place in places:
        drawn[place + 1] = columns[place].html()
    return drawn


def _short(text: str, most: int = 70) -> str:
    return text if len(text) <= most else text[: most - 1].rstrip() + "…"


def _buttons(*, answering: bool) -> tuple[Any, Any]:
    return gr.Button(visible=not answering), gr.Button(visible=answering)
