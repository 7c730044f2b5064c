"""The questions that the evaluate tab was given: those of a set in the corpus, or pasted ones. Draws nothing."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

from crossfade.corpora.registry import Corpus
from crossfade.errors import QuestionError
from crossfade.evaluation.questions import QuestionSet, header_of, read_questions
from crossfade.ui.language import say

PASTED = "pasted below"
"""The question source whose questions stand in the box; accepted drafts go there."""
MOST_CHARACTERS = 2_000_000
"""Of pasted questions; a longer set is measured on the command line."""


def questions_of(corpus: Corpus, source: str, pasted: str, *, language: str = "en") -> QuestionSet:
    """The questions of a set in the corpus, or those that were pasted. Raises QuestionError."""
    if source != PASTED:
        path = next((path for path in corpus.question_sets if path.name == source), None)
        if path is None:
            raise QuestionError(say(language, "evaluate.set_gone", name=repr(source), corpus=corpus.name))
        return read_questions(path)
    if not pasted.strip():
        raise QuestionError(say(language, "evaluate.none_pasted"))
    if len(pasted) > MOST_CHARACTERS:
        counts = {"count": f"{len(pasted):,}", "most": f"{MOST_CHARACTERS:,}"}
        raise QuestionError(say(language, "evaluate.too_long", **counts))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"pasted.{_kind(pasted)}"
        path.write_text(_as_rows(pasted), encoding="utf-8")
        try:
            return read_questions(path)
        except QuestionError as error:
            raise QuestionError(str(error).replace(str(path), say(language, "evaluate.in_your_questions"))) from None


def _kind(text: str) -> str:
    """`csv` where the first line is a header that names a question."""
    _, names = header_of(text.strip().split("\n", 1)[0])
    return "csv" if {"question", "message"} & set(names) else "jsonl"


def _as_rows(text: str) -> str:
    """Plain lines become JSON lines; what is CSV or JSON stays."""
    if _kind(text) == "csv":
        return text.strip() + "\n"
    lines = [line.strip() for line in text.split("\n") if line.strip()]
    rows = [line if line.startswith("{") else json.dumps({"question": line}, ensure_ascii=False) for line in lines]
    return "".join(row + "\n" for row in rows)
