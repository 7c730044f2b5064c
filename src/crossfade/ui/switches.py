"""The three switches of the chat with their presets, and the name of the mode that results."""

from __future__ import annotations

from typing import Any

import gradio as gr

from crossfade.types import MODES, mode_name, mode_switches
from crossfade.ui import render
from crossfade.ui.choices import Choice
from crossfade.ui.controls import AT_ONCE, Catalog, Controls

FINE_TUNE = "Answer with the adapter, trained for this task."
RAG = "Give the model passages found in the documents."
ICL = "Show the model worked examples of the task."


class Switches:
    """Draws presets and mode where it is made; `draw_boxes` draws the switches where they belong."""

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog
        self._first = next(iter(catalog.choices(None)), None)
        self._start = mode_switches("hybrid" if self._first and self._first.adapter else "rag") or (False, True, False)
        shown = mode_name(fine_tune=self._start[0], rag=self._start[1], icl=self._start[2])
        with gr.Row(elem_classes="cf-presets"):
            self.presets = [
                gr.Button(mode, size="sm", min_width=60, elem_id=f"preset-{mode}", variant=_variant(mode, shown))
                for mode in MODES
            ]
        self.mode = gr.HTML(mode_html(*self._start, choice=self._first), elem_id="chat-mode")

    def draw_boxes(self) -> None:
        """Draw the switches, each with a line that explains it."""
        fine_tune, rag, icl = self._start
        with gr.Group(elem_classes="cf-switches"):
            self.fine_tune = gr.Checkbox(
                fine_tune, label="Fine-tune", elem_id="switch-fine-tune", **_fine_tuning(self._first)
            )
            self.rag = gr.Checkbox(rag, label="RAG", info=RAG, elem_id="switch-rag")
            self.icl = gr.Checkbox(icl, label="ICL", info=ICL, elem_id="switch-icl")

    @property
    def values(self) -> list[Any]:
        """The switches, in the order fine-tune, RAG, ICL."""
        return [self.fine_tune, self.rag, self.icl]

    def wire(self, controls: Controls, *, notice: Any) -> None:
        """Let presets set the switches, and switches and adapter the mode's name. A preset that is off says why."""
        where = [controls.corpus, controls.choice]
        for mode, button in zip(MODES, self.presets, strict=True):
            button.click(self._preset(mode), where, [*self.values, notice], **AT_ONCE)
        for switch in self.values:
            switch.change(self._mode_changed, [*where, *self.values], [self.mode, *self.presets], **AT_ONCE)
        controls.choice.change(self.choice_changed, [*where, *self.values], self.changed, **AT_ONCE)

    @property
    def changed(self) -> list[Any]:
        """What `choice_changed` writes to."""
        return [self.fine_tune, self.mode, *self.presets]

    def choice_changed(self, corpus: str | None, key: str | None, fine_tune: bool, rag: bool, icl: bool) -> list[Any]:
        """Another adapter: its fine-tuning may not be possible, and then the switch says why."""
        choice = self._catalog.choice_if_there(corpus, key)
        fine_tune = fine_tune and bool(choice and choice.adapter)
        box = gr.Checkbox(value=fine_tune, **_fine_tuning(choice))
        return [box, *self._mode_changed(corpus, key, fine_tune, rag, icl)]

    def _preset(self, mode: str) -> Any:
        def press(corpus: str | None, key: str | None) -> list[Any]:
            fine_tune, rag, icl = mode_switches(mode) or (False, False, False)
            choice = self._catalog.choice_if_there(corpus, key)
            if choice and fine_tune and not choice.adapter:
                why = render.note_html(f"Mode {mode} is off. {choice.why_off}", kind="error")
                return [gr.skip(), gr.skip(), gr.skip(), why]
            return [fine_tune, rag, icl, ""]

        return press

    def _mode_changed(self, corpus: str | None, key: str | None, fine_tune: bool, rag: bool, icl: bool) -> list[Any]:
        shown = mode_name(fine_tune=fine_tune, rag=rag, icl=icl)
        line = mode_html(fine_tune, rag, icl, choice=self._catalog.choice_if_there(corpus, key))
        return [line, *(gr.Button(variant=_variant(mode, shown)) for mode in MODES)]


def mode_html(fine_tune: bool, rag: bool, icl: bool, *, choice: Choice | None) -> str:
    """The line beside the question box: the mode's name, what it means, and the adapter where it is used."""
    name = mode_name(fine_tune=fine_tune, rag=rag, icl=icl)
    adapter = f" &#183; adapter <b>{render.escape(choice.adapter)}</b>" if fine_tune and choice else ""
    badge = f'<span class="cf-badge">{render.escape(name)}</span>'
    return f'<div class="cf-mode" role="status">Mode {badge} <span>{render.mode_words(name)}{adapter}</span></div>'


def _fine_tuning(choice: Choice | None) -> dict[str, Any]:
    usable = bool(choice and choice.adapter)
    return {"interactive": usable, "info": FINE_TUNE if usable else f"Off. {choice.why_off if choice else ''}"}


def _variant(mode: str, shown: str) -> str:
    return "primary" if mode == shown else "secondary"
