"""Below a comparison: where two of its answers differ. Knows not how that is found."""

from __future__ import annotations

from typing import Any

import gradio as gr

from crossfade.ui import render
from crossfade.ui.columns import Columns
from crossfade.ui.controls import AT_ONCE
from crossfade.ui.differences import difference_html
from crossfade.ui.language import label, language_of, say


class DifferenceBox:
    """Draws two lists of columns and the difference of those chosen; `asked` is the state of the tab."""

    def __init__(self, *, asked: Any) -> None:
        self._asked = asked
        with gr.Column(visible=False, elem_classes="cf-box", elem_id="compare-differences") as self.area:
            with gr.Row(elem_classes="cf-pair"):
                self.first = gr.Dropdown([], label=label("compare.first"), min_width=140, elem_id="difference-first")
                self.second = gr.Dropdown([], label=label("compare.second"), min_width=140, elem_id="difference-second")
            self.shown = gr.HTML("", elem_id="difference-shown")
        pair = [self.first, self.second]
        gr.on([box.input for box in pair], self._show, [self._asked, *pair], self.shown, **AT_ONCE)

    @property
    def offered(self) -> list[Any]:
        """What `offer` writes to."""
        return [self.area, self.first, self.second, self.shown]

    def offer(self, columns: Columns, language: str) -> list[Any]:
        """Offer the columns that have an answer; two at least."""
        choices = [(column.name, column.number) for column in columns if column.answered]
        if len(choices) < 2:
            return [gr.Column(visible=False), gr.skip(), gr.skip(), ""]
        first, second = choices[0][1], choices[-1][1]
        drawn = [gr.Dropdown(choices=choices, value=value) for value in (first, second)]
        return [gr.Column(visible=True), *drawn, self._difference(columns, first, second, language)]

    def _show(self, request: gr.Request, columns: Columns, first: int | None, second: int | None) -> str:
        return self._difference(columns, first, second, language_of(request))

    def _difference(self, columns: Columns, first: int | None, second: int | None, language: str) -> str:
        chosen = [column for number in (first, second) for column in columns if column.number == number]
        answers = [column.answered for column in chosen]
        if first == second or len(chosen) < 2 or answers[0] is None or answers[1] is None:
            return render.note_html(say(language, "compare.choose_two"))
        forms = {column.form if column.schema is not None else "" for column in chosen}
        return difference_html(
            answers[0].generation.text,
            answers[1].generation.text,
            names=(chosen[0].name, chosen[1].name),
            form=forms.pop() if len(forms) == 1 else "",
            language=language,
        )
