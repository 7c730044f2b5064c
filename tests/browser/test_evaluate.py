"""The evaluate and advise tabs on a stand-in: measure, stop, go on, read every answer, and be advised by it."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytestmark = [pytest.mark.browser, pytest.mark.timeout(240)]

ROWS = [
    {"question": "What is the fee?", "answers": ["seven dollars"], "documents": ["harbor-checking"]},
    {"question": "Who signs <b>here</b>?", "answers": ["the manager"]},
    {"question": "Is there a pool?", "answers": []},
]


def evaluate(page: Any, text: str) -> None:
    page.page.get_by_role("tab", name="Evaluate").click()
    page.page.locator("#evaluate-source input").click()
    page.page.locator("ul[role=listbox] li", has_text="pasted").first.click()
    page.page.fill("#evaluate-pasted textarea", text)
    page.page.click("#evaluate-send")


def wait_end(page: Any) -> None:
    page.page.wait_for_selector("#evaluate-stop", state="hidden")
    page.page.wait_for_selector("#evaluate-send", state="visible")


def test_pasted_questions_are_measured_and_every_answer_can_be_read(open_page: Callable[..., Any], serve: Any) -> None:
    page = open_page(serve("--delay", "0.001"))
    evaluate(page, "\n".join(map(json.dumps, ROWS)))
    frame = page.page.frame_locator("iframe.cf-report")
    assert "No winner" in frame.locator(".verdict").inner_text()
    assert frame.locator("#grid tr").count() == 4
    assert frame.locator("#grid button").count() == 15
    assert frame.locator("#grid .right").count() == 5
    frame.locator("#grid tr", has_text="<b>here</b>").locator("button").first.click()
    dialog = frame.locator("#open")
    assert "seven dollars" in dialog.locator("section").first.inner_text()
    assert "Accepted: the manager" in dialog.inner_text()
    dialog.locator("details summary").first.click()
    assert "monthly fee is $1" in dialog.locator("details").first.inner_text()
    frame.locator("#close").click()
    for ending, start in (
        ("html", "<!doctype html>"),
        ("md", "# Tidewell"),
        ("csv", "id,question"),
        ("json", '{"version"'),
    ):
        with page.page.expect_download() as saved:
            frame.locator(f"[data-save={ending}]").click()
        assert saved.value.suggested_filename == f"report.{ending}"
        assert Path(saved.value.path()).read_text(encoding="utf-8").startswith(start)
    frame.locator("#which").select_option("invented")
    assert frame.locator("#grid tr").count() == 3
    frame.locator("[data-mode=base][data-cause=invented]").click()
    assert frame.locator("#count").inner_text() == "2 of 3"
    assert frame.locator("#which").input_value() == ""
    wait_end(page)
    assert page.faults == []
    assert page.outbound == []


def test_the_advice_follows_the_report_and_the_answers(open_page: Callable[..., Any], serve: Any) -> None:
    page = open_page(serve("--delay", "0.001"))
    page.page.get_by_role("tab", name="Advise").click()
    page.page.wait_for_selector("#advice :text('nothing was measured')")
    page.page.locator("#advise-form label", has_text="It decides").click()
    page.page.locator("#advise-data label", has_text="A hundred").click()
    page.page.wait_for_selector("#advice h2:has-text('fine-tune')")
    evaluate(page, "\n".join(map(json.dumps, ROWS)))
    page.page.wait_for_selector("iframe.cf-report")
    page.page.get_by_role("tab", name="Advise").click()
    page.page.wait_for_selector("#advise-about :text('rests on the report')")
    page.page.wait_for_selector("#advice :text('right in 33%')")
    assert page.faults == []


def test_a_run_can_be_stopped_and_goes_on_where_it_was(open_page: Callable[..., Any], serve: Any) -> None:
    page = open_page(serve("--delay", "0.05"))
    rows = [{"question": f"What is fee {n}?", "answers": ["seven dollars"]} for n in range(40)]
    evaluate(page, "\n".join(map(json.dumps, rows)))
    page.page.wait_for_selector("#evaluate-notice progress")
    page.page.click("#evaluate-stop")
    page.page.wait_for_selector("#evaluate-notice :text('reported and kept')")
    wait_end(page)
    assert page.page.locator("iframe.cf-report").count() == 1
    page.page.click("#evaluate-send")
    page.page.wait_for_selector("#evaluate-notice :text('of 200 answers')")
    first = page.page.locator("#evaluate-notice progress").get_attribute("value")
    assert first
    assert int(first) > 1, "what was kept counts as done"


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "No question was pasted"),
        ('{"question": ', "your questions, line 1"),
        ('{"question": "a"}\n{"question": "a"}', "line 2: the question is that of line 1"),
        ("question,answers\na,b,c", "line 2: more cells"),
    ],
)
def test_questions_that_cannot_be_read_get_a_sentence(
    open_page: Callable[..., Any], serve: Any, text: str, why: str
) -> None:
    page = open_page(serve())
    evaluate(page, text)
    page.page.wait_for_selector(f"#evaluate-notice .cf-error:has-text('{why}')")
    wait_end(page)
    assert page.faults == []


def test_plain_lines_are_questions_that_nothing_is_compared_with(open_page: Callable[..., Any], serve: Any) -> None:
    page = open_page(serve("--delay", "0.001"))
    evaluate(page, "What is the fee?\n\nWho signs?")
    frame = page.page.frame_locator("iframe.cf-report")
    assert "Nothing could be scored" in frame.locator(".verdict").inner_text()
    assert frame.locator("#grid .unscored").count() == 10


def test_csv_with_quoted_names_and_json_beside_plain_lines_are_read(open_page: Callable[..., Any], serve: Any) -> None:
    from playwright.sync_api import expect

    page = open_page(serve("--delay", "0.001"))
    sets = ('"question","answers"\n"How much, then?","$7"\n', 'Plain?\n{"question": "How much?", "answers": ["$7"]}')
    for count, text in enumerate(sets, start=1):
        evaluate(page, text)
        questions = page.page.frame_locator("iframe.cf-report").locator("#grid td.q")
        expect(questions).to_have_count(count, timeout=30_000)
        wait_end(page)
        assert all("{" not in told and "answers" not in told for told in questions.all_inner_texts())


def test_drafts_are_accepted_mended_or_thrown_away(open_page: Callable[..., Any], serve: Any) -> None:
    page = open_page(serve())
    page.page.get_by_role("tab", name="Evaluate").click()
    page.page.locator("#evaluate-drafts").get_by_text("Draft questions").click()
    page.page.click("#draft-next")
    page.page.wait_for_selector("#draft-told :text('100 drafts left')")
    page.page.click("#draft-next")
    page.page.wait_for_selector("#draft-told :text('99 drafts left')")
    page.page.fill("#draft-question textarea", "How much, in my own words?")
    page.page.click("#draft-accept")
    page.page.wait_for_selector("#draft-told :text('98 drafts left')")
    row = json.loads(page.page.input_value("#evaluate-pasted textarea"))
    assert row["question"] == "How much, in my own words?"
    assert row["answers"]
    assert page.faults == []


def test_with_a_report_the_chat_offers_auto_and_says_what_it_chose(open_page: Callable[..., Any], serve: Any) -> None:
    page = open_page(serve("--delay", "0.001"))
    assert not page.page.locator("#switch-auto").is_visible()
    rows = [{"question": f"What is fee {n}?", "answers": ["seven dollars"]} for n in range(60)]
    page.page.get_by_role("tab", name="Evaluate").click()
    page.page.locator("#evaluate-modes label", has_text="auto").click()
    evaluate(page, "\n".join(map(json.dumps, rows)))
    frame = page.page.frame_locator("iframe.cf-report")
    frame.locator("#grid button").first.wait_for()
    assert frame.locator("#grid th").all_inner_texts()[-1] == "auto"
    frame.locator("#grid button").first.click()
    assert "auto (" in frame.locator("#open section").last.inner_text()
    page.page.get_by_role("tab", name="Chat").click()
    page.page.locator("#switch-auto input").check()
    page.page.wait_for_selector("#chat-mode .cf-badge:text-is('auto')")
    page.ask("What is the fee?")
    assert "Auto chose" in page.answer.inner_text()
    assert page.answer.locator(".cf-badge").inner_text() in ("base", "fine-tune")
    page.preset("rag")
    assert not page.page.locator("#switch-auto input").is_checked(), "who chooses a mode has it"
    page.ask("And now?")
    assert "Auto chose" not in page.answer.inner_text()
    assert page.faults == []


def saved_from(page: Any, frame: Any) -> Any:
    """The report's download. Its last drawing puts a new frame in place of one that can be clicked still."""
    from playwright.sync_api import TimeoutError as Lost

    for patience in (5_000, 15_000, 45_000):
        with contextlib.suppress(Lost):
            with page.page.expect_download(timeout=patience) as saved:
                frame.locator("[data-save=json]").click()
            return saved.value
    raise AssertionError("the report is not saved")


