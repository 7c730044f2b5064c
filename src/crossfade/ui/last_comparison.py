"""Keeps a browser's last comparison, shows it again after a reload or a restart, until it is cleared.

Knows not how an answer is made. What cannot be kept is told, and the comparison goes on.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import gradio as gr

from crossfade.errors import CrossfadeError
from crossfade.history.comparisons import Comparisons
from crossfade.ui import answering, render
from crossfade.ui.columns import Columns, end_open
from crossfade.ui.columns_text import columns_of_text, text_of_columns
from crossfade.ui.language import label, language_of, say
from crossfade.ui.owner import owner_of


class LastComparison:
    """Draws the button that clears it where it is made."""

    def __init__(self, comparisons: Comparisons) -> None:
        self._comparisons = comparisons
        self.clear = gr.Button(label("compare.clear"), size="sm", visible=False, min_width=160, elem_id="compare-clear")

    def offer(self, columns: Columns, comparison: str) -> Any:
        """The update that shows the button for a comparison of one's own that has ended."""
        return gr.Button(visible=bool(comparison and columns))

    def begin(self, request: gr.Request, columns: Columns, comparison: str) -> str:
        """Keep a comparison from its beginning; gives a note where that is not possible, else nothing."""
        return self._kept(self._comparisons.begin, request, columns, comparison)

    def grow(self, request: gr.Request, columns: Columns, comparison: str) -> str:
        """Keep what has come of it since; gives a note like `begin`."""
        return self._kept(self._comparisons.grow, request, columns, comparison)

    def opened(self, request: gr.Request) -> tuple[Columns | str | None, str]:
        """The columns of this browser's last comparison and its name; a sentence where they cannot be read."""
        try:
            found = self._comparisons.last(owner_of(request))
            return (columns_of_text(found[1]), found[0]) if found else (None, "")
        except CrossfadeError as error:
            return answering.sentence(error, language_of(request)), ""

    def forget(self, request: gr.Request) -> str:
        """Keep it no longer; gives a note where that is not possible, else nothing."""
        try:
            self._comparisons.clear(owner_of(request))
            return ""
        except CrossfadeError as error:
            return render.note_html(answering.sentence(error, language_of(request)), kind="error")

    def _kept(
        self, keep: Callable[[str, str, str], None], request: gr.Request, columns: Columns, comparison: str
    ) -> str:
        language = language_of(request)
        # What is still being written is kept as it is where nothing more comes of it.
        columns = end_open(columns, say(language, "compare.interrupted"))
        try:
            keep(owner_of(request), comparison, text_of_columns(columns, prompts=True))
            return ""
        except CrossfadeError as error:
            return render.note_html(
                say(language, "compare.not_kept", why=answering.sentence(error, language)), kind="error"
            )
