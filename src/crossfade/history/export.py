"""Conversations as a JSON file that can be taken in again, and as Markdown for reading. Knows no database and no page.

    {"format": "crossfade conversations", "version": 1, "conversations": [{"title": "...", "created": 1.8e9,
     "turns": [{"query": {...}, "answer": {...}, "error": "", "form": "json"}]}]}

A file may come from anybody. It is bounded, each value is checked, and what the page would act on is held within what
the page itself allows. Schemas are left out: an answer is held against that of its task where it is opened.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import TYPE_CHECKING

from crossfade.errors import StorageError
from crossfade.history.conversations import Kept
from crossfade.history.kept import KeptTurn, clean_title, turn_from_json, turn_to_json, where
from crossfade.types import MAX_WEIGHT, Query

if TYPE_CHECKING:
    from markdown_it import MarkdownIt
    from pydantic import TypeAdapter

FORMAT = "crossfade conversations"
VERSION = 1
MOST_BYTES = 50_000_000
"""Of a file, in and out: it passes through the page whole."""
MOST_CONVERSATIONS = 1_000
MOST_TURNS = 10_000
"""Of all conversations of a file."""
MOST_NEW_TOKENS = 1_000_000
_LAST_SECOND = 253_402_300_799
"""The end of the year 9999, in seconds since 1970."""
_MARKDOWN = re.compile(r"[\\`*_\[\]#|~!$]|^(?:[-+=]|\d+[.)])", re.MULTILINE)


_SIGNS = re.compile(r"[*_`#|~\[<]|^\s*(?:[-+>]|\d+[.)])", re.MULTILINE)
"""Without one of these a text is no Markdown."""
_LINKS = re.compile(r"\](?=[(\[:])")
_LEADS = {"link_open", "image", "html_inline", "html_block"}


@dataclass(frozen=True, slots=True)
class _Conversation:
    title: str
    turns: tuple[KeptTurn, ...]
    created: float = 0.0


@dataclass(frozen=True, slots=True)
class _File:
    format: str
    version: int
    conversations: tuple[_Conversation, ...]


@dataclass(frozen=True, slots=True)
class Words:
    """The words of a Markdown export, in the reader's language."""

    question: str
    answer: str
    sources: str
    error: str


def to_json(conversations: Sequence[Kept]) -> str:
    """The conversations with everything in them but ids. Raises StorageError where they are more than a file holds."""
    turns = sum(len(kept.turns) for kept in conversations)
    told = [
        _Conversation(kept.title, tuple(replace(turn, schema=None) for turn in kept.turns), kept.created)
        for kept in conversations
    ]
    text = _adapter().dump_json(_File(FORMAT, VERSION, tuple(told)), indent=1).decode()
    check_size(len(conversations), turns, len(text.encode()))
    return text


def check_size(conversations: int, turns: int, size: int) -> None:
    """Raises StorageError for more than a file holds; `size` is in bytes, or the fewest that they can be."""
    if size > MOST_BYTES or conversations > MOST_CONVERSATIONS or turns > MOST_TURNS:
        raise StorageError(
            f"These are {conversations:,} conversations with {turns:,} turns and {size / 1e6:,.0f} MB; a file holds "
            f"{MOST_CONVERSATIONS:,}, {MOST_TURNS:,} and {MOST_BYTES / 1e6:,.0f} MB. Export them one by one."
        )


def from_json(text: str) -> tuple[Kept, ...]:
    """The conversations of a file, without ids. Raises StorageError with the first thing that is wrong in it."""
    from pydantic import ValidationError

    if len(text) > MOST_BYTES or len(text.encode(errors="replace")) > MOST_BYTES:
        raise StorageError(f"The file is larger than {MOST_BYTES / 1e6:,.0f} MB. Export fewer conversations into it.")
    try:
        file = _adapter().validate_json(text)
    except ValidationError as error:
        raise StorageError(
            f"This is no file of exported conversations ({where(error)}). Choose the JSON that this page exported."
        ) from None
    if (file.format, file.version) != (FORMAT, VERSION):
        raise StorageError(
            f"The file is of format {file.format[:40]!r}, version {file.version}; {FORMAT!r}, version {VERSION}, is "
            "read. Choose the JSON that this page exported."
        )
    turns = sum(len(conversation.turns) for conversation in file.conversations)
    if not turns:
        raise StorageError("The file holds no turn of a conversation. Choose another one.")
    if len(file.conversations) > MOST_CONVERSATIONS or turns > MOST_TURNS:
        raise StorageError(
            f"The file holds {len(file.conversations):,} conversations with {turns:,} turns; {MOST_CONVERSATIONS:,} "
            f"with {MOST_TURNS:,} are taken. Export fewer of them."
        )
    return tuple(
        Kept(clean_title(conversation.title), tuple(_turns(conversation, number)), _time(conversation.created))
        for number, conversation in enumerate(file.conversations, start=1)
        if conversation.turns
    )