def test_a_saved_report_is_loaded_again_and_compared_with_the_next(open_page: Callable[..., Any], serve: Any) -> None:
    from playwright.sync_api import expect

    page = open_page(serve("--delay", "0.001"))
    evaluate(page, "\n".join(map(json.dumps, ROWS)))
    frame = page.page.frame_locator("iframe.cf-report")
    wait_end(page)
    kept = Path(saved_from(page, frame).path()).read_text(encoding="utf-8")
    other = open_page(page.url)
    other.page.get_by_role("tab", name="Evaluate").click()
    other.page.locator("#evaluate-earlier").get_by_text("Load a report").first.click()
    expect(other.page.locator("#earlier-compare")).to_be_disabled()

    def load(text: str) -> None:
        with other.page.expect_file_chooser() as chooser:
            other.page.click("#earlier-load")
        chooser.value.set_files({"name": "report.json", "mimeType": "application/json", "buffer": text.encode()})

    load("{}")
    other.page.wait_for_selector("#earlier-told .cf-error:has-text('This is no report')")
    load(kept)
    other.page.wait_for_selector("#earlier-told :text('Loaded: Tidewell')")
    assert other.page.frame_locator("iframe.cf-report").locator("#grid tr").count() == 4
    other.page.get_by_role("tab", name="Advise").click()
    other.page.wait_for_selector("#advise-about :text('rests on the report')")
    evaluate(other, "\n".join(map(json.dumps, ROWS[:1])))
    wait_end(other)
    other.page.click("#earlier-compare")
    other.page.wait_for_selector("#earlier-changes :text('100.0% before, 100.0% after')")
    assert other.faults == []
    assert other.outbound == []


