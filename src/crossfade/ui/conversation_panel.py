"""What can be done to one conversation of the list (rename, export, delete), and files of all of them, out and in.

Files go through the page as text, so that none of them lies where the server could give it to somebody else.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import gradio as gr

from crossfade.history import export
from crossfade.history.conversations import Conversations
from crossfade.ui import answering, downloads, render
from crossfade.ui.controls import AT_ONCE
from crossfade.ui.conversation import Conversation
from crossfade.ui.language import label, language_of, say
from crossfade.ui.opened import Open
from crossfade.ui.owner import owner_of

Changes = dict[Any, Any]
PICK = downloads.pick(most_bytes=export.MOST_BYTES, accept=".json,application/json", elem_id="conversations-file")


class ConversationPanel:
    """Draws the panel, hidden at first, and with `draw_files` the buttons for all conversations."""

    def __init__(self, conversations: Conversations) -> None:
        self._conversations = conversations
        self.managed = gr.State("")
        self.told = gr.HTML("", elem_id="conversations-told", js_on_load=None)
        with gr.Column(visible=False, elem_id="conversations-panel", elem_classes="cf-list-panel") as self.box:
            self.title = gr.Textbox(
                label=label("conversations.name"), max_lines=1, max_length=200, elem_id="conversations-title"
            )
            with gr.Row(elem_classes="cf-list-buttons"):
                self.rename = self._button(label("conversations.rename"), "rename")
                self.as_json = self._button(label("conversations.as_json"), "json")
                self.as_markdown = self._button(label("conversations.as_markdown"), "markdown")
                self.ask = self._button(label("conversations.delete"), "delete")
                self.close = self._button(label("conversations.close"), "close")
            with gr.Column(visible=False, elem_id="conversations-sure") as self.sure:
                self.asked = gr.HTML("", js_on_load=None)
                with gr.Row(elem_classes="cf-list-buttons"):
                    self.really = self._button(label("conversations.really"), "really", variant="stop")
                    self.keep = self._button(label("conversations.keep"), "keep")
        self._text, self._name = gr.Textbox(visible=False), gr.Textbox(visible=False)

    def draw_files(self) -> None:
        """Draw the buttons for files of all conversations."""
        with (
            gr.Accordion(label("conversations.all"), open=False, elem_classes="cf-list-files"),
            gr.Row(elem_classes="cf-list-buttons") as self.files,
        ):
            self.all_json = self._button(label("conversations.all_json"), "all-json")
            self.all_markdown = self._button(label("conversations.all_markdown"), "all-markdown")
            self.take_in = self._button(label("conversations.import"), "import")
        self._file = gr.Textbox(visible=False)

    @staticmethod
    def _button(words: Any, name: str, **more: Any) -> Any:
        return gr.Button(words, size="sm", min_width=60, elem_id=f"conversations-{name}", **more)

    @property
    def outputs(self) -> list[Any]:
        """What the panel changes of itself."""
        return [self.managed, self.told, self.box, self.title, self.sure, self.asked]

    def managing(self, owner: str, id: str) -> Changes:
        """Show the panel for a conversation. Raises StorageError where the owner has none of that id."""
        kept = self._conversations.open(owner, id, most_turns=0)
        return {
            self.managed: id,
            self.told: "",
            self.box: gr.Column(visible=True),
            self.title: kept.title,
            self.sure: gr.Column(visible=False),
        }

    def wire(
        self,
        page: Sequence[Any],
        whole: Sequence[Any],
        *,
        draw: Callable[[gr.Request, Open, str, int], Changes],
        gone: Callable[[str, Open], tuple[Open, Changes]],
    ) -> Any:
        """Join the panel to a page whose list is drawn by `draw`; gives the event of a deletion.

        `page` are turns, open conversation, search and number listed, `whole` what `draw` and `gone` change.
        """
        outputs = [*whole, *self.outputs]

        def guarded(act: Callable[..., Changes]) -> Callable[..., Changes]:
            """What `act` changes, or a sentence on why not."""

            def run(
                request: gr.Request, told: str, written: str, turns: Any, open_: Open | None, search: str, most: int
            ) -> Changes:
                try:
                    return act(request, told, written, turns, open_ or Open(), search, most)
                except Exception as error:
                    return {self.told: render.note_html(answering.sentence(error, language_of(request)), kind="error")}

            return run

        def rename(
            request: gr.Request, id: str, title: str, turns: Conversation, open_: Open, search: str, most: int
        ) -> Changes:
            self._conversations.rename(owner_of(request), id, title or "")
            return self._closed() | draw(request, open_, search, most)

        def delete(
            request: gr.Request, id: str, title: str, turns: Conversation, open_: Open, search: str, most: int
        ) -> Changes:
            language = language_of(request)
            if id == open_.id and turns and turns[-1].open:
                return {self.told: render.note_html(say(language, "conversations.busy"))}
            kept = self._conversations.open(owner_of(request), id, most_turns=0)
            self._conversations.delete(owner_of(request), id)
            told = render.note_html(say(language, "conversations.deleted", title=kept.title))
            open_, changes = gone(id, open_)
            return self._closed() | {self.told: told} | changes | draw(request, open_, search, most)

        def take_in(
            request: gr.Request, text: str, _: str, turns: Conversation, open_: Open, search: str, most: int
        ) -> Changes:
            language = language_of(request)
            if not text:
                return {self.told: ""}
            if text == downloads.TOO_LARGE:
                much = say(language, "conversations.too_large", most=export.MOST_BYTES // 1_000_000)
                return {self.told: render.note_html(much, kind="error")}
            ids = self._conversations.add(owner_of(request), export.from_json(text))
            told = render.note_html(say(language, "conversations.imported", count=len(ids)))
            return {self.told: told} | draw(request, open_, search, most)

        managed = [self.managed, self.title, *page]
        gr.on([self.rename.click, self.title.submit], guarded(rename), managed, outputs, **AT_ONCE)
        deleted = self.really.click(guarded(delete), managed, outputs, **AT_ONCE)
        self.take_in.click(guarded(take_in), [self._file, self.title, *page], outputs, js=_first(PICK), **AT_ONCE)
        self.ask.click(self._ask, self.managed, self.outputs, **AT_ONCE)
        self.keep.click(lambda: gr.Column(visible=False), None, self.sure, **AT_ONCE)
        self.close.click(self._closed, None, self.outputs, **AT_ONCE)
        for button, kind in (
            (self.as_json, "json"),
            (self.as_markdown, "md"),
            (self.all_json, "json"),
            (self.all_markdown, "md"),
        ):
            one = button in (self.as_json, self.as_markdown)
            self._saves(button, kind, one=one)
        return deleted

    def _saves(self, button: Any, kind: str, *, one: bool) -> None:
        def make(request: gr.Request, id: str) -> list[Any]:
            try:
                return [self._exported(request, id if one else None, kind), downloads.file_name(_what(one), kind), ""]
            except Exception as error:
                return ["", "", render.note_html(answering.sentence(error, language_of(request)), kind="error")]

        made = button.click(make, self.managed, [self._text, self._name, self.told], **AT_ONCE)
        made.then(None, [self._text, self._name], None, js=downloads.SAVE)

    def _exported(self, request: gr.Request, id: str | None, kind: str) -> str:
        owner, language = owner_of(request), language_of(request)
        if id is None:
            export.check_size(*self._conversations.size(owner))  # before all of it is read
        found = self._conversations.all(owner) if id is None else (self._conversations.open(owner, id),)
        if kind == "json":
            return export.to_json(found)
        words = export.Words(
            question=say(language, "conversations.question"),
            answer=say(language, "conversations.answer"),
            sources=say(language, "conversations.sources"),
            error=say(language, "conversations.error"),
        )
        return export.to_markdown(found, words)

    def _ask(self, request: gr.Request, id: str) -> Changes:
        try:
            kept = self._conversations.open(owner_of(request), id, most_turns=0)
        except Exception as error:
            return {self.told: render.note_html(answering.sentence(error, language_of(request)), kind="error")}
        sure = say(language_of(request), "conversations.sure", title=kept.title)
        return {self.sure: gr.Column(visible=True), self.asked: render.note_html(sure, kind="error")}

    def _closed(self) -> Changes:
        return {
            self.managed: "",
            self.told: "",
            self.box: gr.Column(visible=False),
            self.sure: gr.Column(visible=False),
        }


def _what(one: bool) -> str:
    return "conversation" if one else "conversations"


def _first(script: str) -> str:
    """A script whose value is that of the first input, the others staying as they are."""
    return f"async (_, ...rest) => [await ({script})(), ...rest]"
