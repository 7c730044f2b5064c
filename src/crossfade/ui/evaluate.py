"""The evaluate tab: a set of questions through every mode, with its report. Knows not how it is measured.

The report is the file that can be saved: it is shown in a frame of its own, where nothing of it can reach the page.
"""

from __future__ import annotations

import csv
import json
import tempfile
from collections.abc import Iterator
from html import escape
from pathlib import Path
from queue import SimpleQueue
from threading import Event, Thread
from typing import TYPE_CHECKING, Any

import gradio as gr

from crossfade.corpora.registry import Corpus
from crossfade.errors import CrossfadeError, QuestionError
from crossfade.evaluation.export import to_html
from crossfade.evaluation.measure import evenly, make_columns, measure
from crossfade.evaluation.questions import QuestionSet, read_questions
from crossfade.evaluation.report import Report, as_json
from crossfade.evaluation.run import RunProgress
from crossfade.types import MODES
from crossfade.ui import answering, render
from crossfade.ui.compare import ALL_MODES
from crossfade.ui.controls import AT_ONCE, QUIET, Catalog, corpus_and_choice
from crossfade.ui.drafting import PASTED, Drafting
from crossfade.ui.running import Running

if TYPE_CHECKING:
    from crossfade.startup import Startup

TAB = "evaluate"
MOST_CHARACTERS = 2_000_000
"""Of pasted questions; a longer set is measured on the command line."""
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
                    list(ALL_MODES),
                    value=list(MODES),
                    label="Modes",
                    info="All are given the same passages.",
                    elem_id="evaluate-modes",
                )
                with gr.Accordion("Draft questions from the documents", open=False, elem_id="evaluate-drafts"):
                    self.drafting = Drafting(self._catalog)
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
        self.shown = gr.HTML("", elem_id="evaluate-report")

    def _wire(self) -> None:
        self.source.change(lambda s: gr.Textbox(visible=s == PASTED), self.source, self.pasted, **AT_ONCE)
        self.corpus.change(self._corpus_changed, self.corpus, [self.choice, self.source], **AT_ONCE)
        self.drafting.wire(self.corpus, self.source, self.pasted)
        buttons = [self.send, self.halt]
        accepted = self.send.click(self._accept, None, [self.notice, *buttons], **AT_ONCE)
        inputs = [self.source, self.pasted, self.modes, self.limit, self.corpus, self.choice]
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

        def offer(corpus: str | None, key: str | None) -> Any:
            offered = self._catalog.offered_with(corpus, key)
            return gr.Dropdown(choices=offered, value=offered[0][1] if key is None else key) if offered else gr.skip()

        trigger(offer, [self.corpus, self.choice], self.choice, **AT_ONCE)

    def _sets(self, corpus: str | None) -> list[str]:
        """The names of the question sets that lie in a corpus."""
        try:
            return [path.name for path in self._catalog.corpus(corpus).question_sets]
        except CrossfadeError:
            return []

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
            asked = _questions(corpus, source or PASTED, pasted or "")
            columns = make_columns(
                [m for m in ALL_MODES if m in modes], [((choice.adapter, 1.0),)] if choice.adapter else []
            )
            if not columns:
                raise QuestionError("No mode is chosen. Tick at least one.")
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


def _questions(corpus: Corpus, source: str, pasted: str) -> QuestionSet:
    """The questions of a set in the corpus, or those that were pasted. Raises QuestionError."""
    if source != PASTED:
        path = next((path for path in corpus.question_sets if path.name == source), None)
        if path is None:
            raise QuestionError(f"There is no question set {source!r} in {corpus.name} any more. Choose another one.")
        return read_questions(path)
    if not pasted.strip():
        raise QuestionError("No question was pasted. Write at least one.")
    if len(pasted) > MOST_CHARACTERS:
        raise QuestionError(
            f"{len(pasted):,} characters were pasted; at most {MOST_CHARACTERS:,} are read here. Use crossfade eval."
        )
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"pasted.{_kind(pasted)}"
        path.write_text(_as_rows(pasted), encoding="utf-8")
        try:
            return read_questions(path)
        except QuestionError as error:
            raise QuestionError(str(error).replace(str(path), "your questions")) from None


def _kind(text: str) -> str:
    """`csv` where the first line is a header that names a question."""
    header = next(csv.reader(text.strip().splitlines()[:1]), [])
    return "csv" if {"question", "message"} & {name.strip() for name in header} else "jsonl"


def _as_rows(text: str) -> str:
    """Plain lines become JSON lines; what is CSV or JSON stays."""
    if _kind(text) == "csv":
        return text.strip() + "\n"
    lines = [line.strip() for line in text.split("\n") if line.strip()]
    rows = [line if line.startswith("{") else json.dumps({"question": line}, ensure_ascii=False) for line in lines]
    return "".join(row + "\n" for row in rows)
