"""The cards in which each column of a comparison gets settings of its own. Knows not what is asked.

All cards are drawn at once and the first so many are shown: a column that goes away moves those after it up.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import astuple
from typing import Any

import gradio as gr

from crossfade.compare import MAX_COLUMNS
from crossfade.types import MODE_SWITCHES
from crossfade.ui.columns import OFF, ON, ColumnSettings
from crossfade.ui.controls import AT_ONCE, MOST_INSTRUCTIONS, Catalog, offered_anew
from crossfade.ui.language import label, language_of, say

FIELDS = 9
"""Components of one card, in the order of `ColumnSettings`."""


class ColumnCards:
    """Draws the cards where it is made; `values` is the order in which `read` takes what they hold."""

    def __init__(self, catalog: Catalog, modes: Sequence[str]) -> None:
        self._catalog = catalog
        start = [ColumnSettings(mode) for mode in modes]
        self.count = gr.State(len(start))
        self._cards: list[Any] = []
        self._parts: list[list[Any]] = []
        self._removes: list[Any] = []
        with gr.Column(visible=False, elem_id="compare-cards") as self.area:
            with gr.Row(elem_classes="cf-column-cards"):
                for number in range(MAX_COLUMNS):
                    self._draw(number, start[number] if number < len(start) else None)
            self.add = gr.Button(
                label("compare.add_column"), size="sm", elem_id="compare-add", visible=len(start) < MAX_COLUMNS
            )

    def _draw(self, number: int, settings: ColumnSettings | None) -> None:
        offered = self._catalog.offered(None)
        with gr.Column(
            visible=settings is not None, min_width=220, elem_classes="cf-column-card", elem_id=f"card-{number}"
        ) as card:
            mode = gr.Dropdown(
                list(MODE_SWITCHES), value=settings.mode if settings else "base", label=label("compare.mode")
            )
            key = gr.Dropdown(
                [("—", ""), *offered], value="", label=label("compare.adapter"), info=label("compare.empty_is_beside")
            )
            with gr.Accordion(label("compare.own_settings"), open=False):
                blend = gr.Textbox(
                    label=label("compare.blend"), info=label("compare.blend_info"), placeholder="domain:0.6 + style:0.4"
                )
                empty: dict[str, Any] = {"value": None, "min_width": 80, "placeholder": label("compare.as_beside")}
                with gr.Row():
                    temperature = gr.Number(label=label("compare.temperature"), minimum=0, maximum=1.5, **empty)
                    seed = gr.Number(label=label("compare.seed"), minimum=0, precision=0, **empty)
                with gr.Row():
                    tokens = gr.Number(label=label("compare.tokens"), minimum=1, precision=0, **empty)
                    top_p = gr.Number(label=label("controls.top_p"), minimum=0.01, maximum=1, **empty)
                enforce = gr.Dropdown([("—", ""), ON, OFF], value="", label=label("compare.enforce"))
                instructions = gr.Textbox(
                    label=label("controls.instructions"),
                    placeholder=label("compare.as_beside"),
                    lines=1,
                    max_lines=6,
                    max_length=MOST_INSTRUCTIONS,
                    elem_classes="cf-own-instructions",
                )
            remove = gr.Button(label("compare.remove_column"), size="sm", elem_classes="cf-remove")
        self._cards.append(card)
        self._parts.append([mode, key, blend, temperature, seed, tokens, enforce, top_p, instructions])
        self._removes.append(remove)

    @property
    def values(self) -> list[Any]:
        """How many cards are shown, and what stands in each."""
        return [self.count, *(part for card in self._parts for part in card)]

    @property
    def drawn(self) -> list[Any]:
        """What `fill` writes to."""
        return [*self.values, *self._cards, self.add]

    def read(self, values: Sequence[Any]) -> list[ColumnSettings]:
        """The settings in the cards that are shown."""
        count, *parts = values
        cards = [parts[n : n + FIELDS] for n in range(0, count * FIELDS, FIELDS)]
        return [_settings(*card) for card in cards]

    def fill(self, settings: Sequence[ColumnSettings]) -> list[Any]:
        """The updates that show a card for each of the settings."""
        count = min(len(settings), MAX_COLUMNS)
        padded = [*settings[:count], *[ColumnSettings()] * (MAX_COLUMNS - count)]
        values = [value for one in padded for value in astuple(one)]
        shown = [gr.Column(visible=number < count) for number in range(MAX_COLUMNS)]
        return [count, *values, *shown, gr.Button(visible=count < MAX_COLUMNS)]

    def wire(self, corpus: Any) -> None:
        """Let columns be added and removed; a change of corpus changes the adapters to choose from."""
        self.add.click(lambda *v: self.fill([*self.read(v), ColumnSettings()]), self.values, self.drawn, **AT_ONCE)
        for number, button in enumerate(self._removes):
            button.click(self._without(number), self.values, self.drawn, **AT_ONCE)
        self.refresh(corpus.change, corpus)

    def refresh(self, trigger: Any, corpus: Any) -> None:
        """Offer the adapters as they are now when the trigger fires; what is not offered any more is as beside."""
        keys = [parts[1] for parts in self._parts]
        enforce = [parts[6] for parts in self._parts]

        def offer(request: gr.Request, corpus: str | None, *chosen: str | None) -> list[Any]:
            language = language_of(request)
            beside = (say(language, "compare.as_beside"), "")
            offered = self._catalog.of(request).offered(corpus, language=language)
            there = [key for _, key in offered]
            choices = [beside, *offered]
            words = [beside, (say(language, "compare.on"), ON), (say(language, "compare.off"), OFF)]
            drawn = [offered_anew(choices, key if key in there else "", key or "") for key in chosen]
            return [*drawn, *[gr.Dropdown(choices=words) for _ in enforce]]

        trigger(offer, [corpus, *keys], [*keys, *enforce], **AT_ONCE)

    def _without(self, number: int) -> Callable[..., list[Any]]:
        def remove(*values: Any) -> list[Any]:
            settings = self.read(values)
            return self.fill([*settings[:number], *settings[number + 1 :]] if len(settings) > 2 else settings)

        return remove


def _settings(
    mode: str | None,
    key: str | None,
    blend: str | None,
    temperature: float | None,
    seed: float | None,
    tokens: float | None,
    enforce: str | None,
    top_p: float | None,
    instructions: str | None,
) -> ColumnSettings:
    return ColumnSettings(
        mode=mode or "base",
        key=key or "",
        blend=(blend or "").strip(),
        temperature=None if temperature is None else float(temperature),
        seed=None if seed is None else int(seed),
        tokens=None if tokens is None else int(tokens),
        enforce=enforce or "",
        top_p=None if top_p is None else float(top_p),
        instructions=(instructions or "").strip(),
    )
