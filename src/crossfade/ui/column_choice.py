"""Which columns a comparison has: some modes, by tick or preset, or cards with settings of their own."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import gradio as gr

from crossfade.compare import MAX_COLUMNS
from crossfade.types import MODES
from crossfade.ui.column_cards import ColumnCards
from crossfade.ui.columns import ColumnSettings
from crossfade.ui.controls import AT_ONCE, Catalog
from crossfade.ui.language import label

ALL_MODES = (*MODES, "rag+icl", "fine-tune+icl", "hybrid+icl")
PRESETS = {"five": MODES, "tuned": ("base", "fine-tune"), "documents": ("rag", "hybrid")}


class ColumnChoice:
    """Draws itself where it is made; `values` is the order in which `read` takes what its components hold."""

    def __init__(self, catalog: Catalog) -> None:
        small: dict[str, Any] = {"size": "sm", "min_width": 60}
        with gr.Row(elem_classes="cf-examples"):
            self._presets = {
                "five": gr.Button(label("compare.preset_five"), elem_id="columns-five", **small),
                "tuned": gr.Button(label("compare.preset_tuned"), elem_id="columns-tuned", **small),
                "documents": gr.Button(label("compare.preset_documents"), elem_id="columns-documents", **small),
            }
        self.modes = gr.CheckboxGroup(
            list(ALL_MODES),
            value=list(MODES),
            label=label("compare.modes"),
            info=label("compare.modes_info"),
            elem_id="compare-modes",
        )
        self.customise = gr.Checkbox(
            False, label=label("compare.customise"), info=label("compare.customise_info"), elem_id="compare-customise"
        )
        self.cards = ColumnCards(catalog, MODES)

    @property
    def values(self) -> list[Any]:
        """The components, in the order in which `read` takes what they hold."""
        return [self.modes, self.customise, *self.cards.values]

    def read(self, values: Sequence[Any]) -> list[ColumnSettings]:
        """The columns that are wanted."""
        modes, customise, *cards = values
        if customise:
            return self.cards.read(cards)
        return [ColumnSettings(mode) for mode in ALL_MODES if mode in modes]

    @property
    def drawn(self) -> list[Any]:
        """What `fill` writes to."""
        return [self.customise, self.modes, self.cards.area, *self.cards.drawn]

    def fill(self, settings: Sequence[ColumnSettings]) -> list[Any]:
        """The updates that show these columns as cards."""
        return [True, gr.CheckboxGroup(visible=False), gr.Column(visible=True), *self.cards.fill(settings)]

    def wire(self, corpus: Any) -> None:
        """Let presets tick modes, and cards begin with the modes that are ticked."""
        self.cards.wire(corpus)
        for name, button in self._presets.items():
            button.click(self._preset(PRESETS[name]), None, [self.modes, self.customise, self.cards.area], **AT_ONCE)
        self.customise.input(self._customise, [self.customise, self.modes], self.drawn, **AT_ONCE)
        # Another part of the page that ticks modes means them.
        self.modes.change(lambda: self._plain(), None, [self.modes, self.customise, self.cards.area], **AT_ONCE)

    def _preset(self, modes: Sequence[str]) -> Callable[[], list[Any]]:
        return lambda: [gr.CheckboxGroup(value=list(modes), visible=True), *self._plain()[1:]]

    def _plain(self) -> list[Any]:
        return [gr.CheckboxGroup(visible=True), False, gr.Column(visible=False)]

    def _customise(self, on: bool, modes: Sequence[str]) -> list[Any]:
        if not on:
            return [*[self._plain()[i] for i in (1, 0, 2)], *[gr.skip()] * len(self.cards.drawn)]
        ticked = [ColumnSettings(mode) for mode in ALL_MODES if mode in modes][:MAX_COLUMNS]
        return self.fill(ticked if len(ticked) > 1 else [ColumnSettings(mode) for mode in MODES])
