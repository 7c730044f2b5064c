"""What the chat shows before the first question: what this is, examples, and the way to one's own documents. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from crossfade.ui import render
from crossfade.ui.language import say
from crossfade.ui.suggestions import Suggestion

KNOWS_CHINESE = "crossfade serve --base qwen2.5-1.5b"
"""What a Chinese reader may start instead of the default base."""


def first_screen_html(suggestions: Sequence[Suggestion], *, corpora: str, language: str) -> str:
    """The first screen in one language."""
    lines = "".join(f"<p>{render.escape(say(language, key))}</p>" for key in ("chat.about", "chat.about_more"))
    cards = "".join(_card(suggestion, number, language) for number, suggestion in enumerate(suggestions))
    title = say(language, "chat.documents")
    how = render.escape(say(language, "chat.documents_how", corpora=corpora))
    documents = f"<summary>{render.escape(title)}</summary><p>{how}</p>"
    adapter = render.escape(say(language, "chat.adapter"))
    return (
        f'<div class="cf-first"><div class="cf-about">{lines}</div>'
        f'<div class="cf-cards">{cards}</div><div class="cf-ways"><details class="cf-way">{documents}</details>'
        f'<button type="button" class="cf-way cf-tab-adapters">{adapter}</button></div></div>'
    )


def english_note(language: str) -> str:
    """That base model and embedder know English, and what to choose instead."""
    told = render.escape(say(language, "page.english_only", command=KNOWS_CHINESE))
    return f'<div class="cf-note cf-english" role="note">{told}</div>'


def has_chinese(text: str) -> bool:
    """Whether there is a Chinese character in it."""
    return any("\u3400" <= character <= "\u9fff" for character in text)


def _card(suggestion: Suggestion, number: int, language: str) -> str:
    return (
        f'<button type="button" class="cf-card cf-do-example cf-at-{number}">'
        f'<span class="cf-card-top"><span class="cf-badge">{render.escape(suggestion.mode)}</span> '
        f"{render.escape(say(language, suggestion.shows))}</span>"
        f'<span class="cf-card-text">{render.escape(suggestion.text)}</span></button>'
    )
