"""The evaluate tab: a set of questions through every mode, with its report. Knows not how it is measured or drawn."""

from __future__ import annotations

from collections.abc import Iterator
from queue import SimpleQueue
from threading import Event, Thread
from typing import TYPE_CHECKING, Any

import gradio as gr

from crossfade.errors import CrossfadeError, QuestionError
from crossfade.evaluation.auto import AUTO
from crossfade.evaluation.card_scores import keep_scores
from crossfade.evaluation.measure import evenly, has_auto, make_columns, measure
from crossfade.evaluation.questions import QuestionSet
from crossfade.evaluation.report import Report, as_json
from crossfade.evaluation.run import RunProgress
from crossfade.types import MODES
from crossfade.ui import answering, render
from crossfade.ui.asked import PASTED, questions_of
from crossfade.ui.asked_blends import blends_of, is_there
from crossfade.ui.compare import ALL_MODES
from crossfade.ui.controls import AT_ONCE, QUIET, Catalog, corpus_and_choice, offered_anew
from crossfade.ui.drafting import Drafting
from crossfade.ui.earlier import Earlier
from crossfade.ui.extras import Extras
from crossfade.ui.language import label, language_of, say
from crossfade.ui.owner import person_of
from crossfade.ui.report_view import progress_html, report_html
from crossfade.ui.running import Running

if TYPE_CHECKING:
    from crossfade.startup import Startup

TAB = "evaluate"