def to_markdown(conversations: Sequence[Kept], words: Words) -> str:
    """The conversations to read. An answer's Markdown is such; what people and documents wrote is no markup."""
    return "\n".join(line for kept in conversations for line in _lines(kept, words))


def plain(text: str) -> str:
    """A text as Markdown that shows it as it is and loads nothing, its lines kept."""
    text = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    lines = (line.strip() for line in text.splitlines())
    return "  \n".join(_MARKDOWN.sub(lambda found: _escaped(found[0]), line) for line in lines)


def readable(text: str) -> str:
    """An answer's Markdown as it was written, its lines kept, but that nothing of it loads, leads or stays open.

    What cannot be made so is there as plain text.
    """
    if not _SIGNS.search(text):
        return plain(text)
    lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    fences = [token.map or (0, 0) for token in _parser(False).parse("\n".join(lines)) if token.type == "fence"]
    code = {number for first, end in fences for number in range(first, end)}
    made = "\n".join(line if number in code else _inert(line) for number, line in enumerate(lines))
    return next((whole for whole in (made, f"{made}\n```") if _is_inert(whole)), plain(text))


def _inert(line: str) -> str:
    line = line.rstrip().replace("\\", "\\\\").replace("&", "&amp;").replace("<", "&lt;").replace("$", "\\$")
    return _LINKS.sub(r"\\]", line) + "  " if line else ""


def _is_inert(text: str) -> bool:
    """Whether nothing in a text loads or leads, and what stands after it is none of it."""
    tokens = _parser(True).parse(f"{text}\n\nend")
    found = {token.type for token in tokens} | {child.type for token in tokens for child in token.children or ()}
    return tokens[-3].level == 0 and tokens[-2].content == "end" and not found & _LEADS


def _escaped(found: str) -> str:
    return f"{found[:-1]}\\{found[-1]}"


def _lines(kept: Kept, words: Words) -> Iterator[str]:
    yield f"# {plain(kept.title)}\n"
    for turn in kept.turns:
        yield f"**{words.question}**\n\n{plain(turn.query.text)}\n"
        if turn.answer:
            yield f"**{words.answer}** ({plain(', '.join(_made_by(turn)))})\n"
            yield f"{readable(turn.answer.generation.text)}\n"
        if turn.error:
            yield f"**{words.error}** {plain(turn.error)}\n"
        if turn.answer and turn.answer.passages:
            yield f"{words.sources}\n"
            yield "\n".join(f"{n}. {plain(p.source)}" for n, p in enumerate(turn.answer.passages, start=1)) + "\n"
    yield "---\n"


def _made_by(turn: KeptTurn) -> Iterator[str]:
    assert turn.answer
    yield turn.answer.query.mode
    for name, weight, sha256 in turn.answer.generation.adapters:
        yield f"{name} x {weight:g} {sha256[:10]}"


def _turns(conversation: _Conversation, number: int) -> Iterator[KeptTurn]:
    for place, turn in enumerate(conversation.turns, start=1):
        told = f"Conversation {number}, turn {place}"
        if turn.answer is None and not turn.error:
            raise StorageError(f"{told} has neither an answer nor an error. It was not exported by this page.")
        if turn.answer and not (turn.answer.generation.finish or turn.error):
            raise StorageError(f"{told} has an answer that does not end. It was not exported by this page.")
        for query in (turn.query, *([turn.answer.query] if turn.answer else [])):
            if complaint := _complaint(query):
                raise StorageError(f"{told}: {complaint}. It was not exported by this page.")
        bare = replace(turn, schema=None)
        try:
            same = turn_from_json(turn_to_json(bare)) == bare
        except StorageError:
            same = False
        if not same:  # a number without an end is written as null
            raise StorageError(f"{told} holds a number that is none. It was not exported by this page.")
        yield bare


def _complaint(query: Query) -> str:
    """What in a query is beyond what can be asked, or ""."""
    asked = query.sampling
    if not 1 <= asked.max_new_tokens <= MOST_NEW_TOKENS:
        return f"max_new_tokens is {asked.max_new_tokens}, allowed is 1 to {MOST_NEW_TOKENS:,}"
    if not 0 <= asked.temperature <= 2 or not 0 <= asked.top_p <= 1:
        return "temperature must be from 0 to 2, and top_p from 0 to 1"
    if not 0 <= asked.seed < 2**32:
        return f"seed is {asked.seed}, allowed is 0 to {2**32 - 1}"
    if not all(0 <= weight <= MAX_WEIGHT for _, weight in query.blend):
        return f"an adapter's weight is not from 0 to {MAX_WEIGHT}"
    return ""


def _time(seconds: float) -> float:
    return seconds if math.isfinite(seconds) and 0 <= seconds <= _LAST_SECOND else 0.0


@cache
def _parser(html: bool) -> MarkdownIt:
    from markdown_it import MarkdownIt

    return MarkdownIt("commonmark", {"html": html}).enable("table")


@cache
def _adapter() -> TypeAdapter[_File]:
    from pydantic import TypeAdapter

    return TypeAdapter(_File)
