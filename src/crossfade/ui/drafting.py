"""Drafted questions in the evaluate tab: one at a time, to accept, mend or throw away. Knows not how they are made."""

from __future__ import annotations

from typing import Any

import gradio as gr

from crossfade.errors import CrossfadeError
from crossfade.evaluation.drafts import Draft, as_row, drafts
from crossfade.ui import answering, render
from crossfade.ui.asked import PASTED
from crossfade.ui.controls import AT_ONCE, Catalog
from crossfade.ui.language import label, language_of, say

COUNT = 100


class Drafting:
    """Draws the box where it is made; `wire` says where accepted questions go."""

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog
        self.left = gr.State(())
        self.told = gr.HTML(_about("en"), elem_id="draft-told")
        self.question = gr.Textbox(label=label("evaluate.draft_question"), lines=2, elem_id="draft-question")
        self.answer = gr.Textbox(
            label=label("evaluate.draft_answers"),
            info=label("evaluate.draft_answers_info"),
            elem_id="draft-answer",
        )
        with gr.Row():
            self.next = gr.Button(label("evaluate.draft"), elem_id="draft-next")
            self.accept = gr.Button(
                label("evaluate.accept"), variant="primary", interactive=False, elem_id="draft-accept"
            )

    def greet(self, trigger: Any) -> None:
        """Say what a draft is in the reader's language when the trigger fires."""
        trigger(_greet, None, self.told, **AT_ONCE)

    def wire(self, corpus: Any, source: Any, pasted: Any) -> None:
        """Accepting adds the question, as it then reads, to the pasted ones, and shows the next one."""
        shown = [self.left, self.told, self.question, self.answer, self.next, self.accept]
        self.next.click(self._next, [corpus, self.left], shown, **AT_ONCE)
        corpus.change(self._reset, None, shown, **AT_ONCE)
        inputs = [corpus, self.left, self.question, self.answer, pasted]
        self.accept.click(self._accept, inputs, [*shown, pasted, source], **AT_ONCE)

    def _reset(self, request: gr.Request) -> list[Any]:
        """Another corpus: what was drafted from the last one is no question of it."""
        return _empty(_about(language_of(request)), language_of(request))

    def _next(self, request: gr.Request, corpus: str | None, left: tuple[Draft, ...]) -> list[Any]:
        """Throw the shown draft away and show the next one; the first press drafts them."""
        shown = language_of(request)
        try:
            rest = left[1:] if left else tuple(drafts(self._catalog.corpus(corpus).documents, count=COUNT))
        except CrossfadeError as error:
            return _empty(render.note_html(answering.sentence(error, shown), kind="error"), shown)
        if not rest:
            return _empty(render.note_html(say(shown, "evaluate.no_draft_left")), shown)
        told = say(shown, "evaluate.drafts_left", count=len(rest), document=rest[0].document)
        throw = gr.Button(say(shown, "evaluate.throw_away"))
        return [rest, render.note_html(told), rest[0].question, rest[0].answer, throw, gr.Button(interactive=True)]

    def _accept(
        self,
        request: gr.Request,
        corpus: str | None,
        left: tuple[Draft, ...],
        question: str,
        answer: str,
        pasted: str | None,
    ) -> list[Any]:
        if not left or not question.strip():
            return [*[gr.skip()] * 6, gr.skip(), gr.skip()]
        row = as_row(question, answer, left[0].document)
        kept = "\n".join(filter(None, [(pasted or "").strip(), row]))
        return [*self._next(request, corpus, left), gr.Textbox(value=kept, visible=True), PASTED]


def _greet(request: gr.Request) -> str:
    return _about(language_of(request))


def _about(shown: str) -> str:
    return render.note_html(say(shown, "evaluate.draft_about"))


def _empty(told: str, shown: str) -> list[Any]:
    """No draft, and why."""
    return [(), told, "", "", gr.Button(say(shown, "evaluate.draft")), gr.Button(interactive=False)]
