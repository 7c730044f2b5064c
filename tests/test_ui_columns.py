"""The columns of a comparison: settings of their own, what is shared of them, what votes add up to."""

from __future__ import annotations

import html
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

pytest.importorskip("gradio")

import gradio as gr

from crossfade.compare import query_in_mode
from crossfade.corpora.registry import Task
from crossfade.errors import AdapterError, QuestionError, StorageError
from crossfade.history.comparisons import Comparisons
from crossfade.history.database import Database
from crossfade.history.votes import BAD, ONE, TIE, Ballot
from crossfade.types import MAX_WEIGHT, MODE_SWITCHES, Answer, Generation, Message, Passage, Prompt, Query, Sampling
from crossfade.ui.choices import Choice
from crossfade.ui.citations import cited_passages
from crossfade.ui.column_choice import ALL_MODES, PRESETS
from crossfade.ui.columns import (
    Column,
    ColumnSettings,
    blend_of_text,
    make_columns,
    schema_of,
    settings_of,
    text_of_blend,
)
from crossfade.ui.columns_text import columns_of_text, question_of, text_of_columns
from crossfade.ui.controls import Asked
from crossfade.ui.facts import mode_words
from crossfade.ui.last_comparison import LastComparison
from crossfade.ui.owner import COOKIE
from crossfade.ui.share import _address
from crossfade.ui.votes import sums_html
from ui_kit import built

ANSWER = Task("answer", "Answers", "Answer.", adapter="domain")
TICKET = Task("ticket", "Tickets", "File it.", adapter="json", schema={"type": "object"}, max_new_tokens=300)
CHOICES = (Choice("answer/domain", "domain", ANSWER, "domain"), Choice("ticket/json", "json", TICKET, "json"))
ASKED = Asked(
    Query("What is the fee?", "tidewell", "answer", sampling=Sampling(max_new_tokens=100, temperature=0.5, seed=7)),
    CHOICES[0],
    (("domain", 0.8),),
)


def choice_of(key: str) -> Choice:
    found = next((choice for choice in CHOICES if choice.key == key), None)
    if found is None:
        raise AdapterError(key)
    return found


def made(*settings: ColumnSettings, asked: Asked = ASKED, language: str = "en") -> tuple[Column, ...]:
    return make_columns(asked, settings, choice_of, language=language)


def answered(query: Query, text: str = "It is $7 [1].") -> Answer:
    return Answer(
        query,
        (Passage("The fee is $7.", "fees", "Fees", "Fees", 0, 5, 0.5),) * 3,
        prompt=Prompt((Message("system", "secret instructions"),), 20, passages=3),
        generation=Generation(text, 20, 5, 4, 0.1, 0.2, "stop"),
    )


def test_a_column_without_settings_asks_what_stands_beside() -> None:
    plain, tuned = made(ColumnSettings("rag"), ColumnSettings("hybrid"))
    assert plain.query == query_in_mode(ASKED.query, "rag", blend=())
    assert tuned.query == query_in_mode(ASKED.query, "hybrid", blend=(("domain", 0.8),))
    assert not plain.own
    assert [column.number for column in (plain, tuned)] == [1, 2]


def test_a_column_s_own_settings_go_before_what_stands_beside() -> None:
    own, other = made(
        ColumnSettings("fine-tune", "ticket/json", "", temperature=0.0, seed=3, tokens=9, enforce="on"),
        ColumnSettings("fine-tune", "ticket/json", "domain:0.5 + style"),
    )
    assert own.query is not None
    assert other.query is not None
    assert (own.query.task, own.query.blend, own.query.enforce_schema) == ("ticket", (("json", 1.0),), True)
    assert own.query.sampling == Sampling(max_new_tokens=9, temperature=0.0, seed=3)
    assert own.schema == {"type": "object"}
    assert other.query.blend == (("domain", 0.5), ("style", 1.0))
    assert other.query.sampling == Sampling(max_new_tokens=300, temperature=0.5, seed=7), "the task's own length"
    assert {c.query.text for c in (own, other) if c.query} == {ASKED.query.text}
    assert "seed 3" in html.unescape(own.html())
    assert "种子 3" in html.unescape(own.html("zh"))


