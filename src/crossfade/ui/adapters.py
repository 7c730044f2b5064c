"""The Adapters tab: what there is, ordering a training, its runs, and the way from there to chat and comparison."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import gradio as gr

from crossfade.errors import CrossfadeError
from crossfade.training.desk import Desk
from crossfade.ui import answering, render
from crossfade.ui.adapter_list import AdapterList
from crossfade.ui.base_list import BaseList
from crossfade.ui.chat import ChatTab
from crossfade.ui.compare import CompareTab
from crossfade.ui.controls import AT_ONCE, Catalog
from crossfade.ui.language import label, language_of, say
from crossfade.ui.runs import Runs
from crossfade.ui.training import TrainingOrder

if TYPE_CHECKING:
    from crossfade.startup import Startup


class AdaptersTab:
    """Draws the tab into the `gr.Blocks` that is open."""

    def __init__(self, startup: Startup, desk: Desk) -> None:
        self._catalog = Catalog(startup)
        ordered = gr.State(None)
        with gr.Accordion(label("adapters.there_are"), open=True):
            self.list = AdapterList(startup)
            self.bases = BaseList(startup)
        with gr.Row():
            with gr.Column(scale=1, min_width=300):
                train = gr.HTML(_head("en", "adapters.train"))
                self.order = TrainingOrder(startup, desk, ordered=ordered)
            with gr.Column(scale=1, min_width=300):
                trainings = gr.HTML(_head("en", "adapters.trainings"))
                self.runs = Runs(startup, desk, ordered=ordered)
        self._heads = [train, trainings]
        self.bases.refresh(self.runs.ended.change)

    def refresh(self, trigger: Any) -> None:
        """Read files and runs again when the trigger fires, and draw them in the reader's language."""
        trigger(_heads, None, self._heads, **AT_ONCE)
        self.bases.refresh(trigger)
        self.order.refresh(trigger)
        self.runs.refresh(trigger)

    def wire(self, tabs: Any, chat: ChatTab, comparison: CompareTab) -> None:
        """Let the runs' buttons lead to the chat and to the comparison, with the adapter chosen there."""
        runs, boxes = self.runs, chat.switches.values

        def to_chat(request: gr.Request, name: str | None, corpus: str | None) -> list[Any]:
            return self._go(request, "chat", name, corpus, [True, False, False])

        def to_comparison(request: gr.Request, name: str | None, corpus: str | None) -> list[Any]:
            return self._go(request, "compare", name, corpus, [["base", "fine-tune"]])

        runs.chat.click(
            to_chat,
            [runs.chosen, chat.controls.corpus],
            [tabs, runs.notice, chat.controls.choice, *boxes],
            **AT_ONCE,
        )
        runs.compare.click(
            to_comparison,
            [runs.chosen, comparison.controls.corpus],
            [tabs, runs.notice, comparison.controls.choice, comparison.modes],
            **AT_ONCE,
        )

    def _go(self, request: gr.Request, tab: str, run: str | None, corpus: str | None, values: list[Any]) -> list[Any]:
        try:
            adapter = self.runs.made(request, run)
        except CrossfadeError as error:
            stay = [gr.skip()] * (1 + len(values))
            told = answering.sentence(error, language_of(request))
            return [gr.skip(), render.note_html(told, kind="error"), *stay]
        mine = self._catalog.of(request)
        key = next((c.key for c in mine.choices(corpus) if c.adapter == adapter), None)
        choice = gr.Dropdown(choices=mine.offered(corpus, language=language_of(request)), value=key)
        return [gr.Tabs(selected=tab), "", choice, *values]


def _head(language: str, key: str) -> str:
    return f"<h2>{say(language, key)}</h2>"


def _heads(request: gr.Request) -> list[str]:
    language = language_of(request)
    return [_head(language, "adapters.train"), _head(language, "adapters.trainings")]
