"""The chat in a real browser: first screen, copy, keys, mixing, crossfading."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

import pytest
from chat_kit import LONG, act, questions, turns

pytestmark = [pytest.mark.browser, pytest.mark.timeout(240)]

FEE = "How much is the monthly fee for Harbor Checking?"


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
    page.page.keyboard.type("Three?")
    page.page.keyboard.press("Enter")
    page.page.wait_for_selector("#chat-notice :text('still being written')")
    assert box.input_value() == "Three?"
    page.page.keyboard.press("Escape")
    page.wait_end()
    assert "stopped" in page.answer.inner_text()
    page.page.keyboard.press("Control+Shift+O")
    turns(page, 0)
    page.page.wait_for_selector(".cf-card")


def test_an_answer_reads_as_markdown_while_it_grows_and_when_it_has_ended(
    open_page: Callable[..., Any], serve: Any
) -> None:
    answer = "Fees:\n\n3. **Harbor** is $7 [1]\n4. *free* boats until 30\n\n```python\nprint(7)\n```\n" + "and on " * 20
    page = open_page(serve("--delay", "0.05", "--answer", answer))
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.preset("hybrid")
    page.ask(FEE, wait=False)
    page.page.wait_for_selector("#chat-stop", state="visible")
    page.page.wait_for_selector("#chat-log .cf-code")
    assert page.page.is_visible("#chat-stop"), "it has not ended"
    page.wait_end()
    listed = page.answer.locator(".cf-md ol")
    assert listed.get_attribute("start") == "3"
    assert listed.locator("li").count() == 2
    assert listed.locator("li").first.evaluate("e => getComputedStyle(e).listStyleType") == "decimal"
    assert listed.locator("button.cf-cite").count() >= 1
    page.answer.locator(".cf-code .cf-json-copy").click()
    page.page.wait_for_function("navigator.clipboard.readText().then(text => text === 'print(7)\\n')")
    assert page.faults == []


PRESS = """(composing) => document.querySelector('#chat-question textarea').dispatchEvent(
    new KeyboardEvent('keydown', {key: 'Escape', isComposing: composing, bubbles: true}))"""


def test_a_key_of_an_input_method_stops_no_answer(open_page: Callable[..., Any], serve: Any) -> None:
    page = open_page(serve("--delay", "0.6", "--answer", LONG))
    page.ask("One?", wait=False)
    page.page.wait_for_selector("#chat-log .bot-row :text('word word')")
    page.page.evaluate(PRESS, True)
    page.page.wait_for_selector("#chat-log .bot-row :text('word word word word word')")
    page.page.evaluate(PRESS, False)
    page.wait_end(seconds=5)


PASTE = """(given) => {
  const data = new DataTransfer();
  data.items.add(new File(['x'], 'a.png', {type: 'image/png'}));
  if (given.text) data.setData('text/plain', given.text);
  document.querySelector(given.box + ' textarea').dispatchEvent(
    new ClipboardEvent('paste', {clipboardData: data, bubbles: true, cancelable: true}));
}"""


def test_a_picture_that_is_pasted_is_told_to_be_none_of_ours_and_loses_nothing(
    open_page: Callable[..., Any], serve: Any
) -> None:
    page = open_page(serve())
    page.page.fill("#chat-question textarea", "Half a question")
    page.page.evaluate(PASTE, {"box": "#chat-question", "text": "words with a picture, as out of a text program"})
    page.page.wait_for_timeout(300)
    assert page.page.locator("#chat-notice .cf-note").count() == 0
    page.page.evaluate(PASTE, {"box": "#chat-question"})
    page.page.wait_for_selector("#chat-notice :text('No picture or file is read here')")
    assert page.page.input_value("#chat-question textarea") == "Half a question"
    page.page.get_by_role("tab", name="Compare").click()
    page.page.evaluate(PASTE, {"box": "#compare-question"})
    page.page.wait_for_selector("#compare-notice :text('No picture or file is read here')")
    assert page.faults == []


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


def test_a_crossfade_is_held_to_the_schema_that_is_written_in_the_chat(
    open_page: Callable[..., Any], serve: Any
) -> None:
    page = open_page(serve())
    page.page.click("#chat-schema > button")
    page.page.click("#chat-schema-picked input")
    page.page.locator("ul[role=listbox] li", has_text="one that you write").first.click()
    page.page.locator("#chat-schema-text .cm-content").fill('{"required": ["colour"], "properties": {"amount": {}}}')
    page.page.wait_for_selector("#chat-schema-told :text('amount')")
    page.page.fill("#chat-question textarea", "Held to mine?")
    page.page.click("#fader > button")
    page.page.click("#fader-ask")
    for number in range(5):  # the stand-in writes an object for a schema that is enforced, and a text without one
        page.page.wait_for_selector(f"#fader-{number} :text(\"'colour' is a required property\")")
    page.page.wait_for_selector("#fader-ask", state="visible")
    page.page.uncheck("#chat-schema-enforce input")
    page.page.click("#fader-ask")
    page.page.wait_for_selector("#fader-0:has-text('seven dollars')")


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
