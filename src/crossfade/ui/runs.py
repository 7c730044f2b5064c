"""The runs part of the Adapters tab: how a training goes, cancel, go on, delete, and what to do with what it made.

All of it is read from the run's folder at each look, so that a page that is loaded again finds it, and one that is open
finds what another page, or a command, has begun. Where others open the page, each visitor has the runs they ordered.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import gradio as gr

from crossfade.errors import CrossfadeError, TrainingError
from crossfade.training.desk import Desk
from crossfade.training.run_folder import RunFolder
from crossfade.ui import answering, render
from crossfade.ui.controls import AT_ONCE
from crossfade.ui.language import label, language_of, say
from crossfade.ui.owner import person_of
from crossfade.ui.run_view import run_html

if TYPE_CHECKING:
    from crossfade.startup import Startup

SECONDS_BETWEEN_LOOKS = 2.0
SECONDS_BETWEEN_ASKING = 5.0
"""How often a page asks whether another one ordered a training; where none did, nothing is read and nothing drawn."""
SHOWN_RUNS = 30
GOES = ("waiting", "running")


class Runs:
    """Draws the part into the `gr.Blocks` that is open. `ordered` is a State with the name of the last run ordered.

    `ended` changes where a run has ended, and with it perhaps what adapters there are.
    """

    def __init__(self, startup: Startup, desk: Desk, *, ordered: Any) -> None:
        self._startup, self._desk = startup, desk
        self.ended = gr.HTML(self._ended(), elem_classes="cf-hidden")
        names = self._names(None)
        self.chosen = gr.Dropdown(
            names,
            value=names[0][1] if names else None,
            label=label("training.run"),
            elem_id="run-chosen",
            filterable=False,
        )
        self.shown = gr.HTML(self._html(None, names[0][1] if names else None, "en"), elem_id="run-shown")
        with gr.Row(elem_classes="cf-run-buttons"):
            self.cancel = gr.Button(label("training.cancel"), visible=False, elem_id="run-cancel")
            self.resume = gr.Button(label("training.resume"), visible=False, elem_id="run-resume")
            self.chat = gr.Button(label("training.chat"), variant="primary", visible=False, elem_id="run-chat")
            self.compare = gr.Button(label("training.compare"), visible=False, elem_id="run-compare")
            self.delete = gr.Button(label("training.delete_run"), visible=False, elem_id="run-delete")
        self._asked = gr.State(None)
        with gr.Column(visible=False, elem_id="run-sure") as self.sure:
            self.question = gr.HTML("", elem_id="run-question")
            with gr.Row(elem_classes="cf-run-buttons"):
                self.really = gr.Button(label("training.really"), variant="stop", elem_id="run-really")
                self.keep = gr.Button(label("training.keep"), elem_id="run-keep")
        self.notice = gr.HTML("", elem_id="run-notice")
        self.timer = gr.Timer(SECONDS_BETWEEN_LOOKS, active=self._goes())
        self.asking, self.known = gr.Timer(SECONDS_BETWEEN_ASKING), gr.State(desk.mark())
        self._buttons = [self.cancel, self.resume, self.chat, self.compare, self.delete]
        self._seen = [self.shown, *self._buttons, self.timer, self.ended]
        self.chosen.change(self._look, self.chosen, self._seen, **AT_ONCE)
        self.timer.tick(self._look, self.chosen, self._seen, **AT_ONCE)
        ordered.change(self._choose, ordered, [self.chosen, *self._seen], **AT_ONCE)
        found = [self.known, self.chosen, *self._seen]
        self.asking.tick(self._ask, [self.known, self.chosen], found, **AT_ONCE)
        after = [self.notice, *self._seen]
        self.cancel.click(self._cancel, self.chosen, after, **AT_ONCE)
        self.resume.click(self._resume, self.chosen, after, **AT_ONCE)
        self.delete.click(self._ask_first, self.chosen, [self._asked, self.question, self.sure], **AT_ONCE)
        self.really.click(self._delete, self._asked, [self.sure, self.notice, self.chosen, *self._seen], **AT_ONCE)
        for away in (self.keep.click, self.chosen.change):  # what was asked about is what is shown
            away(lambda: gr.Column(visible=False), None, self.sure, **AT_ONCE)

    def refresh(self, trigger: Any) -> None:
        """Find the runs again when the trigger fires, those of other pages among them."""
        trigger(self._newest, None, [self.known, self.chosen, *self._seen], **AT_ONCE)

    def made(self, request: gr.Request, name: str | None) -> str:
        """The name of the adapter that a run made. Raises TrainingError where it made none that is served."""
        state = self._run(request, name).state()
        adapter = Path(str(state.get("made") or "")).name
        card = next((card for card in self._startup.adapters if card.name == adapter), None)
        if not adapter or card is None:
            raise TrainingError("This training made no adapter that is there any more.")
        if card.refused:
            raise TrainingError(card.refused)
        return adapter

    def _own(self, request: gr.Request | None) -> list[RunFolder]:
        """The runs of who asks, or, while the page is built, those that it may show to all."""
        person = person_of(request, self._startup.settings)
        return [run for run in self._desk.runs() if person is None or (person and run.owner == person)]

    def _names(self, request: gr.Request | None) -> list[tuple[str, str]]:
        runs = self._own(request)[:SHOWN_RUNS]
        return [(f"{run.path.name} ({run.about().get('method', '?')})", run.path.name) for run in runs]

    def _goes(self) -> bool:
        return self._desk.is_busy or any(self._is_going(run) for run in self._desk.runs()[:SHOWN_RUNS])

    def _is_going(self, run: RunFolder) -> bool:
        state = run.state()["state"]
        return state == "running" or (state == "waiting" and self._desk.knows(run))

    def _ended(self) -> str:
        """The runs that have ended, and the adapters that are there by now: those are read after the end is told."""
        ended = sum(run.state()["state"] not in GOES for run in self._desk.runs()[:SHOWN_RUNS])
        return f"{ended} {len(self._startup.adapters)}"

    def _run(self, request: gr.Request | None, name: str | None) -> RunFolder:
        run = next((run for run in self._own(request) if run.path.name == name), None)
        if run is None:
            raise TrainingError("This training is not there any more.")
        return run

    def _newest(self, request: gr.Request) -> list[Any]:
        return [self._desk.mark(), *self._choose(request, None)]

    def _ask(self, request: gr.Request, known: str, chosen: str | None) -> list[Any]:
        """Where a run was ordered since, show it, unless the one that is shown still goes: then offer it."""
        mark = self._desk.mark()
        if mark == known:
            return [gr.skip()] * (2 + len(self._seen))
        shown = next((run for run in self._own(request) if run.path.name == chosen), None)
        return [mark, *self._choose(request, chosen if shown and self._is_going(shown) else None)]

    def _choose(self, request: gr.Request, name: str | None) -> list[Any]:
        names = self._names(request)
        name = name or (names[0][1] if names else None)
        return [gr.Dropdown(choices=names, value=name), *self._look(request, name)]

    def _look(self, request: gr.Request, name: str | None) -> list[Any]:
        """What there is to see of a run, its buttons, and whether to look again."""
        language = language_of(request)
        try:
            run = self._run(request, name)
            state = run.state()
        except TrainingError:
            return [
                self._html(request, name, language),
                *([gr.Button(visible=False)] * len(self._buttons)),
                gr.Timer(active=False),
                self._ended(),
            ]
        goes = self._is_going(run)
        made = Path(str(state.get("made") or ""))
        pipeline = self._startup.pipeline
        there = bool(made.name) and pipeline is not None and made.name in pipeline.engine.adapters
        return [
            self._html(request, name, language),
            gr.Button(visible=goes),
            gr.Button(visible=not goes and run.can_go_on),
            gr.Button(visible=there),
            gr.Button(visible=there),
            gr.Button(visible=not goes),
            gr.Timer(active=self._goes()),
            self._ended(),
        ]

    def _cancel(self, request: gr.Request, name: str | None) -> list[Any]:
        try:
            self._desk.cancel(self._run(request, name))
            told = render.note_html(say(language_of(request), "training.ending"), kind="wait")
        except CrossfadeError as error:
            told = render.note_html(answering.sentence(error, language_of(request)), kind="error")
        return [told, *self._look(request, name)]

    def _resume(self, request: gr.Request, name: str | None) -> list[Any]:
        try:
            self._desk.resume(self._run(request, name))
            told = ""
        except CrossfadeError as error:
            told = render.note_html(answering.sentence(error, language_of(request)), kind="error")
        return [told, *self._look(request, name)]

    def _ask_first(self, request: gr.Request, name: str | None) -> list[Any]:
        question = render.note_html(say(language_of(request), "training.delete_run_sure", run=name or ""))
        return [name, question, gr.Column(visible=bool(name))]

    def _delete(self, request: gr.Request, name: str | None) -> list[Any]:
        language = language_of(request)
        try:
            self._desk.delete(self._run(request, name))
        except CrossfadeError as error:
            told = render.note_html(answering.sentence(error, language), kind="error")
            return [gr.Column(visible=False), told, gr.skip(), *self._look(request, name)]
        told = render.note_html(say(language, "training.run_deleted", run=name))
        return [gr.Column(visible=False), told, *self._choose(request, None)]

    def _html(self, request: gr.Request | None, name: str | None, language: str) -> str:
        try:
            if not name:
                return render.note_html(say(language, "training.none_yet"))
            run = self._run(request, name)
            return run_html(run, language, before=self._desk.before(run) if self._desk.knows(run) else None)
        except (CrossfadeError, OSError) as error:
            return render.note_html(answering.sentence(error, language), kind="error")
