"""Cut a Markdown document into passages of whole sentences. Knows nothing of embedding, indexes or questions."""

from __future__ import annotations

import re
from collections.abc import Iterator

from crossfade.corpora.registry import Document
from crossfade.types import Passage

LONGEST_SENTENCE = 320
"""In words and signs. A longer "sentence" is a table or a dump that no embedder of 512 tokens would see whole."""

_HEADING = re.compile(r"(#{1,6})[ \t]+(.*?)[ \t#]*$")
_FENCE = re.compile(r"\s*(```|~~~)")
_BREAK = re.compile(r"\n[ \t]*\n\s*|\n(?=[ \t]*(?:[-*+|>]|\d+[.)])[ \t])")
_WORD = re.compile(r"\w+|[^\w\s]")


def count_words(text: str) -> int:
    """The length in words and signs, about nine tenths of its tokens; long runs without a space count by letters."""
    return max(len(_WORD.findall(text)), len(text) // 6)


def split(document: Document, *, size: int) -> list[Passage]:
    """The passages of a document in order, each at most `size` words and signs long unless one sentence is longer.

    A passage stays within one section and `document.text[start:end] == text`. `heading` is the path of the headings
    above it, without the document's title. A sentence is broken only where it exceeds LONGEST_SENTENCE. Scores are 0.
    """
    return [
        Passage(document.text[start:end], document.name, document.title, heading, start, end, 0.0)
        for heading, first, last in _sections(document)
        for start, end in _pieces(document.text, first, last, size)
    ]


def _sections(document: Document) -> Iterator[tuple[str, int, int]]:
    """Heading path, start and end of each section's text; a heading's own line belongs to none."""
    path: list[tuple[int, str]] = []
    start = position = 0
    fence = ""
    for line in document.text.splitlines(keepends=True):
        mark = _FENCE.match(line)
        if mark and fence in ("", mark[1]):
            fence = "" if fence else mark[1]
        heading = None if fence or mark else _HEADING.match(line.rstrip())
        if heading:
            yield _heading_path(path, document.title), start, position
            level = len(heading[1])
            path = [above for above in path if above[0] < level] + [(level, heading[2].strip())]
            start = position + len(line)
        position += len(line)
    yield _heading_path(path, document.title), start, position


def _heading_path(path: list[tuple[int, str]], title: str) -> str:
    return " > ".join(text for _, text in path if text and text != title)


def _pieces(text: str, first: int, last: int, size: int) -> Iterator[tuple[int, int]]:
    """Start and end of each passage of `text[first:last]`."""
    section = text[first:last]
    if not section.strip():
        return
    position = first
    for piece in [section.strip()] if count_words(section) <= size else _split_section(section.strip(), size):
        start = text.index(piece, position)
        position = start + len(piece)
        yield start, position


def _split_section(section: str, size: int) -> list[str]:
    # Here and not above: it takes a second to import.
    from llama_index.core.node_parser import SentenceSplitter

    whole = {s.strip() for s in _sentences(section)}
    whole = {s for s in whole if size < count_words(s) <= LONGEST_SENTENCE}

    def measure(piece: str) -> range:
        # SentenceSplitter asks for the tokens and takes their number. What is one sentence is said to fit.
        return range(min(count_words(piece), size) if piece.strip() in whole else count_words(piece))

    splitter = SentenceSplitter(
        chunk_size=size,
        chunk_overlap=0,
        tokenizer=measure,
        paragraph_separator="\n\n",
        chunking_tokenizer_fn=_sentences,
    )
    return [str(piece) for piece in splitter.split_text(section)]


def _sentences(text: str) -> list[str]:
    """The sentences with the space after them; joined they are the text. List items and table rows end one too."""
    from llama_index.core.node_parser.text.utils import split_by_sentence_tokenizer

    punkt = split_by_sentence_tokenizer()
    ends = [match.end() for match in _BREAK.finditer(text)]
    sentences: list[str] = []
    for a, b in zip([0, *ends], [*ends, len(text)], strict=True):
        block = text[a:b]
        rest = punkt(block)[1:]
        # Punkt may leave out the space before the first sentence; without it positions would drift.
        sentences += [block[: len(block) - sum(map(len, rest))], *rest]
    return [sentence for sentence in sentences if sentence]
