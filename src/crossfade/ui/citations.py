"""An answer's text with numbers that open its passages, and the list of passages. Pure; knows nothing of the page.

A number comes from the model, which wrote `[2]`, or from the rule of `crossfade.evaluation.support`, which found the
passage that supports the sentence before it; each looks and says so. Its button holds the answer's key, the passage's
number and where the sentence begins: with these the page asks the server, which alone knows the passages.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Sequence
from functools import lru_cache

from crossfade.evaluation.claims import CITATION, spans
from crossfade.evaluation.metrics import is_refusal
from crossfade.evaluation.support import Checked, check, cited
from crossfade.types import Answer, Passage
from crossfade.ui.escaping import escape
from crossfade.ui.language import say
from crossfade.ui.markdown import Mark, markdown_html

NO_SENTENCE = -1
"""Stands for the sentence where a passage is opened for itself."""

MOST_CHARACTERS = 200_000
"""Of an answer with its passages; one that was imported may be of any length, and a longer one is not checked."""
MOST_PAIRS = 100_000
"""Of a sentence of the answer and one of a passage: each is compared with each."""

Place = tuple[int, int]
"""Where something begins in a passage's text, and where it stops."""

_WRAPPED = re.compile(r"(?<=\S)\n(?=[^\s#>*+|-])(?!\d+[.)])")
"""A line end inside a paragraph of Markdown, which stands for a space."""


def unwrapped(text: str) -> str:
    """The text of a document in paragraphs, not in the lines of its file; every place in it stays the same."""
    return _WRAPPED.sub(" ", text)


def answer_key(answer: Answer) -> str:
    """What an answer is found by among those of its reader."""
    passages = [(passage.document, passage.start) for passage in answer.passages]
    about = (answer.query.text, answer.query.mode, answer.generation.text, passages)
    return hashlib.sha256(repr(about).encode("utf-8", "replace")).hexdigest()[:16]


def cited_html(answer: Answer, *, language: str = "en") -> str:
    """The text of a finished answer with its citations; a sentence that no passage supports is marked."""
    return _cited_html(
        answer.generation.text, answer.passages, answer.query.text, key=answer_key(answer), language=language
    )


def passages_html(answer: Answer, *, language: str = "en") -> str:
    """The passages that an answer was given, each with its scores and a button that opens it in its document."""
    return "".join(
        f'<div class="cf-item"><div class="cf-source"><b>&#91;{number}&#93;</b> {escape(passage.source)} '
        f'<span class="cf-score">{escape(say(language, "answer.score", score=f"{passage.score:.3f}"))}</span> '
        f'<button type="button" class="cf-cite cf-open" value="{answer_key(answer)}.{number}.{NO_SENTENCE}">'
        f'{escape(say(language, "sources.open"))}<span class="cf-unseen"> {number}</span></button></div>'
        f'<div class="cf-text" dir="auto">{escape(unwrapped(passage.text))}</div></div>'
        for number, passage in enumerate(answer.passages, start=1)
    )


@lru_cache(maxsize=512)  # a conversation is drawn again and again while its newest answer grows
def _cited_html(text: str, passages: tuple[Passage, ...], question: str, *, key: str, language: str) -> str:
    checked, count = _checked(text, passages, question), len(passages)
    marks = [mark for one in checked for mark in _mark(one, text, count, key=key, language=language)]
    marks += _written(text, count, checked, key=key, language=language)
    marks.sort(key=lambda mark: (mark.start, mark.end))
    doubtful = any(mark.around for mark in marks)
    note = f'<div class="cf-note">{escape(say(language, "sources.legend"))}</div>' if doubtful else ""
    return f"{markdown_html(text, marks, language=language)}{note}"


def _checked(text: str, passages: Sequence[Passage], question: str) -> tuple[Checked, ...]:
    """What the rule of support says of each sentence; nothing where that would take minutes."""
    if len(text) + len(question) + sum(len(passage.text) for passage in passages) > MOST_CHARACTERS:
        return ()
    pairs = len(spans(text)) * sum(len(spans(passage.text)) for passage in passages)
    return check(text, passages, question) if pairs <= MOST_PAIRS else ()


def _mark(one: Checked, text: str, count: int, *, key: str, language: str) -> list[Mark]:
    """What a sentence is marked with: doubt, or the passage that supports it, unless the model cited that there."""
    if one.passage is None:
        if is_refusal(text):
            return []
        word = f'<span class="cf-unseen"> ({escape(say(language, "sources.unsupported_word"))})</span>'
        title = escape(say(language, "sources.unsupported"))
        around = f'<span class="cf-unsupported" title="{title}">'
        return [Mark(one.start, one.start, around=around), Mark(one.end, one.end, word, ends=True)]
    if one.passage in cited(text[one.start : one.end], count):
        return []
    number = one.passage + 1
    title = say(language, "sources.found", number=number)
    button = _button(number, f"{key}.{number}.{one.start}", title=title, language=language, kind=" cf-found")
    return [Mark(one.end, one.end, button)]


def _written(text: str, count: int, checked: Sequence[Checked], *, key: str, language: str) -> Iterator[Mark]:
    """A button for each number of a passage that is there which the model wrote."""
    for match in CITATION.finditer(text):
        number = int(match[1])
        if 1 <= number <= count:
            sentence = next((one.start for one in checked if one.start <= match.start() < one.end), NO_SENTENCE)
            title = say(language, "sources.cited", number=number)
            button = _button(number, f"{key}.{number}.{sentence}", title=title, language=language)
            yield Mark(match.start(), match.end(), button)


def _button(number: int, value: str, *, title: str, language: str, kind: str = "") -> str:
    unseen = f'<span class="cf-unseen">{escape(say(language, "sources.passage"))} </span>'
    # With a direction of its own it does not turn that of a text which begins with it.
    facts = f'class="cf-cite{kind}" value="{value}" dir="ltr" title="{escape(title)}"'
    return f'<button type="button" {facts}>{unseen}{number}</button>'


def cited_passages(answer: Answer) -> frozenset[int]:
    """The numbers, from 1, of the passages that an answer's text has a button for."""
    text, count = answer.generation.text, len(answer.passages)
    written = cited(text, count)
    found = (one.passage for one in _checked(text, answer.passages, answer.query.text) if one.passage is not None)
    return frozenset(place + 1 for place in (*written, *found) if place >= 0)


def supporting(answer: Answer, number: int, *, sentence: int) -> tuple[str, Place | None, tuple[Place, ...]]:
    """The sentence that begins there, the place in that passage (from 1) which supports it, or None, and all others.

    The others are the places which support other sentences of the answer.
    """
    text, said = answer.generation.text, ""
    here: Place | None = None
    others: list[Place] = []
    for one in _checked(text, [answer.passages[number - 1]], answer.query.text):
        place = (one.begin, one.stop) if one.passage is not None else None
        if one.start == sentence:
            said, here = CITATION.sub("", text[one.start : one.end]), place
        elif place:
            others.append(place)
    return said, here, tuple(others)
