"""Drafted questions in the evaluate tab: one at a time, to accept, mend or throw away. Knows not how they are made."""

from __future__ import annotations

from typing import Any

import gradio as gr

from crossfade.errors import CrossfadeError
from crossfade.evaluation.drafts import Draft, as_row, drafts
from crossfade.ui import render
from crossfade.ui.asked import PASTED
from crossfade.ui.controls import AT_ONCE, Catalog

COUNT = 100
ABOUT = "A sentence of a document with its number left out. Put it into the words of one who asks."


class Drafting:
    """Draws the box where it is made; `wire` says where accepted questions go."""

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog
        self.left = gr.State(())
        self.told = gr.HTML(
            render.note_html(ABOUT),
            elem_id="draft-told",
        )
        self.question = gr.Textbox(label="Question", lines=2, elem_id="draft-question")
        self.answer = gr.Textbox(
            label="Accepted answers",
            info="With | between them; none says that no document answers.",
            elem_id="draft-answer",
        )
        with gr.Row():
            self.next = gr.Button("Draft", elem_id="draft-next")
            self.accept = gr.Button("Accept", variant="primary", interactive=False, elem_id="draft-accept")

    def wire(self, corpus: Any, source: Any, pasted: Any) -> None:
        """Accepting adds the question, as it then reads, to the pasted ones, and shows the next one."""
        shown = [self.left, self.told, self.question, self.answer, self.next, self.accept]
        self.next.click(self._next, [corpus, self.left], shown, **AT_ONCE)
        corpus.change(self._reset, None, shown, **AT_ONCE)
        inputs = [corpus, self.left, self.question, self.answer, pasted]
        self.accept.click(self._accept, inputs, [*shown, pasted, source], **AT_ONCE)

    def _reset(self) -> list[Any]:
        """Another corpus: what was drafted from the last one is no question of it."""
        return [(), render.note_html(ABOUT), "", "", gr.Button("Draft"), gr.Button(interactive=False)]

    def _next(self, corpus: str | None, left: tuple[Draft, ...]) -> list[Any]:
        """Throw the shown draft away and show the next one; the first press drafts them."""
        try:
            rest = left[1:] if left else tuple(drafts(self._catalog.corpus(corpus).documents, count=COUNT))
        except CrossfadeError as error:
            return [
                (),
                render.note_html(str(error), kind="error"),
                "",
                "",
                gr.Button("Draft"),
                gr.Button(interactive=False),
            ]
        if not rest:
            end = render.note_html("No draft is left. Press Draft to begin again.")
            return [(), end, "", "", gr.Button("Draft"), gr.Button(interactive=False)]
        told = render.note_html(f"{len(rest)} drafts left, this one from {rest[0].document}.")
        shown = [rest[0].question, rest[0].answer, gr.Button("Throw away"), gr.Button(interactive=True)]
        return [rest, told, *shown]

    def _accept(
        self, corpus: str | None, left: tuple[Draft, ...], question: str, answer: str, pasted: str | None
    ) -> list[Any]:
        if not left or not question.strip():
            return [*[gr.skip()] * 6, gr.skip(), gr.skip()]
        row = as_row(question, answer, left[0].document)
        kept = "\n".join(filter(None, [(pasted or "").strip(), row]))
        return [*self._next(corpus, left), gr.Textbox(value=kept, visible=True), PASTED]
