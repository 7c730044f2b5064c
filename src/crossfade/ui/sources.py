"""The panel beside the answers: a passage at its place in the document. Knows nothing of how an answer is made.

The browser sends what a citation's button holds, and gets nothing by a path: the answer is looked for among those that
the session's own states hold, and the document is read through the corpus that the answer was asked over.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterator, Sequence
from dataclasses import fields, is_dataclass
from itertools import groupby
from typing import TYPE_CHECKING, Any

import gradio as gr

from crossfade.errors import CrossfadeError
from crossfade.types import Answer, Passage
from crossfade.ui.citations import Place, answer_key, supporting, unwrapped
from crossfade.ui.controls import AT_ONCE
from crossfade.ui.escaping import escape
from crossfade.ui.language import language_of, say

if TYPE_CHECKING:
    from crossfade.startup import Startup

SHOWN_AROUND = 20_000
"""So many characters of a document are shown on each side of a passage."""

_ASKED = re.compile(r"([0-9a-f]{16})\.(\d{1,3})\.(-1|\d{1,7})")
_HEADING = re.compile(r"^#{1,6}[ \t]+(.+?)[ \t#]*$", re.MULTILINE)


class SourcePanel:
    """Draws the panel, closed, into the `gr.Blocks` that is open; `states` hold the session's answers, in any form."""

    def __init__(self, startup: Startup, *states: Any) -> None:
        self._startup = startup
        self.panel = gr.HTML("", elem_id="sources", js_on_load=_SCRIPT, apply_default_css=False)
        self.panel.select(self._open, list(states), self.panel, **AT_ONCE)

    def _open(self, request: gr.Request, event: gr.EventData, *states: Any) -> str:
        language = language_of(request)
        asked = _ASKED.fullmatch(str(getattr(event, "asked", "")))
        if asked:
            number, sentence = int(asked[2]), int(asked[3])
            for answer in answers_in(states):
                if 1 <= number <= len(answer.passages) and answer_key(answer) == asked[1]:
                    text = self._document(answer, answer.passages[number - 1])
                    return panel_html(answer, text, number=number, sentence=sentence, language=language)
        return frame_html("", f'<p class="cf-note">{escape(say(language, "sources.gone"))}</p>', language=language)

    def _document(self, answer: Answer, passage: Passage) -> str:
        """The text of a passage's document, or an empty one where it is not what it was."""
        try:
            corpus = next((c for c in self._startup.corpora if c.name == answer.query.corpus), None)
            document = next((d for d in corpus.documents if d.name == passage.document), None) if corpus else None
        except CrossfadeError:
            return ""
        same = document and document.text[passage.start : passage.end] == passage.text
        return document.text if document and same else ""


def answers_in(value: Any) -> Iterator[Answer]:
    """The answers that a session's state holds, however it keeps them."""
    if isinstance(value, Answer):
        yield value
    elif isinstance(value, (list, tuple)):
        for item in value:
            yield from answers_in(item)
    elif isinstance(value, dict):
        yield from answers_in(tuple(value.values()))
    elif is_dataclass(value) and not isinstance(value, type):
        for field in fields(value):
            yield from answers_in(getattr(value, field.name))


def panel_html(answer: Answer, document: str, *, number: int, sentence: int, language: str = "en") -> str:
    """A passage of an answer (from 1) in its document, and what in it supports the sentence that begins there.

    `document` is the document's text, or empty where it is not there as it was.
    """
    passage = answer.passages[number - 1]
    said, place, others = supporting(answer, number, sentence=sentence)
    parts = [_facts(answer, number, language=language)]
    if said:
        told = say(language, "sources.supports") if place else say(language, "sources.supports_not")
        parts.append(
            f'<p class="cf-note">{escape(say(language, "sources.sentence"))}</p><blockquote dir="auto">{escape(said)}'
            f'</blockquote><p class="cf-note">{escape(told)}</p>'
        )
    if any(not place or not place[0] <= begin < stop <= place[1] for begin, stop in others):
        told = say(language, "sources.also") if said else say(language, "sources.marked")
        parts.append(f'<p class="cf-note">{escape(told)}</p>')
    if not document:
        parts.append(f'<p class="cf-note">{escape(say(language, "sources.changed"))}</p>')
    before, after = document[: passage.start], document[passage.end :]
    marked = f'<div class="cf-here" dir="auto">{_marked(passage.text, place, others)}</div>'
    around = (_around(before[-SHOWN_AROUND:]), _around(after[:SHOWN_AROUND]))
    left = [_left(len(text) - SHOWN_AROUND, language=language) for text in (before, after)]
    body = f"{left[0]}{around[0]}{marked}{around[1]}{left[1]}"
    return frame_html(body, "".join(parts), title=f"[{number}] {passage.source}", language=language)


