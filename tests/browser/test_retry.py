"""Retry, edit, undo and a lost connection in a real browser: a new answer takes the place of an old one, or none."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from chat_kit import LONG, SEVEN, act, line_to, questions, turns, value

pytestmark = [pytest.mark.browser, pytest.mark.timeout(240)]

FEE = "How much is the monthly fee for Harbor Checking?"


def test_retry_takes_the_answer_s_place_and_in_another_mode_it_is_asked_below(
    open_page: Callable[..., Any], serve: Any
) -> None:
    page = open_page(serve())
    page.preset("base")
    page.ask("Who?")
    page.ask(FEE)
    act(page, "retry")
    page.wait_end()
    page.page.wait_for_selector("#chat-log .cf-do-retry")
    assert questions(page) == ["Who?", FEE]
    assert page.page.locator("#chat-log .cf-from").count() == 0
    page.page.click("#chat-log .cf-do-menu")
    page.page.click("#chat-log .cf-menu-list .cf-in-hybrid")
    turns(page, 3)
    page.wait_end()
    assert questions(page) == ["Who?", FEE, FEE]
    assert page.page.locator("#chat-log .cf-from").all_inner_texts() == ["from here: hybrid · adapter domain"]
    page.page.wait_for_function("document.querySelector('#chat-mode .cf-badge').innerText === 'hybrid'")
    assert page.page.locator("#switch-rag input").is_checked()


def test_an_answer_is_kept_until_that_which_is_to_replace_it_has_come(
    open_page: Callable[..., Any], serve: Any
) -> None:
    page = open_page(serve())
    page.preset("base")
    for text in ("ONCE fails?", "HANG stopped?"):
        page.page.click("#conversations-new")
        turns(page, 0)
        page.ask(text)
        act(page, "retry")
        if text.startswith("HANG"):
            page.page.click("#chat-stop")
        page.page.wait_for_selector("#chat-notice .cf-error:has-text('is shown again')")
        page.wait_end()
        assert SEVEN in page.answer.inner_text()
        assert questions(page) == [text]
        value(page, text)
        page.ask("And then?")
        page.page.reload()
        turns(page, 2)
        assert questions(page) == [text, "And then?"], "and nothing else is kept"
        assert SEVEN in page.page.locator("#chat-log .bot-row").first.inner_text()


def test_a_retry_in_another_mode_that_fails_leaves_the_answer_above_it(
    open_page: Callable[..., Any], serve: Any
) -> None:
    page = open_page(serve())
    page.preset("base")
    page.ask("ONCE in base?")
    page.page.click("#chat-log .cf-do-menu")
    page.page.click("#chat-log .cf-menu-list .cf-in-fine-tune")
    turns(page, 2)
    page.page.wait_for_selector("#chat-log .cf-error:has-text('fell over on purpose')")
    page.wait_end()
    assert SEVEN in page.page.locator("#chat-log .bot-row").first.inner_text()
    assert questions(page) == ["ONCE in base?"] * 2


def test_what_an_edit_is_to_replace_is_back_where_the_edit_fails(open_page: Callable[..., Any], serve: Any) -> None:
    page = open_page(serve())
    for text in ("First?", "Second?"):
        page.ask(text)
    page.page.locator("#chat-log .user-row").first.hover()
    act(page, "edit", last=False)
    value(page, "First?")
    page.page.fill("#chat-question textarea", "FAIL first?")
    page.page.click("#chat-send")
    page.page.wait_for_selector("#chat-notice .cf-error:has-text('fell over on purpose')")
    page.wait_end()
    assert questions(page) == ["First?", "Second?"]
    value(page, "FAIL first?")
    page.page.wait_for_selector("#chat-notice :text('You edit question 1')")
    page.page.fill("#chat-question textarea", "First, mended?")
    page.page.click("#chat-send")
    turns(page, 1)
    page.wait_end()
    assert questions(page) == ["First, mended?"]
    page.page.reload()
    turns(page, 1)
    assert questions(page) == ["First, mended?"]


def test_a_question_is_edited_with_what_followed_it_and_the_last_turn_is_undone(
    open_page: Callable[..., Any], serve: Any
) -> None:
    page = open_page(serve())
    hostile = 'Is <b>"a" & b</b> free?\n* yes'
    for text in (hostile, "Second?", "Third?"):
        page.ask(text)
    page.page.locator("#chat-log .user-row").first.hover()
    act(page, "edit", last=False)
    value(page, hostile)
    page.page.click("#chat-notice .cf-do-cancel")
    value(page, "")
    assert len(questions(page)) == 3
    page.page.locator("#chat-log .user-row").nth(1).hover()
    page.page.locator("#chat-log .cf-do-edit").nth(1).click()
    value(page, "Second?")
    page.page.fill("#chat-question textarea", "Second, mended?")
    page.page.click("#chat-send")
    turns(page, 2)
    page.wait_end()
    assert questions(page) == [hostile, "Second, mended?"]
    assert "1 earlier turn" in page.answer.inner_text()
    act(page, "undo")
    turns(page, 1)
    value(page, "Second, mended?")
    page.ask("And now?")
    assert questions(page) == [hostile, "And now?"]
    page.page.reload()
    turns(page, 2)
    assert questions(page) == [hostile, "And now?"], "what was edited away or undone is not kept"
    for left in (1, 0):
        act(page, "undo")
        turns(page, left)
    page.page.wait_for_selector("#conversations-list .cf-note")
    assert page.page.locator("#conversations-list [data-act=open]").count() == 0


def test_a_lost_connection_leaves_a_page_that_can_be_used_again(open_page: Callable[..., Any], serve: Any) -> None:
    with line_to(serve("--delay", "0.6", "--answer", LONG)) as line:
        page = open_page(line.url)
        page.ask("First?", wait=False)
        page.page.wait_for_selector("#chat-log .bot-row :text('word word word')")
        page.page.wait_for_selector("#conversations-list [data-act=open]")
        line.cut()
        page.page.wait_for_selector(".toast-wrap:has-text('Connection')")
        line.mend()  # and Gradio loads the page again
        page.page.wait_for_selector("#chat-log .cf-error:has-text('broken off')")
        assert questions(page) == ["First?"]
        assert "word word word" in page.answer.inner_text(), "what had come of the answer is there"
        page.ask("Second?", wait=False)
        page.page.wait_for_selector("#chat-log .bot-row:last-child :text('word word word')")
        page.page.click("#chat-stop")
        page.wait_end()


def test_a_connection_that_is_lost_in_a_retry_loses_no_answer(open_page: Callable[..., Any], serve: Any) -> None:
    with line_to(serve()) as line:
        page = open_page(line.url)
        page.ask("HANG and cut?")
        page.page.wait_for_selector("#conversations-list [data-act=open]")
        act(page, "retry")
        page.page.wait_for_selector("#chat-log .bot-row .cf-wait")
        line.cut()
        page.page.wait_for_selector(".toast-wrap:has-text('Connection')")
        line.mend()
        page.page.wait_for_selector("#chat-log .cf-error:has-text('broken off')")
        assert questions(page) == ["HANG and cut?"] * 2
        assert SEVEN in page.page.locator("#chat-log .bot-row").first.inner_text()
