"""What can be done with a comparison that has ended: vote, share, see differences, clear. Knows not how it was made."""

from __future__ import annotations

from typing import Any

import gradio as gr

from crossfade.history.comparisons import Comparisons
from crossfade.history.database import Database
from crossfade.history.shares import Shares
from crossfade.history.votes import Votes
from crossfade.ui.columns import Columns
from crossfade.ui.controls import AT_ONCE
from crossfade.ui.difference_box import DifferenceBox
from crossfade.ui.language import language_of
from crossfade.ui.last_comparison import LastComparison
from crossfade.ui.share import ShareBox
from crossfade.ui.votes import VoteBox


class Afterwards:
    """Draws the boxes where it is made; `asked` is the state with the columns, `comparison` that with their name.

    The name is empty for a comparison that somebody else shared: it is no matter for a vote.
    """

    def __init__(self, database: Database, *, asked: Any, comparison: Any) -> None:
        self._states = [asked, comparison]
        with gr.Row(elem_classes="cf-after"):
            self.votes = VoteBox(Votes(database), asked=asked, comparison=comparison)
            self.shares = ShareBox(Shares(database), asked=asked)
        self.differences = DifferenceBox(asked=asked)
        self.last = LastComparison(Comparisons(database))
        with gr.Row(elem_classes="cf-after"):
            self.votes.draw_panel()
            self.shares.draw_list()

    @property
    def areas(self) -> list[Any]:
        """What `hidden` writes to."""
        return [self.votes.area, self.shares.area, self.differences.area, self.last.clear]

    def hidden(self) -> list[Any]:
        """The updates that put the boxes away."""
        return [*[gr.Column(visible=False) for _ in self.areas[:-1]], gr.Button(visible=False)]

    def offer(self, then: Any) -> None:
        """Offer what can be done with the columns after an event that may have ended them."""
        offered = [*self.votes.offered, *self.shares.offered, *self.differences.offered, self.last.clear]
        then(self._offer, self._states, offered, **AT_ONCE)

    def load(self, load: Any) -> None:
        """Show what this browser voted and shared when the page loads."""
        self.votes.wire(load)
        self.shares.wire(load)

    def _offer(self, request: gr.Request, columns: Columns, comparison: str) -> list[Any]:
        language = language_of(request)
        columns = () if any(column.open for column in columns) else columns
        return [
            *self.votes.offer(columns, comparison, language),
            *self.shares.offer(columns, comparison, language),
            *self.differences.offer(columns, language),
            self.last.offer(columns, comparison),
        ]
