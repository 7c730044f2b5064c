"""What the page shows of an answer: all of it, and nothing of it as markup."""

from __future__ import annotations

import html
import json
import re
from html.parser import HTMLParser
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

pytest.importorskip("gradio")

from crossfade.evaluation.metrics import json_complaint
from crossfade.types import MODE_SWITCHES, Answer, Example, Generation, Passage, Prompt, Query
from crossfade.ui import render
from crossfade.ui.facts import left_out_words

SCHEMA = {
    "type": "object",
    "required": ["kind", "amount"],
    "additionalProperties": False,
    "properties": {"kind": {"enum": ["fee", "fraud"]}, "amount": {"type": ["number", "null"]}},
}


class Reader(HTMLParser):
    """The tags and the text of a piece of HTML."""

    def __init__(self, source: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.text = ""
        self.titles: list[str] = []
        self.names: list[str] = []
        self.values: list[str] = []
        self.feed(source)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.titles += [value or "" for name, value in attrs if name == "title"]
        self.values += [value or "" for name, value in attrs if name == "value"]
        self.names += [name for name, _ in attrs]

    def handle_data(self, data: str) -> None:
        self.text += data


def make(text: str = "It is $7.", *, finish: str = "stop", passage: str = "The fee is $7.", **changes: Any) -> Answer:
    return Answer(
        query=Query(text="How much?", corpus="tidewell", task="answer", blend=(("domain", 1.0),), rag=True),
        passages=(Passage(passage, "harbor", passage, "Fees", 0, 9, 0.512),),
        examples=(Example("Q?", "A."),),
        prompt=Prompt(messages=(), tokens=300, passages=1, turns=2, left_out=("2 of 3 passages",)),
        generation=Generation(text, 300, 120, 5, 0.25, 0.75, finish, (("domain", 1.0, "ab" * 32),)),
        notices=("A notice.",),
        **changes,
    )


@settings(deadline=None)
@given(st.text())
def test_escaping_loses_nothing_and_leaves_no_markup(text: str) -> None:
    escaped = render.escape(text)
    assert not set(escaped) & set("<>\"'`$*_[]{}()!\\\n\r\t|~")
    assert re.sub(r"&#[0-9]+;", "", escaped).count("&") == 0


def test_an_answer_shows_its_facts() -> None:
    read = Reader(render.answer_html(make()))
    for fact in (
        "It is $7.", "hybrid", "domain", "ab" * 5, "300 prompt tokens (120 cached)", "5 new", "first token 0.25 s",
        "0.75 s in all", "left out, for want of room in the prompt: 2 of 3 passages", "2 earlier turns",
        "1 passage given", "[1]",
        "The fee is $7. > Fees", "0.512", "1 example given", "A notice.",
    ):  # fmt: skip
        assert fact in read.text
    assert "ab" * 6 not in read.text
    assert "sha256 " + "ab" * 32 in read.titles


def test_seconds_are_those_of_the_asker_and_counts_that_nobody_told_are_not_shown() -> None:
    assert "first token 0.75 s" in Reader(render.answer_html(make(seconds_before=0.5))).text
    assert "1.25 s in all" in Reader(render.answer_html(make(seconds_before=0.5))).text
    stopped = Answer(make().query, generation=Generation(finish="cancelled", seconds=0.5))
    shown = Reader(render.answer_html(stopped)).text
    assert "0.50 s in all" in shown
    assert "prompt tokens" not in shown
    assert "cached" not in shown
    assert "first token" not in shown


def test_a_passage_is_shown_in_paragraphs_not_in_the_lines_of_its_file() -> None:
    text = "The fee is\n$7 a month.\n\n- one\n- two\n1. three"
    assert "The fee is $7 a month.\n\n- one\n- two\n1. three" in Reader(render.answer_html(make(passage=text))).text


def test_what_folds_out_comes_with_the_end() -> None:
    assert "details" not in Reader(render.answer_html(make(finish=""))).tags
    assert Reader(render.answer_html(make())).tags.count("details") == 2


@pytest.mark.parametrize(("finish", "told"), [("length", "cut off"), ("cancelled", "stopped")])
def test_an_answer_that_did_not_end_by_itself_says_so(finish: str, told: str) -> None:
    assert told in Reader(render.answer_html(make(finish=finish))).text
    assert told not in Reader(render.answer_html(make())).text


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ('{"kind": "fee", "amount": 7}', ""),
        ('{"kind": "fee", "amount": null}', ""),
        ('{"kind": "loan", "amount": 7}', "kind: 'loan' is not one of"),
        ('{"kind": "fee"}', "'amount' is a required property"),
        ('{"kind": "fee", "amount": NaN}', "not JSON (NaN)"),
        ("The fee is 7.", "not JSON"),
        ('{"kind": "fee", "amount": 7} and more', "not JSON"),
        ("[" * 100_000, "not JSON"),
        ("7", "7 is not of type 'object'"),
    ],
)
def test_the_first_complaint_about_a_text(text: str, complaint: str) -> None:
    found = json_complaint(text, SCHEMA)
    assert found.startswith(complaint) if complaint else found == ""
    shown = html.unescape(render.answer_html(make(text), schema=SCHEMA))
    assert ("Not valid: " in shown) == bool(complaint)
    assert ("Valid against the schema" in shown) != bool(complaint)


