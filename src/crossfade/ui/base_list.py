"""Below the list of adapters: the bases that a person trained whole, how each is chatted with, rename, delete.

Their hashes are read from gigabytes, so that the list is filled when the page is opened, not while it is built.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import gradio as gr

from crossfade.adapters.own_bases import delete_base, rename_base
from crossfade.errors import AdapterError
from crossfade.ui import answering, render
from crossfade.ui.adapter_rows import Row, base_rows_of, details_html, table_html
from crossfade.ui.controls import AT_ONCE
from crossfade.ui.language import label, language_of, say
from crossfade.ui.owner import person_of

if TYPE_CHECKING:
    from crossfade.startup import Startup


class BaseList:
    """Draws the list into the `gr.Blocks` that is open, out of sight where the reader has no base."""

    def __init__(self, startup: Startup) -> None:
        self._startup = startup
        with gr.Column(visible=False, elem_id="bases") as self.box:
            self.head = gr.HTML("")
            self.shown = gr.HTML("", elem_id="bases-table")
            self.chosen = gr.Dropdown([], label=label("adapters.base"), elem_id="bases-chosen")
            self.about = gr.HTML("", elem_id="bases-about")
            with gr.Row(elem_classes="cf-ask"):
                self.new_name = gr.Textbox(
                    label=label("adapters.new_name"), max_lines=1, elem_id="bases-new-name", min_width=140
                )
                self.rename = gr.Button(label("adapters.rename"), scale=0, min_width=100, elem_id="bases-rename")
            self.delete = gr.Button(label("adapters.delete"), elem_id="bases-delete")
            with gr.Column(visible=False, elem_id="bases-sure") as self.sure:
                self.asked = gr.HTML("")
                with gr.Row():
                    self.really = gr.Button(label("adapters.really"), variant="stop", elem_id="bases-really")
                    self.keep = gr.Button(label("adapters.keep"), elem_id="bases-keep")
            self.to_delete = gr.State("")
        self.notice = gr.HTML("", elem_id="bases-notice")
        self._drawn = [self.box, self.head, self.shown, self.chosen, self.about, self.sure, self.notice]
        self.chosen.input(self._choose, self.chosen, self._drawn, **AT_ONCE)
        self.rename.click(self._rename, [self.chosen, self.new_name], self._drawn, **AT_ONCE)
        self.delete.click(self._ask, self.chosen, [self.sure, self.asked, self.to_delete], **AT_ONCE)
        self.keep.click(lambda: (gr.Column(visible=False), ""), None, [self.sure, self.to_delete], **AT_ONCE)
        self.really.click(self._delete, self.to_delete, self._drawn, **AT_ONCE)

    def refresh(self, trigger: Any) -> None:
        """Draw the bases as they are now when the trigger fires; what was chosen stays where it is still there."""
        trigger(self._choose, self.chosen, self._drawn, **AT_ONCE)

    def _choose(self, request: gr.Request, name: str | None) -> list[Any]:
        return self._state(request, name, "")

    def _state(self, request: gr.Request, name: str | None, note: str) -> list[Any]:
        """Everything as it is now, with that base chosen, or the first where it is gone."""
        language, person = language_of(request), person_of(request, self._startup.settings)
        rows = base_rows_of(self._startup.settings, person)
        row = next((row for row in rows if row.name == name), rows[0] if rows else None)
        return [
            gr.Column(visible=bool(rows)),
            f"<h3>{say(language, 'adapters.bases')}</h3>",
            table_html(rows, language, title="adapters.bases"),
            gr.Dropdown(choices=[row.name for row in rows], value=row.name if row else None),
            details_html(row, language) + self._how(row, language, person),
            gr.Column(visible=False),
            note,
        ]

    def _how(self, row: Row | None, language: str, person: str | None) -> str:
        """How to chat with a base: what has to be set, which a visitor cannot."""
        if row is None or row.facts is None:
            return ""
        if row.state == "answers":
            return render.note_html(say(language, "adapters.chat_base_here"))
        if person is not None:
            return render.note_html(say(language, "adapters.chat_base_elsewhere"))
        folder = shlex.quote(str(self._startup.settings.my_bases / row.name))
        command, variable = f"crossfade serve --base {folder}", f"CROSSFADE_BASE={folder}"
        return render.note_html(say(language, "adapters.chat_base", command=command, variable=variable))

    def _acted(self, request: gr.Request, act: Callable[[str], tuple[str, str]]) -> list[Any]:
        """Do it, and draw what there is then: `act` gives the sentence and the base that is chosen afterwards."""
        language = language_of(request)
        try:
            told, name = act(language)
            return self._state(request, name, render.note_html(told))
        except Exception as error:
            return self._state(request, None, render.note_html(answering.sentence(error, language), kind="error"))

    def _mine(self, request: gr.Request, name: str | None) -> str:
        """The name itself where the base is there and is the reader's. Raises AdapterError."""
        language, settings = language_of(request), self._startup.settings
        if not name:
            raise AdapterError(say(language, "adapters.choose_base"))
        if name not in {row.name for row in base_rows_of(settings, person_of(request, settings))}:
            raise AdapterError(say(language, "adapters.base_gone", name=name))
        return name

    def _rename(self, request: gr.Request, name: str | None, new: str | None) -> list[Any]:
        def act(language: str) -> tuple[str, str]:
            old, to = self._mine(request, name), (new or "").strip()
            rename_base(self._startup.settings, old, new=to)
            return say(language, "adapters.renamed", name=old, new=to), to

        return self._acted(request, act)

    def _ask(self, request: gr.Request, name: str | None) -> list[Any]:
        told = render.note_html(say(language_of(request), "adapters.sure", name=name), kind="error")
        return [gr.Column(visible=bool(name)), told, name or ""]

    def _delete(self, request: gr.Request, name: str | None) -> list[Any]:
        """Delete what was asked about, whatever has been chosen since."""

        def act(language: str) -> tuple[str, str]:
            delete_base(self._startup.settings, self._mine(request, name))
            return say(language, "adapters.deleted", name=name), ""

        return self._acted(request, act)
