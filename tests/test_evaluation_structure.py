"""Objects in JSON, YAML and Markdown: what is read, what is none, and that nothing grows or runs."""

from __future__ import annotations

import json
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from crossfade.corpora.registry import FORMS
from crossfade.evaluation.questions import EvalQuestion
from crossfade.evaluation.results import Result
from crossfade.evaluation.scoring import score
from crossfade.evaluation.structure import complaint, parse

OBJECT = {"product": "debit card", "amount": 85, "date": "2026-05-04", "customer": None}
TEXTS = {
    "json": json.dumps(OBJECT),
    "yaml": "product: debit card\namount: 85\ndate: 2026-05-04\ncustomer: null\n",
    "markdown": "- **product**: debit card\n- amount: 85\n- date: 2026-05-04\n- customer: null\n",
}
SCHEMA: dict[str, Any] = {
    "type": "object",
    "required": list(OBJECT),
    "properties": {"amount": {"type": "number"}, "date": {"type": "string"}},
}


@pytest.mark.parametrize("form", FORMS)
def test_the_same_object_is_read_from_every_form_bare_and_fenced(form: str) -> None:
    assert parse(TEXTS[form], form) == OBJECT
    assert parse(f"```{form}\n{TEXTS[form]}```", form) == OBJECT
    assert complaint(TEXTS[form], form, SCHEMA) == ""
    assert score(EvalQuestion("q", "?", 1, object=OBJECT, form=form), Result(TEXTS[form]), schema=SCHEMA).right


@pytest.mark.parametrize("form", FORMS)
def test_a_missing_field_and_a_wrong_type_are_complaints(form: str) -> None:
    assert complaint(TEXTS[form].replace("85", '"much"' if form != "markdown" else "much"), form, SCHEMA)
    assert "date" in complaint(TEXTS[form].replace("date", "day"), form, SCHEMA)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("text", ["", "Hello.", "Here it is.\n\n- a: 1", "a: [", "[1, 2]", "- 1\n- 2"])
def test_other_texts_are_no_object(form: str, text: str) -> None:
    assert parse(text, form) is None
    assert complaint(text, form, SCHEMA)


def test_a_table_is_read_and_its_head_is_no_field() -> None:
    assert parse("| field | value |\n| --- | --- |\n| a | 1 |\n| **b** | two words |", "markdown") == {
        "a": 1,
        "b": "two words",
    }
    assert parse("- a: 1\n- a: 2", "markdown") is None, "a field that stands twice"


@pytest.mark.parametrize(
    "fields", ["- **a:** 1\n- b: true", "| field | value |\n| --- | --- |\n| a | 1 |\n| b | true |"]
)
def test_one_heading_may_stand_above_the_fields(fields: str) -> None:
    assert parse(fields, "markdown") == parse(f"# Ticket\n\n{fields}", "markdown") == {"a": 1, "b": True}
    assert parse(f"# Ticket\n## Fields\n{fields}", "markdown") is None
    assert parse("# Ticket", "markdown") is None
    assert parse(f"{fields}\n# Ticket", "markdown") is None


def test_yaml_neither_grows_nor_runs() -> None:
    bomb = "a: &a [1,1]\nb: &b [*a,*a]\nc: [*b,*b]\n"
    assert parse(bomb, "yaml") is None
    assert parse("a: !!python/object/apply:os.system ['true']", "yaml") is None
    assert parse("a: " + "x" * 100_000, "yaml") is None
    for odd in ("!!bool foo", "!!int ''", "!!timestamp foo", "!!timestamp 2020-01-01", "!!set {x}", "!!binary aGk="):
        assert parse(f"a: {odd}", "yaml") is None, odd


plain = st.dictionaries(
    st.text(st.characters(categories=["Ll"]), min_size=1, max_size=5),
    st.one_of(st.none(), st.integers(-999, 999), st.text(st.characters(categories=["Ll"]), min_size=1, max_size=8)),
    min_size=1,
    max_size=5,
)


@given(plain)
def test_what_the_library_writes_is_read_back(value: dict[str, Any]) -> None:
    text = yaml.safe_dump(value, allow_unicode=True)
    assert parse(text, "yaml") == value == yaml.safe_load(text)
    assert parse(json.dumps(value), "json") == value


@given(st.text(max_size=80))
def test_no_text_raises(text: str) -> None:
    for form in FORMS:
        parse(text, form)


def test_json_is_no_yaml_here_although_the_grammar_has_it() -> None:
    assert parse('{"a": 1}', "yaml") is None
    assert parse("a: {b: 1}", "yaml") == {"a": {"b": 1}}
