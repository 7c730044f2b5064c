"""An answer's Markdown as HTML: paragraphs, lists, emphasis, headings, quotes, tables, code. Pure.

Links, pictures and HTML stay the text that they are, so that an answer loads nothing and leads nowhere. Marks, such as
the buttons of citations, are put into the text before it is read, each as a number in brackets that no text keeps, and
become HTML in what comes out. Where that would change how the text reads, it is shown as it was written.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

from crossfade.ui.escaping import escape
from crossfade.ui.language import say

if TYPE_CHECKING:
    from markdown_it import MarkdownIt
    from markdown_it.token import Token

MOST_CHARACTERS = 50_000
"""A longer text, such as one that was imported, is shown as it was written."""
MOST_LEVELS = 16
"""Of lists and quotes in one another; the parser leaves out what lies some deeper."""
RULES = ["paragraph", "list", "heading", "blockquote", "hr", "fence", "table", "emphasis", "strikethrough", "backticks"]
_BRACKETS = "\u2e28\u2e29"
"""Punctuation, so that they part no emphasis from its stars."""
_NUMBER = re.compile("\u2e28([0-9]+)\u2e29")
_BEGINS = re.compile(r"(?:(?:[-*+]|\d+[.)]|#{1,6}|>)[ \t]+|`{3}[^\n]*\n|\|)+")
"""What a line begins with that is no text; a mark stands behind it."""
_ENDS = re.compile(r"(?:\n[ \t]*`{3,}|[ \t]*\|)$")


@dataclass(frozen=True, slots=True)
class Mark:
    """What takes the place of `[start, end)` of a text.

    With `around`, the start tag of a span, that goes around all text until the next mark that `ends` it.
    """

    start: int
    end: int
    html: str = ""
    around: str = ""
    ends: bool = False


def markdown_html(text: str, marks: Sequence[Mark] = (), *, language: str = "en") -> str:
    """The text with its marks, which come in the order of their places and do not overlap."""
    text = text.translate(str.maketrans(_BRACKETS, "()"))
    tokens = _parser().parse(_with(text, marks)) if len(text) <= MOST_CHARACTERS else []
    if tokens and max(token.level for token in tokens) < MOST_LEVELS:
        writer = _Writer(text, marks, language)
        html = writer.html(tokens)
        if not marks or (_shape(tokens) == _shape(_parser().parse(text)) and writer.seen == len(marks)):
            return f'<div class="cf-text cf-md" dir="auto">{html}</div>'
    return f'<div class="cf-text" dir="auto">{_Writer(text, marks, language).text(_with(text, marks))}</div>'


def _with(text: str, marks: Sequence[Mark]) -> str:
    """The text with the number of each mark in its place."""
    parts, end = [], 0
    for number, mark in enumerate(marks):
        start = max(end, mark.start)
        if mark.around and not text[text.rfind("\n", 0, start) + 1 : start].strip():
            start += len(found[0]) if (found := _BEGINS.match(text, start)) else 0
        if mark.start == mark.end and not mark.around and (found := _ENDS.search(text, end, start)):
            start = found.start()
        parts += [text[end:start], str(number).join(_BRACKETS)]
        end = max(start, mark.end) if mark.end > mark.start else start
    return "".join([*parts, text[end:]])


def _shape(tokens: Sequence[Token]) -> list[tuple[str, int]]:
    """The kinds of what stands in a text, in their order."""
    found: list[tuple[str, int]] = []
    for token in tokens:
        if token.type == "inline":
            found += [(child.type, 0) for child in token.children or () if child.type != "text"]
        else:
            found.append((token.type, token.content.count("\n")))
    return found


class _Writer:
    """Writes the tokens of one text; `seen` counts the marks that came out."""

    def __init__(self, text: str, marks: Sequence[Mark], language: str) -> None:
        self._text, self._marks, self._language = text, marks, language
        self._around, self.seen = "", 0

    def html(self, tokens: Sequence[Token]) -> str:
        """The tokens as HTML in one line, which Gradio's own Markdown leaves alone."""
        return "".join(map(self._token, tokens))

    def text(self, piece: str) -> str:
        """A piece of text with its marks."""
        parts = []
        for place, part in enumerate(_NUMBER.split(piece)):
            if place % 2:
                parts.append(self._mark(self._marks[int(part)]))
            elif part:
                parts.append(self._wrapped(part))
        return "".join(parts)

    def _wrapped(self, part: str) -> str:
        """A part of the text within the span that is open, if one is; the blanks at its ends stay outside."""
        inner = part.strip()
        if not self._around or not inner:
            return escape(part)
        before, after = part.split(inner, 1)
        return f"{escape(before)}{self._around}{escape(inner)}</span>{escape(after)}"

    def _mark(self, mark: Mark) -> str:
        self.seen += 1
        self._around = "" if mark.ends else mark.around or self._around
        return mark.html

    def _code(self, piece: str) -> tuple[str, str]:
        """A piece of code without marks in it, and those that stand there for nothing in the text."""
        after = []
        for number in _NUMBER.findall(piece):
            mark = self._marks[int(number)]
            html = self._mark(mark)
            after += [html] if mark.start == mark.end else []
        marks = self._marks
        plain = _NUMBER.sub(lambda found: self._text[marks[int(found[1])].start : marks[int(found[1])].end], piece)
        return escape(plain), "".join(after)

    def _token(self, token: Token) -> str:
        match token.type:
            case "inline":
                return self.html(token.children or ())
            case "text":
                return self.text(token.content)
            case "softbreak" | "hardbreak":
                return "<br>"
            case "hr":
                return "<hr>"
            case "code_inline":
                code, after = self._code(token.content)
                return f"<code>{code}</code>{after}"
            case "fence":
                code, after = self._code(token.content)
                return f"{_code_box(code, _NUMBER.sub('', token.info), self._language)}{after}"
        if token.hidden:  # the paragraph of an item in a list without blank lines
            return ""
        tag, kind = ("p", ' class="cf-title-of"') if token.type.startswith("heading") else (token.tag, "")
        start = f' start="{int(token.attrs["start"])}"' if "start" in token.attrs else ""
        if tag == "table":
            return '<div class="cf-md-table"><table>' if token.nesting > 0 else "</table></div>"
        return f"<{tag}{kind}{start}>" if token.nesting > 0 else f"</{tag}>"


def _code_box(code: str, kind: str, language: str) -> str:
    """A block of code of a kind, such as `python`, with a button that copies it by the page's script for objects."""
    copy, copied = escape(say(language, "json.copy")), escape(say(language, "json.copied"))
    return (
        f'<div class="cf-object cf-code"><pre class="cf-json"><code class="cf-raw">{code}</code></pre>'
        f'<div class="cf-json-tools"><button type="button" class="cf-json-copy"><span class="cf-before">{copy}</span>'
        f'<span class="cf-after" role="status">{copied}</span></button> {escape(kind.strip())}</div></div>'
    )


@cache
def _parser() -> MarkdownIt:
    from markdown_it import MarkdownIt

    return MarkdownIt("zero").enable(RULES, ignoreInvalid=True).enable("newline")
