"""Answers as HTML for the page. Pure: strings in, strings out; knows neither Gradio nor how an answer is made.

Nothing that a person, a model or a document wrote becomes markup. Every character that could mean something to HTML,
to Markdown or to a template is written as a numeric character reference, line ends too: the result is one line without
a blank, which a Markdown renderer takes for one block of HTML and leaves alone.
"""

from __future__ import annotations

import re
from typing import Any

from crossfade.types import Answer, Passage
from crossfade.ui.escaping import escape as escape
from crossfade.ui.json_view import object_html

SHOWN_CHARACTERS = 4_000
"""Longer questions are shown up to here; the model gets them whole."""

HASH_DIGITS = 10

MODE_WORDS = {
    "base": "the base model alone",
    "icl": "examples in the prompt",
    "rag": "passages in the prompt",
    "rag+icl": "passages and examples in the prompt",
    "fine-tune": "the adapter alone",
    "fine-tune+icl": "the adapter, with examples",
    "hybrid": "the adapter, with passages",
    "hybrid+icl": "the adapter, with passages and examples",
}
"""What each mode gives the model, in a few words."""

_WRAPPED = re.compile(r"(?<=\S)\n(?=[^\s#>*+|-])(?!\d+[.)])")
"""A line end inside a paragraph of Markdown, which stands for a space."""

_NAMES = {"stop": "", "length": "cut off at the token limit", "cancelled": "stopped"}


def question_html(text: str) -> str:
    """A question as it was asked, shortened where it is very long."""
    shown = escape(text[:SHOWN_CHARACTERS])
    rest = len(text) - SHOWN_CHARACTERS
    more = f'<span class="cf-note">&#8230; and {rest:,} more characters</span>' if rest > 0 else ""
    return f'<div class="cf-text" dir="auto">{shown}{more}</div>'


def note_html(text: str, *, kind: str = "note") -> str:
    """A sentence of the page's own; kind is `note`, `wait` or `error`."""
    role = "alert" if kind == "error" else "status"
    return f'<div class="cf-note cf-{kind}" role="{role}">{escape(text)}</div>' if text else ""


def answer_html(
    answer: Answer, *, schema: dict[str, Any] | None = None, form: str = "json", language: str = "en"
) -> str:
    """An answer with the facts under it; what can be folded out comes when it is finished.

    With a schema the text is shown as code, and once finished as an object that is valid in the form or not.
    """
    done = bool(answer.generation.finish)
    text = answer.generation.text
    plain = schema is None
    parts = [_body(text) if plain else object_html(text, schema or {}, form=form, done=done, language=language)]
    if not text:
        parts.append(note_html("No answer." if done else "Reading the prompt …", kind="note" if done else "wait"))
    parts += [note_html(notice) for notice in answer.notices]
    parts.append(facts_html(answer))
    if done:
        parts += [_passages(answer.passages), _examples(answer)]
    return f'<div class="cf-answer">{"".join(parts)}</div>'


def facts_html(answer: Answer) -> str:
    """The line of facts: mode, adapters with their hashes, tokens, seconds, what was left out."""
    made = answer.generation
    facts = [f'<span class="cf-badge">{escape(answer.query.mode)}</span>']
    for name, weight, sha256 in made.adapters:
        scale = "" if weight == 1 else f" x {weight:g}"
        facts.append(
            f'<span class="cf-adapter" title="sha256 {escape(sha256)}">{escape(name + scale)} '
            f"<code>{escape(sha256[:HASH_DIGITS])}</code></span>"
        )
    if made.finish:
        if made.prompt_tokens is not None:
            cached = f" ({made.cached_tokens:,} cached)" if made.cached_tokens is not None else ""
            facts.append(f"<span>{made.prompt_tokens:,} prompt tokens{cached}</span>")
        facts.append(f"<span>{made.new_tokens:,} new</span>")
        if made.new_tokens:
            facts.append(f"<span>first token {_seconds(answer.seconds_to_first)}</span>")
        facts.append(f"<span>{_seconds(answer.seconds)} in all</span>")
        if ending := _NAMES.get(made.finish, made.finish):
            facts.append(f'<span class="cf-ending">{escape(ending)}</span>')
    if answer.prompt and answer.prompt.turns:
        facts.append(f"<span>{answer.prompt.turns} earlier turn{_s(answer.prompt.turns)}</span>")
    if answer.prompt and answer.prompt.left_out:
        facts.append(f'<span class="cf-left">left out to fit: {escape(", ".join(answer.prompt.left_out))}</span>')
    return f'<div class="cf-facts">{"".join(facts)}</div>'


def _body(text: str) -> str:
    return f'<div class="cf-text" dir="auto">{escape(text)}</div>' if text else ""


def _passages(passages: tuple[Passage, ...]) -> str:
    items = "".join(
        f'<div class="cf-item"><div class="cf-source"><b>&#91;{number}&#93;</b> {escape(passage.source)} '
        f'<span class="cf-score">score {escape(f"{passage.score:.3f}")}</span></div>'
        f'<div class="cf-text" dir="auto">{escape(_WRAPPED.sub(" ", passage.text))}</div></div>'
        for number, passage in enumerate(passages, start=1)
    )
    return _fold(f"{len(passages)} passage{_s(len(passages))} given", items) if passages else ""


def _examples(answer: Answer) -> str:
    items = "".join(
        f'<div class="cf-item"><div class="cf-source" dir="auto">{escape(example.question)}</div>'
        f'<div class="cf-text" dir="auto">{escape(example.answer)}</div></div>'
        for example in answer.examples
    )
    count = len(answer.examples)
    return _fold(f"{count} example{_s(count)} given", items) if count else ""


def _fold(title: str, items: str) -> str:
    return f'<details class="cf-fold"><summary>{title}</summary>{items}</details>'


def _seconds(seconds: float) -> str:
    return f"{seconds:.2f} s" if seconds < 10 else f"{seconds:.0f} s"


def _s(count: int) -> str:
    return "" if count == 1 else "s"
