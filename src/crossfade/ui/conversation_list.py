"""The list of conversations beside the chat: keeps what was answered, finds it again, opens it, starts a new one.

Knows of the chat its turns and its chatbot alone. Each page has its own open conversation; what another page adds to
the same one stays. What cannot be kept is told, and the chat goes on.
"""

from __future__ import annotations

import contextlib
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import gradio as gr

from crossfade.errors import StorageError
from crossfade.history.conversations import Conversations
from crossfade.history.kept import KeptTurn, keys_of
from crossfade.ui import answering, listing, render
from crossfade.ui.controls import AT_ONCE
from crossfade.ui.conversation import MOST_TURNS, Conversation, Shown, all_messages, settled
from crossfade.ui.conversation_panel import ConversationPanel
from crossfade.ui.language import label, language_of, say
from crossfade.ui.opened import Open, continued, interrupted, opened, schema_in, to_keep, to_show
from crossfade.ui.owner import owner_of

if TYPE_CHECKING:
    from crossfade.startup import Startup

PAGE = 50
"""So many conversations are listed, and so many more on demand."""

Changes = dict[Any, Any]
"""What a handler changes: the value of each component."""


class ConversationList:
    """Draws the list into the `gr.Blocks` that is open; `wire` joins it to the page and its chat.

    After `wire`, `shown_again` are the events after which the chat may show other turns than before.
    """

    def __init__(self, startup: Startup, conversations: Conversations) -> None:
        self._startup, self._conversations = startup, conversations
        self.open = gr.State(None)
        self.most = gr.State(PAGE)
        self.shown_again: list[Any] = []
        self._draw()

    def _draw(self) -> None:
        with gr.Column(scale=0, min_width=250, elem_classes="cf-list"):
            self.head = gr.HTML(listing.head_html("en"), js_on_load=None, apply_default_css=False)
            self.notice = gr.HTML("", elem_id="conversations-notice", js_on_load=None, apply_default_css=False)
            self.new = gr.Button(label("conversations.new"), elem_id="conversations-new", size="sm")
            with gr.Column(elem_classes="cf-list-body"):
                self.search = gr.Textbox(
                    label=label("conversations.search"),
                    placeholder=label("conversations.search"),
                    show_label=False,
                    container=False,
                    max_lines=1,
                    elem_id="conversations-search",
                )
                self.panel = ConversationPanel(self._conversations)
                self.shown = gr.HTML(
                    "", elem_id="conversations-list", js_on_load=listing.SCRIPT, apply_default_css=False
                )
                self.panel.draw_files()
        self._recalled = gr.Textbox(visible=False)

    def wire(self, load: Any, chat: Any) -> None:
        """`load` is the page's trigger of that name.

        `chat` has `turns`, `chatbot`, `notice`, `editing`, `dropped`, and events `accepted`, `ended` and `undone`.
        """
        self._chat = chat
        chat.left = self._left
        page = [chat.turns, self.open, self.search, self.most]
        own = [self.open, self.most, self.shown, self.notice]
        whole = [*own, chat.turns, chat.chatbot, chat.notice, chat.editing]
        started = load(self._start, self._recalled, [*whole, self.head], js=listing.RECALL, **AT_ONCE)
        # Not `change` of the turns: Gradio fires that after events of its queue alone.
        kept = [ended.then(self._keep, page, own, **AT_ONCE) for ended in chat.ended]
        kept.append(chat.accepted.success(self._begin, page, own, **AT_ONCE))
        kept.append(chat.undone.then(self._undo, [chat.dropped, *page], own, **AT_ONCE))
        begun = self.new.click(self._new, page, whole, **AT_ONCE)
        # Not `input`: Gradio swallows the first one, such as a word that is pasted.
        self.search.change(self._search, page, own, trigger_mode="always_last", **AT_ONCE)
        pressed = self.shown.click(self._press, page, [*whole, *self.panel.outputs], **AT_ONCE)
        deleted = self.panel.wire(page, whole, draw=self._drawn, gone=self._gone)
        self.shown_again = [started, *kept, begun, pressed, deleted]

    def _start(self, request: gr.Request, recalled: str | None) -> Changes:
        """Open what this tab of the browser had open before the page was loaded again, or begin a new conversation."""
        owner, open_ = owner_of(request), Open()
        changes: Changes = {}
        if owner and recalled:
            # One that was deleted since, or is somebody else's, is as if it had never been there.
            with contextlib.suppress(StorageError):
                open_, changes = self._opened(owner, recalled, language_of(request))
        note = "" if owner else render.note_html(say(language_of(request), "conversations.no_cookie"))
        head = {self.head: listing.head_html(language_of(request))}
        return {self.notice: note, self.open: open_} | head | changes | self._drawn(request, open_, "", PAGE)

    def _keep(self, request: gr.Request, turns: Conversation, open_: Open | None, search: str, most: int) -> Changes:
        """Keep the turns once the last of them has ended."""
        if not turns or turns[-1].open:
            return {self.most: most}
        open_, changes = self._kept(request, turns, open_ or Open())
        return changes | self._drawn(request, open_, search, most)

    def _begin(self, request: gr.Request, turns: Conversation, open_: Open | None, search: str, most: int) -> Changes:
        """Keep a question while it is being answered: it outlives a page, a connection and a server that go away.

        What is kept of it says so; its answer takes the place of that, and of what a retry or an edit is to replace.
        """
        if not turns or not turns[-1].open:
            return self._keep(request, turns, open_, search, most)
        begun = interrupted(turns, say(language_of(request), "conversations.interrupted"))
        open_, changes = self._saved(request, turns, open_ or Open(), ended=begun)
        return changes | self._drawn(request, open_, search, most)

    def _left(self, request: gr.Request, begun: Conversation, last: Shown) -> None:
        """Keep an answer as far as it came in place of its question alone: the page that asked is gone.

        What it was to replace stands before it, unless it has come to its end.
        """
        why, turns = say(language_of(request), "conversations.interrupted"), (*begun[:-1], last)
        ended = last.error or (last.answer and last.answer.generation.finish not in ("", "cancelled"))
        kept = to_keep(settled(turns)) if ended else interrupted(turns, why)
        if owner := owner_of(request):
            with contextlib.suppress(StorageError):  # there is nobody to tell
                before = keys_of(interrupted(begun, why))
                self._conversations.save(owner, last.thread, turns=kept, before=before)

    def _undo(
        self,
        request: gr.Request,
        dropped: Shown | None,
        turns: Conversation,
        open_: Open | None,
        search: str,
        most: int,
    ) -> Changes:
        """Take what was undone out of the kept conversation, and a conversation of which nothing is left with it."""
        if dropped is None or open_ is None or dropped.thread != open_.id or (turns and turns[-1].open):
            return {self.most: most}
        open_, changes = self._saved(request, turns, open_)
        return changes | self._drawn(request, open_, search, most)

    def _kept(self, request: gr.Request, turns: Conversation, open_: Open) -> tuple[Open, Changes]:
        # An empty chat takes nothing back: only who undoes does.
        return self._saved(request, turns, open_) if turns else (open_, {})

    def _not_kept(self, changes: Changes) -> bool:
        """Whether saving failed: then the page has the only copy, and does not give it up."""
        return self.notice in changes and self.open not in changes

    def _saved(
        self, request: gr.Request, turns: Conversation, open_: Open, *, ended: tuple[KeptTurn, ...] = ()
    ) -> tuple[Open, Changes]:
        owner = owner_of(request)
        if not owner:
            return open_, {}
        try:
            ended = ended or to_keep(settled(turns))
            now = continued(open_, turns, keys_of(ended)) if turns else open_
            keys = self._conversations.save(owner, now.id, turns=ended, before=now.keys)
            now = replace(now, keys=keys) if turns else Open()
            return now, {self.open: now, self.notice: ""}
        except Exception as error:
            why = say(
                language_of(request), "conversations.not_kept", why=answering.sentence(error, language_of(request))
            )
            return open_, {self.notice: render.note_html(why, kind="error")}

    def _new(self, request: gr.Request, turns: Conversation, open_: Open | None, search: str, most: int) -> Changes:
        if turns and turns[-1].open:
            return self._busy(request)
        _, changes = self._kept(request, turns, open_ or Open())
        if self._not_kept(changes):
            return changes
        open_ = Open()
        return changes | self._emptied(open_) | self._drawn(request, open_, search, most)

    def _press(
        self,
        request: gr.Request,
        event: gr.EventData,
        turns: Conversation,
        open_: Open | None,
        search: str,
        most: int,
    ) -> Changes:
        """What a button of the list does: open a conversation, manage it, or list more of them."""
        told: dict[str, Any] = event._data if isinstance(event._data, dict) else {}
        act, id, open_ = str(told.get("act")), str(told.get("id")), open_ or Open()
        if act == "more":
            return self._drawn(request, open_, search, most + PAGE)
        try:
            if act == "manage":
                return {self.most: most} | self.panel.managing(owner_of(request), id)
            if turns and turns[-1].open:
                return self._busy(request)
            open_, changes = self._kept(request, turns, open_)
            if self._not_kept(changes):
                return changes
            open_, found = self._opened(owner_of(request), id, language_of(request))
            return {self.notice: ""} | changes | found | self._drawn(request, open_, search, most)
        except Exception as error:
            note = {self.notice: render.note_html(answering.sentence(error, language_of(request)), kind="error")}
            return note | self._drawn(request, open_, search, most)

    def _search(self, request: gr.Request, turns: Conversation, open_: Open | None, search: str, most: int) -> Changes:
        return self._drawn(request, open_ or Open(), search, PAGE)

    def _gone(self, id: str, open_: Open) -> tuple[Open, Changes]:
        """What follows when a conversation was deleted: where it was the open one, the chat is empty."""
        if id != open_.id:
            return open_, {}
        open_ = Open()
        return open_, self._emptied(open_)

    def _opened(self, owner: str, id: str, language: str) -> tuple[Open, Changes]:
        kept = self._conversations.open(owner, id, most_turns=MOST_TURNS)
        turns = to_show(kept.turns, lambda query: schema_in(self._startup.corpora, query), thread=kept.id)
        open_ = opened(kept)
        return open_, self._put(open_, turns, language)

    def _emptied(self, open_: Open) -> Changes:
        return self._put(open_, (), "en")

    def _put(self, open_: Open, turns: Conversation, language: str) -> Changes:
        """Show a conversation in the chat; what was being edited in the one before is not."""
        chat = self._chat
        shown = {chat.turns: turns, chat.chatbot: all_messages(turns, language)}
        return {self.open: open_, chat.notice: "", chat.editing: None} | shown

    def _busy(self, request: gr.Request) -> Changes:
        return {self.notice: render.note_html(say(language_of(request), "conversations.busy"))}

    def _drawn(self, request: gr.Request, open_: Open, search: str, most: int) -> Changes:
        """The list as it is now, with what is open marked. What is open is left: another event may be changing it."""
        try:
            found = self._conversations.newest(owner_of(request), search=search or "", most=most + 1)
        except StorageError as error:
            why = say(
                language_of(request), "conversations.not_kept", why=answering.sentence(error, language_of(request))
            )
            return {self.most: most, self.notice: render.note_html(why, kind="error")}
        shown = listing.list_html(
            found, open_id=open_.id, most=most, searched=bool((search or "").strip()), language=language_of(request)
        )
        return {self.most: most, self.shown: shown}
