"""What a report says of runs whose truth is known, and what its exports hold."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Sequence
from html import unescape
from html.parser import HTMLParser
from pathlib import Path

import pytest

from crossfade.advisor.advise import advise
from crossfade.errors import SettingsError
from crossfade.evaluation.export import EXPORTS, to_csv, to_html, to_json, to_markdown
from crossfade.evaluation.page_words import Reader
from crossfade.evaluation.prices import Prices, read_prices
from crossfade.evaluation.questions import EvalQuestion
from crossfade.evaluation.report import Report, build_report
from crossfade.evaluation.results import Found, Result
from crossfade.evaluation.run import Column, Run
from crossfade.evaluation.tags import tag_table
from crossfade.evaluation.wording import by_quality, pair_line, score_table
from report_kit import report_of

HOSTILE = '</script><script>alert(1)</script><img src=x onerror="alert(2)"> | =1+1 `x`'


GOOD, BAD = [True] * 40 + [False] * 10, [True] * 15 + [False] * 35


def test_a_clear_winner_is_named_with_its_margin_over_the_next() -> None:
    report = report_of({"base": BAD, "rag": [True] * 20 + [False] * 30, "hybrid": GOOD})
    assert report.best == ("hybrid",)
    assert report.verdict.startswith("hybrid is right in 80%")
    assert "than the next, rag, by 40 points" in report.verdict


def test_where_the_evidence_is_thin_none_is_named_and_the_questions_needed_are() -> None:
    report = report_of(
        {"rag": [True] * 30 + [False] * 20, "hybrid": [True] * 32 + [False] * 18}, seconds={"rag": 1.0, "hybrid": 2.0}
    )
    assert set(report.best) == {"rag", "hybrid"}
    assert report.verdict.startswith("No winner: hybrid is right in 64%")
    assert re.search(r"About [\d,]+ more questions", report.verdict)
    assert report.verdict.endswith("rag costs least time.")


def test_equal_modes_cannot_be_settled_by_more_questions() -> None:
    assert "No difference was seen" in report_of({"base": GOOD, "rag": GOOD}).verdict


def test_one_mode_and_nothing_to_score_are_said() -> None:
    assert "nothing to compare" in report_of({"base": GOOD}).verdict
    question = EvalQuestion("q", "Why?", 1)
    run = Run((question,), (Column("base", "base"),), {"base": (Result(text="So."),)}, 1, 1.0)
    report = build_report(run, about={})
    assert report.verdict.startswith("Nothing could be scored")
    assert [f.right for f in report.modes] == [None]
    for export in EXPORTS.values():
        assert "So." in export(report) or "Nothing could be scored" in export(report)


def test_a_failure_is_counted_and_shown_and_is_no_score() -> None:
    report = report_of({"base": [True, None, False]})
    (figures,) = report.modes
    assert figures.right
    assert (figures.failed, figures.answered, figures.causes) == (1, 2, {"failed": 1, "invented": 1})
    assert (figures.right.mean, figures.right.n) == (0.5, 2)
    assert report.verdict.endswith("Failed: base 1; left out, and asked again by the next run.")
    assert [cell and cell.state for cell in report.grid["base"]] == ["right", "failed", "wrong"]


def test_a_failure_is_nothing_that_a_switch_fixed_or_broke() -> None:
    (effect,) = report_of({"base": [True, None, False], "rag": [None, True, True]}).effects
    assert (effect.switch, effect.fixed, effect.broke) == ("RAG", ("q2",), ())


def test_a_failure_is_shown_as_one_where_nothing_is_known_of_the_answer() -> None:
    question = EvalQuestion("q", "Why?", 1)
    run = Run((question,), (Column("base", "base"),), {"base": (Result(error="It broke."),)}, 1, 1.0)
    (cell,) = build_report(run, about={}).grid["base"]
    assert cell
    assert (cell.state, cell.score.right) == ("failed", None)


def test_failures_of_one_mode_make_no_other_one_the_winner() -> None:
    report = report_of({"base": [True] * 60 + [False] * 40, "icl": [True] * 30 + [None] * 70})
    assert set(report.best) == {"base", "icl"}
    assert report.verdict.startswith("No winner: base is right in 100%")
    assert "Failed: icl 70" in report.verdict
    (pair,) = report.pairs
    assert pair.estimate.n == 30


def test_a_run_that_was_stopped_before_a_mode_began_says_so_and_keeps_its_figures() -> None:
    questions = tuple(EvalQuestion(f"q{n}", f"{n}?", n, answers=("x",), answerable=True) for n in range(4))
    results = {"base": (Result("x"),) * 4, "rag": (None,) * 4}
    report = build_report(Run(questions, (Column("base", "base"), Column("rag", "rag")), results, 4, 1.0), about={})
    assert report.verdict.startswith("No question was answered by every mode yet")
    assert report.modes[0].right
    assert "Run the evaluation to its end" in advise(json.loads(to_json(report))).steps[0]


def test_a_verdict_rests_on_the_questions_that_every_mode_answered() -> None:
    questions = tuple(EvalQuestion(f"q{n}", f"{n}?", n, answers=("x",), answerable=True) for n in range(40))
    results = {"base": (Result("x"),) * 20 + (Result("y"),) * 20, "rag": (Result("x"),) * 10 + (None,) * 30}
    report = build_report(Run(questions, (Column("base", "base"), Column("rag", "rag")), results, 50, 1.0), about={})
    assert "of 10 questions that every mode has answered so far" in report.verdict


def test_what_a_cancelled_run_lacks_is_left_out_of_every_comparison() -> None:
    questions = tuple(EvalQuestion(f"q{n}", f"{n}?", n, answers=("x",), answerable=True) for n in range(4))
    results = {"base": (Result("x"), Result("y"), None, None), "rag": (Result("x"), Result("x"), Result("x"), None)}
    report = build_report(Run(questions, (Column("base", "base"), Column("rag", "rag")), results, 5, 1.0), about={})
    assert [f.right and f.right.n for f in report.modes] == [2, 3]
    (pair,) = report.pairs
    assert (pair.estimate.n, pair.gained, pair.lost) == (2, 1, 0)


def test_each_switch_is_told_what_it_fixed_and_broke() -> None:
    report = report_of(
        {
            "base": [False, False, True, False],
            "rag": [True, False, False, False],
            "hybrid": [True, True, False, False],
            "fine-tune": [False, False, True, True],
            "icl": [False, False, True, False],
        }
    )
    found = {(e.switch, e.without, e.having): (e.fixed, e.broke) for e in report.effects}
    assert found == {
        ("RAG", "base", "rag"): (("q0",), ("q2",)),
        ("the adapter", "rag", "hybrid"): (("q1",), ()),
        ("RAG", "fine-tune", "hybrid"): (("q0", "q1"), ("q2", "q3")),
        ("the adapter", "base", "fine-tune"): (("q3",), ()),
        ("ICL", "base", "icl"): ((), ()),
    }


def test_columns_of_other_adapters_are_no_effect_of_a_switch() -> None:
    questions = (EvalQuestion("q", "?", 1, answers=("x",), answerable=True),)
    a, b = Column("fine-tune (a)", "fine-tune", (("a", 1.0),)), Column("hybrid (b)", "hybrid", (("b", 1.0),))
    results = {a.name: (Result("x"),), b.name: (Result("y"),)}
    assert build_report(Run(questions, (a, b), results, 2, 1.0), about={}).effects == ()


def test_questions_of_one_document_widen_the_interval() -> None:
    def width(documents: Sequence[str]) -> float:
        questions = tuple(
            EvalQuestion(f"q{n}", f"{n}?", n, answers=("x",), documents=(d,), answerable=True)
            for n, d in enumerate(documents)
        )
        results = {"base": tuple(Result("x" if n < 20 else "y") for n in range(40))}
        (figures,) = build_report(Run(questions, (Column("base", "base"),), results, 40, 1.0), about={}).modes
        assert figures.right
        return figures.right.high - figures.right.low

    alone = width([str(n) for n in range(40)])
    assert width([str(n // 4) for n in range(40)]) > 1.5 * alone
    assert width(["a"] * 20 + ["b"] * 20) == alone, "two documents are too few to draw from"


def on_documents(documents: Sequence[str]) -> Report:
    """Two modes on one question for each name; base is right in the second half of them, rag nearly everywhere."""
    questions = tuple(
        EvalQuestion(f"q{n}", f"{n}?", n, answers=("x",), documents=(d,) if d else (), answerable=True)
        for n, d in enumerate(documents)
    )
    half = len(documents) // 2
    base, rag = (tuple(Result("x" if n >= wrong else "y") for n in range(2 * half)) for wrong in (half, half - 8))
    run = Run(questions, (Column("base", "base"), Column("rag", "rag")), {"base": base, "rag": rag}, 0, 1.0)
    return build_report(run, about={})


def test_a_report_says_what_its_p_takes_for_granted() -> None:
    alone = on_documents([str(n) for n in range(40)])
    assert "McNemar's exact test" in alone.tested
    assert "none shares" in alone.tested
    assert (alone.pairs[0].design_effect, alone.pairs[0].settled) == (1.0, True)
    shared = on_documents([str(n // 4) for n in range(40)])
    assert "whole documents" in shared.tested
    assert "40 questions of 10 documents" in shared.tested
    (pair,) = shared.pairs
    assert pair.design_effect > 2
    assert pair.p == 0.5, "eight questions, and two documents"
    assert "times as many as if none shared a document" in pair_line(pair)
    few = on_documents(["a"] * 20 + ["b"] * 20)
    assert "surer than they should be" in few.tested
    for report in (alone, shared, few):
        assert report.tested in to_markdown(report)
        assert report.tested.split(".")[0] in to_html(report).replace("&#39;", "'")
    assert report_of({"base": GOOD}).tested == ""


def test_money_is_of_seconds_and_tokens_and_cached_tokens_cost_their_own_price() -> None:
    prices = Prices(per_hour=3.6, prompt=10.0, cached=1.0, new=100.0)
    assert prices.of(seconds=1000, prompt=1e6, cached=4e5, new=1e4) == pytest.approx(1 + 6 + 0.4 + 1)
    (figures,) = report_of({"base": GOOD}, prices=Prices(prompt=10.0)).modes
    assert figures.money == pytest.approx(1000 * 100 * 10 / 1e6)
    spread = Prices(per_hour=36.0, spread=100)
    (figures,) = report_of({"hybrid": GOOD}, prices=spread, training_seconds={"domain": 1000.0}).modes
    assert figures.money == pytest.approx(1000 * (1.0 / 3600 * 36 + 10 / 3600 * 36))
    assert "per 1,000" in to_markdown(report_of({"base": GOOD}, prices=Prices(prompt=10.0)))


def test_prices_are_read_and_broken_ones_are_told(tmp_path: Path) -> None:
    path = tmp_path / "prices.toml"
    path.write_text("[mine]\nper_hour = 1\n[theirs]\nnew = 2.5\n")
    assert read_prices(path) == Prices(per_hour=1.0, name="mine")
    assert read_prices(path, "theirs").new == 2.5
    with pytest.raises(SettingsError, match="It has: mine, theirs"):
        read_prices(path, "nobody")
    for text in ("", "[a]\nnew = -1", "[a]\nold = 1", "[a]\nnew = true", "a = 1", "[a"):
        path.write_text(text)
        with pytest.raises(SettingsError):
            read_prices(path)


def test_training_is_counted_for_modes_that_use_the_adapter_alone() -> None:
    report = report_of({"base": GOOD, "hybrid": GOOD}, training_seconds={"domain": 60.0, "other": 5.0})
    assert {f.column.name: f.training_seconds for f in report.modes} == {"base": 0.0, "hybrid": 60.0}


def test_what_the_page_says_goes_through_the_reader_and_what_others_wrote_does_not() -> None:
    report = report_of({"base": BAD, "hybrid": GOOD})
    asked: list[str] = []

    def said(text: str) -> str:
        asked.append(text)
        return f"<{text}>"

    page = to_html(report, Reader("xx", said))
    assert '<html lang="xx">' in page
    for words in ("Modes", "Close", "exact match", "not retrieved", report.verdict, pair_line(report.pairs[0])):
        assert f"<{words}>" in unescape(page)
    assert not {question.text for question in report.questions} & set(asked)
    assert to_html(report) == to_html(report, Reader())


@pytest.fixture
def hostile() -> Report:
    question = EvalQuestion("q<1>", HOSTILE, 1, answers=("=2+2",), documents=("d",), answerable=True)
    result = Result(HOSTILE, (Found("d", HOSTILE, HOSTILE, 0, 9, 1.0),), prompt_tokens=5)
    failed = Result(error=HOSTILE)
    columns = (Column("base", "base"), Column(HOSTILE, "rag"))
    run = Run((question,), columns, {"base": (failed,), HOSTILE: (result,)}, 2, 1.0)
    return build_report(run, about={"title": HOSTILE, "questions": HOSTILE})


def test_the_page_holds_every_answer_loads_nothing_and_runs_no_text(hostile: Report) -> None:
    page = to_html(hostile)
    assert page.count("<script") == page.count("</script>") == 3
    assert "<img" not in page
    names, loads = set(), set()

    class Reader(HTMLParser):
        def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
            names.add(tag)
            loads.update(name for name, _ in attrs if name in ("src", "href") or name.startswith("on"))

    Reader().feed(page)
    assert not loads
    assert not names & {"img", "link", "iframe", "object", "base", "form"}
    assert not re.search(r"@import|url\(|fetch\(|XMLHttpRequest|innerHTML", page)
    data = json.loads(re.search(r'<script type="application/json" id="data">(.*?)</script>', page, re.S)[1])  # type: ignore[index]
    assert data["grid"][HOSTILE][0]["result"]["passages"][0]["text"] == HOSTILE
    assert "default-src 'none'" in page


def test_a_table_for_spreadsheets_runs_no_formula_and_has_a_row_for_each_answer(hostile: Report) -> None:
    rows = list(csv.DictReader(io.StringIO(to_csv(hostile))))
    assert len(rows) == 2
    assert rows[1]["accepted"] == "'=2+2"
    assert rows[1]["answer"] == HOSTILE
    assert rows[0]["state"] == "failed"


def test_markdown_has_one_line_a_row_and_no_markup_of_others(hostile: Report) -> None:
    text = to_markdown(hostile)
    assert "<script" not in text.replace("\\<", "")
    (row,) = [line for line in text.splitlines() if line.startswith("| base")][:1]
    assert len(re.findall(r"(?<!\\)\|", row)) == len(
        re.findall(r"(?<!\\)\|", text.split("## Modes")[1].splitlines()[2])
    )


def test_every_score_stands_with_its_interval_and_the_answers_that_it_is_of() -> None:
    report = report_of({"base": BAD, "hybrid": GOOD})
    header, rows = score_table(report)
    assert header == ["score", "hybrid", "base"]
    (exact,) = [row for row in rows if row[0] == "exact match"]
    assert re.fullmatch(r"80\.0% \[\d\d\.\d%, \d\d\.\d%\] \(50\)", exact[1])
    assert ["words", "1.0 (50)", "1.0 (50)"] in rows
    for text in (to_markdown(report), to_html(report)):
        assert exact[1] in text


def test_what_is_right_by_tag_is_told_with_its_count_where_there_are_tags() -> None:
    assert tag_table(report_of({"base": GOOD}))[1] == []
    assert "by tag" not in to_markdown(report_of({"base": GOOD}))
    questions = tuple(
        EvalQuestion(
            f"q{n}", f"{n}?", n, answers=("x",), answerable=True, tags=("fees", "<b>") if n < 8 else ("hours",)
        )
        for n in range(12)
    )
    base, rag = (Result("x"),) * 8 + (Result("y"),) * 4, (Result(error="It broke."),) * 8 + (Result("x"),) * 4
    run = Run(questions, (Column("base", "base"), Column("rag", "rag")), {"base": base, "rag": rag}, 0, 1.0)
    report = build_report(run, about={})
    header, rows = tag_table(report)
    assert header == ["tag", "rag", "base"]
    assert [row[0] for row in rows] == ["fees", "<b>", "hours"]
    assert (rows[0][1], rows[0][2][:8], rows[0][2][-3:]) == ("", "100.0% [", "(8)"), "a failure is no score"
    assert rows[2][2].startswith("0.0% [0.0%, ")
    assert rows[2][2].endswith("(4)")
    assert "| fees |" in to_markdown(report)
    assert "&lt;b&gt;" in to_html(report)


def test_a_table_for_spreadsheets_has_objects_and_tags() -> None:
    question = EvalQuestion("q", "Lost card", 1, object={"a": "é"}, tags=("x", "y"))
    run = Run((question,), (Column("base", "base"),), {"base": (Result("{}"),)}, 1, 1.0)
    (row,) = csv.DictReader(io.StringIO(to_csv(build_report(run, about={}))))
    assert (row["accepted"], row["tags"]) == ('{"a": "é"}', "x | y")


def test_json_is_the_whole_report() -> None:
    report = report_of({"base": BAD, "hybrid": GOOD})
    data = json.loads(to_json(report))
    assert data["verdict"] == report.verdict
    assert [cell["state"] for cell in data["grid"]["hybrid"]].count("right") == 40
    assert data["pairs"][0]["settled"] is True
    assert {"version", "about", "modes", "effects", "questions"} <= set(data)


def test_modes_are_shown_best_first_and_pairs_in_a_sentence() -> None:
    report = report_of({"base": BAD, "hybrid": GOOD})
    assert [f.column.name for f in by_quality(report)] == ["hybrid", "base"]
    assert pair_line(report.pairs[0]).startswith("hybrid against base: +50.0 points [+36")