def test_an_answer_is_checked_in_the_form_that_its_task_asks_for() -> None:
    for text, form in (('{"kind": "fee", "amount": 7}', "json"), ("kind: fee\namount: 7", "yaml")):
        for asked in ("json", "yaml", "markdown"):
            shown = html.unescape(render.answer_html(make(text), schema=SCHEMA, form=asked))
            assert ("Valid against the schema" in shown) == (asked == form)


def test_a_schema_shows_the_text_as_code_unchanged() -> None:
    text = json.dumps({"kind": "fee", "amount": 7}, indent=1)
    read = Reader(render.answer_html(make(text), schema=SCHEMA))
    assert "pre" in read.tags
    assert text in read.text


def test_a_very_long_question_is_shown_in_part() -> None:
    shown = Reader(render.question_html("a" * 10_000)).text
    assert len(shown) < render.SHOWN_CHARACTERS + 100
    assert "6,000 more characters" in shown


def test_an_answer_speaks_the_readers_language() -> None:
    shown = Reader(render.answer_html(make("{}"), schema=SCHEMA, language="zh")).text
    assert "提供了 1 个段落" in shown
    assert "3 个段落中有 2 个" in shown
    for english in ("Not valid", "tokens", "first token", "in all", "left out", "earlier", "given", "score"):
        assert english not in shown
    for mode in MODE_SWITCHES:
        assert render.mode_words(mode, language="zh") != render.mode_words(mode)


def test_what_left_out_cannot_be_counted_is_told_as_it_is() -> None:
    assert "half a letter" in left_out_words(("half a letter",), language="zh")


def test_an_answer_that_is_held_back_until_it_is_whole_is_seen_to_be_written() -> None:
    def shown(new: int, *, finish: str = "", language: str = "en") -> str:
        made = Answer(Query("How much?", "bank", "answer"), generation=Generation(new_tokens=new, finish=finish))
        return Reader(render.answer_html(made, language=language)).text

    assert "Reading the prompt" in shown(0)
    assert "Writing the answer, which is shown when it is whole (1,200 new)" in shown(1200)
    assert "1,200" in shown(1200, language="zh")
    assert "No answer." in shown(3, finish="cancelled")


def test_an_answer_that_was_withheld_is_told_beside_what_was_said_in_its_place() -> None:
    generation = Generation(
        "The documents do not say.", finish="stop", log_probability=-2.0, withheld="<b>$10</b> " + "x" * 400
    )
    answer = Answer(Query("How much?", "bank", "answer"), generation=generation)
    for language, words in (("en", "withheld, held 14% likely: <b>$10</b> x"), ("zh", "14%")):
        found = Reader(render.facts_html(answer, language=language))
        assert words in found.text
        assert "b" not in found.tags
        assert found.text.count("x") < 250
        assert "x …" in found.text
    assert "withheld" not in render.facts_html(Answer(Query("How much?", "bank", "answer")))
