"""The chat in a real browser: first screen, retry, edit, undo, copy, keys, mixing, crossfading, a lost connection."""

from __future__ import annotations

import json
import re
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any
from urllib.parse import urlsplit

import pytest

pytestmark = [pytest.mark.browser, pytest.mark.timeout(240)]

FEE = "How much is the monthly fee for Harbor Checking?"
SEVEN = "The monthly fee is seven dollars , waived at 1,500 dollars ."
LONG = "word " * 300


def questions(page: Any) -> list[str]:
    return page.page.locator("#chat-log .user-row .cf-text").all_inner_texts()


def value(page: Any, text: str) -> None:
    page.page.wait_for_function(f"document.querySelector('#chat-question textarea').value === {json.dumps(text)}")


def turns(page: Any, count: int) -> None:
    page.page.wait_for_function(f"document.querySelectorAll('#chat-log .user-row').length === {count}")


def act(page: Any, what: str, *, last: bool = True) -> None:
    found = page.page.locator(f"#chat-log .cf-acts > .cf-do-{what}")
    (found.last if last else found.first).click()


def test_an_example_sets_question_task_and_mode_and_the_first_screen_leads_on(
    open_page: Callable[..., Any], serve: Any
) -> None:
    page = open_page(serve())
    assert page.page.locator(".cf-card").count() == 6
    assert page.page.locator(".cf-english").count() == 0
    page.page.locator(".cf-card").nth(4).click()
    page.page.wait_for_function("document.querySelector('#chat-mode .cf-badge').innerText === 'fine-tune'")
    page.page.wait_for_function("document.querySelector('.cf-chat .cf-choice input').value.startsWith('json')")
    page.page.wait_for_function("document.querySelector('#chat-question textarea').value.includes('Nora Quill')")
    page.page.click(".cf-first summary")
    assert "corpus.toml" in page.page.inner_text(".cf-first details")
    page.page.click(".cf-first .cf-tab-adapters")
    page.page.wait_for_selector("button[role=tab][data-tab-id=adapters][aria-selected=true]")
    page.page.click("button[role=tab][data-tab-id=chat]")
    page.page.click("#chat-send")
    page.page.wait_for_selector("#chat-log .cf-good")
    assert page.faults == []
    assert page.outbound == []


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


def test_copy_takes_the_answer_s_text_and_no_markup(open_page: Callable[..., Any], serve: Any) -> None:
    answer = 'Fees: <b>"7" & more</b> [1]\n\n* waived'
    page = open_page(serve("--answer", answer))
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.preset("hybrid")
    page.ask(FEE)
    act(page, "copy")
    page.page.wait_for_function(f"navigator.clipboard.readText().then(text => text === {json.dumps(answer)})")


def test_keys_send_break_a_line_stop_and_begin_anew(open_page: Callable[..., Any], serve: Any) -> None:
    page = open_page(serve("--delay", "0.6", "--answer", LONG))
    box = page.page.locator("#chat-question textarea")
    box.click()
    page.page.keyboard.type("One")
    page.page.keyboard.press("Shift+Enter")
    page.page.keyboard.type("two?")
    assert box.input_value() == "One\ntwo?"
    page.page.keyboard.press("Enter")
    page.page.wait_for_selector("#chat-log .bot-row :text('word word word')")
    page.page.keyboard.press("Control+Shift+O")
    assert len(questions(page)) == 1, "an answer under way is not thrown away"
    page.page.keyboard.press("Escape")
    page.wait_end()
    assert "stopped" in page.answer.inner_text()
    page.page.keyboard.press("Control+Shift+O")
    turns(page, 0)
    page.page.wait_for_selector(".cf-card")


def test_the_sliders_mix_adapters_and_the_line_and_the_answer_say_so(open_page: Callable[..., Any], serve: Any) -> None:
    page = open_page(serve())
    sliders = page.page.locator(".cf-chat .cf-weight:visible")
    assert [text.split("\n")[0] for text in sliders.all_inner_texts()] == ["domain", "json", "style"]
    style = sliders.nth(2).locator("input[type=number]")
    style.fill("0.6")
    style.press("Tab")
    page.page.wait_for_selector("#chat-mode :text('domain + style × 0.6')")
    page.ask(FEE)
    assert page.answer.locator(".cf-adapter").count() == 2
    assert "style x 0.6" in page.answer.inner_text()
    page.choose("style")
    page.page.wait_for_selector("#chat-mode b:text-is('style')")


