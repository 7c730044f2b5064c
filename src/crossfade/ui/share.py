"""Publish a comparison under a link, take it back, and open what a link leads to. Knows not how an answer is made.

What is published is made of the columns alone: question, settings, answers with passages and examples, no prompts.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

import gradio as gr

from crossfade.errors import CrossfadeError, StorageError
from crossfade.history.shares import Shares
from crossfade.ui import answering, render
from crossfade.ui.columns import Columns
from crossfade.ui.columns_text import columns_of_text, question_of, text_of_columns
from crossfade.ui.controls import AT_ONCE
from crossfade.ui.language import label, language_of, say
from crossfade.ui.owner import owner_of

PARAMETER = "shared"
TITLE_CHARACTERS = 80


class ShareBox:
    """Draws the button and the link where it is made, `draw_list` one's own links; `asked` is the state of the tab."""

    def __init__(self, shares: Shares, *, asked: Any) -> None:
        self._shares = shares
        self._asked = asked
        with gr.Column(visible=False, min_width=300, elem_classes="cf-box", elem_id="compare-share") as self.area:
            self.info = gr.HTML("", elem_id="share-told")
            self.publish = gr.Button(label("compare.share"), elem_id="share-publish")
            self.link = gr.Textbox(
                label=label("compare.link"), visible=False, interactive=False, buttons=["copy"], elem_id="share-link"
            )
            self.notice = gr.HTML("", elem_id="share-notice")

    def draw_list(self) -> None:
        """Draw one's own links, folded, with the button that takes one back."""
        with gr.Column(min_width=300), gr.Accordion(label("compare.your_links"), open=False, elem_id="shared-panel"):
            self.mine = gr.Dropdown([], label=label("compare.shared_by_you"), elem_id="shared-mine")
            self.take_back = gr.Button(label("compare.take_back"), size="sm", elem_id="shared-take-back")
            self.list_notice = gr.HTML("", elem_id="shared-notice")

    def wire(self, load: Any) -> None:
        """Let a comparison be shared and taken back; `load` draws the list."""
        self.publish.click(self._publish, self._asked, [self.link, self.notice, self.mine], **AT_ONCE)
        self.take_back.click(self._take_back, self.mine, [self.mine, self.list_notice, self.link], **AT_ONCE)
        load(self._list, None, self.mine, **AT_ONCE)

    @property
    def offered(self) -> list[Any]:
        """What `offer` writes to."""
        return [self.area, self.info, self.link, self.notice]

    def offer(self, columns: Columns, comparison: str, language: str) -> list[Any]:
        """Offer to share a comparison of one's own that has ended."""
        shown = bool(comparison) and any(column.answered for column in columns)
        told = render.note_html(say(language, "compare.share_info"))
        return [gr.Column(visible=shown), told, gr.Textbox(value="", visible=False), ""]

    def opened(self, request: gr.Request) -> Columns | str | None:
        """What the link of this page leads to: columns, or a sentence on why there are none; None without a link."""
        token = str(request.query_params.get(PARAMETER, ""))
        if not token:
            return None
        try:
            content = self._shares.open(token[:200])
            if content is None:
                return say(language_of(request), "compare.no_such_link")
            return columns_of_text(content)
        except CrossfadeError as error:
            return answering.sentence(error, language_of(request))

    def _publish(self, request: gr.Request, columns: Columns) -> list[Any]:
        language = language_of(request)
        try:
            if not any(column.answered for column in columns):
                raise StorageError(say(language, "compare.nothing_to_share"))
            title = question_of(columns)
            token = self._shares.publish(owner_of(request), text_of_columns(columns), title=title)
        except CrossfadeError as error:
            return [gr.skip(), render.note_html(answering.sentence(error, language), kind="error"), gr.skip()]
        told = render.note_html(say(language, "compare.shared"))
        return [gr.Textbox(value=_address(request, token), visible=True), told, self._list(request)]

    def _take_back(self, request: gr.Request, number: int | None) -> list[Any]:
        language = language_of(request)
        try:
            if number is None or not self._shares.take_back(owner_of(request), int(number)):
                told = render.note_html(say(language, "compare.choose_link"), kind="error")
                return [self._list(request), told, gr.skip()]
        except CrossfadeError as error:
            return [gr.skip(), render.note_html(answering.sentence(error, language), kind="error"), gr.skip()]
        told = render.note_html(say(language, "compare.taken_back"))
        return [self._list(request), told, gr.Textbox(value="", visible=False)]

    def _list(self, request: gr.Request) -> Any:
        try:
            mine = self._shares.of(owner_of(request))
        except CrossfadeError:
            mine = ()  # told where something is shared; a list that cannot be read is empty
        choices = [(f"{_date(shared.at)} · {_short(shared.title)}", shared.number) for shared in mine]
        return gr.Dropdown(choices=choices, value=None)


def _address(request: gr.Request, token: str) -> str:
    """The link, at the address at which this page stands for the person who shares it."""
    page = urlsplit(str(request.headers.get("referer", "")))
    start = f"{page.scheme}://{page.netloc}{page.path}" if page.scheme in ("http", "https") else "/"
    return f"{start}?{PARAMETER}={token}"


def _date(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M")


def _short(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) <= TITLE_CHARACTERS else text[: TITLE_CHARACTERS - 1] + "…"
