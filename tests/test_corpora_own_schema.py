"""A schema that somebody wrote is taken where it is one, and refused where it could be followed without end."""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crossfade.corpora.own_schema import MOST_CHARACTERS, MOST_COUNT, read_schema
from crossfade.errors import QuestionError

TICKET = Path(__file__).resolve().parents[1] / "corpora" / "tidewell" / "ticket.schema.json"
GOOD: dict[str, Any] = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "$defs": {"sum": {"type": "number", "minimum": 0}, "name": {"type": "string", "maxLength": 80}},
    "type": "object",
    "required": ["fee"],
    "properties": {"fee": {"$ref": "#/$defs/sum"}, "name": {"$ref": "#/$defs/name"}, "tags": {"type": "array"}},
}


def laughs(levels: int) -> dict[str, Any]:
    """A schema in which each level refers to the next one twice."""
    levels_of = {f"l{n}": {"anyOf": [{"$ref": f"#/$defs/l{n + 1}"}] * 2} for n in range(levels)}
    return {"$defs": {**levels_of, f"l{levels}": {}}, "$ref": "#/$defs/l0"}


def test_a_schema_is_taken_as_it_stands() -> None:
    assert read_schema(json.dumps(GOOD)) == GOOD
    assert read_schema(TICKET.read_text(encoding="utf-8"))["title"] == "Ticket"
    assert read_schema("{}") == {}


@pytest.mark.parametrize(
    ("schema", "told"),
    [
        ('{"type": "object",}', "line 1, column 19"),
        ("[1]", "JSON object"),
        ("[" * 10_000, "not JSON"),
        (" " * (MOST_CHARACTERS + 1), "at most 20,000"),
        ({"type": "objekt"}, "no JSON schema, at type"),
        ({"properties": {"a": {"minimum": "x"}}}, "properties/a/minimum"),
        ({"$ref": "http://127.0.0.1/schema"}, "leads out"),
        ({"$ref": "file:///etc/passwd"}, "leads out"),
        ({"properties": {"a": {"$ref": "other.json#/a"}}}, r"/properties/a/\$ref"),
        ({"$ref": "#/$defs/none"}, "leads to nothing"),
        ({"$ref": "#"}, "circle"),
        ({"$defs": {"a": {"items": {"$ref": "#/$defs/a"}}}, "$ref": "#/$defs/a"}, "circle"),
        ({"$id": "http://x.invalid/", "$ref": "#/a"}, "not taken"),
        ({"$dynamicRef": "#a"}, "not taken"),
        (laughs(12), "more than 5,000 parts|deeper"),
        ({"type": "string", "minLength": MOST_COUNT + 1}, "minLength is 1,001"),
        ({"type": "array", "maxItems": 10**9}, "maxItems"),
        ({"pattern": "(a+)+$"}, "too long"),
        ({"pattern": "a?a?a?a?"}, "too long"),
        ({"pattern": "(a|a)(a|a)(a|a)"}, "too long"),
        ({"pattern": r"(a)\1"}, "too long"),
        ({"patternProperties": {".*.*=": {}}}, "too long"),
        ({"pattern": "["}, "cannot be read"),
    ],
)
def test_what_is_no_schema_or_has_no_end_is_refused(schema: Any, told: str) -> None:
    with pytest.raises(QuestionError, match=told):
        read_schema(schema if isinstance(schema, str) else json.dumps(schema))


def test_depth_is_bounded() -> None:
    schema: dict[str, Any] = {}
    for _ in range(30):
        schema = {"items": schema}
    with pytest.raises(QuestionError, match="deeper than 20"):
        read_schema(json.dumps(schema))


@pytest.mark.parametrize(
    "pattern", [r"^[A-Z]{2}-[0-9]{5}$", "^[0-9]{4}-[0-9]{2}$", "^[a-z+*?|]+$", r"^\d+\.\d{2}$", ""]
)
def test_plain_patterns_are_taken(pattern: str) -> None:
    assert read_schema(json.dumps({"pattern": pattern})) == {"pattern": pattern}


@settings(deadline=None)
@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(),
        lambda v: (
            st.lists(v)
            | st.dictionaries(
                st.sampled_from(
                    ["$ref", "type", "properties", "items", "pattern", "enum", "anyOf", "$defs", "minLength", "x"]
                ),
                v,
            )
        ),
    )
)
def test_any_json_is_taken_or_refused_with_a_sentence(value: Any) -> None:
    with suppress(QuestionError):
        assert read_schema(json.dumps(value)) == value
