"""The weights of an answer's adapters: a slider for each one that is served, the chosen one first.

The chosen adapter stands at 1, the others at 0, until somebody moves them; another choice begins so again.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import gradio as gr

from crossfade.types import MAX_WEIGHT, Blend
from crossfade.ui.language import label

SHOWN = 4
"""How many sliders stand open; the others wait in a fold."""
MOST = 12
"""How many adapters have a slider; one beyond that is mixed by choosing it."""


class Mixer:
    """Draws a folded box with a slider for each served adapter; the first of `loaded` is the one that is chosen."""

    def __init__(self, loaded: Sequence[str], *, open: bool = False) -> None:
        names = tuple(loaded)[:MOST]
        with gr.Accordion(label("controls.mix"), open=open, elem_classes="cf-blend"):
            self.names = gr.State(names)
            self.weights = [_slider(names, place) for place in range(SHOWN)]
            with gr.Accordion(label("controls.mix_more"), open=False, visible=len(names) > SHOWN) as self.more:
                self.weights += [_slider(names, place) for place in range(SHOWN, MOST)]

    @property
    def values(self) -> list[Any]:
        """The components, in the order in which `blend_of` takes what they hold."""
        return [self.names, *self.weights]

    @property
    def drawn(self) -> list[Any]:
        """The components that `draw` writes to."""
        return [*self.values, self.more]

    def draw(self, loaded: Sequence[str], weights: dict[str, float], *, chosen: str) -> list[Any]:
        """A slider for each adapter that is there now, the chosen one first.

        One that is gone stays while it has a weight, and is refused when it is asked.
        """
        gone = [name for name, weight in weights.items() if weight and name not in loaded]
        names = sorted([*loaded, *gone], key=lambda name: name != chosen)[:MOST]
        sliders = [
            gr.Slider(label=names[place], value=weights.get(names[place], 0.0), visible=True)
            if place < len(names)
            else gr.Slider(value=0.0, visible=False)
            for place in range(MOST)
        ]
        return [tuple(names), *sliders, gr.Accordion(visible=len(names) > SHOWN)]


def weights_of(values: Sequence[Any]) -> dict[str, float]:
    """The weight that each adapter of a mixer has, within what is allowed."""
    names, *weights = values or ((),)
    return {
        str(name): min(max(float(weight or 0), 0.0), MAX_WEIGHT)
        for name, weight in zip(names or (), weights, strict=False)
    }


def blend_of(adapter: str, values: Sequence[Any]) -> Blend:
    """The blend that a mixer's values stand for, the adapter alone for none; empty without an adapter.

    The chosen adapter is always in it, at 0 too: fine-tuning is on; another one is where it has a weight.
    """
    if not adapter:
        return ()
    weights = weights_of(values)
    first = (adapter, weights.pop(adapter, 1.0))
    return (first, *((name, weight) for name, weight in weights.items() if weight))


def _slider(names: Sequence[str], place: int) -> Any:
    name = names[place] if place < len(names) else ""
    start = 1.0 if place == 0 else 0.0
    classes = ["cf-weight", f"cf-weight-{place + 1}"]
    return gr.Slider(0, MAX_WEIGHT, value=start, step=0.05, label=name, visible=bool(name), elem_classes=classes)
