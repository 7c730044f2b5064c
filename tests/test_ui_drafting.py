"""Drafts on the page: one after the other, none twice, and what goes wrong in the reader's language."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any

import pytest

pytest.importorskip("gradio")

import gradio as gr

from crossfade.corpora.registry import Document
from crossfade.errors import CorpusError
from crossfade.ui.drafting import Drafting
from ui_kit import built

FEES = Document("fees", "Fees", "# Fees\n\nThe monthly fee is $7. A wire costs you $25. A card costs you $3.\n", "")
REQUEST: Any = SimpleNamespace(cookies={"crossfade_language": "zh"}, headers={})


def box(corpus: Any) -> Drafting:
    def make() -> Drafting:
        with gr.Blocks():
            return Drafting(SimpleNamespace(corpus=corpus))  # type: ignore[arg-type]

    return built(make)


def test_an_accepted_draft_is_not_drafted_again() -> None:
    drafting = box(lambda name: SimpleNamespace(documents=[FEES]))
    left, _, first, answer, *_ = drafting._next(REQUEST, None, (), "")
    assert len(left) == 3
    *after, pasted, _ = drafting._accept(REQUEST, None, left, first, answer, "")
    assert after[2] != first
    again, *_ = drafting._next(REQUEST, None, (), pasted.value)
    assert len(again) == 2
    assert first not in [draft.question for draft in again]
    assert json.loads(pasted.value)["question"] == first


def test_a_corpus_that_is_gone_is_told_and_leaves_no_draft() -> None:
    def gone(name: str) -> Any:
        raise CorpusError("It is gone.")

    left, told, *_ = box(gone)._next(REQUEST, "bank", (), None)
    assert left == ()
    assert "It is gone" in told
