"""An answer as an object: everything in it is shown, nothing as markup, and each complaint stands at its place."""

from __future__ import annotations

import html
import json
import re
from html.parser import HTMLParser
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crossfade.evaluation.structure import complaint
from crossfade.ui.differences import changes, difference_html, fields, words
from crossfade.ui.json_view import complaints_of, object_html

SCHEMA: dict[str, Any] = {
    "type": "object",
    "required": ["kind"],
    "additionalProperties": False,
    "properties": {
        "kind": {"enum": ["fee", "fraud"]},
        "items": {"type": "array", "items": {"type": "object", "properties": {"amount": {"type": "number"}}}},
    },
}
OURS = {"div", "span", "details", "summary", "pre", "code", "button", "mark"}
TEXTS = st.text(st.characters(exclude_categories=["Cc", "Cs", "Co", "Cn"]))  # HTML knows no others
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=12,
)


class Reader(HTMLParser):
    """The tags with their classes, and the text of a piece of HTML."""

    def __init__(self, source: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, str]] = []
        self.names: set[str] = set()
        self.text = ""
        self.feed(source)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs).get("class") or ""))
        self.names |= {name for name, _ in attrs}

    def handle_data(self, data: str) -> None:
        self.text += data


@settings(deadline=None)
@given(value=VALUES, text=TEXTS)
def test_no_answer_becomes_markup_and_all_of_it_is_shown(value: Any, text: str) -> None:
    for shown in (json.dumps(value, ensure_ascii=False), text):
        source = object_html(shown, SCHEMA)
        read = Reader(source)
        assert {tag for tag, _ in read.tags} <= OURS
        assert read.names <= {"class", "role", "open", "type", "dir"}
        assert "\n" not in source
        assert shown in read.text


@settings(deadline=None)
@given(value=VALUES)
def test_the_view_and_the_measures_agree_on_what_is_valid(value: Any) -> None:
    for shown in (json.dumps(value), json.dumps({"kind": "fee", "items": [{"amount": value}]}), str(value)):
        valid = not complaint(shown, "json", SCHEMA)
        assert ("cf-good" in object_html(shown, SCHEMA)) == valid


def test_each_complaint_stands_at_its_field() -> None:
    text = json.dumps({"kind": "loan", "items": [{"amount": 1}, {"amount": "two"}]})
    assert set(complaints_of(json.loads(text), SCHEMA)) == {("kind",), ("items", 1, "amount")}
    source = html.unescape(object_html(text, SCHEMA))
    at = re.findall(r'class="cf-field cf-wrong"><span class="cf-name">(\w+)</span>.*?cf-complaint">(.*?)</div>', source)
    assert [(name, said.split(" is ")[0]) for name, said in at] == [("kind", "'loan'"), ("amount", "'two'")]
    assert "2 places" in source
    assert "2 处" in html.unescape(object_html(text, SCHEMA, language="zh"))


def test_what_is_missing_is_told_at_the_object_that_misses_it() -> None:
    source = html.unescape(object_html('{"items": []}', SCHEMA))
    assert 'class="cf-node cf-wrong"' in source
    assert "Not valid: 'kind' is a required property" in source


@pytest.mark.parametrize(
    ("text", "line", "column", "mark"),
    [('{"kind": "fee",\n "items": [}', 2, 12, "}"), ('{"kind": ', 1, 10, "\u2423"), ("The fee", 1, 1, "T")],
)
def test_a_text_that_is_no_json_is_marked_where_it_breaks(text: str, line: int, column: int, mark: str) -> None:
    source = html.unescape(object_html(text, SCHEMA))
    assert f"line {line}, column {column}" in source
    assert f'<mark class="cf-fault">{mark}</mark>' in source


@pytest.mark.parametrize(
    ("text", "schema"),
    [
        ("{}", {"required": ["a"]}),
        ('{"z": 1}', {"additionalProperties": False}),
        ('{"y": 1, "z": 1}', {"additionalProperties": False}),
        ("1", {"type": ["string", "null"]}),
        ("1", {"enum": [2]}),
        ("1", {"const": 2}),
        ('"b"', {"pattern": "^a"}),
        ("1", {"minimum": 2}),
        ("3", {"maximum": 2}),
        ("2", {"exclusiveMinimum": 2}),
        ("2", {"exclusiveMaximum": 2}),
        ("3", {"multipleOf": 2}),
        ('"a"', {"minLength": 2}),
        ('"aa"', {"maxLength": 1}),
        ("[]", {"minItems": 1}),
        ("[1]", {"maxItems": 0}),
        ("[1, 1]", {"uniqueItems": True}),
        ("{}", {"minProperties": 2}),
        ('{"a": 1, "b": 1}', {"maxProperties": 1}),
        ('{"a": 1}', {"dependentRequired": {"a": ["b"]}}),
        ("1", {"anyOf": [{"type": "null"}]}),
        ("1", {"$ref": "http://127.0.0.1:9/schema.json"}),
        ("NaN", {}),
        ("a: 1", {}),
    ],
)
def test_a_complaint_is_chinese_for_a_chinese_reader(text: str, schema: dict[str, Any]) -> None:
    english, chinese = (html.unescape(object_html(text, schema, language=name)) for name in ("en", "zh"))
    for told in re.findall(r'cf-complaint">(.*?)<', english) or re.findall(r"Not valid: (.*?)<", english):
        assert told not in chinese, told
    assert "cf-bad" in chinese


