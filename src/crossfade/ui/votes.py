"""Below a comparison: which answer is the best, in a person's eyes, and how often each mode won in theirs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import gradio as gr

from crossfade.errors import CrossfadeError
from crossfade.history.votes import BAD, MOST_REMARK, ONE, TIE, Ballot, Vote, Votes, export, export_for_judge, standings
from crossfade.ui import answering, downloads, render
from crossfade.ui.columns import Columns
from crossfade.ui.controls import AT_ONCE
from crossfade.ui.escaping import escape
from crossfade.ui.language import label, language_of, say
from crossfade.ui.owner import owner_of


class VoteBox:
    """Draws the vote where it is made, `draw_panel` the sums; `asked` and `comparison` are the states of the tab."""

    def __init__(self, votes: Votes, *, asked: Any, comparison: Any) -> None:
        self._votes = votes
        self._states = [asked, comparison]
        with gr.Column(visible=False, min_width=300, elem_classes="cf-box", elem_id="compare-vote") as self.area:
            self.choice = gr.Radio([], label=label("compare.vote_label"), elem_id="vote-choice")
            self.remark = gr.Textbox(
                label=label("compare.remark"), lines=1, max_lines=4, max_length=MOST_REMARK, elem_id="vote-remark"
            )
            self.cast = gr.Button(label("compare.vote"), elem_id="vote-cast")
            self.notice = gr.HTML("", elem_id="vote-notice")

    def draw_panel(self) -> None:
        """Draw the sums of one's own votes, folded, with their export."""
        with gr.Column(min_width=300), gr.Accordion(label("compare.your_votes"), open=False, elem_id="votes-panel"):
            self.panel = gr.HTML("", elem_id="votes-sums")
            with gr.Row(elem_classes="cf-examples"):
                self.whole = gr.Button(label("compare.votes_file"), size="sm", elem_id="votes-file")
                self.judged = gr.Button(label("compare.judge_file"), size="sm", elem_id="votes-judge-file")
            self._text, self._name = gr.Textbox(visible=False), gr.Textbox(visible=False)

    def wire(self, load: Any) -> None:
        """Let a vote be cast and changed, and the votes be exported; `load` draws the sums."""
        self.cast.click(self._cast, [*self._states, self.choice, self.remark], [self.notice, self.panel], **AT_ONCE)
        self._saves(self.whole, "votes", export)
        self._saves(self.judged, "judge-votes", export_for_judge)
        load(self._sums, None, self.panel, **AT_ONCE)

    @property
    def offered(self) -> list[Any]:
        """What `offer` writes to."""
        return [self.area, self.choice, self.remark, self.notice]

    def offer(self, columns: Columns, comparison: str, language: str) -> list[Any]:
        """Ask for a vote on a comparison that has ended, where two columns at least have an answer."""
        answered = [column for column in columns if column.answered]
        if not comparison or len(answered) < 2:
            return [gr.Column(visible=False), gr.skip(), gr.skip(), ""]
        choices = [(column.name, str(column.number)) for column in answered]
        choices += [(say(language, "compare.tie"), TIE), (say(language, "compare.all_bad"), BAD)]
        return [gr.Column(visible=True), gr.Radio(choices=choices, value=None), "", ""]

    def _cast(
        self, request: gr.Request, columns: Columns, comparison: str, choice: str | None, remark: str | None
    ) -> list[Any]:
        language = language_of(request)
        answered = [column for column in columns if column.answered]
        if not choice or not comparison:
            return [render.note_html(say(language, "compare.choose_first"), kind="error"), gr.skip()]
        winner = next((place for place, column in enumerate(answered) if str(column.number) == choice), -1)
        answers = tuple(column.answer for column in answered if column.answer)
        verdict = choice if choice in (TIE, BAD) else ONE
        try:
            self._votes.put(owner_of(request), Vote(comparison, verdict, answers, winner, (remark or "").strip()))
        except CrossfadeError as error:
            return [render.note_html(answering.sentence(error, language), kind="error"), gr.skip()]
        return [render.note_html(say(language, "compare.voted")), self._sums(request)]

    def _sums(self, request: gr.Request) -> str:
        language = language_of(request)
        try:
            return sums_html(self._votes.ballots(owner_of(request)), language)
        except CrossfadeError as error:
            return render.note_html(answering.sentence(error, language), kind="error")

    def _saves(self, button: Any, what: str, written: Callable[[Sequence[Vote]], str]) -> None:
        """Let the button save all votes as a file; it passes through the page, and lies nowhere on the server."""

        def make(request: gr.Request) -> list[Any]:
            try:
                text = written(self._votes.of(owner_of(request)))
            except Exception as error:
                return ["", "", render.note_html(answering.sentence(error, language_of(request)), kind="error")]
            return [text, downloads.file_name(what, "jsonl"), gr.skip()]

        made = button.click(make, None, [self._text, self._name, self.panel], **AT_ONCE)
        made.then(None, [self._text, self._name], None, js=downloads.SAVE)


def sums_html(ballots: Sequence[Ballot], language: str) -> str:
    """Wins by mode with their intervals, and how many votes named no winner."""
    if not ballots:
        return render.note_html(say(language, "compare.no_votes"))
    counts = {verdict: sum(ballot.verdict == verdict for ballot in ballots) for verdict in (ONE, TIE, BAD)}
    told = say(language, "compare.votes_told", votes=len(ballots), won=counts[ONE], ties=counts[TIE], bad=counts[BAD])
    heads = [
        say(language, "compare.mode"),
        say(language, "compare.wins"),
        say(language, "compare.share_of_wins"),
        say(language, "compare.interval"),
        say(language, "compare.chance"),
    ]
    rows = "".join(
        f'<tr><th scope="row">{escape(s.mode)}</th><td>{s.wins} / {s.shown}</td>'
        f'<td><span class="cf-bar" aria-hidden="true"><i style="left:{s.low:.0%};width:{s.high - s.low:.0%}"></i>'
        f'<b style="left:{s.wins / s.shown:.0%}"></b></span> {s.wins / s.shown:.0%}</td>'
        f"<td>{s.low:.0%} &#8211; {s.high:.0%}</td><td>{s.chance:.0%}</td></tr>"
        for s in standings(ballots)
    )
    head = "".join(f'<th scope="col">{escape(text)}</th>' for text in heads)
    table = f"<table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>" if rows else ""
    return f'{render.note_html(told)}<div class="cf-table cf-sums">{table}</div>'