def test_a_column_has_instructions_of_its_own_else_those_beside() -> None:
    asked = replace(ASKED, query=replace(ASKED.query, instructions="In one word."))
    first, second = made(ColumnSettings("rag"), ColumnSettings("rag", instructions="In rhymes."), asked=asked)
    assert [c.query.instructions for c in (first, second) if c.query] == ["In one word.", "In rhymes."]
    assert "own instructions: In rhymes." in html.unescape(second.html())


def test_what_no_schema_holds_is_not_enforced_and_an_own_schema_holds_all() -> None:
    on = ColumnSettings("base", enforce="on")
    assert [c.query.enforce_schema for c in made(on, on) if c.query] == [False, False]
    asked = replace(ASKED, query=replace(ASKED.query, schema='{"type": "array"}', enforce_schema=True))
    first, second = made(ColumnSettings("base"), ColumnSettings("rag", enforce="off"), asked=asked)
    assert [c.query.enforce_schema for c in (first, second) if c.query] == [True, False]
    assert first.schema == second.schema == {"type": "array"}
    assert schema_of(ASKED.query, TICKET) == (TICKET.schema, "json")


@pytest.mark.parametrize("count", [0, 1, 7])
def test_two_to_six_columns_are_taken_and_the_sentence_is_in_the_reader_s_language(count: int) -> None:
    with pytest.raises(QuestionError, match=f"{count} columns"):
        made(*[ColumnSettings()] * count)
    with pytest.raises(QuestionError, match=f"{count} 列"):
        made(*[ColumnSettings()] * count, language="zh")


@given(st.dictionaries(st.from_regex(r"[a-z][a-z0-9._-]{0,9}", fullmatch=True), st.integers(0, 30), min_size=1))
def test_a_blend_is_read_as_it_is_written(weights: dict[str, int]) -> None:
    blend = tuple((name, weight * MAX_WEIGHT / 30) for name, weight in weights.items())
    assert dict(blend_of_text(text_of_blend(blend))) == pytest.approx(dict(blend))


@pytest.mark.parametrize("text", ["domain:2", "domain:-1", "a + a", "a:", "a + ", ":1", "a b c", "a:nan"])
def test_a_blend_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(QuestionError, match="cannot be read"):
        blend_of_text(text)
    assert blend_of_text(" ") == ()
    assert blend_of_text("domain 0.5, style") == (("domain", 0.5), ("style", 1.0))


@pytest.mark.parametrize(
    "wanted",
    [
        ColumnSettings("rag"),
        ColumnSettings("hybrid"),
        ColumnSettings("fine-tune", "ticket/json", tokens=9, enforce="on"),
        ColumnSettings("hybrid+icl", blend="json:0.3 + style:1.5", temperature=1.0, seed=1),
        ColumnSettings("rag", top_p=0.5, instructions="In rhymes."),
    ],
)
def test_the_settings_of_a_query_ask_it_again_whatever_stands_beside(wanted: ColumnSettings) -> None:
    query = made(wanted, wanted)[0].query
    assert query is not None
    beside = replace(ASKED, query=replace(ASKED.query, sampling=Sampling()), choice=CHOICES[1], blend=(("json", 0.1),))
    settings = settings_of(query, CHOICES)
    assert made(settings, settings, asked=beside)[0].query == query


def test_presets_and_words_know_every_mode() -> None:
    assert set(ALL_MODES) == set(MODE_SWITCHES)
    assert all(mode_words(mode, language=language) for mode in MODE_SWITCHES for language in ("en", "zh"))
    assert all(set(modes) <= set(ALL_MODES) for modes in PRESETS.values())


def test_citations_are_counted_once_each_and_only_of_passages_that_are_there() -> None:
    query = replace(ASKED.query, rag=True)
    written = answered(query, "[1] and [3] and [1], not [4] nor [0] nor [x].")
    assert cited_passages(written) == {1, 3}
    column = Column("rag", query, answer=answered(query, "[1] [2]"))
    assert "2 of 3 passages cited or supporting" in html.unescape(column.html())