def frame_html(body: str, about: str, *, title: str = "", language: str = "en") -> str:
    """The open panel: its title, the button that closes it, what is said of the passage, the document.

    No two are the same text, so that each one is drawn, also after it was closed.
    """
    name = title or say(language, "sources.panel")
    label = escape(say(language, "sources.close"))
    return (
        f'<div class="cf-panel" role="dialog" aria-label="{escape(name)}" id="cf-panel-{secrets.token_hex(4)}">'
        f'<div class="cf-panel-head"><h2 dir="auto">{escape(name)}</h2>'
        f'<button type="button" class="cf-panel-close" aria-label="{label}" title="{label}">&#215;</button></div>'
        f'<div class="cf-panel-about">{about}</div>'
        f'<div class="cf-panel-body" tabindex="0" role="region" aria-label="{escape(name)}">{body}</div></div>'
    )


def _facts(answer: Answer, number: int, *, language: str) -> str:
    passage = answer.passages[number - 1]
    none = say(language, "sources.no_place")
    rows: list[tuple[str, float | None, int | None, int]] = [(say(language, "sources.fused"), passage.score, number, 3)]
    if passage.dense_rank or passage.bm25_rank:
        rows.append((say(language, "sources.dense"), passage.dense, passage.dense_rank, 3))
        rows.append((say(language, "sources.bm25"), passage.bm25, passage.bm25_rank, 2))
    items = []
    for name, score, rank, digits in rows:
        known = score is not None and rank is not None
        told = say(language, "sources.place", score=f"{score:.{digits}f}", rank=rank) if known else none
        items.append(f"<div><dt>{escape(name)}</dt><dd>{escape(told)}</dd></div>")
    given = say(language, "sources.given", number=number, count=len(answer.passages))
    return f'<p class="cf-note">{escape(given)}</p><dl class="cf-ranks">{"".join(items)}</dl>'


def _marked(text: str, here: Place | None, others: Sequence[Place]) -> str:
    """The passage with what supports the sentence that was asked for, and more faintly what supports the others."""
    plain = unwrapped(text)
    marks = [("mark class=cf-also", place) for place in others] + ([("mark", here)] if here else [])
    over = [""] * len(plain)
    for mark, (begin, stop) in marks:
        over[begin:stop] = [mark] * (stop - begin)
    parts, end = [], 0
    for mark, run in groupby(over):
        begin, end = end, end + len(list(run))
        piece = escape(plain[begin:end])
        parts.append(f"<{mark}>{piece}</mark>" if mark else piece)
    return "".join(parts)


def _around(text: str) -> str:
    """What stands before or after the passage, its headings as headings."""
    parts, end = [], 0
    for match in _HEADING.finditer(text):
        parts += [_plain(text[end : match.start()]), f'<b class="cf-heading" dir="auto">{escape(match[1])}</b>']
        end = match.end()
    return "".join([*parts, _plain(text[end:])])


def _plain(text: str) -> str:
    kept = unwrapped(text).strip()
    return f'<div class="cf-around" dir="auto">{escape(kept)}</div>' if kept else ""


def _left(count: int, *, language: str) -> str:
    return f'<p class="cf-note">{escape(say(language, "sources.more", count=f"{count:,}"))}</p>' if count > 0 else ""


_SCRIPT = """
let opener = null;
const open = () => element.querySelector('.cf-panel');
const close = () => {
  const panel = open();
  if (!panel) return;
  panel.remove();
  if (opener && opener.isConnected) opener.focus();
};
document.addEventListener('click', (event) => {
  const cite = event.target.closest && event.target.closest('button.cf-cite');
  if (!cite) return;
  opener = cite;
  trigger('select', { asked: cite.value });
});
element.addEventListener('click', (event) => {
  if (event.target.closest('.cf-panel-close')) close();
});
window.addEventListener('keydown', (event) => {
  if (event.key !== 'Escape' || !open()) return;
  event.stopImmediatePropagation();
  close();
}, true);
watch('value', () => {
  const panel = open();
  if (!panel) return;
  const body = panel.querySelector('.cf-panel-body');
  const here = body.querySelector('mark:not(.cf-also)') || body.querySelector('mark') || body.querySelector('.cf-here');
  if (here) {
    const away = here.getBoundingClientRect().top - body.getBoundingClientRect().top;
    body.scrollTop += away - body.clientHeight / 3;
  }
  panel.querySelector('.cf-panel-close').focus({ preventScroll: true });
});
"""
"""Opens and closes the panel: focus goes to its button and back to the citation; Escape closes it before all else."""
