"""Answers as HTML for the page. Pure: strings in, strings out; knows neither the page nor how an answer is made.

What a model wrote is read as Markdown, of which few kinds of markup come and none that loads or leads anywhere. All
else that a person or a document wrote becomes no markup: it goes through `escape`.
"""

from __future__ import annotations

from typing import Any

from crossfade.types import Answer
from crossfade.ui.citations import cited_html, passages_html
from crossfade.ui.escaping import escape
from crossfade.ui.facts import HASH_DIGITS, facts_html, mode_words
from crossfade.ui.json_view import object_html
from crossfade.ui.language import say
from crossfade.ui.markdown import markdown_html
from crossfade.ui.phrases import said

__all__ = ["HASH_DIGITS", "answer_html", "escape", "facts_html", "mode_words", "note_html", "question_html"]

SHOWN_CHARACTERS = 4_000
"""Longer questions are shown up to here; the model gets them whole."""


def question_html(text: str, *, language: str = "en") -> str:
    """A question as it was asked, shortened where it is very long."""
    shown = escape(text[:SHOWN_CHARACTERS])
    rest = len(text) - SHOWN_CHARACTERS
    told = say(language, "answer.more_characters", count=f"{rest:,}") if rest > 0 else ""
    more = f'<span class="cf-note">{escape(told)}</span>' if told else ""
    return f'<div class="cf-text" dir="auto">{shown}{more}</div>'


def note_html(text: str, *, kind: str = "note") -> str:
    """A sentence of the page's own; kind is `note`, `wait` or `error`."""
    role = "alert" if kind == "error" else "status"
    return f'<div class="cf-note cf-{kind}" role="{role}">{escape(text)}</div>' if text else ""


def answer_html(
    answer: Answer, *, schema: dict[str, Any] | None = None, form: str = "json", language: str = "en"
) -> str:
    """An answer with the facts under it; what can be folded out comes when it is finished.

    With a schema the text is shown as code, and once finished whether it is valid in the form.
    """
    done = bool(answer.generation.finish)
    text = answer.generation.text
    plain = schema is None
    parts = [
        _body(answer, language=language)
        if plain
        else object_html(text, schema or {}, form=form, done=done, language=language)
    ]
    if not text:
        parts.append(note_html(_without_text(answer, language), kind="note" if done else "wait"))
    parts += [note_html(said(language, notice)) for notice in answer.notices]
    parts.append(facts_html(answer, language=language))
    if done:
        parts += [_passages(answer, language=language), _examples(answer, language=language)]
    return f'<div class="cf-answer">{"".join(parts)}</div>'


def _without_text(answer: Answer, language: str) -> str:
    """What stands in the place of a text; one that is judged is held back until it is whole."""
    made = answer.generation
    if made.finish:
        return say(language, "answer.nothing")
    if made.new_tokens:
        return say(language, "answer.held_back", count=f"{made.new_tokens:,}")
    return say(language, "answer.reading")


def _body(answer: Answer, *, language: str) -> str:
    text = answer.generation.text
    if not text:
        return ""
    if answer.generation.finish and answer.passages:
        return cited_html(answer, language=language)
    return markdown_html(text, language=language)


def _passages(answer: Answer, *, language: str) -> str:
    count = len(answer.passages)
    key = "answer.passage_given" if count == 1 else "answer.passages_given"
    return _fold(say(language, key, count=count), passages_html(answer, language=language)) if count else ""


def _examples(answer: Answer, *, language: str) -> str:
    items = "".join(
        f'<div class="cf-item"><div class="cf-source" dir="auto">{escape(example.question)}</div>'
        f'<div class="cf-text" dir="auto">{escape(example.answer)}</div></div>'
        for example in answer.examples
    )
    count = len(answer.examples)
    key = "answer.example_given" if count == 1 else "answer.examples_given"
    return _fold(say(language, key, count=count), items) if count else ""


def _fold(title: str, items: str) -> str:
    return f'<details class="cf-fold"><summary>{escape(title)}</summary>{items}</details>'
