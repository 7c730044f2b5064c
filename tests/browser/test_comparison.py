"""The compare tab on a stand-in: columns of their own, votes, differences, objects, and links that are taken back."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

pytestmark = [pytest.mark.browser, pytest.mark.timeout(600)]

FEE = "What is the fee?"
CITING = "The fee is $7 [1], waived [2] [1]."
HOSTILE = "Nothing <b>bold</b> <img src=http://evil.invalid/a.png onerror=alert(1)> is free."


def compare(page: Any, text: str = FEE) -> None:
    """Ask in the compare tab, and wait until the vote is offered."""
    page.page.get_by_role("tab", name="Compare").click()
    page.page.fill("#compare-question textarea", text)
    page.page.click("#compare-send")
    page.page.wait_for_selector("#compare-stop", state="visible")
    page.page.wait_for_selector("#compare-send", state="visible")
    page.page.wait_for_selector("#compare-vote", state="visible")


def choose(page: Any, box: str, start: str) -> None:
    page.page.click(f"{box} input")
    page.page.locator("ul[role=listbox] li", has_text=start).first.click()


def share(page: Any) -> str:
    page.page.click("#share-publish")
    page.page.wait_for_selector("#share-link textarea, #share-link input", state="visible")
    return str(page.page.input_value("#share-link :is(textarea, input)"))


def test_a_preset_ticks_its_modes_and_its_columns_are_answered(open_page: Callable[..., Any], serve: Any) -> None:
    page = open_page(serve("--answer", CITING))
    page.page.get_by_role("tab", name="Compare").click()
    page.page.click("#columns-documents")
    page.page.wait_for_function("document.querySelectorAll('#compare-modes input:checked').length === 2")
    compare(page)
    assert [page.page.inner_text(f"#column-{n} .cf-badge") for n in range(2)] == ["rag", "hybrid"]
    assert page.page.locator("#column-2").is_hidden()
    told = page.page.inner_text("#column-0")
    for fact in ("2 of 3 passages cited", "first token", "in all", "prompt tokens", "cached", "new"):
        assert fact in told
    assert page.faults == []
    assert page.outbound == []


def test_a_column_has_settings_of_its_own_and_columns_come_and_go(open_page: Callable[..., Any], serve: Any) -> None:
    page = open_page(serve("--answer", CITING))
    page.page.get_by_role("tab", name="Compare").click()
    page.page.click("#columns-tuned")
    page.page.wait_for_function("document.querySelectorAll('#compare-modes input:checked').length === 2")
    page.page.check("#compare-customise input")
    page.page.wait_for_selector("#card-1", state="visible")
    assert page.page.locator("#card-2").is_hidden()
    page.page.click("#compare-add")
    page.page.wait_for_selector("#card-2", state="visible")
    page.page.click("#card-0 .cf-remove")
    page.page.wait_for_selector("#card-2", state="hidden")
    assert page.page.input_value("#card-0 input") == "fine-tune", "those after it move up"
    page.page.click("#card-0 button:has-text('Settings of its own')")
    page.page.fill("#card-0 :is(textarea, input)[placeholder^='domain']", "domain:0.6 + style:0.4")
    page.page.locator("#card-0 input[type=number]").nth(0).fill("0.7")
    page.page.locator("#card-0 input[type=number]").nth(1).fill("3")
    page.page.locator("#card-0 input[type=number]").nth(2).fill("4")
    page.page.locator("#card-0 input[type=number]").nth(3).fill("0.6")
    page.page.fill("#card-0 .cf-own-instructions textarea", "In rhymes.")
    compare(page)
    own, beside = page.page.inner_text("#column-0"), page.page.inner_text("#column-1")
    for told in ("domain:0.6 + style:0.4", "temperature 0.7", "seed 3", "at most 4 tokens", "domain x 0.6", "4 new"):
        assert told in own
    assert "top-p 0.6" in own
    assert "own instructions: In rhymes." in own
    assert "temperature" not in beside
    assert page.page.locator("#column-2").is_hidden()
    page.page.fill("#card-0 :is(textarea, input)[placeholder^='domain']", "domain:9")
    page.page.click("#compare-send")
    page.page.wait_for_selector("#compare-notice :text('cannot be read')")


def test_a_vote_is_kept_changed_summed_up_and_exported(
    open_page: Callable[..., Any], serve: Any, tmp_path: Path
) -> None:
    url = serve("--answer", CITING)
    page = open_page(url)
    page.page.get_by_role("tab", name="Compare").click()
    page.page.click("#votes-panel button")
    page.page.wait_for_selector("#votes-sums :text('No vote yet')")
    compare(page)
    page.page.click("#vote-cast")
    page.page.wait_for_selector("#vote-notice :text('Choose an answer')")
    page.page.click("#vote-choice label:has-text('All bad')")
    page.page.click("#vote-cast")
    page.page.wait_for_selector("#votes-sums :text('All bad: 1.')")
    page.page.click("#vote-choice label:has-text('5 · hybrid')")
    page.page.fill("#vote-remark :is(textarea, input)", "<b>right</b>")
    page.page.click("#vote-cast")
    page.page.wait_for_selector("#votes-sums :text('With a winner: 1.')")
    assert "1 / 1" in page.page.inner_text("#votes-sums tbody tr:first-child")
    assert "hybrid" in page.page.inner_text("#votes-sums tbody tr:first-child")
    with page.page.expect_download() as download:
        page.page.click("#votes-judge-file")
    assert '"mode": "hybrid", "right": true' in Path(download.value.path()).read_text(encoding="utf-8")
    with page.page.expect_download() as download:
        page.page.click("#votes-file")
    assert download.value.suggested_filename.endswith(".jsonl")
    assert not any("/file=" in url for url in page.requests), "no file of theirs lies on the server"
    download.value.save_as(tmp_path / "votes.jsonl")
    (row,) = map(json.loads, (tmp_path / "votes.jsonl").read_text(encoding="utf-8").splitlines())
    assert (row["question"], row["winner_mode"], row["remark"]) == (FEE, "hybrid", "<b>right</b>")
    assert len(row["answers"]) == 5
    page.context.clear_cookies()  # from here on it is somebody else's browser
    page.page.reload()
    page.page.get_by_role("tab", name="Compare").click()
    page.page.click("#votes-panel button")
    page.page.wait_for_selector("#votes-sums :text('No vote yet')")


def test_objects_fold_and_differ_field_by_field(open_page: Callable[..., Any], serve: Any) -> None:
    ticket = '{"product": "loan", "issue": "fee", "amount": "two"}'
    page = open_page(serve("--answer", ticket))
    page.page.get_by_role("tab", name="Compare").click()
    choose(page, ".cf-compare .cf-choice", "json")
    page.page.wait_for_selector(".cf-compare .cf-enforce", state="visible")
    page.page.click("#columns-tuned")
    page.page.wait_for_function("document.querySelectorAll('#compare-modes input:checked').length === 2")
    compare(page)
    wrong = page.page.inner_text("#column-0 .cf-field.cf-wrong")
    assert "amount" in wrong
    assert "'two' is not of type" in wrong
    assert "Valid against the schema" in page.page.inner_text("#column-1")
    page.page.click("#column-1 .cf-node > summary")
    assert page.page.locator("#column-1 .cf-field").first.is_hidden()
    with page.page.expect_download() as download:
        page.page.click("#column-1 .cf-json-download")
    assert json.loads(Path(download.value.path()).read_text(encoding="utf-8"))["reference"] == "TB-40719"
    rows = page.page.inner_text("#difference-shown table")
    for told in ("product", "different", "missing", "reference"):
        assert told in rows
    choose(page, "#difference-first", "2 · fine-tune")
    page.page.wait_for_selector("#difference-shown :text('Choose two different columns')")
    assert page.faults == []


def test_in_the_chat_too_an_object_folds_and_is_copied_and_downloaded(
    open_page: Callable[..., Any], serve: Any
) -> None:
    page = open_page(serve("--answer", CITING))
    page.choose("json")
    page.preset("fine-tune")
    page.ask(FEE)
    assert "Valid against the schema" in page.answer.inner_text()
    page.answer.locator(".cf-node > summary").click()
    assert page.answer.locator(".cf-field").first.is_hidden()
    with page.page.expect_download() as download:
        page.answer.locator(".cf-json-download").click()
    assert json.loads(Path(download.value.path()).read_text(encoding="utf-8"))["reference"] == "TB-40719"
    page.answer.locator(".cf-json-copy").click()
    page.page.wait_for_selector("#chat-log .cf-json-copy.cf-done")
    page.page.click("#chat-schema > button")
    choose(page, "#chat-schema-picked", "one that you write")
    page.page.locator("#chat-schema-text .cm-content").fill('{"required": ["colour"], "properties": {"amount": {}}}')
    page.page.wait_for_selector("#chat-schema-told :text('amount')")
    page.ask("And as I wrote it?")
    assert "'colour' is a required property" in page.answer.inner_text()
    page.page.reload()
    page.page.wait_for_selector("#chat-log .bot-row:has-text('colour')")
    assert page.page.locator("#chat-log .bot-row").count() == 2, "and the schema is kept with the answer"
    assert page.faults == []


def test_a_link_opens_a_comparison_that_can_be_continued_until_it_is_taken_back(
    open_page: Callable[..., Any], serve: Any
) -> None:
    url = serve("--answer", HOSTILE)
    page = open_page(url)
    page.page.get_by_role("tab", name="Compare").click()
    page.page.click("#columns-tuned")
    page.page.wait_for_function("document.querySelectorAll('#compare-modes input:checked').length === 2")
    compare(page, "Is <i>anything</i> free?")
    link = share(page)
    assert link.startswith(f"{url}?shared=")
    mine = page.context.cookies()
    page.context.clear_cookies()  # from here on it is somebody else's browser
    page.page.goto(link)
    page.page.wait_for_selector("#compare-opened :text('shared with you')")
    assert "Is <i>anything</i> free?" in page.page.inner_text("#compare-opened")
    for place, mode in enumerate(("base", "fine-tune")):
        told = page.page.inner_text(f"#column-{place}")
        for part in (HOSTILE, "temperature 0", mode):
            assert part in told
    page.page.wait_for_selector("#compare-differences", state="visible")
    assert page.page.locator("#compare-vote, #compare-share").count() == 0
    assert page.page.input_value("#compare-question textarea") == ""
    page.page.click("#shared-panel button")
    page.page.click("#shared-mine input")
    assert page.page.locator("ul[role=listbox] li").count() == 0, "a link is in its owner's list alone"
    page.page.click("#compare-continue")
    page.page.wait_for_selector("#card-1", state="visible")
    assert page.page.input_value("#compare-question textarea") == "Is <i>anything</i> free?"
    assert page.page.input_value("#card-1 input") == "fine-tune"
    page.page.click("#compare-send")
    page.page.wait_for_selector("#compare-vote", state="visible")
    assert page.page.locator("#compare-opened .cf-note").count() == 0
    page.context.clear_cookies()
    page.context.add_cookies(mine)
    page.page.goto(link)
    page.page.click("#shared-panel button")
    choose(page, "#shared-mine", "Is <i>anything</i> free?")
    page.page.click("#shared-take-back")
    page.page.wait_for_selector("#shared-notice :text('Taken back')")
    page.page.reload()
    page.page.wait_for_selector("#compare-opened :text('opens nothing')")
    assert page.page.locator("#column-0").count() == 0
    assert page.faults == page.dialogs == page.outbound == []


def test_the_last_comparison_outlives_a_reload_and_a_restart_until_it_is_cleared(
    open_page: Callable[..., Any], serve: Any, tmp_path: Path
) -> None:
    home = tmp_path / "home"
    page = open_page(serve("--home", str(home), "--answer", CITING))
    page.page.get_by_role("tab", name="Compare").click()
    page.page.click("#columns-tuned")
    page.page.wait_for_function("document.querySelectorAll('#compare-modes input:checked').length === 2")
    compare(page)
    page.page.reload()
    # Another process on the same folder is what a restarted server is.
    for url in (page.url, serve("--home", str(home), "--answer", "Another one .")):
        page.page.goto(url)
        page.page.get_by_role("tab", name="Compare").click()
        page.page.wait_for_selector("#compare-opened :text('Your last comparison')")
        assert FEE in page.page.inner_text("#compare-opened")
        for place, mode in enumerate(("base", "fine-tune")):
            told = page.page.inner_text(f"#column-{place}")
            for part in (CITING, "temperature 0", mode):
                assert part in told
        page.page.wait_for_selector("#compare-share", state="visible")
        page.page.click("#vote-choice label:has-text('2 · fine-tune')")
        page.page.click("#vote-cast")
        page.page.wait_for_selector("#vote-notice :text('Your vote is kept')")
    other = open_page(page.url)
    other.page.get_by_role("tab", name="Compare").click()
    other.wait_ready()
    assert other.page.locator("#compare-opened .cf-note, #column-0").count() == 0, "it is nobody else's"
    page.page.click("#compare-continue")
    page.page.wait_for_selector("#card-1", state="visible")
    assert page.page.input_value("#compare-question textarea") == FEE
    page.page.click("#compare-clear")
    page.page.wait_for_selector("#column-0", state="detached")
    page.page.wait_for_selector("#compare-vote", state="detached")
    (file,) = home.rglob("*.sqlite")
    with closing(sqlite3.connect(file)) as connection:
        assert connection.execute("SELECT count(*) FROM comparisons").fetchone() == (0,)
        assert connection.execute("SELECT count(*) FROM votes").fetchone() == (1,), "one vote, changed once"
    assert page.faults == []


def test_escape_stops_a_comparison(open_page: Callable[..., Any], serve: Any) -> None:
    page = open_page(serve("--delay", "0.6", "--answer", "word " * 300))
    page.page.get_by_role("tab", name="Compare").click()
    page.page.fill("#compare-question textarea", FEE)
    page.page.keyboard.press("Enter")
    page.page.wait_for_selector("#compare-columns :text('word word')")
    page.page.keyboard.press("Escape")
    page.page.wait_for_selector("#compare-send", state="visible")
    assert "stopped" in page.page.inner_text("#compare-columns").lower()


def test_a_comparison_that_a_reload_broke_off_says_so(open_page: Callable[..., Any], serve: Any) -> None:
    page = open_page(serve("--delay", "0.6", "--answer", "word " * 300))
    page.page.get_by_role("tab", name="Compare").click()
    page.page.fill("#compare-question textarea", FEE)
    page.page.click("#compare-send")
    page.page.wait_for_selector("#compare-columns :text('word word')")
    page.page.reload()
    page.page.get_by_role("tab", name="Compare").click()
    page.page.locator("#compare-columns :text('broken off')").first.wait_for()
    page.page.locator("#compare-columns :text('word word')").first.wait_for()
    assert FEE in page.page.inner_text("#compare-opened")


def test_a_schema_that_is_written_is_checked_and_answers_are_held_to_it(
    open_page: Callable[..., Any], serve: Any
) -> None:
    page = open_page(serve("--answer", CITING))
    page.page.get_by_role("tab", name="Compare").click()
    page.page.click("#columns-tuned")
    page.page.wait_for_function("document.querySelectorAll('#compare-modes input:checked').length === 2")
    page.page.click("#compare-schema button")
    choose(page, "#compare-schema-picked", "one that you write")
    page.page.wait_for_selector("#compare-schema-text .cm-content", state="visible")
    page.page.locator("#compare-schema-text .cm-content").fill('{"type": "objekt"}')
    page.page.wait_for_selector("#compare-schema-told .cf-error")
    page.page.fill("#compare-question textarea", FEE)
    page.page.click("#compare-send")
    page.page.wait_for_selector("#compare-notice :text('no JSON schema')")
    page.page.locator("#compare-schema-text .cm-content").fill(
        '{"required": ["colour"], "properties": {"amount": {"maximum": 9}}}'
    )
    page.page.wait_for_selector("#compare-schema-told :text('amount')")
    compare(page)
    told = page.page.inner_text("#column-0")
    assert "'colour' is a required property" in told
    assert "240 is greater than the maximum of 9" in page.page.inner_text("#column-0 .cf-field.cf-wrong")


def test_the_tab_speaks_chinese_and_fits_a_phone(open_page: Callable[..., Any], serve: Any) -> None:
    page = open_page(serve("--answer", CITING), width=360, height=740)
    page.context.add_cookies([{"name": "crossfade_language", "value": "zh", "url": page.url}])
    page.page.reload()
    page.page.get_by_role("tab", name="比较").click()
    page.page.fill("#compare-question textarea", FEE)
    page.page.click("#compare-send")
    page.page.wait_for_selector("#vote-choice label:has-text('都不好')")
    page.page.check("#compare-customise input")
    page.page.wait_for_selector("#card-1", state="visible")
    assert page.page.evaluate("document.documentElement.scrollWidth") <= 360
    for text in ("模式", "哪个答案最好", "通过链接分享", "比较差异"):
        assert text in page.page.inner_text("body")
