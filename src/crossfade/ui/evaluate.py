"""The evaluate tab: a set of questions through every mode, with its report. Knows not how it is measured.

The report is the file that can be saved: it is shown in a frame of its own, where nothing of it can reach the page.
"""

from __future__ import annotations

from collections.abc import Iterator
from html import escape
from queue import SimpleQueue
from threading import Event, Thread
from typing import TYPE_CHECKING, Any

import gradio as gr

from crossfade.errors import CrossfadeError, QuestionError
from crossfade.evaluation.auto import AUTO
from crossfade.evaluation.export import to_html
from crossfade.evaluation.measure import evenly, has_auto, make_columns, measure
from crossfade.evaluation.questions import QuestionSet
from crossfade.evaluation.report import Report, as_json
from crossfade.evaluation.run import RunProgress
from crossfade.types import MODES
from crossfade.ui import answering, render
from crossfade.ui.asked import PASTED, questions_of
from crossfade.ui.compare import ALL_MODES
from crossfade.ui.controls import AT_ONCE, QUIET, Catalog, corpus_and_choice
from crossfade.ui.drafting import Drafting
from crossfade.ui.earlier import Earlier
from crossfade.ui.extras import Extras
from crossfade.ui.running import Running

if TYPE_CHECKING:
    from crossfade.startup import Startup

