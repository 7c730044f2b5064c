"""The page on a stand-in that says what each test needs: loading, stopping, errors, hostile text, a full queue."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from crossfade.settings import Settings

pytestmark = [pytest.mark.browser, pytest.mark.timeout(240)]

HOSTILE = (
    "<script>alert(1)</script><img src=http://evil.invalid/a.png onerror=alert(2)> ![x](http://evil.invalid/b.png) "
    "<iframe src=http://evil.invalid/c></iframe> [y](javascript:alert(3)) ${alert(4)} {{alert(5)}} $$\\href{x}{y}$$ "
    "</div></pre></details><svg onload=alert(6)>\n\n<b onmouseover=alert(7)>bold</b>\n\n# head\n\n* item"
)
LONG = "word " * 300


def test_a_question_asked_while_loading_waits_and_is_answered(
    open_page: Callable[..., Any], serve: Any, tmp_path: Path
) -> None:
    page = open_page(serve("--until", str(tmp_path / "loaded")))
    assert page.page.locator("#status .cf-loading").is_visible()
    page.ask("What is the fee?", wait=False)
    page.page.wait_for_selector("#chat-log .cf-wait:has-text('of 300 passages')")
    (tmp_path / "loaded").touch()
    page.wait_ready()
    page.wait_end()
    assert "seven dollars" in page.answer.inner_text()
    assert page.faults == []
    assert page.outbound == []


def test_a_question_comes_back_into_the_box_where_loading_fails(
    open_page: Callable[..., Any], serve: Any, tmp_path: Path
) -> None:
    page = open_page(serve("--until", str(tmp_path / "failed"), "--error", "No network: fetch the model by hand."))
    page.ask("What is the fee?", wait=False)
    page.page.wait_for_selector("#chat-log .cf-wait:has-text('of 300 passages')")
    (tmp_path / "failed").touch()
    page.wait_end()
    assert "No network" in page.answer.inner_text()
    page.page.wait_for_function("document.querySelector('#chat-question textarea').value === 'What is the fee?'")
    page.page.wait_for_selector("#status :text('No network')")


def test_questions_without_words_or_over_the_context_get_a_sentence(open_page: Callable[..., Any], serve: Any) -> None:
    page = open_page(serve())
    page.page.click("#chat-send")
    page.page.wait_for_selector("#chat-notice :text('The question is empty')")
    page.ask("🎉🎉", wait=False)
    page.page.wait_for_selector("#chat-notice :text('no words')")
    assert page.page.input_value("#chat-question textarea") == "🎉🎉"
    assert page.page.locator("#chat-log .user-row").count() == 0
    page.ask("And with words?")
    assert page.page.locator("#chat-notice .cf-note").count() == 0
    for size, told in ((40_000, "tokens"), (100_001, "at most 100,000")):
        page.ask("fee " * (size // 4) + "?" * (size % 4), wait=False)
        page.page.wait_for_selector(f".cf-error:has-text('{told}')")
        page.wait_end()
        page.page.wait_for_function(f"document.querySelector('#chat-question textarea').value.length >= {size - 4}")


def test_thirty_quick_clicks_send_one_question(open_page: Callable[..., Any], serve: Any) -> None:
    page = open_page(serve("--delay", "0.1", "--answer", "word " * 20))
    page.page.fill("#chat-question textarea", "What is the fee?")
    page.page.evaluate("for (let n = 0; n < 30; n++) document.querySelector('#chat-send').click()")
    page.page.wait_for_selector("#chat-log .cf-facts:has-text('in all')")
    page.wait_end()
    assert page.page.locator("#chat-log .user-row").count() == 1
    page.ask("And then?")
    assert page.page.locator("#chat-log .user-row").count() == 2


def test_an_error_in_an_answer_is_a_sentence(open_page: Callable[..., Any], serve: Any) -> None:
    page = open_page(serve())
    for word, told in (("FAIL", "fell over on purpose"), ("BUG", "Something went wrong")):
        page.ask(f"{word} now")
        assert told in page.answer.inner_text()
        page.page.wait_for_function(f"document.querySelector('#chat-question textarea').value === '{word} now'")
    text = page.page.inner_text("body")
    assert "Traceback" not in text
    assert "secret detail" not in text
    page.ask("What is the fee?")
    assert "seven dollars" in page.answer.inner_text()


def test_stop_ends_the_answer_within_a_second(open_page: Callable[..., Any], serve: Any, tmp_path: Path) -> None:
    log = tmp_path / "ends"
    page = open_page(serve("--delay", "0.1", "--answer", LONG, "--log", str(log)))
    page.ask("What is the fee?", wait=False)
    page.page.wait_for_selector("#chat-log .bot-row :text('word word word')")
    began = time.time()
    page.page.click("#chat-stop")
    page.wait_end(seconds=3)
    assert "stopped" in page.answer.inner_text()
    finish, when = log.read_text().split()
    assert finish == "cancelled"
    assert float(when) - began < 1.0
    page.ask("And again?", wait=False)
    page.page.wait_for_selector("#chat-log .bot-row:last-child :text('word word')")
    page.page.click("#chat-stop")
    page.wait_end(seconds=3)


def test_closing_the_page_ends_the_generation(open_page: Callable[..., Any], serve: Any, tmp_path: Path) -> None:
    log = tmp_path / "ends"
    page = open_page(serve("--delay", "0.1", "--answer", LONG * 10, "--log", str(log)))
    page.ask("What is the fee?", wait=False)
    page.page.wait_for_selector("#chat-log .bot-row :text('word word word')")
    began = time.time()
    page.page.close()
    while not log.exists() and time.time() - began < 10:
        time.sleep(0.05)
    finish, when = log.read_text().split()
    assert finish in ("cancelled", "closed"), "by leaving or by Gradio, whichever is first; nobody pressed stop"
    assert float(when) - began < 1.0


ARABIC = "ما هي الرسوم الشهرية لحساب Harbor Checking؟"


def test_text_from_right_to_left_is_set_so_and_english_is_not(open_page: Callable[..., Any], serve: Any) -> None:
    page = open_page(serve("--answer", "الرسوم الشهرية $7."))
    page.ask(ARABIC)
    page.ask("What is the fee?")
    laid = "all => all.map(e => getComputedStyle(e).direction + ' ' + getComputedStyle(e).textAlign)"
    for place, first, second in ((".user-row .cf-text", "rtl", "ltr"), (".cf-answer > .cf-text", "rtl", "rtl")):
        texts = page.page.locator(f"#chat-log {place}")
        assert texts.evaluate_all(laid) == [f"{first} start", f"{second} start"], place


def test_a_broken_corpus_stays_told_when_the_page_is_ready(
    open_page: Callable[..., Any], serve: Any, tmp_path: Path
) -> None:
    broken = "other/corpus.toml cannot be read: <b>line 1</b>."
    page = open_page(serve("--broken", broken, "--until", str(tmp_path / "loaded")))
    assert broken in page.page.inner_text("#status")
    (tmp_path / "loaded").touch()
    page.wait_ready()
    page.ask("What is the fee?")
    assert broken in page.page.inner_text("#status")


def test_hostile_text_runs_nothing_and_loads_nothing(open_page: Callable[..., Any], serve: Any) -> None:
    page = open_page(serve("--answer", HOSTILE, "--passage", HOSTILE))
    page.preset("hybrid")
    page.ask(HOSTILE)
    page.answer.locator("details summary").first.click()
    page.page.get_by_role("tab", name="Compare").click()
    page.page.fill("#compare-question textarea", HOSTILE)
    page.page.click("#compare-send")
    page.page.wait_for_selector("#column-4 .cf-fold")
    page.page.locator("#column-4 details summary").first.click()
    time.sleep(0.5)
    for place in ("#chat-log", "#compare-columns"):
        made = page.page.eval_on_selector_all(
            f"{place} :is(script, img, iframe, svg[onload], h1, a, b[onmouseover])", "e => e.length"
        )
        assert made == 0
        assert "<script>alert(1)</script>" in page.page.locator(place).text_content()
    assert page.page.locator("#chat-log :is(.user-row, .cf-item .cf-text) :is(li, h1, strong)").count() == 0
    assert page.page.locator("#chat-log .cf-md li").inner_text().startswith("item"), "an answer reads as Markdown"
    assert page.dialogs == []
    assert page.outbound == []
    assert page.faults == []


FILL = """async () => {
  const fn_index = window.gradio_config.dependencies.find(d => d.api_name === '_answer').id;
  await Promise.all([...Array(40).keys()].map(n => fetch('/gradio_api/queue/join', {
    method: 'POST', headers: {'Content-Type': 'application/json'},
    body: JSON.stringify({data: [null], fn_index, session_hash: 'filler' + n}),
  })));
}"""


def test_a_full_queue_says_so_and_keeps_the_question(open_page: Callable[..., Any], serve: Any, tmp_path: Path) -> None:
    url = serve("--delay", "0.1", "--answer", LONG, "--slots", "1")
    first, late = open_page(url), open_page(url)
    first.ask("First", wait=False)
    first.page.wait_for_selector("#chat-log .bot-row :text('word word')")
    first.page.evaluate(FILL)
    late.ask("Too late", wait=False)
    late.page.wait_for_selector("#chat-notice :text('Too many questions are waiting')")
    assert late.page.input_value("#chat-question textarea") == "Too late"


def test_stop_frees_a_question_that_still_waits_for_its_place(open_page: Callable[..., Any], serve: Any) -> None:
    url = serve("--delay", "0.1", "--answer", LONG, "--slots", "1")
    first, second = open_page(url), open_page(url)
    first.ask("First", wait=False)
    first.page.wait_for_selector("#chat-log .bot-row :text('word word')")
    second.ask("Second", wait=False)
    second.page.wait_for_selector("#chat-log .cf-wait")
    second.page.click("#chat-stop")
    second.wait_end(seconds=3)
    second.page.wait_for_function("document.querySelector('#chat-question textarea').value === 'Second'")
    first.page.click("#chat-stop")
    second.ask("Second again", wait=False)
    second.page.wait_for_selector("#chat-log .bot-row :text('word word')")


def test_without_adapters_fine_tuning_says_why_it_is_off(open_page: Callable[..., Any], serve: Any) -> None:
    page = open_page(serve("--adapters", ""))
    assert page.page.is_disabled("#switch-fine-tune input")
    assert "No adapter" in page.page.inner_text(".cf-switches")
    page.page.click("#preset-hybrid")
    page.page.wait_for_selector("#chat-notice :text('Mode hybrid is off')")
    page.preset("rag")
    page.ask("What is the fee?")
    assert "seven dollars" in page.answer.inner_text()
    page.page.get_by_role("tab", name="Compare").click()
    page.page.fill("#compare-question textarea", "What is the fee?")
    page.page.click("#compare-send")
    page.page.wait_for_selector("#column-2 .cf-fold")
    assert "No adapter" in page.page.inner_text("#column-4")


def test_the_reason_of_a_refusal_is_text(open_page: Callable[..., Any], serve: Any) -> None:
    page = open_page(serve("--refused", HOSTILE))
    side = page.page.locator(".cf-chat .cf-switches").first
    assert "<script>alert(1)</script>" in side.text_content()
    assert side.locator("script, img, iframe, h1, li").count() == 0
    assert page.dialogs == []
    assert page.outbound == []


def test_each_session_has_a_conversation_of_its_own(open_page: Callable[..., Any], serve: Any) -> None:
    url = serve()
    first, second = open_page(url), open_page(url)
    first.ask("A question of the first")
    second.ask("What is the fee?")
    first.ask("And then?")
    assert "1 earlier turn" in first.answer.inner_text()
    assert "earlier turn" not in second.answer.inner_text()
    assert "of the first" not in second.page.inner_text("#chat-log")
    first.page.click("#conversations-new")
    first.page.wait_for_function("document.querySelectorAll('#chat-log .user-row').length === 0")
    first.ask("A new one")
    assert "earlier turn" not in first.answer.inner_text()


HOME = Settings.from_environment().home


PATHS = (
    "/etc/passwd",
    str(Path(__file__).resolve()),
    "pyproject.toml",
    str(HOME / "indexes" / "tidewell" / "manifest.json"),
    str(Settings.from_environment().corpora / "tidewell" / "corpus.toml"),
    "http://127.0.0.1:9/",
)


def test_no_file_of_the_machine_is_served_no_address_fetched_and_no_file_taken_but_by_the_one_door(
    open_page: Callable[..., Any], serve: Any
) -> None:
    page = open_page(serve())
    for route in (f"{kind}{path}" for path in PATHS for kind in ("file=", "proxy=", "stream/")):
        reply = page.context.request.get(f"{page.url}gradio_api/{route}")
        assert reply.status in (400, 403, 404, 405), route
    upload = {"files": {"name": "a.txt", "mimeType": "text/plain", "buffer": b"mine"}}
    for route in ("gradio_api/component_server", "gradio_api/process_recording", "upload"):
        reply = page.context.request.post(f"{page.url}{route}", multipart=upload)
        assert reply.status in (404, 405), route
