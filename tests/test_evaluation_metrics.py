"""Scores on hand-made cases with known results, and laws."""

from __future__ import annotations

import json

import jsonschema
import pytest

from crossfade.evaluation.metrics import (
    contains_answer,
    field_f1,
    is_refusal,
    normalise,
    parse_object,
    schema_complaint,
)

SCHEMA = {"type": "object", "required": ["a"], "properties": {"a": {"type": ["number", "null"]}}}


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        ("The  Fee is $7.", "fee is $7"),
        ("$1,250.50 a month!", "$1250.50 month"),
        ("5 €, € 5, €5 or 2.50€.", "€5 €5 €5 or €2.50"),
        ("for 3 $25 fees", "for 3 $25 fees"),
        ("-€5 and ￥7", "\u2212€5 and ￥7"),
        ("0.90% APY", "0.90% apy"),
        ("Form OD-1, please", "form od 1 please"),
        ("An apple; the pear", "apple pear"),
        ("150 days' interest, the bank’s", "150 days interest banks"),
        ("-5 degrees, 3-4", "\u22125 degrees 3 4"),
        ("की", "की"),
    ],
)
def test_normalising_keeps_what_belongs_to_a_number(text: str, plain: str) -> None:
    assert normalise(text) == plain
    assert normalise(plain) == plain


@pytest.mark.parametrize(
    ("text", "accepted", "right"),
    [
        ("The monthly fee is $7.", ["$7"], True),
        ("The monthly fee is $70.", ["$7"], False),
        ("The monthly fee is £5.", ["€5"], False),
        ("The monthly fee is 5 €.", ["€5"], True),
        ("It takes 15 days", ["5 days"], False),
        ("within 60 days", ["60 days", "sixty days"], True),
        ("Thirty Days", ["30 days", "thirty days"], True),
        ("It is $7 " + "and more " * 20, ["$7"], False),
        ("", ["$7"], False),
        ("anything", [], False),
    ],
)
def test_an_accepted_answer_counts_as_whole_words_in_a_short_answer(
    text: str, accepted: list[str], right: bool
) -> None:
    assert contains_answer(text, accepted) is right


def test_the_word_limit_is_inclusive() -> None:
    assert contains_answer("seven " * 29 + "$7", ["$7"])
    assert not contains_answer("seven " * 30 + "$7", ["$7"])


def test_a_refusal_is_recognised_and_an_answer_is_none() -> None:
    assert is_refusal("The documents do not say.")
    assert is_refusal("Sorry, the passages don't say which.")
    assert not is_refusal("The monthly fee is $7.")


def test_an_object_is_read_bare_or_fenced_and_nothing_else_is() -> None:
    assert parse_object(' {"a": 1} ') == {"a": 1}
    assert parse_object('```json\n{"a": 1}\n```') == {"a": 1}
    for text in ("[1]", "Here: {}", "{", "", '"a"'):
        assert parse_object(text) is None


@pytest.mark.parametrize("value", [{"a": 1}, {"a": None}, {}, {"a": "x"}, [], None, 3])
def test_the_complaint_agrees_with_the_validator(value: object) -> None:
    valid = jsonschema.Draft202012Validator(SCHEMA).is_valid(value)
    assert (schema_complaint(value, SCHEMA) == "") is valid


@pytest.mark.parametrize("where", ["http://127.0.0.1:9/schema.json", "#/$defs/none", "other.json"])
def test_a_reference_that_leads_nowhere_is_a_complaint_and_is_not_fetched(where: str) -> None:
    assert "cannot be followed" in schema_complaint({"a": 1}, {"properties": {"a": {"$ref": where}}})


def test_field_f1_is_one_for_equal_objects_and_none_for_disjoint_ones() -> None:
    gold = {"a": 1, "b": "x", "c": None}
    assert field_f1(json.loads(json.dumps(gold)), gold) == 1.0
    assert field_f1({"a": 2, "b": "y"}, gold) == 0.0
    assert field_f1(None, gold) == 0.0
    assert field_f1({}, {"a": None}) == 1.0


def test_field_f1_on_a_case_worked_by_hand() -> None:
    # Given 3 fields, 2 of them right, of 4 that are wanted: precision 2/3, recall 2/4, F1 = 4/7.
    given = {"a": 1, "b": "X ", "c": "wrong"}
    gold = {"a": 1.0, "b": "x", "c": "right", "d": 4}
    assert field_f1(given, gold) == pytest.approx(4 / 7)