def test_several_adapters_are_columns_and_prices_a_column_of_the_table(
    open_page: Callable[..., Any], serve: Any
) -> None:
    from playwright.sync_api import expect

    page = open_page(serve("--delay", "0.001"))
    page.page.get_by_role("tab", name="Evaluate").click()
    page.page.locator("#evaluate-adapters input").click()
    page.page.locator("ul[role=listbox] li", has_text="style").first.click()
    page.page.wait_for_selector("#evaluate-adapters .token:has-text('style')")
    page.page.locator("#evaluate-adapters input").fill("domain+style:0.5")
    page.page.keyboard.press("Enter")
    page.page.keyboard.press("Escape")
    page.page.locator("#evaluate-extras").get_by_text("Prices, a judge").click()
    page.page.fill("#price-new input", "1000")
    page.page.press("#price-new input", "Tab")
    expect(page.page.locator("#price-new input")).to_have_value("1000")
    evaluate(page, json.dumps(ROWS[0]))
    frame = page.page.frame_locator("iframe.cf-report")
    frame.locator("#grid button").first.wait_for()
    names = {row.split("\t")[0] for row in frame.locator("table").first.locator("tr").all_inner_texts()}
    assert {"hybrid (domain)", "hybrid (style)", "fine-tune (domain)", "fine-tune (style)", "rag"} < names
    assert "hybrid (domain+style:0.5)" in names, "a blend is written"
    assert "per 1,000" in frame.locator("table").first.inner_text()
    wait_end(page)
    page.page.fill("#judge-model textarea, #judge-model input", "big")
    page.page.fill("#judge-url textarea, #judge-url input", "nowhere")
    page.page.click("#evaluate-send")
    page.page.wait_for_selector("#evaluate-notice .cf-error:has-text('judge')")
    assert page.faults == []


