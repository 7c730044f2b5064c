"""The runs part of the Adapters tab: how a training goes, cancel, go on, and what to do with what it made.

All of it is read from the run's folder at each look, so that a page that is loaded again finds it.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import gradio as gr

from crossfade.errors import CrossfadeError, TrainingError
from crossfade.training.desk import Desk
from crossfade.training.record import Sample, TrainingProgress
from crossfade.training.run_folder import RunFolder
from crossfade.ui import answering, render
from crossfade.ui.controls import AT_ONCE
from crossfade.ui.loss_plot import loss_svg

if TYPE_CHECKING:
    from crossfade.startup import Startup

SECONDS_BETWEEN_LOOKS = 2.0
SHOWN_RUNS = 30
SHOWN_SAMPLES = 3
SAMPLE_CHARACTERS = 400
GOES = ("waiting", "running")
NOTHING = "No training yet. Choose rows and a name on the left, and press Train."


class Runs:
    """Draws the part into the `gr.Blocks` that is open. `ordered` is a State with the name of the last run ordered.

    `ended` changes where a run has ended, and with it perhaps what adapters there are.
    """

    def __init__(self, startup: Startup, desk: Desk, *, ordered: Any) -> None:
        self._startup, self._desk = startup, desk
        self.ended = gr.HTML(self._ended(), elem_classes="cf-hidden")
        names = self._names()
        self.chosen = gr.Dropdown(
            names, value=names[0][1] if names else None, label="Training", elem_id="run-chosen", filterable=False
        )
        self.shown = gr.HTML(self._html(names[0][1] if names else None), elem_id="run-shown")
        with gr.Row(elem_classes="cf-run-buttons"):
            self.cancel = gr.Button("Cancel, keep the best so far", visible=False, elem_id="run-cancel")
            self.resume = gr.Button("Go on", visible=False, elem_id="run-resume")
            self.chat = gr.Button("Chat with it", variant="primary", visible=False, elem_id="run-chat")
            self.compare = gr.Button("Compare with base", visible=False, elem_id="run-compare")
        self.notice = gr.HTML("", elem_id="run-notice")
        self.timer = gr.Timer(SECONDS_BETWEEN_LOOKS, active=self._goes())
        self._buttons = [self.cancel, self.resume, self.chat, self.compare]
        self._seen = [self.shown, *self._buttons, self.timer, self.ended]
        self.chosen.change(self._look, self.chosen, self._seen, **AT_ONCE)
        self.timer.tick(self._look, self.chosen, self._seen, **AT_ONCE)
        ordered.change(self._choose, ordered, [self.chosen, *self._seen], **AT_ONCE)
        after = [self.notice, *self._seen]
        self.cancel.click(self._cancel, self.chosen, after, **AT_ONCE)
        self.resume.click(self._resume, self.chosen, after, **AT_ONCE)

    def refresh(self, trigger: Any) -> None:
        """Find the runs again when the trigger fires, those of other pages among them."""
        trigger(lambda: self._choose(None), None, [self.chosen, *self._seen], **AT_ONCE)

    def made(self, name: str | None) -> str:
        """The name of the adapter that a run made. Raises TrainingError where it made none that is served."""
        state = self._run(name).state()
        adapter = Path(str(state.get("made") or "")).name
        card = next((card for card in self._startup.adapters if card.name == adapter), None)
        if not adapter or card is None:
            raise TrainingError("This training made no adapter that is there any more.")
        if card.refused:
            raise TrainingError(card.refused)
        return adapter

    def _names(self) -> list[tuple[str, str]]:
        runs = self._desk.runs()[:SHOWN_RUNS]
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

    def _run(self, name: str | None) -> RunFolder:
        run = next((run for run in self._desk.runs() if run.path.name == name), None)
        if run is None:
            raise TrainingError("This training is not there any more.")
        return run

    def _choose(self, name: str | None) -> list[Any]:
        names = self._names()
        name = name or (names[0][1] if names else None)
        return [gr.Dropdown(choices=names, value=name), *self._look(name)]

    def _look(self, name: str | None) -> list[Any]:
        """What there is to see of a run, its buttons, and whether to look again."""
        try:
            run = self._run(name)
            state = run.state()
        except TrainingError:
            return [self._html(name), *([gr.Button(visible=False)] * 4), gr.Timer(active=False), self._ended()]
        goes = self._is_going(run)
        left = state["state"] == "waiting" and not goes
        made = Path(str(state.get("made") or ""))
        pipeline = self._startup.pipeline
        there = bool(made.name) and pipeline is not None and made.name in pipeline.engine.adapters
        return [
            self._html(name),
            gr.Button(visible=goes),
            gr.Button(visible=left or state["state"] in ("interrupted", "failed")),
            gr.Button(visible=there),
            gr.Button(visible=there),
            gr.Timer(active=self._goes()),
            self._ended(),
        ]

    def _cancel(self, name: str | None) -> list[Any]:
        try:
            self._desk.cancel(self._run(name))
            told = render.note_html("Ending after the step under way.", kind="wait")
        except CrossfadeError as error:
            told = render.note_html(str(error), kind="error")
        return [told, *self._look(name)]

    def _resume(self, name: str | None) -> list[Any]:
        try:
            self._desk.resume(self._run(name))
            told = ""
        except CrossfadeError as error:
            told = render.note_html(str(error), kind="error")
        return [told, *self._look(name)]

    def _html(self, name: str | None) -> str:
        try:
            return run_html(self._run(name), before=self._before(name)) if name else render.note_html(NOTHING)
        except (CrossfadeError, OSError) as error:
            return render.note_html(answering.sentence(error), kind="error")

    def _before(self, name: str | None) -> int:
        names = [run.path.name for run in self._desk.waiting()]
        return names.index(name) + 1 if name in names else 0


def run_html(run: RunFolder, *, before: int = 0) -> str:
    """A run as it stands: state, bar, curves, speed and samples. `before` trainings come first where it waits."""
    about, state, progress = run.about(), run.state(), run.progress()
    words = {
        "waiting": f"Waits for {before} before it." if before > 1 else "Waits, or loads the base.",
        "running": "Trains." if progress else "Makes the rows and loads the base.",
        "done": "Done.",
        "cancelled": "Cancelled; the best so far was kept." if state.get("made") else "Cancelled.",
        "failed": "Failed.",
        "interrupted": "Interrupted; it can go on from its last checkpoint.",
    }[state["state"]]
    title = render.escape(f"{about.get('name', run.path.name)}: {about.get('method', '')} on {about.get('data', '')}")
    parts = [f'<div class="cf-run"><h3>{title}</h3><p class="cf-state cf-{state["state"]}" role="status">{words}</p>']
    if state["state"] == "failed":
        parts.append(render.note_html(str(state.get("message", "")), kind="error"))
    elif state["state"] in ("done", "cancelled") and about.get("method") == "full" and state.get("made"):
        told = f"It is a base of its own. Start Crossfade with --base {state['made']} to chat with it."
        parts.append(render.note_html(told))
    if progress:
        parts += [_progress_html(progress, state["state"]), _curves(run, progress)]
    parts += [_samples_html(run.samples()), "</div>"]
    return "".join(parts)


def _progress_html(progress: list[TrainingProgress], state: str) -> str:
    last = progress[-1]
    told = f"Step {last.step} of {last.steps}, {last.tokens_per_second:.0f} tokens/s, {last.seconds / 60:.1f} min"
    if state == "running" and last.step < last.steps:
        left = last.seconds_left
        told += f", about {f'{left / 60:.0f} min' if left >= 90 else f'{max(1, left):.0f} s'} left"
    bar = f'<progress max="{last.steps}" value="{last.step}" aria-label="Steps made"></progress>'
    return (
        f'<div class="cf-progress">{bar}{render.note_html(told, kind="wait" if state == "running" else "note")}</div>'
    )


def _curves(run: RunFolder, progress: list[TrainingProgress]) -> str:
    held_out = run.held_out()
    kept = min(((loss, step) for step, loss in held_out if step), default=(0.0, 0))[1]
    learned = [(p.step, p.loss) for p in progress]
    svg = loss_svg(learned, held_out, steps=progress[-1].steps, kept=kept)
    measured = ", ".join(f"{loss:.3f}" for _, loss in (held_out[:1] + held_out[-1:] if len(held_out) > 1 else held_out))
    told = f'<span class="cf-key-held-out">held-out rows</span> {measured}' if held_out else ""
    return f'{svg}<p class="cf-key"><span class="cf-key-learned">learned rows</span> {told} (nats a token, by step)</p>'


def _samples_html(samples: list[Sample]) -> str:
    """The last answers to held-out rows, beside what was wanted and what was answered before the training."""
    if not samples:
        return ""
    last = max(s.step for s in samples)
    first = {s.prompt: s.answer for s in samples if s.step == 0}
    rows = []
    for sample in [s for s in samples if s.step == last][:SHOWN_SAMPLES]:
        asked = sample.prompt.rpartition("\nuser\n")[2].rpartition("\nassistant")[0] or sample.prompt
        answers = (sample.wanted, first.get(sample.prompt, ""), sample.answer)
        cells = [_end(asked), *map(_short, answers)]
        rows.append("<tr>" + "".join(f"<td>{cell}</td>" for cell in cells) + "</tr>")
    head = "".join(f"<th>{name}</th>" for name in ("Asked", "Wanted", "Before", f"At step {last}"))
    return f'<div class="cf-samples"><table><tr>{head}</tr>{"".join(rows)}</table></div>'


def _end(text: str) -> str:
    """The end of what was asked: there the question stands."""
    return render.escape(text if len(text) <= SAMPLE_CHARACTERS else "… " + text[-SAMPLE_CHARACTERS:])


def _short(text: str) -> str:
    cut = text if len(text) <= SAMPLE_CHARACTERS else text[:SAMPLE_CHARACTERS] + " …"
    return render.escape(cut)