def test_a_crossfade_asks_five_mixes_in_a_row(open_page: Callable[..., Any], serve: Any) -> None:
    page = open_page(serve())
    page.page.click("#fader > button")
    page.page.click("#fader-ask")
    page.page.wait_for_selector("#fader-notice .cf-error")
    page.ask(FEE)
    page.page.click("#fader-ask")
    for number in range(5):
        page.page.wait_for_selector(f"#fader-{number} .cf-facts:has-text('in all')")
    page.page.wait_for_selector("#fader-ask", state="visible")
    heads = page.page.locator("#fader-row .cf-head").all_inner_texts()
    assert [re.sub(r"\s+", " ", head) for head in heads] == [
        "0% domain",
        "25% domain × 0.75 + json × 0.25",
        "50% domain × 0.5 + json × 0.5",
        "75% domain × 0.25 + json × 0.75",
        "100% json",
    ]
    assert questions(page) == [FEE], "the conversation stays as it was"
    page.page.fill("#chat-question textarea", "And for students?")
    page.page.click("#fader-ask")
    page.page.wait_for_selector("#fader-4 .cf-facts:has-text('1 earlier turn')")
    narrow = open_page(page.url, width=360, height=740)
    wide = "document.documentElement.scrollWidth <= document.documentElement.clientWidth"
    assert narrow.page.evaluate(wide), "nothing goes over the side of a phone"


def test_own_instructions_are_asked_with_every_question(open_page: Callable[..., Any], serve: Any) -> None:
    page = open_page(serve())
    page.ask(FEE)
    plain = int(re.findall(r"(\d+) prompt tokens", page.answer.inner_text())[0])
    page.page.click(".cf-chat .cf-instructions > button")
    page.page.fill(".cf-chat .cf-instructions textarea", "Answer in rhymes, as a sailor of the harbor would. " * 4)
    page.page.click("#conversations-new")
    turns(page, 0)
    page.ask(FEE)
    assert int(re.findall(r"(\d+) prompt tokens", page.answer.inner_text())[0]) > plain


def test_a_chinese_reader_is_told_before_and_with_a_chinese_question(browser: Any, serve: Any) -> None:
    context = browser.new_context(locale="zh-CN", viewport={"width": 360, "height": 740})
    page = context.new_page()
    page.set_default_timeout(45_000)
    page.goto(serve())
    page.wait_for_selector("#language-note:has-text('只懂英语')")
    seen = "document.querySelector('#language-note').getBoundingClientRect().bottom < innerHeight"
    assert page.evaluate(seen), "it can be read without scrolling"
    assert page.inner_text("#chat-send") == "发送"
    page.fill("#chat-question textarea", "月费是多少？")
    page.click("#chat-send")
    page.wait_for_selector("#chat-notice .cf-english:has-text('只懂英语')")
    page.wait_for_selector("#chat-log .cf-do-retry:has-text('重试')")
    page.fill("#chat-question textarea", "How much is it?")
    page.click("#chat-send")
    page.wait_for_selector("#chat-notice .cf-english", state="detached")
    context.close()


def test_an_error_that_a_chinese_reader_meets_is_chinese(browser: Any, serve: Any) -> None:
    context = browser.new_context(locale="zh-CN")
    page = context.new_page()
    page.set_default_timeout(45_000)
    page.goto(serve())
    page.fill("#chat-question textarea", "?!")
    page.click("#chat-send")
    page.wait_for_selector(".cf-error:has-text('问题只有符号，没有文字。请用文字提问。')")
    page.fill("#chat-question textarea", "FAIL")
    page.click("#chat-send")
    page.wait_for_selector("#chat-log .cf-error:has-text('The engine fell over on purpose.')")
    context.close()


class Line:
    """A connection to a server that can be cut, with everything that runs over it, and mended."""

    def __init__(self, target: str) -> None:
        self._target = urlsplit(target)
        self._there = True
        self._open: list[socket.socket] = []
        self._door = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._door.getsockname()[1]}/"
        threading.Thread(target=self._take, daemon=True).start()

    def cut(self) -> None:
        self._there = False
        self.close()

    def mend(self) -> None:
        self._there = True

    def close(self) -> None:
        for one in self._open:
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()
        self._open.clear()

    def end(self) -> None:
        self._there = False
        with suppress(OSError):
            self._door.shutdown(socket.SHUT_RDWR)
        self._door.close()
        self.close()

    def _take(self) -> None:
        with suppress(OSError):
            self._take_all()

    def _take_all(self) -> None:
        while True:
            near, _ = self._door.accept()
            if not self._there:
                near.close()
                continue
            far = socket.create_connection((self._target.hostname, self._target.port))
            self._open += [near, far]
            for pair in ((near, far), (far, near)):
                threading.Thread(target=self._pass, args=pair, daemon=True).start()

    def _pass(self, source: socket.socket, sink: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(65_536):
                sink.sendall(data)
        for one in (source, sink):
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)


@contextmanager
def line_to(url: str) -> Iterator[Line]:
    line = Line(url)
    try:
        yield line
    finally:
        line.end()


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
        page.ask("Second?", wait=False)
        page.page.wait_for_selector("#chat-log .bot-row:last-child :text('word word word')")
        page.page.click("#chat-stop")
        page.wait_end()
