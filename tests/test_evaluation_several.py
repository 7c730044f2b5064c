"""Reports of several tasks as one: the table of all, every form, and a task's own report found again in it."""

from __future__ import annotations

import csv
import io
import json
import re
from collections import Counter
from collections.abc import Callable

import pytest

from crossfade.errors import QuestionError
from crossfade.evaluation.export import EXPORTS_OF_SEVERAL, to_json
from crossfade.evaluation.reading import read_report
from crossfade.evaluation.several import Several, overview, pick
from report_kit import report_of

GOOD, BAD = [True] * 40 + [False] * 10, [True] * 15 + [False] * 35
ANSWER = report_of({"base": BAD, "hybrid": GOOD})
TICKET = report_of({"base": BAD[:20], "fine-tune": [True] * 20})
HOSTILE = "</script><script>alert(1)</script>"
SEVERAL = Several(f"Bank {HOSTILE}", {"answer": ANSWER, "ticket": TICKET})


def test_the_table_of_all_tasks_has_each_mode_once_and_marks_what_nothing_beats() -> None:
    header, rows = overview(SEVERAL)
    assert header == ["mode", "answer", "ticket"]
    assert [row[0] for row in rows] == ["base", "hybrid", "fine-tune", "questions"]
    assert rows[0][1].startswith("30.0% [")
    assert not rows[0][1].endswith("*")
    assert rows[1][1].endswith("*")
    assert rows[1][2] == "", "it was not measured there"
    assert rows[-1] == ["questions", "50", "20"]


def test_each_report_in_the_json_is_one_of_its_task_alone() -> None:
    data = json.loads(EXPORTS_OF_SEVERAL["json"](SEVERAL))
    for name, report in SEVERAL.reports.items():
        assert pick(data, name) == json.loads(to_json(report))
        assert read_report(json.dumps(pick(data, name))) == report
    assert pick(json.loads(to_json(ANSWER)), "") == json.loads(to_json(ANSWER))


@pytest.mark.parametrize(("task", "why"), [("", "is of several tasks"), ("voice", "has no task 'voice'")])
def test_a_task_that_is_not_named_or_not_there_is_told_with_those_that_are(task: str, why: str) -> None:
    data = json.loads(EXPORTS_OF_SEVERAL["json"](SEVERAL))
    with pytest.raises(QuestionError, match=f"{why}. Name one of answer, ticket"):
        pick(data, task)
    with pytest.raises(QuestionError, match="no report"):
        pick({"tasks": ["answer"]}, task)


def test_a_report_of_several_is_not_read_as_one_and_says_what_to_do() -> None:
    with pytest.raises(QuestionError, match="of several tasks: answer, ticket"):
        read_report(EXPORTS_OF_SEVERAL["json"](SEVERAL))


def test_markdown_has_one_title_and_a_heading_for_each_task() -> None:
    text = EXPORTS_OF_SEVERAL["md"](SEVERAL)
    assert len(re.findall(r"^# ", text, re.M)) == 1
    assert len(re.findall(r"^## Test$", text, re.M)) == 2
    assert len(re.findall(r"^### Modes$", text, re.M)) == 2
    assert "<script" not in text.replace("\\<", "")


def test_the_table_for_spreadsheets_has_the_task_in_each_row() -> None:
    rows = list(csv.DictReader(io.StringIO(EXPORTS_OF_SEVERAL["csv"](SEVERAL))))
    assert Counter(row["task"] for row in rows) == {"answer": 100, "ticket": 40}
    assert all(row["question"] for row in rows)


def test_the_page_has_a_section_for_each_task_and_no_id_twice() -> None:
    page = EXPORTS_OF_SEVERAL["html"](SEVERAL)
    ids = re.findall(r"<[a-z]+[^<>]* id=\"([^\"]+)\"", page)
    assert {"overview", "grid-1", "grid-2", "data-1", "data-2"} <= set(ids)
    assert len(ids) == len(set(ids))
    assert page.count("<script") == page.count("</script>") == 6
    assert "alert(1)</script>" not in page
    assert "default-src 'none'" in page


@pytest.mark.parametrize("export", EXPORTS_OF_SEVERAL.values(), ids=EXPORTS_OF_SEVERAL)
def test_what_every_form_holds_is_of_both_tasks(export: Callable[[Several], str]) -> None:
    text = export(SEVERAL)
    assert "hybrid" in text
    assert "fine-tune" in text
