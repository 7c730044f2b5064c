"""What a run of the evaluate tab may have besides: prices, and another model as a judge. Knows not how they are used.

The judge's key comes from the environment and goes to the address that stands there beside it, to no other: whoever
opens the page could else have it sent to a server of their own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import gradio as gr

from crossfade.errors import SettingsError
from crossfade.evaluation.judge import Judge
from crossfade.evaluation.prices import Prices
from crossfade.public_address import serves_others
from crossfade.settings import Settings
from crossfade.ui.language import label

_PRICES = ("per_hour", "prompt", "cached", "new", "spread")


@dataclass(frozen=True, slots=True)
class Extra:
    """What was asked for: None where it was not."""

    prices: Prices | None
    judge: Judge | None


class Extras:
    """Draws the box where it is made; `values` is the order in which `read` takes what they hold."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        with gr.Row():
            labels = (
                label("evaluate.price_per_hour"),
                label("evaluate.price_prompt"),
                label("evaluate.price_cached"),
                label("evaluate.price_new"),
                label("evaluate.price_spread"),
            )
            self._prices = [
                gr.Number(
                    0,
                    label=words,
                    info=label("evaluate.price_spread_info") if key == "spread" else None,
                    minimum=0,
                    precision=0 if key == "spread" else None,
                    min_width=120,
                    elem_id=f"price-{key.replace('_', '-')}",
                )
                for key, words in zip(_PRICES, labels, strict=True)
            ]
        with gr.Row():
            self._model = gr.Textbox(
                label=label("evaluate.judge"),
                info=label("evaluate.judge_info"),
                elem_id="judge-model",
            )
            self._url = gr.Textbox(
                settings.judge_url,
                label=label("evaluate.judge_server"),
                info=label("evaluate.judge_server_info"),
                elem_id="judge-url",
            )

    @property
    def values(self) -> list[Any]:
        """The components, in the order in which `read` takes what they hold."""
        return [*self._prices, self._model, self._url]

    def read(self, values: Sequence[Any]) -> Extra:
        """What the box asks for. Raises SettingsError and EngineError."""
        *prices, model, url = values
        return Extra(prices_of(prices), judge_of(str(model or ""), str(url or ""), self._settings))


def prices_of(values: Sequence[float | None]) -> Prices | None:
    """The prices of the page's numbers, in the order of `_PRICES`; None where all are 0. Raises SettingsError."""
    numbers = [max(0.0, float(value or 0)) for value in values]
    if not any(numbers[:-1]):
        if numbers[-1]:
            raise SettingsError("Training is spread over questions by its price. Give that of an hour too, or 0 here.")
        return None
    per_hour, prompt, cached, new, spread = numbers
    return Prices(per_hour, prompt, cached, new, "of the page", int(spread))


def judge_of(model: str, url: str, settings: Settings) -> Judge | None:
    """The judge that a page may ask, None without a model. Raises SettingsError and EngineError."""
    model, url = model.strip(), url.strip().rstrip("/")
    if not model:
        return None
    if url and url == settings.judge_url:
        return Judge(url, model, settings.judge_key)
    if serves_others(settings):
        raise SettingsError(
            f"This page is served to others, and asks no judge but that of CROSSFADE_JUDGE_URL, not {url!r}."
        )
    return Judge(url, model)