class EvaluateTab:
    """Draws the tab into the `gr.Blocks` that is open, and answers its events."""

    def __init__(self, startup: Startup, running: Running, *, report: Any) -> None:
        """`report` is the session's last report as JSON, which this tab makes."""
        self._startup, self._running, self.report = startup, running, report
        self._catalog = Catalog(startup)
        self._draw()
        self._wire()

    def _draw(self) -> None:
        with gr.Row():
            with gr.Column(scale=3, min_width=320):
                self.source = gr.Dropdown(
                    self._sources(None, "en"),
                    value=next(iter([*self._sets(None), PASTED])),
                    label=label("evaluate.questions"),
                    elem_id="evaluate-source",
                )
                self.pasted = gr.Textbox(
                    label=label("evaluate.your_questions"),
                    info=label("evaluate.paste_help"),
                    lines=6,
                    max_lines=14,
                    visible=not self._sets(None),
                    elem_id="evaluate-pasted",
                )
                self.modes = gr.CheckboxGroup(
                    [*ALL_MODES, AUTO],
                    value=list(MODES),
                    label=label("evaluate.modes"),
                    info=label("evaluate.modes_info"),
                    elem_id="evaluate-modes",
                )
                with gr.Accordion(label("evaluate.drafts"), open=False, elem_id="evaluate-drafts"):
                    self.drafting = Drafting(self._catalog)
                with gr.Accordion(label("evaluate.earlier"), open=False, elem_id="evaluate-earlier"):
                    self.earlier = Earlier(self.report)
                with gr.Accordion(label("evaluate.extras"), open=False, elem_id="evaluate-extras"):
                    self.extras = Extras(self._startup.settings)
                with gr.Row(elem_classes="cf-ask"):
                    self.limit = gr.Number(
                        50,
                        label=label("evaluate.limit"),
                        info=label("evaluate.limit_info"),
                        precision=0,
                        minimum=0,
                        elem_id="evaluate-limit",
                    )
                    size: dict[str, Any] = {"scale": 0, "min_width": 120}
                    self.send = gr.Button(label("evaluate.measure"), variant="primary", elem_id="evaluate-send", **size)
                    self.halt = gr.Button(
                        label("evaluate.stop"), variant="stop", elem_id="evaluate-stop", visible=False, **size
                    )
                self.notice = gr.HTML("", elem_id="evaluate-notice")
            with gr.Column(scale=1, min_width=280, elem_classes="cf-side"):
                self.corpus, self.choice = corpus_and_choice(self._catalog)
                self.others = gr.Dropdown(
                    self._catalog.loaded(),
                    value=[],
                    multiselect=True,
                    allow_custom_value=True,
                    label=label("evaluate.more_adapters"),
                    info=label("evaluate.more_adapters_info"),
                    elem_id="evaluate-adapters",
                )
        self.shown = gr.HTML("", elem_id="evaluate-report")

    def _wire(self) -> None:
        self.source.change(lambda s: gr.Textbox(visible=s == PASTED), self.source, self.pasted, **AT_ONCE)
        self.corpus.change(self._corpus_changed, self.corpus, [self.choice, self.source], **AT_ONCE)
        self.choice.change(self._own_set, [self.corpus, self.choice, self.source], self.source, **AT_ONCE)
        self.drafting.wire(self.corpus, self.source, self.pasted)
        self.earlier.wire(self.shown, report_html)
        buttons = [self.send, self.halt]
        accepted = self.send.click(self._accept, None, [self.notice, *buttons], **AT_ONCE)
        inputs = [self.source, self.pasted, self.modes, self.limit, self.corpus, self.choice]
        inputs += [self.others, *self.extras.values]
        measured = accepted.success(
            self._measure,
            inputs,
            [self.report, self.shown, self.notice],
            concurrency_id=TAB,
            concurrency_limit=1,
            **QUIET,
        )
        freed = [self.notice, *buttons]
        measured.then(self._finish, None, freed, **AT_ONCE)
        measured.failure(self._finish, None, freed, **AT_ONCE)
        # Stop also frees the page where the run still waits for its turn: then nobody else would.
        self.halt.click(self._stop, None, self.notice, **AT_ONCE).then(self._finish, None, freed, **AT_ONCE)

    def refresh(self, trigger: Any) -> None:
        """Read the adapters again when the trigger fires: some are refused only while they load."""

        def offer(request: gr.Request, corpus: str | None, key: str | None, others: list[str] | None) -> list[Any]:
            mine = self._catalog.of(request)
            offered = mine.offered_with(corpus, key, language=language_of(request))
            choice = offered_anew(offered, offered[0][1] if key is None else key, key) if offered else gr.skip()
            loaded = mine.loaded()
            kept = [text for text in others or [] if is_there(text, loaded)]
            return [choice, offered_anew(loaded, kept, others or [])]

        trigger(offer, [self.corpus, self.choice, self.others], [self.choice, self.others], **AT_ONCE)

    def greet(self, trigger: Any) -> None:
        """Draw what the browser does not translate in the reader's language when the trigger fires."""

        def drawn(request: gr.Request, corpus: str | None) -> Any:
            return gr.Dropdown(choices=self._sources(corpus, language_of(request)))

        trigger(drawn, self.corpus, self.source, **AT_ONCE)
        self.drafting.greet(trigger)
        self.earlier.greet(trigger)

    def _sources(self, corpus: str | None, shown: str) -> list[tuple[str, str]]:
        """(label, value) of each set of questions; a person's own come last."""
        return [*((name, name) for name in self._sets(corpus)), (say(shown, "evaluate.pasted"), PASTED)]

    def _sets(self, corpus: str | None) -> list[str]:
        """The names of the question sets that lie in a corpus."""
        try:
            return [path.name for path in self._catalog.corpus(corpus).question_sets]
        except CrossfadeError:
            return []

    def _own_set(self, request: gr.Request, corpus: str | None, key: str | None, source: str | None) -> Any:
        """The set of the chosen task, in place of that of another one, which would score nothing of it."""
        choice = self._catalog.of(request).choice_if_there(corpus, key)
        if choice is None or not choice.task.questions:
            return gr.skip()
        tasks = self._catalog.corpus(corpus).tasks.values()
        return choice.task.questions if source in [task.questions for task in tasks] else gr.skip()

    def _corpus_changed(self, request: gr.Request, corpus: str | None) -> list[Any]:
        language = language_of(request)
        offered = self._catalog.of(request).offered(corpus, language=language)
        sources = self._sources(corpus, language)
        return [
            gr.Dropdown(choices=offered, value=offered[0][1] if offered else None),
            gr.Dropdown(choices=sources, value=sources[0][1]),
        ]

    def _accept(self, request: gr.Request) -> list[Any]:
        if not self._running.begin(str(request.session_hash), TAB):
            raise gr.Error(say(language_of(request), "evaluate.already"), print_exception=False)
        waiting = render.note_html(say(language_of(request), "evaluate.waiting"), kind="wait")
        return [waiting, gr.Button(visible=False), gr.Button(visible=True)]

    def _measure(
        self,
        request: gr.Request,
        source: str | None,
        pasted: str | None,
        modes: list[str],
        limit: float | None,
        corpus_name: str | None,
        key: str | None,
        others: list[str] | None,
        *extras: Any,
    ) -> Iterator[list[Any]]:
        """Measure, telling how far it is, then show the report; a stopped run is reported as far as it came."""
        session, shown = str(request.session_hash), language_of(request)
        stop = self._running.take(session, TAB)
        if stop is None:
            yield [gr.skip()] * 3
            return
        try:
            mine, person = self._catalog.of(request), person_of(request, self._startup.settings)
            corpus = mine.corpus(corpus_name)
            choice = mine.choice(corpus.name, key, language=shown)
            blends = blends_of(mine, choice.adapter, others or [], shown)
            asked = questions_of(corpus, source or PASTED, pasted or "", language=shown)
            columns = make_columns([m for m in (*ALL_MODES, AUTO) if m in modes], blends)
            if not columns:
                raise QuestionError(say(shown, "evaluate.no_mode"))
            extra = self.extras.read(extras)
            for _ in answering.until_ready(self._startup, stop):
                waits = render.note_html(say(shown, "evaluate.loading"), kind="wait")
                yield [gr.skip(), gr.skip(), waits]
            if stop.is_set():
                yield [gr.skip(), gr.skip(), render.note_html(say(shown, "evaluate.stopped"))]
                return
            told: SimpleQueue[RunProgress | Report | Exception] = SimpleQueue()

            def work() -> None:
                try:
                    report = measure(
                        answering.ready_pipeline(self._startup),
                        evenly(asked.questions, max(0, int(limit or 0))),
                        columns,
                        name=source if source and source != PASTED else "pasted",
                        corpus=corpus,
                        task=choice.task,
                        settings=self._startup.settings,
                        at_once=max(1, self._startup.settings.slots - 1),
                        prices=extra.prices,
                        judge=extra.judge,
                        votes=extra.votes,
                        auto=has_auto(modes),
                        training_seconds={c.name: 60 * c.minutes for c in self._startup.adapters},
                        stop=stop,
                        progress=told.put,
                    )
                    self._keep_scores(report, person)
                    told.put(report)
                except Exception as error:
                    told.put(error)

            Thread(target=work, daemon=True, name="evaluation").start()
            yield from self._told(told, stop, asked, shown)
        except Exception as error:
            yield [gr.skip(), gr.skip(), render.note_html(answering.sentence(error, shown), kind="error")]
        finally:
            self._running.close(session, TAB)

    def _keep_scores(self, report: Report, person: str | None) -> None:
        if keep_scores(report, self._startup.settings, person=person):
            self._startup.refresh_adapters()

    def _told(
        self, told: SimpleQueue[RunProgress | Report | Exception], stop: Event, asked: QuestionSet, shown: str
    ) -> Iterator[list[Any]]:
        for item in answering.thinned(_each(told), important=lambda i: not isinstance(i, RunProgress)):
            if isinstance(item, RunProgress):
                yield [gr.skip(), gr.skip(), progress_html(item, shown)]
            elif isinstance(item, Exception):
                raise item
            else:
                notes = [say(shown, "evaluate.stopped_part")] if stop.is_set() else []
                if asked.unknown_fields:
                    names = ", ".join(asked.unknown_fields)
                    notes.append(say(shown, "evaluate.passed_over", names=names))
                yield [as_json(item), report_html(item, shown), render.note_html(" ".join(notes))]
                return

    def _finish(self, request: gr.Request) -> list[Any]:
        session = str(request.session_hash)
        waited = self._running.waits(session, TAB)
        # A run may be forgotten already, where the connection was lost for a while: its page is freed all the same.
        if not self._running.forget(session, TAB) and self._running.under_way(session, TAB):
            return [gr.skip()] * 3
        note = render.note_html(say(language_of(request), "evaluate.stopped")) if waited else gr.skip()
        return [note, gr.Button(visible=True), gr.Button(visible=False)]

    def _stop(self, request: gr.Request) -> str:
        self._running.stop(str(request.session_hash), TAB)
        return render.note_html(say(language_of(request), "evaluate.stopping"), kind="wait")


def _each(told: SimpleQueue[RunProgress | Report | Exception]) -> Iterator[RunProgress | Report | Exception]:
    while True:
        yield told.get()
