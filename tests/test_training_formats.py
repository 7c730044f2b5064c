"""Objects in another form: what is written is read back by the parser that judges, or it is not written."""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from cli_kit import Crossfade
from crossfade.corpora.registry import FORMS
from crossfade.errors import TrainingError
from crossfade.evaluation.structure import parse
from crossfade.training.formats import rewritten, written
from crossfade.training.forms import to_examples
from crossfade.training.guess import guess
from crossfade.training.row_file import write_rows
from crossfade.training.table import Broken, Record, Table, read_table

TICKET = {"product": "debit card", "amount": 7.5, "date": "2025-03-03", "urgent": True, "customer": None}
TEXTS = {
    "json": json.dumps(TICKET),
    "yaml": "product: debit card\namount: 7.5\ndate: '2025-03-03'\nurgent: true\ncustomer: null",
    "markdown": "# Ticket\n\n- **product:** debit card\n- **amount:** 7.5\n- **date:** 2025-03-03\n- **urgent:** true\n"
    "- **customer:** null",
}


def table(*rows: dict[str, Any]) -> Table:
    records = tuple(Record(line, row) for line, row in enumerate(rows, start=1))
    return Table("rows.jsonl", records, (), tuple(dict.fromkeys(name for row in rows for name in row)))


def rewrite(*rows: dict[str, Any], form: str = "yaml", heading: str = "") -> tuple[list[dict[str, Any]], list[Broken]]:
    found = table(*rows)
    made = rewritten(found, guess(found), form, read=parse, heading=heading)
    return list(made.rows), list(made.broken)


@pytest.mark.parametrize("form", FORMS)
def test_a_ticket_is_written_as_people_write_it(form: str) -> None:
    assert written(TICKET, form, read=parse, heading="Ticket") == TEXTS[form]


letters = st.text("abcdefghijklmnopqrstuvwxyzäöü ßé", min_size=1, max_size=12).map(str.strip).filter(bool)
plain = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(10**9), 10**9),
    st.decimals(-9999, 9999, places=2).map(float),
    letters.filter(lambda text: text not in ("null", "none", "true", "false")),
)
fields = st.dictionaries(letters, plain, min_size=1, max_size=8)
anything = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False, allow_infinity=False), st.text()),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(), inner, max_size=3)),
    max_leaves=8,
)


@settings(deadline=None)
@given(fields, st.sampled_from(FORMS), st.sampled_from(["", "Ticket", "The ticket, as filed"]))
def test_plain_fields_are_read_back_in_every_form(value: dict[str, Any], form: str, heading: str) -> None:
    text = written(value, form, read=parse, heading=heading)
    assert json.dumps(parse(text, form)) == json.dumps(value)


@settings(deadline=None)
@given(st.dictionaries(st.text(), anything, max_size=5), st.sampled_from(FORMS))
def test_whatever_is_written_is_read_back_and_the_rest_is_refused(value: dict[str, Any], form: str) -> None:
    with suppress(ValueError):
        text = written(value, form, read=parse, heading="Ticket")
        assert json.dumps(parse(text, form)) == json.dumps(value)


nested = st.recursive(plain, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(letters, inner, max_size=3))


@settings(deadline=None)
@given(st.dictionaries(letters, nested, min_size=1, max_size=5), st.sampled_from(("json", "yaml")))
def test_nested_objects_are_read_back_from_json_and_yaml(value: dict[str, Any], form: str) -> None:
    assert json.dumps(parse(written(value, form, read=parse), form)) == json.dumps(value)


@settings(deadline=None)
@given(fields)
def test_yaml_is_one_line_a_field_and_any_reader_reads_it(value: dict[str, Any]) -> None:
    text = written(value, "yaml", read=parse)
    assert len(text.splitlines()) == len(value)
    assert yaml.safe_load(text) == value


@pytest.mark.parametrize("text", ["yes", "no", "12", "2025-03-03", "null", "a: b", "# a", "~", "- a", "'a", "", " a"])
def test_yaml_quotes_what_would_be_something_else_and_no_more(text: str) -> None:
    told = written({"a": text, "b": "plain words, 5 of 6"}, "yaml", read=parse)
    assert told.splitlines()[0][3] in "'\""
    assert told.splitlines()[-1] == "b: plain words, 5 of 6"


@pytest.mark.parametrize("item", ["null", "12", "true", "two\nlines", " a", [1], {"b": 1}, "", "-"])
def test_what_markdown_cannot_tell_is_refused_with_the_field(item: Any) -> None:
    with pytest.raises(ValueError, match="markdown cannot tell 'odd' as it is"):
        written({"product": "loan", "odd": item}, "markdown", read=parse)


