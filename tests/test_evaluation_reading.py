"""A report read again is the report that was written; what is broken or contradicts itself is told."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from crossfade.errors import QuestionError
from crossfade.evaluation.changes import changes
from crossfade.evaluation.export import EXPORTS, to_json
from crossfade.evaluation.reading import read_report
from report_kit import report_of

RIGHT = {"base": [True, None] * 20, "rag": [False] * 40, "hybrid": [True] * 40}


@pytest.mark.parametrize("modes", [["base"], ["base", "rag"], ["base", "rag", "hybrid"]])
def test_reading_what_was_written_is_identity(modes: list[str]) -> None:
    report = report_of({mode: RIGHT[mode] for mode in modes})
    again = read_report(to_json(report))
    assert again == report
    assert all(export(again) == export(report) for export in EXPORTS.values())


def test_a_rule_for_auto_survives() -> None:
    report = report_of({"base": [True] * 80, "hybrid": [False, True] * 40})
    assert report.auto
    assert read_report(to_json(report)).auto == report.auto


def broken(change: Callable[[dict[str, Any]], None]) -> str:
    data: dict[str, Any] = json.loads(to_json(report_of({"base": [True] * 80, "fine-tune": [False, True] * 40})))
    change(data)
    return json.dumps(data)


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lambda d: d.pop("grid"), "grid: Field required"),
        (lambda d: d.update(best="base"), "best"),
        (lambda d: d["questions"][0].update(text=7), r"questions\.0\.text"),
        (lambda d: d.update(version=99), "version 99"),
        (lambda d: d["grid"]["base"].pop(), "not one cell for each"),
        (lambda d: d["grid"].pop("base"), "modes are not those of its grid"),
        (lambda d: d["questions"][0].update(id="q1"), "one id"),
        (lambda d: d["best"].append("magic"), "compares modes"),
        (lambda d: d["effects"][0].update(fixed=["q99"]), "a question that it has not"),
        (lambda d: d["auto"]["rule"].update(sign="magic"), "rule for auto"),
        (lambda d: d["modes"][0].update(seconds=float("nan")), "NaN"),
        (lambda d: d.update(best=["base"], pairs=[]), "no mode that it beats"),
    ],
)
def test_a_broken_report_is_told_with_its_place(change: Callable[[dict[str, Any]], None], why: str) -> None:
    with pytest.raises(QuestionError, match=why) as told:
        read_report(broken(change))
    assert "report.json" in str(told.value)


@pytest.mark.parametrize("text", ["", "{", "[]", "null", '{"version": 1}', "[" * 100_000])
def test_what_is_no_report_is_told(text: str) -> None:
    with pytest.raises(QuestionError, match="no report"):
        read_report(text)


def test_what_the_page_shows_of_a_change_is_escaped_and_names_its_questions() -> None:
    pytest.importorskip("gradio")
    from html import unescape

    from crossfade.ui.earlier import changes_html

    before, after = (json.loads(to_json(report_of({"base": scores}))) for scores in ([False] * 9, [True] * 9))
    after["questions"][0]["text"] = "<img src=x>"
    after["about"]["base"] = "<b>other</b>"
    shown = changes_html(changes(before, after), before, after)
    assert "<img" not in shown
    assert "<b>other" not in shown
    assert "<summary>fixed 9</summary>" in shown
    assert "broke" not in shown.replace("broke 0", "").replace("broke&#32;0", "")
    assert "<img src=x>" in unescape(shown)
