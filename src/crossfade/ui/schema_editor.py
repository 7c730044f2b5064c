"""Which JSON schema an answer is held to: the task's, another one of the corpus, or one that somebody writes.

Draws a list and an editor, and puts what stands there into a query. Knows not how an answer is made or checked.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import gradio as gr

from crossfade.corpora.own_schema import MOST_CHARACTERS, read_schema
from crossfade.errors import CrossfadeError
from crossfade.types import Query
from crossfade.ui import answering, render
from crossfade.ui.controls import AT_ONCE, Catalog, offered_anew
from crossfade.ui.language import label, language_of, say

TASK, OWN = "", "own"
OF = "of:"
"""Begins the value of a schema that another task has."""
START = '{\n  "type": "object",\n  "required": ["answer"],\n  "properties": {\n    "answer": {"type": "string"}\n  }\n}'


class SchemaEditor:
    """Draws a folded box where it is made; `values` is the order in which `put` takes what its components hold."""

    def __init__(self, catalog: Catalog, *, name: str) -> None:
        """`name` begins the ids of the components."""
        self._catalog = catalog
        with gr.Accordion(label("json.schema"), open=False, elem_id=f"{name}-schema"):
            self.picked = gr.Dropdown(
                [("—", TASK), (OWN, OWN)], value=TASK, label=label("json.which"), elem_id=f"{name}-schema-picked"
            )
            with gr.Column(visible=False, elem_id=f"{name}-schema-own") as self.area:
                self.text = gr.Code(
                    START,
                    language="json",
                    label=label("json.own"),
                    lines=8,
                    max_lines=20,
                    interactive=True,
                    elem_id=f"{name}-schema-text",
                )
                self.told = gr.HTML("", elem_id=f"{name}-schema-told")
                self.enforce = gr.Checkbox(
                    True, label=label("json.enforce"), info=label("json.enforce_info"), elem_id=f"{name}-schema-enforce"
                )

    @property
    def values(self) -> list[Any]:
        """The components, in the order in which `put` takes what they hold."""
        return [self.picked, self.text, self.enforce]

    @property
    def drawn(self) -> list[Any]:
        """What `fill` writes to."""
        return [self.picked, self.text, self.enforce, self.area]

    def wire(self, corpus: Any) -> None:
        """Offer the schemas of the corpus, and tell of what is written whether it is a schema."""
        self.refresh(corpus.change, corpus)
        self.picked.change(self._pick, [corpus, self.picked, self.text], [self.area, self.text, self.told], **AT_ONCE)
        self.text.change(self._tell, self.text, self.told, **AT_ONCE | {"trigger_mode": "always_last"})

    def refresh(self, trigger: Any, corpus: Any) -> None:
        """Offer the schemas of the corpus, in the reader's language, when the trigger fires."""
        trigger(self._offer, [corpus, self.picked], self.picked, **AT_ONCE)

    def put(self, query: Query, values: Sequence[Any]) -> Query:
        """The query with the schema that is picked; as it was with the task's. Raises QuestionError."""
        picked, text, enforce = values
        if not picked:
            return query
        read_schema(text or "")
        return replace(query, schema=text, enforce_schema=bool(enforce))

    def fill(self, query: Query | None) -> list[Any]:
        """The updates that show the schema of a query."""
        if query is None or not query.schema:
            return [TASK, gr.skip(), gr.skip(), gr.Column(visible=False)]
        return [OWN, query.schema, query.enforce_schema, gr.Column(visible=True)]

    def _offer(self, request: gr.Request, corpus: str | None, picked: str | None) -> Any:
        language = language_of(request)
        of = [(say(language, "json.of_task", task=name), OF + name) for name in self._schemas(corpus)]
        choices = [(say(language, "json.task_s"), TASK), *of, (say(language, "json.write"), OWN)]
        return offered_anew(choices, picked if picked in [value for _, value in choices] else TASK, picked)

    def _pick(self, request: gr.Request, corpus: str | None, picked: str | None, text: str | None) -> list[Any]:
        if not picked:
            return [gr.Column(visible=False), gr.skip(), ""]
        if picked.startswith(OF):
            schema = self._schemas(corpus).get(picked.removeprefix(OF))
            text = json.dumps(schema, indent=2, ensure_ascii=False) if schema else text
        return [gr.Column(visible=True), text, self._tell(request, text)]

    def _tell(self, request: gr.Request, text: str | None) -> str:
        return schema_html(text or "", language_of(request))

    def _schemas(self, corpus: str | None) -> dict[str, dict[str, Any]]:
        """The schemas that the tasks of a corpus have, by the task's name."""
        try:
            tasks = self._catalog.corpus(corpus).tasks
        except CrossfadeError:
            return {}
        return {name: task.enforceable for name, task in tasks.items() if task.enforceable is not None}


def schema_html(text: str, language: str) -> str:
    """Whether a text is a schema that is taken, and of which fields; else what is wrong with it."""
    try:
        schema = read_schema(text)
    except CrossfadeError as error:
        return render.note_html(answering.sentence(error, language), kind="error")
    fields = schema.get("properties")
    names = ", ".join(fields)[:200] if isinstance(fields, dict) and fields else "—"
    return render.note_html(say(language, "json.is_schema", names=names, most=f"{MOST_CHARACTERS:,}"))
