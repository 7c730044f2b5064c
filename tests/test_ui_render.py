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

from crossfade.evaluation.metrics import json_complaint
from crossfade.types import Answer, Example, Generation, Passage, Prompt, Query
from crossfade.ui import render

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
        self.feed(source)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.titles += [value or "" for name, value in attrs if name == "title"]

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
    numbers = re.sub(r"&#([0-9]+);", lambda match: chr(int(match[1])), escaped)
    assert numbers == text.replace("\r\n", "\n")


@settings(deadline=None, max_examples=50)
@given(st.text(min_size=1))
def test_no_text_changes_the_tags_of_an_answer(text: str) -> None:
    plain = Reader(render.answer_html(make("x", passage="x"))).tags
    assert Reader(render.answer_html(make(text, passage=text))).tags == plain
    assert Reader(render.question_html(text)).tags == ["div"]
    assert "\n" not in render.answer_html(make(text, passage=text))


def test_an_answer_shows_its_facts() -> None:
    read = Reader(render.answer_html(make()))
    for fact in (
        "It is $7.", "hybrid", "domain", "ab" * 5, "300 prompt tokens (120 cached)", "5 new", "first token 0.25 s",
        "0.75 s in all", "left out to fit: 2 of 3 passages", "2 earlier turns", "1 passage given", "[1]",
        "The fee is $7. > Fees", "0.512", "1 example given", "A notice.",
    ):  # fmt: skip
        assert fact in read.text
    assert "ab" * 6 not in read.text
    assert read.titles == ["sha256 " + "ab" * 32]


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
