"""The weights of an answer's adapters: that of the chosen one, and up to two more on top of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import gradio as gr

from crossfade.errors import AdapterError
from crossfade.types import MAX_WEIGHT, Blend

ADDED = 2
"""How many adapters can be added to the chosen one."""
NONE = ""


class Mixer:
    """Draws a folded box with a weight for the chosen adapter, and a name and a weight for each added one."""

    def __init__(self, loaded: Sequence[str]) -> None:
        with gr.Accordion("Blend", open=False, elem_classes="cf-blend"):
            self.weight = gr.Slider(
                0, MAX_WEIGHT, value=1.0, step=0.05, label="Weight of the adapter", info="0 is the base."
            )
            self.names, self.weights = [], []
            for number in range(1, ADDED + 1):
                self.names.append(
                    gr.Dropdown(_choices(loaded), value=NONE, label="On top of it", elem_classes=f"cf-added-{number}")
                )
                self.weights.append(gr.Slider(0, MAX_WEIGHT, value=0.5, step=0.05, label="Its weight"))

    @property
    def values(self) -> list[Any]:
        """The components, in the order in which `blend_of` takes what they hold."""
        added = [part for pair in zip(self.names, self.weights, strict=True) for part in pair]
        return [self.weight, *added]

    def offer(self, loaded: Sequence[str], chosen: Sequence[str | None]) -> list[Any]:
        """The name lists with the adapters as they are now; one that is gone stays, and is refused when it is asked."""
        gone = [name for name in chosen if name and name not in loaded]
        return [gr.Dropdown(choices=_choices([*loaded, *gone]), value=name or NONE) for name in chosen]


def blend_of(adapter: str, values: Sequence[Any]) -> Blend:
    """The blend that a mixer's values stand for, the adapter alone for none; empty without an adapter.

    Raises AdapterError where one is named twice.
    """
    if not adapter:
        return ()
    weight, *added = values or (1.0,)
    parts = [(adapter, weight), *(pair for pair in zip(added[::2], added[1::2], strict=True) if pair[0])]
    names = [name for name, _ in parts]
    if len(set(names)) < len(names):
        raise AdapterError(f"The blend {', '.join(names)} names an adapter twice; choose another one on top.")
    return tuple((str(name), min(max(float(weight or 0), 0.0), MAX_WEIGHT)) for name, weight in parts)


def _choices(loaded: Sequence[str]) -> list[tuple[str, str]]:
    return [("none", NONE), *((name, name) for name in loaded)]
