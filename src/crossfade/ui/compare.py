"""The compare tab: one question through two to six columns, side by side. Knows not how an answer is made.

What can be done with a comparison that has ended is offered after that.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from functools import partial
from threading import Event
from typing import TYPE_CHECKING, Any

import gradio as gr

from crossfade.compare import MAX_COLUMNS, compare, fair_order
from crossfade.errors import CrossfadeError
from crossfade.history.database import Database
from crossfade.ui import answering, render
from crossfade.ui.afterwards import Afterwards
from crossfade.ui.asking import Asking, ends, send_or_stop
from crossfade.ui.column_choice import ALL_MODES as ALL_MODES
from crossfade.ui.column_choice import ColumnChoice
from crossfade.ui.columns import Column, Columns, ColumnSettings, end_open, make_columns, settings_of
from crossfade.ui.columns_text import question_of
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
from crossfade.ui.language import label, language_of, say
from crossfade.ui.mixer import Mixer
from crossfade.ui.running import Running
from crossfade.ui.schema_editor import SchemaEditor
from crossfade.ui.suggestions import Suggestion, suggestions_of

if TYPE_CHECKING:
    from crossfade.startup import Startup

TAB = "compare"


class CompareTab:
    """Draws the tab into the `gr.Blocks` that is open, and answers its events."""

    def __init__(self, startup: Startup, running: Running, *, busy: Callable[[], bool], database: Database) -> None:
        self._startup = startup
        self._asking = Asking(startup, running, TAB, busy=busy)
        self._catalog = Catalog(startup)
        self._draw(database)
        self._wire()

    def _draw(self, database: Database) -> None:
        self.asked = gr.State(())
        self.comparison = gr.State("")
        with gr.Row(elem_classes="cf-compare"):
            with gr.Column(scale=3, min_width=320):
                self.opened = gr.HTML("", elem_id="compare-opened")
                self.go_on = gr.Button(label("compare.continue"), visible=False, elem_id="compare-continue")
                self._draw_question()
                self.choice = ColumnChoice(self._catalog)
                self.modes = self.choice.modes
                with gr.Row(elem_classes="cf-examples"):
                    self.examples = [(gr.Button(_short(s.text), size="sm"), s) for s in suggestions_of(self._catalog)]
            with gr.Column(scale=1, min_width=280, elem_classes="cf-side"):
                corpus, choice = corpus_and_choice(self._catalog)
                mixer = Mixer(self._catalog.loaded())
                self.controls = Controls(corpus, choice, *answer_settings(self._catalog), mixer)
                self.schema = SchemaEditor(self._catalog, name="compare")
        with gr.Row(elem_classes="cf-columns", elem_id="compare-columns"):
            self.columns = [
                gr.HTML("", visible=False, min_width=230, elem_classes="cf-column", elem_id=f"column-{n}")
                for n in range(MAX_COLUMNS)
            ]
        self.after = Afterwards(database, asked=self.asked, comparison=self.comparison)

    def _draw_question(self) -> None:
        with gr.Row(elem_classes="cf-ask"):
            self.box = gr.Textbox(
                label=label("compare.question"),
                placeholder=label("compare.question"),
                show_label=False,
                container=False,
                lines=1,
                max_lines=8,
                scale=5,
                min_width=160,
                elem_id="compare-question",
            )
            size: dict[str, Any] = {"scale": 0, "min_width": 100}
            self.send = gr.Button(label("compare.send"), variant="primary", elem_id="compare-send", **size)
            self.halt = gr.Button(label("compare.stop"), variant="stop", elem_id="compare-stop", visible=False, **size)
        self.notice = gr.HTML("", elem_id="compare-notice")

    def _wire(self) -> None:
        wire(self._catalog, self.controls)
        self.choice.wire(self.controls.corpus)
        self.schema.wire(self.controls.corpus)
        for button, suggestion in self.examples:
            button.click(self._example(suggestion), self.controls.corpus, [self.box, self.controls.choice], **AT_ONCE)
        buttons = [self.send, self.halt]
        accepted = gr.on(
            [self.send.click, self.box.submit],
            self._accept,
            [self.box, *self.choice.values, *self.schema.values, *self.controls.values],
            [self.asked, self.comparison, *self._banner, *self.after.areas, self.notice, *self.columns, *buttons],
            **AT_ONCE,
        )
        shown = [self.asked, *self.columns]
        ended = self._asking.wire(
            accepted,
            buttons,
            notice=self.notice,
            answer=self._answer,
            given=[self.asked, self.comparison],
            drawn=shown,
            finish=self._finish,
            left=[self.asked, self.comparison],
            freed=[*shown, self.notice],
        )
        for end in ended:
            self.after.offer(end.then)
        self.go_on.click(
            self._continue,
            self.asked,
            [
                *[self.box, self.controls.corpus, self.controls.top_p, self.controls.instructions],
                *[*self._banner, *self.schema.drawn, *self.choice.drawn],
            ],
            **AT_ONCE,
        )

        put_away = [self.asked, self.comparison, *self._banner, *self.after.areas, self.notice, *self.columns]
        self.after.last.clear.click(self._clear, None, put_away, **AT_ONCE)

    def load(self, load: Any, tabs: Any) -> None:
        """When the page loads, open what its link leads to or what was compared last, and what was voted and shared."""
        opened = load(self._open, None, [tabs, self.asked, self.comparison, *self._banner, *self.columns], **AT_ONCE)
        self.after.offer(opened.then)
        self.after.load(load)

    def refresh(self, trigger: Any) -> None:
        """Read the adapters again when the trigger fires: some are refused only while they load."""
        refresh(trigger, self._catalog, self.controls)
        self.choice.cards.refresh(trigger, self.controls.corpus)
        self.schema.refresh(trigger, self.controls.corpus)

    @property
    def _banner(self) -> list[Any]:
        return [self.opened, self.go_on]

    def _accept(self, request: gr.Request, text: str, *values: Any) -> list[Any]:
        """Make the columns ready, or say what is wrong with the question. It stays in its box in either case."""
        language = language_of(request)
        columns_end = len(self.choice.values)
        schema_end = columns_end + len(self.schema.values)
        try:
            self._asking.check(language)
            mine = self._catalog.of(request)
            asked = make_query(mine, text, values[schema_end:], language=language)
            asked = replace(asked, query=self.schema.put(asked.query, values[columns_end:schema_end]))
            wanted = self.choice.read(values[:columns_end])
            choice_of = partial(mine.choice, asked.query.corpus, language=language)
            columns = make_columns(asked, wanted, choice_of, language=language)
            mine.check(*[column.query.blend for column in columns if column.query], language=language)
        except CrossfadeError as error:
            told = render.note_html(answering.sentence(error, language), kind="error")
            return [*[gr.skip()] * (4 + len(self.after.areas)), told, *[gr.skip()] * (MAX_COLUMNS + 2)]
        self._asking.begin(request)
        comparison = secrets.token_urlsafe(16)
        note = self.after.last.begin(request, columns, comparison)
        hidden = [*_closed(), *self.after.hidden()]
        return [columns, comparison, *hidden, note, *_shown(columns, language), *send_or_stop(answering=True)]

    def _answer(self, request: gr.Request, stop: Event, columns: Columns, comparison: str) -> Iterator[list[Any]]:
        """Stream the answers, column by column."""
        now = list(columns)
        with self._asking.if_left(request, lambda: self.after.last.grow(request, tuple(now), comparison)):
            yield from self._stream(request, stop, now, comparison)

    def _stream(self, request: gr.Request, stop: Event, now: list[Column], comparison: str) -> Iterator[list[Any]]:
        """The same; what comes is written into `now`."""
        language = language_of(request)
        asked = [place for place, column in enumerate(now) if column.query]
        try:
            for line in answering.until_ready(self._startup, stop, language):
                yield _redraw([replace(c, waiting=line) if c.open else c for c in now], asked, language)
            queries = [query for column in now if (query := column.query)]
            if not stop.is_set():
                order = fair_order(len(queries), seed=comparison)
                stream = compare(answering.ready_pipeline(self._startup), queries, stop=stop, order=order)
                with closing(answering.thinned(stream, important=ends)) as results:
                    for number, result in results:
                        place = asked[number]
                        now[place] = now[place].grown(result)
                        drawn = _redraw(now, [place], language)
                        # Kept once it has ended: its citations open, and it outlives a connection that is lost.
                        if not now[place].open:
                            self.after.last.grow(request, tuple(now), comparison)  # at the end it tells what it cannot
                        yield [gr.skip() if now[place].open else tuple(now), *drawn[1:]]
                        if stop.is_set() and not now[place].open:
                            break
            now = list(end_open(now, say(language, "chat.stopped")))
        except Exception as error:
            now = list(end_open(now, answering.sentence(error, language)))
        yield [tuple(now), *_redraw(now, asked, language)[1:]]

    def _finish(self, request: gr.Request, why: str, columns: Columns, comparison: str) -> list[Any]:
        """What is to be drawn at the end: the columns that came to none."""
        left = [place for place, column in enumerate(columns) if column.open]
        columns = end_open(columns, why)
        note = self.after.last.grow(request, columns, comparison)
        return [columns, *_redraw(columns, left, language_of(request))[1:], note or gr.skip()]

    def _open(self, request: gr.Request) -> list[Any]:
        """Show the comparison that the page's link leads to, or say that there is none; without a link one's last."""
        language, found = language_of(request), self.after.shares.opened(request)
        tab, name, told = gr.Tabs(selected=TAB), "", say(language, "compare.opened")
        if found is None:
            (found, name), tab, told = self.after.last.opened(request), gr.skip(), say(language, "compare.last")
        if found is None:
            return [gr.skip()] * (5 + MAX_COLUMNS)
        if isinstance(found, str):
            told = render.note_html(found, kind="error")
            return [tab, gr.skip(), gr.skip(), told, gr.Button(visible=False), *[gr.skip()] * MAX_COLUMNS]
        question = render.question_html(question_of(found), language=language)
        banner = f'<div class="cf-opened">{render.note_html(told)}{question}</div>'
        return [tab, found, name, banner, gr.Button(visible=True), *_shown(found, language)]

    def _clear(self, request: gr.Request) -> list[Any]:
        """Put one's last comparison away, and keep it no longer."""
        areas = self.after.hidden()
        if note := self.after.last.forget(request):
            return [*[gr.skip()] * (4 + len(areas)), note, *[gr.skip()] * MAX_COLUMNS]
        return [(), "", *_closed(), *areas, "", *_shown((), language_of(request))]

    def _continue(self, request: gr.Request, columns: Columns) -> list[Any]:
        """Put question and settings of a shared comparison into the controls, to be asked anew."""
        first = next((column.query for column in columns if column.query), None)
        corpus = first.corpus if first else None
        choices = self._catalog.of(request).choices(corpus)
        wanted = [settings_of(c.query, choices) if c.query else ColumnSettings(c.mode) for c in columns]
        beside = [first.sampling.top_p, ""] if first else [gr.skip()] * 2  # each column has its own instructions
        drawn = [*self.schema.fill(first), *self.choice.fill(wanted)]
        return [question_of(columns), corpus if choices else gr.skip(), *beside, *_closed(), *drawn]

    def _example(self, suggestion: Suggestion) -> Any:
        def put(request: gr.Request, corpus: str | None) -> tuple[str, Any]:
            choices = self._catalog.of(request).choices(corpus)
            return suggestion.text, next((c.key for c in choices if c.task.name == suggestion.task), None) or gr.skip()

        return put


def _shown(columns: Columns, language: str) -> list[Any]:
    """The outputs that draw the columns, and none where there is none."""
    drawn = [gr.HTML(column.html(language), visible=True) for column in columns]
    return [*drawn, *[gr.HTML("", visible=False)] * (MAX_COLUMNS - len(columns))]


def _closed() -> list[Any]:
    """The outputs that put what a link opened away."""
    return ["", gr.Button(visible=False)]


def _redraw(columns: Sequence[Column], places: Sequence[int], language: str) -> list[Any]:
    """The outputs that draw some of the columns and leave the others: folded-out passages stay open."""
    drawn: list[Any] = [gr.skip() for _ in range(MAX_COLUMNS + 1)]
    for place in places:
        drawn[place + 1] = columns[place].html(language)
    return drawn


def _short(text: str, most: int = 70) -> str:
    return text if len(text) <= most else text[: most - 1].rstrip() + "…"
