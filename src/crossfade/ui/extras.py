"""What a run of the evaluate tab may have besides: prices, another model as a judge, people's votes to check it by.

Knows not how they are used.

The judge's key comes from the environment and goes to the address that stands there beside it, to no other: whoever
opens the page could else have it sent to a server of their own.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gradio as gr

from crossfade.errors import QuestionError, SettingsError
from crossfade.evaluation.judge import Judge, read_votes
from crossfade.evaluation.prices import Prices
from crossfade.public_address import serves_others
from crossfade.settings import Settings
from crossfade.ui import answering, downloads, render
from crossfade.ui.controls import AT_ONCE
from crossfade.ui.language import label, language_of, say

Votes = Mapping[tuple[str, str], bool]
"""Whether an answer is right, by (question's id, column)."""
MOST_BYTES = 5_000_000
"""Of a file of votes."""
_PICK = downloads.pick(most_bytes=MOST_BYTES, accept=".jsonl,.txt,application/json", elem_id="judge-file")
_PRICES = ("per_hour", "prompt", "cached", "new", "spread")


@dataclass(frozen=True, slots=True)
class Extra:
    """What was asked for: None where it was not."""

    prices: Prices | None
    judge: Judge | None
    votes: Votes | None


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
        self._votes, text = gr.State(None), gr.Textbox(visible=False)
        load = gr.Button(label("evaluate.load_votes"), size="sm", elem_id="judge-votes")
        told = gr.HTML("", elem_id="judge-votes-told")
        load.click(_load, text, [self._votes, told], js=_PICK, **AT_ONCE)

    @property
    def values(self) -> list[Any]:
        """The components, in the order in which `read` takes what they hold."""
        return [*self._prices, self._model, self._url, self._votes]

    def read(self, values: Sequence[Any]) -> Extra:
        """What the box asks for. Raises SettingsError and EngineError."""
        *prices, model, url, votes = values
        return Extra(prices_of(prices), judge_of(str(model or ""), str(url or ""), self._settings), votes)


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


def votes_of(text: str, language: str = "en") -> Votes:
    """The votes of a file's text, as a comparison saves them for a judge. Raises QuestionError."""
    if text == downloads.TOO_LARGE:
        raise QuestionError(say(language, "evaluate.votes_too_large", size=MOST_BYTES // 10**6))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "votes.jsonl"
        path.write_text(text, encoding="utf-8")
        try:
            return read_votes(path)
        except QuestionError as error:
            raise QuestionError(str(error).replace(str(path), say(language, "evaluate.in_your_votes"))) from None


def _load(request: gr.Request, text: str) -> list[Any]:
    if not text:
        return [gr.skip()] * 2
    language = language_of(request)
    try:
        votes = votes_of(text, language)
    except Exception as error:
        return [gr.skip(), render.note_html(answering.sentence(error, language), kind="error")]
    return [votes, render.note_html(say(language, "evaluate.votes_loaded", count=f"{len(votes):,}"))]