def test_while_it_grows_it_is_text_alone() -> None:
    source = object_html('{"kind": "f', SCHEMA, done=False)
    assert {tag for tag, _ in Reader(source).tags} == {"pre", "code"}
    assert object_html("", SCHEMA) == ""


@pytest.mark.parametrize("text", ["[" * 100_000, "[" * 900 + "]" * 900, "[" + "1," * 5_000 + "1]", "9" * 5_000])
def test_what_is_deep_or_large_is_shown_without_breaking(text: str) -> None:
    source = object_html(text, SCHEMA)
    assert text in Reader(source).text
    assert source.count("<details") < 50


def test_a_reference_out_of_the_schema_is_not_followed() -> None:
    found = complaints_of({}, {"$ref": "http://127.0.0.1:9/schema.json"})
    assert "cannot be followed" in found[()][0]


@settings(deadline=None)
@given(first=st.text(), second=st.text())
def test_the_changes_are_both_texts_whole(first: str, second: str) -> None:
    found = list(changes(first, second))
    assert "".join(mine for _, mine, _ in found) == first == "".join(words(first))
    assert "".join(other for _, _, other in found) == second
    assert all(mine == other for kind, mine, other in found if kind == "same")
    shown = difference_html(first, second, names=("1", "2"))
    assert {tag for tag, _ in Reader(shown).tags} <= {"div", "del", "ins"}
    assert difference_html(first, first, names=("1", "2")).count("<ins>") == 0


def test_words_that_differ_are_told_one_by_one() -> None:
    shown = difference_html("The fee is $7 a month.", "The fee is $12 a month.", names=("1 base", "2 rag"))
    assert "<del>7</del><ins>12</ins>" in shown
    assert "<del>1 base</del>" in shown
    assert "<del>七</del><ins>九</ins>" in difference_html("费用七元", "费用九元", names=("1", "2"))


def test_objects_differ_field_by_field_whatever_their_order_and_blanks() -> None:
    first = '{"kind": "fee", "amount": 7, "inner": {"a": [1, 2]}, "gone": null}'
    second = '{"amount": 8,  "kind": "fee", "inner": {"a": [1, 3]}, "new": "x"}'
    found = {field.name: (field.first, field.second) for field in fields(json.loads(first), json.loads(second))}
    assert found == {
        "kind": ('"fee"', '"fee"'),
        "amount": ("7", "8"),
        "inner.a.0": ("1", "1"),
        "inner.a.1": ("2", "3"),
        "gone": ("null", None),
        "new": (None, '"x"'),
    }
    shown = Reader(difference_html(first, second, names=("1 base", "2 rag"), form="json"))
    assert "4 of 6 fields differ" in shown.text
    assert shown.text.count("missing") == 2
    assert "8 of" not in Reader(difference_html(first, first, names=("a", "b"), form="json")).text


def test_a_text_that_is_no_object_is_told_and_compared_by_words() -> None:
    shown = Reader(difference_html('{"a": 1}', "no object", names=("1 base", "2 rag"), form="json")).text
    assert "no object can be read: 2 rag" in shown
    assert "2 rag alone" in shown


@settings(deadline=None)
@given(first=st.dictionaries(st.text(), VALUES), second=st.dictionaries(st.text(), VALUES))
def test_no_object_becomes_markup_in_a_difference(first: dict[str, Any], second: dict[str, Any]) -> None:
    texts = (json.dumps(first, ensure_ascii=False), json.dumps(second, ensure_ascii=False))
    read = Reader(difference_html(*texts, names=("<b>", "2"), form="json"))
    assert {tag for tag, _ in read.tags} <= {"div", "table", "thead", "tbody", "tr", "th", "td", "del", "ins", "i"}
    assert all(field.same for field in fields(first, first))