TAB = "evaluate"
PASTE_HELP = (
    "One question a line, or CSV with a header, or JSON lines: question, answers, documents, label, object, tags. "
    "Only the question is required; an empty list of answers says that no document answers."
)


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
                    [*self._sets(None), PASTED],
                    value=next(iter([*self._sets(None), PASTED])),
                    label="Questions",
                    elem_id="evaluate-source",
                )
                self.pasted = gr.Textbox(
                    label="Your questions",
                    info=PASTE_HELP,
                    lines=6,
                    max_lines=14,
                    visible=not self._sets(None),
                    elem_id="evaluate-pasted",
                )
                self.modes = gr.CheckboxGroup(
                    [*ALL_MODES, AUTO],
                    value=list(MODES),
                    label="Modes",
                    info="All are given the same passages; auto chooses among the others for each question.",
                    elem_id="evaluate-modes",
                )
                with gr.Accordion("Draft questions from the documents", open=False, elem_id="evaluate-drafts"):
                    self.drafting = Drafting(self._catalog)
                with gr.Accordion("Load a report, compare two", open=False, elem_id="evaluate-earlier"):
                    self.earlier = Earlier(self.report)
                with gr.Accordion("Prices, a judge", open=False, elem_id="evaluate-extras"):
                    self.extras = Extras(self._startup.settings)
                with gr.Row(elem_classes="cf-ask"):
                    self.limit = gr.Number(
                        50,
                        label="Questions at most",
                        info="Evenly spread; 0 asks all.",
                        precision=0,
                        minimum=0,
                        elem_id="evaluate-limit",
                    )
                    size: dict[str, Any] = {"scale": 0, "min_width": 120}
                    self.send = gr.Button("Measure", variant="primary", elem_id="evaluate-send", **size)
                    self.halt = gr.Button("Stop", variant="stop", elem_id="evaluate-stop", visible=False, **size)
                self.notice = gr.HTML("", elem_id="evaluate-notice")
            with gr.Column(scale=1, min_width=280, elem_classes="cf-side"):
                self.corpus, self.choice = corpus_and_choice(self._catalog)
                self.others = gr.Dropdown(
                    self._catalog.loaded(),
                    value=[],
                    multiselect=True,
                    label="More adapters",
                    info="Each is a column of its own in the modes that use one.",
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

        def offer(corpus: str | None, key: str | None, others: list[str] | None) -> list[Any]:
            offered = self._catalog.offered_with(corpus, key)
            choice = gr.Dropdown(choices=offered, value=offered[0][1] if key is None else key) if offered else gr.skip()
            loaded = self._catalog.loaded()
            return [choice, gr.Dropdown(choices=loaded, value=[name for name in others or [] if name in loaded])]

        trigger(offer, [self.corpus, self.choice, self.others], [self.choice, self.others], **AT_ONCE)

    def _sets(self, corpus: str | None) -> list[str]:
        """The names of the question sets that lie in a corpus."""
        try:
            return [path.name for path in self._catalog.corpus(corpus).question_sets]
        except CrossfadeError:
            return []

    def _own_set(self, corpus: str | None, key: str | None, source: str | None) -> Any:
        """The set of the chosen task, in place of that of another one, which would score nothing of it."""
        choice = self._catalog.choice_if_there(corpus, key)
        if choice is None or not choice.task.questions:
            return gr.skip()
        tasks = self._catalog.corpus(corpus).tasks.values()
        return choice.task.questions if source in [task.questions for task in tasks] else gr.skip()

    def _corpus_changed(self, corpus: str | None) -> list[Any]:
        offered, sets = self._catalog.offered(corpus), [*self._sets(corpus), PASTED]
        return [
            gr.Dropdown(choices=offered, value=offered[0][1] if offered else None),
            gr.Dropdown(choices=sets, value=sets[0]),
        ]

    def _accept(self, request: gr.Request) -> list[Any]:
        if not self._running.begin(str(request.session_hash), TAB):
            raise gr.Error(answering.ALREADY, print_exception=False)
        return [render.note_html(answering.WAITING, kind="wait"), gr.Button(visible=False), gr.Button(visible=True)]

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
        session = str(request.session_hash)
        stop = self._running.take(session, TAB)
        if stop is None:
            yield [gr.skip()] * 3
            return
        try:
            corpus = self._catalog.corpus(corpus_name)
            choice = self._catalog.choice(corpus.name, key)
            asked = questions_of(corpus, source or PASTED, pasted or "")
            adapters = filter(None, [choice.adapter, *(others or [])])
            columns = make_columns([m for m in (*ALL_MODES, AUTO) if m in modes], [((name, 1.0),) for name in adapters])
            if not columns:
                raise QuestionError("No mode is chosen. Tick at least one.")
            extra = self.extras.read(extras)
            for line in answering.until_ready(self._startup, stop):
                yield [gr.skip(), gr.skip(), render.note_html(line, kind="wait")]
            if stop.is_set():
                yield [gr.skip(), gr.skip(), render.note_html(answering.STOPPED)]
                return
            told: SimpleQueue[RunProgress | Report | Exception] = SimpleQueue()

            def work() -> None:
                try:
                    told.put(
                        measure(
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
                            auto=has_auto(modes),
                            training_seconds={c.name: 60 * c.minutes for c in self._startup.adapters},
                            stop=stop,
                            progress=told.put,
                        )
                    )
                except Exception as error:
                    told.put(error)

            Thread(target=work, daemon=True, name="evaluation").start()
            yield from self._told(told, stop, asked)
        except Exception as error:
            yield [gr.skip(), gr.skip(), render.note_html(answering.sentence(error), kind="error")]
        finally:
            self._running.close(session, TAB)

    def _told(
        self, told: SimpleQueue[RunProgress | Report | Exception], stop: Event, asked: QuestionSet
    ) -> Iterator[list[Any]]:
        for item in answering.thinned(_each(told), important=lambda i: not isinstance(i, RunProgress)):
            if isinstance(item, RunProgress):
                yield [gr.skip(), gr.skip(), progress_html(item)]
            elif isinstance(item, Exception):
                raise item
            else:
                notes = ["Stopped: what was asked until then is reported and kept."] if stop.is_set() else []
                if asked.unknown_fields:
                    notes.append(f"Passed over, for no field is named so: {', '.join(asked.unknown_fields)}.")
                yield [as_json(item), report_html(item), render.note_html(" ".join(notes))]
                return

    def _finish(self, request: gr.Request) -> list[Any]:
        session = str(request.session_hash)
        waited = self._running.waits(session, TAB)
        if not self._running.forget(session, TAB):
            return [gr.skip()] * 3
        note = render.note_html(answering.STOPPED) if waited else gr.skip()
        return [note, gr.Button(visible=True), gr.Button(visible=False)]

    def _stop(self, request: gr.Request) -> str:
        self._running.stop(str(request.session_hash), TAB)
        return render.note_html("Stopping after the answers under way …", kind="wait")


def _each(told: SimpleQueue[RunProgress | Report | Exception]) -> Iterator[RunProgress | Report | Exception]:
    while True:
        yield told.get()


def progress_html(progress: RunProgress) -> str:
    """How far a run is: a bar, the counts, the time left."""
    left = progress.seconds_left
    told = f"{progress.done:,} of {progress.total:,} answers, now {progress.column}"
    told += f", {progress.failed:,} failed" if progress.failed else ""
    told += f", about {max(1, round(left))} s left" if left is not None and left < 90 else ""
    told += f", about {left / 60:.0f} min left" if left is not None and left >= 90 else ""
    bar = f'<progress max="{progress.total}" value="{progress.done}" aria-label="Answers made"></progress>'
    return f'<div class="cf-progress">{bar}{render.note_html(told, kind="wait")}</div>'


def report_html(report: Report) -> str:
    """The report in a frame: a document of its own, that runs its own script and reaches nothing."""
    return (
        f'<iframe class="cf-report" title="Report" sandbox="allow-scripts allow-downloads" '
        f'srcdoc="{escape(to_html(report))}"></iframe>'
    )
