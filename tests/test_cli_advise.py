"""`crossfade advise` and `crossfade changes`: from reports on disk to words, and what is refused."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from cli_kit import Crossfade
from crossfade.evaluation.changes import change_line, changes
from crossfade.evaluation.export import to_json
from fake_engine import FakeEngine
from report_kit import report_of

LOW, HIGH = [True] * 10 + [False] * 40, [True] * 40 + [False] * 10


@pytest.fixture
def reports(tmp_path: Path) -> tuple[Path, Path]:
    paths = (tmp_path / "before.json", tmp_path / "after.json")
    for path, scores in zip(paths, (LOW, HIGH), strict=True):
        path.write_text(to_json(report_of({"base": LOW, "hybrid": scores})), encoding="utf-8")
    return paths


def test_advice_from_a_report_names_its_figures(run: Crossfade, reports: tuple[Path, Path]) -> None:
    found = run("advise", "--report", str(reports[1]))
    assert found.code == 0
    assert found.out.startswith("Use hybrid.")
    assert "60 points" in found.out
    assert "(report)" in found.out


def test_answers_come_from_a_file_and_from_options(run: Crossfade, tmp_path: Path) -> None:
    path = tmp_path / "answers.json"
    path.write_text('{"form": "yes", "data": "tens"}')
    first = json.loads(run("advise", "--answers", str(path), "--json").out)
    second = json.loads(run("advise", "--answers", str(path), "--answer", "data=hundreds", "--json").out)
    assert (first["mode"], second["mode"]) == ("icl", "fine-tune")


def test_the_nine_questions_are_shown(run: Crossfade) -> None:
    assert run("advise", "--questions").out.count("?\n") == 9
    assert len(json.loads(run("advise", "--questions", "--json").out)) == 9


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (["--report", "none.json"], "cannot be read"),
        (["--answers", "none.json"], "cannot be read"),
        (["--answer", "form"], "QUESTION=ANSWER"),
        (["--answer", "form=perhaps"], "allowed are no, some, yes"),
        (["--answer", "colour=red"], "Unknown question 'colour'"),
    ],
)
def test_what_cannot_be_read_is_told(words: list[str], why: str, run: Crossfade) -> None:
    assert why in run("advise", *words).error()


def test_two_runs_are_compared_column_by_column(run: Crossfade, reports: tuple[Path, Path]) -> None:
    found = run("changes", *map(str, reports))
    assert "base: 20.0% before, 20.0% after (+0.0 points, no difference was seen)" in found.out
    assert "hybrid: 20.0% before, 80.0% after (+60.0 points, settled); fixed 30, broke 0." in found.out
    data = json.loads(run("changes", *map(str, reports), "--json").out)
    assert len(data["columns"][1]["fixed"]) == 30


def test_only_what_both_scored_is_compared() -> None:
    before = json.loads(to_json(report_of({"base": LOW[:20], "rag": LOW[:20]})))
    after = json.loads(to_json(report_of({"base": [None, *HIGH], "hybrid": [None, *HIGH]})))
    after["about"]["corpus"] = "other"
    found = changes(before, after)
    (only,) = found.columns
    assert (only.column, only.difference.estimate.n, found.only_before, found.only_after) == (
        "base",
        19,
        ("rag",),
        ("hybrid",),
    )
    assert found.settings == {"corpus": ("", "other")}
    assert "broke 0" in change_line(only), "a failure is no loss of the mode"


def test_reports_that_share_nothing_and_no_reports_are_told(
    run: Crossfade, reports: tuple[Path, Path], tmp_path: Path
) -> None:
    other = tmp_path / "other.json"
    other.write_text(to_json(report_of({"rag": LOW})))
    assert "share no column" in run("changes", str(reports[0]), str(other)).error()
    other.write_text("{}")
    assert "no report" in run("changes", str(reports[0]), str(other)).error()
    other.write_text('{"about": {}, "questions": [{"id": "1"}], "grid": {"base": []}}')
    assert "no report" in run("changes", str(reports[0]), str(other)).error()
    other.write_text("[]")
    assert "no JSON object" in run("changes", str(reports[0]), str(other)).error()


def test_a_question_is_asked_in_the_mode_of_a_report_s_rule(
    run: Crossfade, engine: FakeEngine, reports: tuple[Path, Path]
) -> None:
    report = json.loads(reports[1].read_text(encoding="utf-8"))
    assert report["auto"]["rule"]["above"] == "hybrid"
    report["about"] |= {"corpus": "tidewell", "task": "answer"}
    reports[1].write_text(json.dumps(report), encoding="utf-8")
    found = run("ask", "What is the fee?", "--mode", "auto", "--report", str(reports[1]), "--json")
    assert json.loads(found.out)["mode"] == "hybrid"
    assert "Auto chose hybrid" in found.err
    assert "needs a report" in run("ask", "What?", "--mode", "auto").error()
    report["about"]["corpus"] = "other"
    reports[0].write_text(json.dumps(report), encoding="utf-8")
    assert "fitted on" in run("ask", "What?", "--mode", "auto", "--report", str(reports[0])).error()
    report["auto"] = None
    reports[1].write_text(json.dumps(report), encoding="utf-8")
    assert "no rule for auto" in run("ask", "What?", "--mode", "auto", "--report", str(reports[1])).error()


def test_on_a_terminal_the_nine_questions_are_asked_and_each_may_be_skipped(
    run: Crossfade, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("crossfade.cli_advise.sys", type(sys)("sys"))
    monkeypatch.setattr(
        "crossfade.cli_advise.sys.stdin", type("Terminal", (), {"isatty": staticmethod(lambda: True)}), raising=False
    )
    found = run("advise", stdin=b"\n9\n3\n\n\n\n\n3\n\n\n")  # form: no ninth answer, then the third; data: the third
    assert found.err.count("Enter skips") == 9
    assert "a number from 1 to 3" in found.err
    assert found.out.lstrip().startswith("Start with fine-tune")
    assert run("advise", stdin=b"\n" * 9).out.lstrip() == run("advise", "--answer", "form=skip").out