def test_the_response_is_rewritten_and_everything_else_stays() -> None:
    row = {"id": 7, "message": "Hi", "ticket": TICKET}
    for form in FORMS:
        rows, broken = rewrite(row, form=form)
        assert (rows, broken) == ([{"id": 7, "message": "Hi", "ticket": TEXTS[form]}], [])
    assert rewrite(row, form="markdown", heading="Filed")[0][0]["ticket"].startswith("# Filed\n\n- **product:**")


@pytest.mark.parametrize("given_form", FORMS)
@pytest.mark.parametrize("form", FORMS)
def test_every_form_is_made_into_every_other(given_form: str, form: str) -> None:
    rows, broken = rewrite({"question": "Hi", "ticket": TEXTS[given_form]}, form=form)
    assert (rows, broken) == ([{"question": "Hi", "ticket": TEXTS[form]}], [])


def test_a_conversation_s_last_answer_is_rewritten() -> None:
    turns = [
        {"role": "system", "content": "File it."},
        {"role": "user", "content": "Hi"},
        {"role": "assistant", "content": TEXTS["json"]},
    ]
    rows, broken = rewrite({"messages": turns, "id": 7})
    assert (rows, broken) == ([{"messages": [*turns[:2], {**turns[2], "content": TEXTS["yaml"]}], "id": 7}], [])


def test_rows_that_cannot_be_rewritten_are_listed_by_line() -> None:
    rows, broken = rewrite(
        {"message": "a", "ticket": TICKET},
        {"message": "b", "ticket": "Call them."},
        {"message": "", "ticket": TICKET},
        {"message": "c", "ticket": {"codes": [1, 2]}},
        {"message": "d", "ticket": [1]},
        form="markdown",
    )
    assert len(rows) == 1
    assert [row.line for row in broken] == [2, 3, 4, 5]
    for row, why in zip(broken, ("no object", "message is empty", "'codes'", "no object"), strict=True):
        assert why in row.why


def test_the_rewritten_rows_are_trained_on_as_they_stand() -> None:
    rows, _ = rewrite({"message": "Hi", "ticket": TICKET})
    found = table(*rows)
    (example,) = to_examples(found, guess(found))[0]
    assert example.row.response == TEXTS["yaml"]


def test_an_unknown_form_is_told() -> None:
    with pytest.raises(TrainingError, match=r"'xml'\. Known: json, yaml, markdown"):
        rewrite({"message": "Hi", "ticket": TICKET}, form="xml")


def test_rows_are_written_whole_and_replace_nothing_unasked(tmp_path: Path) -> None:
    path = tmp_path / "new" / "rows.jsonl"
    write_rows(path, [{"a": "é"}])
    with pytest.raises(TrainingError, match="--replace"):
        write_rows(path, [])
    assert path.read_text(encoding="utf-8") == '{"a": "é"}\n'
    write_rows(path, [{"b": 1}], replace=True)
    assert path.read_text() == '{"b": 1}\n'
    assert list(path.parent.iterdir()) == [path]
    with pytest.raises(TrainingError, match=r"a \.jsonl file"):
        write_rows(tmp_path / "rows.csv", [])


def test_the_command_rewrites_a_file_and_lists_what_it_leaves_out(run: Crossfade, tmp_path: Path) -> None:
    rows, out = tmp_path / "rows.jsonl", tmp_path / "out.jsonl"
    lines = [{"message": "a", "ticket": TICKET}, {"message": "b", "ticket": "x"}]
    rows.write_text("".join(json.dumps(row) + "\n" for row in lines))
    found = run("data", "format", str(rows), "--to", "yaml", "--out", str(out))
    assert (found.code, found.err) == (0, "")
    assert "out.jsonl: 1 rows, ticket in yaml." in found.out
    assert "Not written: line 2, its response is no object" in found.out
    assert read_table(out).records[0].values == {"message": "a", "ticket": TEXTS["yaml"]}
    words = ("data", "format", str(out), "--to", "json", "--out")
    assert run(*words, str(tmp_path / "back.jsonl")).code == 0
    assert json.loads(read_table(tmp_path / "back.jsonl").records[0].values["ticket"]) == TICKET
    assert "is there already" in run(*words, str(out)).error()


def test_the_command_needs_an_object(run: Crossfade, tmp_path: Path) -> None:
    rows = tmp_path / "rows.jsonl"
    rows.write_text('{"question": "a", "answer": "b"}\n')
    told = run("data", "format", str(rows), "--to", "yaml", "--out", str(tmp_path / "out.jsonl")).error()
    assert "no row that can be written in yaml. Line 1: its response is no object" in told