def test_the_file_of_several_tasks_opens_each_task_s_answers(browser: Any, tmp_path: Path) -> None:
    from crossfade.evaluation.export import EXPORTS_OF_SEVERAL
    from crossfade.evaluation.reading import read_report
    from crossfade.evaluation.several import Several
    from report_kit import report_of

    first = report_of({"base": [True] * 3, "rag": [False] * 3})
    second = report_of({"base": [False] * 5, "hybrid": [True] * 5})
    path = tmp_path / "report.html"
    path.write_text(EXPORTS_OF_SEVERAL["html"](Several("Bank", {"answer": first, "ticket": second})), encoding="utf-8")
    page = browser.new_page()
    faults: list[str] = []
    page.on("pageerror", lambda error: faults.append(str(error)))
    page.goto(path.as_uri())
    assert [page.locator(f"#grid-{n} tr").count() for n in (1, 2)] == [4, 6]
    page.locator("#report-2 [data-mode=base][data-cause=invented]").click()
    page.locator("#grid-2 button").first.click()
    assert page.locator("#open-2").is_visible()
    assert page.locator("#open-2 section").count() == 2
    page.locator("#close-2").click()
    with page.expect_download() as saved:
        page.locator("#report-2 [data-save=json]").click()
    assert saved.value.suggested_filename == "report-ticket.json"
    assert read_report(Path(saved.value.path()).read_text(encoding="utf-8")) == second
    with page.expect_download() as saved:
        page.locator("body > p [data-save=json]").click()
    assert list(json.loads(Path(saved.value.path()).read_text(encoding="utf-8"))["tasks"]) == ["answer", "ticket"]
    assert faults == []
    page.close()


def test_a_page_in_chinese_says_states_and_answers_so(browser: Any, tmp_path: Path) -> None:
    from crossfade.evaluation.export import to_html
    from crossfade.evaluation.page_words import Reader
    from crossfade.ui.phrases import said
    from report_kit import report_of

    path = tmp_path / "report.html"
    report = report_of({"base": [True, None, False], "rag": [False] * 3})
    path.write_text(to_html(report, Reader("zh", lambda text: said("zh", text))), encoding="utf-8")
    page = browser.new_page()
    faults: list[str] = []
    page.on("pageerror", lambda error: faults.append(str(error)))
    page.goto(path.as_uri())
    assert page.locator("#grid button").all_inner_texts() == ["正确", "错误", "失败", "错误", "错误", "错误"]
    assert page.locator("#count").inner_text() == "3 题，共 3"
    page.locator("#which").select_option("invented")
    assert page.locator("#count").inner_text() == "1 题，共 3"
    page.locator("#grid button").first.click()
    assert "标准答案: $2" in page.locator("#open").inner_text()
    assert "编造" in page.locator("#open section").first.inner_text()
    assert faults == []
    page.close()


def test_another_task_is_asked_by_its_own_set_unless_a_person_chose_one(
    open_page: Callable[..., Any], serve: Any
) -> None:
    from playwright.sync_api import expect

    page = open_page(serve("--delay", "0.001"))
    page.page.get_by_role("tab", name="Evaluate").click()
    source, choice = page.page.locator("#evaluate-source input"), page.page.locator(".cf-choice input >> visible=true")

    def choose(box: Any, words: str) -> None:
        box.click()
        page.page.locator("ul[role=listbox] li", has_text=words).first.click()

    expect(source).to_have_value("eval.jsonl")
    choose(choice, "json")
    expect(source).to_have_value("eval_json.jsonl")
    choose(source, "dev.jsonl")
    choose(choice, "style")
    page.page.wait_for_timeout(500)
    expect(source).to_have_value("dev.jsonl")
    assert page.faults == []