def test_what_is_shared_comes_back_to_be_read_without_the_prompt() -> None:
    first, second = made(ColumnSettings("rag"), ColumnSettings("fine-tune", "ticket/json"))
    assert first.query is not None
    columns = (replace(first, answer=answered(first.query)), replace(second, error="It fell <over>."))
    text = text_of_columns(columns)
    assert "secret instructions" not in text
    back = columns_of_text(text)
    assert question_of(back) == "What is the fee?"
    assert [(c.mode, c.error, c.number, c.schema) for c in back] == [
        ("rag", "", 1, None),
        ("fine-tune", "It fell <over>.", 2, {"type": "object"}),
    ]
    assert back[0].answer is not None
    assert columns[0].answer is not None
    assert back[0].answer.generation == columns[0].answer.generation
    assert back[0].answer.passages == columns[0].answer.passages
    assert not any(column.open for column in back)
    assert back[1].query == second.query, "it can be asked again"
    assert question_of(back[1:]) == "What is the fee?"
    assert text_of_columns(back) == text
    assert columns_of_text(text_of_columns(columns, prompts=True))[0].answer == columns[0].answer
    for broken in ("", "[]", "{}", '{"columns": [{}]}', '{"columns": [{"mode": "rag", "answer": "x"}]}'):
        with pytest.raises(StorageError):
            columns_of_text(broken)


def test_a_comparison_is_kept_for_its_browser_alone_and_a_full_disk_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def request(who: str) -> Any:
        return SimpleNamespace(cookies={COOKIE: who * 43} if who else {}, headers={})

    def full(*_: Any) -> None:
        raise StorageError("database or disk is full")

    def draw() -> LastComparison:
        with gr.Blocks():
            return LastComparison(store)

    store = Comparisons(Database(tmp_path / "history.sqlite"))
    last = built(draw)
    first, second = made(ColumnSettings("base"), ColumnSettings("rag"))
    assert first.query is not None
    assert last.begin(request("a"), (first, second), "c") == ""
    assert last.grow(request("a"), (replace(first, answer=answered(first.query)), second), "c") == ""
    found, name = last.opened(request("a"))
    assert not isinstance(found, str)
    assert found is not None
    assert (name, found[0].answer, found[1].query) == ("c", answered(first.query), second.query)
    assert "broken off" in found[1].error
    for other in ("b", ""):
        assert last.begin(request(""), (first,), "d") == last.forget(request(other)) == ""
        assert last.opened(request(other)) == (None, "")
    assert last.forget(request("a")) == ""
    assert last.opened(request("a")) == (None, "")
    for name in ("begin", "grow", "clear", "last"):
        monkeypatch.setattr(store, name, full)
    for told in (last.begin(request("a"), (first,), "c"), last.grow(request("a"), (first,), "c")):
        assert "This comparison is not being kept" in html.unescape(told)
    assert "disk is full" in html.unescape(last.forget(request("a")))
    assert last.opened(request("a")) == ("database or disk is full", "")


@pytest.mark.parametrize(
    ("referer", "link"),
    [
        ("https://x.hf.space/app/?a=b#c", "https://x.hf.space/app/?shared=t"),
        ("", "/?shared=t"),
        ("javascript:alert(1)//", "/?shared=t"),
    ],
)
def test_a_link_leads_to_the_page_where_it_was_made(referer: str, link: str) -> None:
    request: Any = SimpleNamespace(headers={"referer": referer} if referer else {})
    assert _address(request, "t") == link


def test_sums_tell_wins_with_their_interval_and_what_chance_would_give() -> None:
    modes = ("base", "hybrid")
    cast = [*(Ballot(ONE, 1, modes) for _ in range(4)), Ballot(TIE, -1, modes), Ballot(BAD, -1, modes)]
    shown = html.unescape(sums_html(cast, "en"))
    assert "Votes: 6. With a winner: 4. Ties: 1. All bad: 1." in shown
    assert "4 / 4" in shown
    assert "51% – 100%" in shown, "Wilson: 4 of 4"
    assert "<td>50%</td>" in shown
    assert "还没有投票" in html.unescape(sums_html([], "zh"))
