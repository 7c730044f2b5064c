"""The three switches of the chat with their presets, and the line that says how the next question is asked."""

from __future__ import annotations

from typing import Any

import gradio as gr

from crossfade.types import MODES, Blend, mode_name, mode_switches
from crossfade.ui import render
from crossfade.ui.choices import Choice
from crossfade.ui.controls import AT_ONCE, Catalog, Controls
from crossfade.ui.conversation import blend_words
from crossfade.ui.language import label, language_of, say
from crossfade.ui.mixer import blend_of

PRESETS = {
    "base": "chat.preset_base",
    "icl": "chat.preset_icl",
    "rag": "chat.preset_rag",
    "fine-tune": "chat.preset_fine_tune",
    "hybrid": "chat.preset_hybrid",
}
"""Each preset's button: its name, and in the next line what it is."""


class Switches:
    """Draws presets and mode where it is made; `draw_boxes` draws the switches where they belong."""

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog
        self._first = next(iter(catalog.choices(None)), None)
        self._start = mode_switches("hybrid" if self._first and self._first.adapter else "rag") or (False, True, False)
        shown = mode_name(fine_tune=self._start[0], rag=self._start[1], icl=self._start[2])
        with gr.Row(elem_classes="cf-presets"):
            self.presets = [
                gr.Button(
                    label(PRESETS[mode]),
                    size="sm",
                    min_width=60,
                    elem_id=f"preset-{mode}",
                    variant=_variant(mode, shown),
                )
                for mode in MODES
            ]
        adapter = self._first.adapter if self._first else ""
        self.mode = gr.HTML(mode_html(*self._start, blend=blend_of(adapter, ())), elem_id="chat-mode")

    def draw_boxes(self) -> None:
        """Draw the switches, each with a line that explains it."""
        fine_tune, rag, icl = self._start
        usable = bool(self._first and self._first.adapter)
        why = label("chat.fine_tune_info") if usable else _off("en", self._first)
        with gr.Group(elem_classes="cf-switches"):
            self.fine_tune = gr.Checkbox(
                fine_tune,
                label=label("chat.fine_tune"),
                elem_id="switch-fine-tune",
                interactive=usable,
                info=why,
            )
            self.rag = gr.Checkbox(rag, label=label("chat.rag"), info=label("chat.rag_info"), elem_id="switch-rag")
            self.icl = gr.Checkbox(icl, label=label("chat.icl"), info=label("chat.icl_info"), elem_id="switch-icl")

    @property
    def values(self) -> list[Any]:
        """The switches, in the order fine-tune, RAG, ICL."""
        return [self.fine_tune, self.rag, self.icl]

    def wire(self, controls: Controls, *, notice: Any, auto: Any) -> None:
        """Let presets set the switches, and switches, adapter and weights the line. A preset that is off says why.

        `auto` is the box that takes the choice from the switches; a preset takes it back.
        """
        where = [controls.corpus, controls.choice]
        self.asked = [*where, *self.values, auto, *controls.mixer.values]
        for mode, button in zip(MODES, self.presets, strict=True):
            button.click(self._press(mode), where, [*self.values, auto, notice], **AT_ONCE)
        for switch in (*self.values, auto):
            switch.change(self._mode_changed, self.asked, [self.mode, *self.presets], **AT_ONCE)
        for weight in controls.mixer.weights:
            weight.change(self._weights_changed, self.asked, self.mode, trigger_mode="always_last", **AT_ONCE)
        self.follow(controls.choice.change)

    def follow(self, event: Any) -> None:
        """Let the switches follow an event after which another adapter may be chosen, and then the line follow them.

        What a person has switched meanwhile stays: the line is drawn of the switches as they are then.
        """
        followed = event(self.adapter_changed, self.asked[:2], self.fine_tune, **AT_ONCE)
        followed.then(self._mode_changed, self.asked, [self.mode, *self.presets], **AT_ONCE)

    def adapter_changed(self, request: gr.Request, corpus: str | None, key: str | None) -> Any:
        """Another adapter: its fine-tuning may not be possible, and then the switch is off and says why."""
        language = language_of(request)
        choice = self._catalog.of(request).choice_if_there(corpus, key, language=language)
        if choice and choice.adapter:
            return gr.Checkbox(interactive=True, info=say(language, "chat.fine_tune_info"))
        return gr.Checkbox(value=False, interactive=False, info=_off(language, choice))

    def pressed(self, request: gr.Request, mode: str, corpus: str | None, key: str | None) -> list[Any]:
        """The switches as a mode has them without auto, and a notice; where it is off they stay, and that says why."""
        fine_tune, rag, icl = mode_switches(mode) or (False, False, False)
        language = language_of(request)
        choice = self._catalog.of(request).choice_if_there(corpus, key, language=language)
        if choice and fine_tune and not choice.adapter:
            why = say(language, "chat.mode_off", mode=mode, why=choice.why_off)
            return [*[gr.skip()] * 4, render.note_html(why, kind="error")]
        return [fine_tune, rag, icl, False, ""]

    def _press(self, mode: str) -> Any:
        def press(request: gr.Request, corpus: str | None, key: str | None) -> list[Any]:
            return self.pressed(request, mode, corpus, key)

        return press

    def _mode_changed(self, request: gr.Request, *asked: Any) -> list[Any]:
        _, _, fine_tune, rag, icl, auto, *_ = asked
        shown = "" if auto else mode_name(fine_tune=fine_tune, rag=rag, icl=icl)
        return [self._weights_changed(request, *asked), *(gr.Button(variant=_variant(mode, shown)) for mode in MODES)]

    def _weights_changed(self, request: gr.Request, *asked: Any) -> str:
        corpus, key, fine_tune, rag, icl, auto, *mixed = asked
        if auto:
            return auto_html(language_of(request))
        choice = self._catalog.of(request).choice_if_there(corpus, key)
        blend = blend_of(choice.adapter if choice else "", mixed)
        return mode_html(fine_tune, rag, icl, blend=blend, language=language_of(request))


def mode_html(fine_tune: bool, rag: bool, icl: bool, *, blend: Blend, language: str = "en") -> str:
    """The line beside the question box: the mode's name, what it means, and the adapters where they are used."""
    name = mode_name(fine_tune=fine_tune, rag=rag, icl=icl)
    adapter = f" &#183; <b>{render.escape(blend_words(blend))}</b>" if fine_tune and blend else ""
    return _line(name, f"{render.mode_words(name, language=language)}{adapter}", language)


def auto_box(report: dict[str, Any] | None) -> Any:
    """The update of the box for auto: a report without a rule takes it away, with what was ticked."""
    return gr.Checkbox(visible=True) if report and report["auto"] else gr.Checkbox(False, visible=False)


def auto_html(language: str) -> str:
    """The same line where the mode is chosen for each question."""
    return _line("auto", say(language, "chat.auto_line"), language)


def _line(name: str, meaning: str, language: str) -> str:
    badge = f'<span class="cf-badge">{render.escape(name)}</span>'
    return f'<div class="cf-mode" role="status">{say(language, "chat.mode")} {badge} <span>{meaning}</span></div>'


def _off(language: str, choice: Choice | None) -> str:
    return say(language, "chat.off", why=choice.why_off if choice else "")


def _variant(mode: str, shown: str) -> str:
    return "primary" if mode == shown else "secondary"
