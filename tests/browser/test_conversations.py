"""Conversations and thumbs in a real browser: they outlive a reload and a restart, and are nobody else's."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytestmark = [pytest.mark.browser, pytest.mark.timeout(400)]

OPEN = "#conversations-list [data-act=open]"
HOSTILE = "<img src=https://example.org/x onerror=alert(1)> **bold** [a](javascript:alert(2))"


@pytest.fixture
def home(tmp_path: Path) -> str:
    return str(tmp_path / "home")


def listed(page: Any, count: int) -> None:
    """Wait for so many conversations in the list."""
    page.page.wait_for_function(f"document.querySelectorAll('{OPEN}').length === {count}")


def answers(page: Any, count: int) -> None:
    """Wait for so many answers in the chat."""
    page.page.wait_for_function(f"document.querySelectorAll('#chat-log .bot-row').length === {count}")


def thumb(page: Any, name: str) -> Any:
    """The newest answer's thumb of that name, `Like` or `Liked`."""
    return page.page.locator(f"#chat-log .bot-row button[aria-label='{name}']").last


def saved(page: Any, button: str) -> tuple[str, str]:
    """The name and the text of what a button saves."""
    with page.page.expect_download() as download:
        page.page.click(button)
    return download.value.suggested_filename, Path(download.value.path()).read_text(encoding="utf-8")


def test_a_conversation_outlives_a_reload_and_a_restart_and_goes_on(
    serve: Callable[..., str], open_page: Callable[..., Any], home: str
) -> None:
    page = open_page(serve("--home", home))
    page.wait_ready()
    page.ask("What is the monthly fee?")
    listed(page, 1)
    before = page.answer.inner_html()
    page.page.reload()
    answers(page, 1)
    assert page.answer.inner_text().startswith("The monthly fee is seven dollars")
    assert re.sub(r"\s|<!--.*?-->", "", page.answer.inner_html()) == re.sub(r"\s|<!--.*?-->", "", before)
    page.ask("And for students?")
    assert "1 earlier turn" in page.answer.inner_text()

    # Another process on the same folder is what a restarted server is.
    page.page.goto(serve("--home", home, "--answer", "It is free ."))
    page.wait_ready()
    listed(page, 1)
    page.page.click(OPEN)
    answers(page, 2)
    page.ask("And abroad?")
    assert page.answer.inner_text().startswith("It is free")
    assert "2 earlier turns" in page.answer.inner_text()
    other = open_page(serve("--home", home))
    other.wait_ready()
    other.page.wait_for_selector("#conversations-list .cf-note")
    assert other.page.locator(OPEN).count() == 0, "another browser finds none of it"
    assert (page.faults, other.faults, page.dialogs) == ([], [], [])


def test_conversations_are_searched_renamed_exported_deleted_and_taken_in_again(
    serve: Callable[..., str], open_page: Callable[..., Any]
) -> None:
    page = open_page(serve("--answer", f"Said {HOSTILE} ."))
    page.wait_ready()
    for number, text in enumerate((HOSTILE, "What is the monthly fee?"), start=1):
        page.page.click("#conversations-new")
        answers(page, 0)
        page.ask(text)
        listed(page, number)
    page.page.fill("#conversations-search input, #conversations-search textarea", "monthly")
    listed(page, 1)
    page.page.fill("#conversations-search input, #conversations-search textarea", "")
    listed(page, 2)

    page.page.locator("#conversations-list [data-act=manage]").last.click()
    page.page.wait_for_selector("#conversations-panel")
    page.page.fill("#conversations-title input, #conversations-title textarea", f"Mine {HOSTILE}")
    page.page.click("#conversations-rename")
    page.page.locator(OPEN, has_text="Mine <img").wait_for()
    page.page.locator("#conversations-list [data-act=manage]").last.click()
    page.page.wait_for_selector("#conversations-panel")
    name, text = saved(page, "#conversations-json")
    assert re.fullmatch(r"crossfade-conversation-[\d-]+\.json", name)
    assert json.loads(text)["conversations"][0]["title"] == f"Mine {HOSTILE}"
    assert "<img" not in saved(page, "#conversations-markdown")[1]

    page.page.click("#conversations-delete")
    page.page.click("#conversations-keep")
    page.page.wait_for_selector("#conversations-really", state="hidden")
    listed(page, 2)
    page.page.click("#conversations-delete")
    page.page.click("#conversations-really")
    listed(page, 1)
    page.page.click(".cf-list-files button")
    with page.page.expect_file_chooser() as chooser:
        page.page.click("#conversations-import")
    chooser.value.set_files({"name": "x.json", "mimeType": "application/json", "buffer": text.encode()})
    listed(page, 2)
    page.page.locator(OPEN, has_text="Mine <img").click()
    answers(page, 1)
    assert "onerror" in page.answer.inner_text()
    assert (page.faults, page.dialogs, page.outbound) == ([], [], [])


def test_a_thumb_takes_a_better_answer_outlives_a_reload_and_is_taken_back(
    serve: Callable[..., str], open_page: Callable[..., Any]
) -> None:
    page = open_page(serve(), width=360, height=740)
    page.wait_ready()
    page.ask("What is the monthly fee?")
    thumb(page, "Dislike").click()
    page.page.fill("#feedback-better textarea", "Seven dollars a month.")
    page.page.click("#feedback-save")
    page.page.wait_for_selector("#feedback", state="hidden")
    page.page.reload()
    answers(page, 1)
    thumb(page, "Disliked").wait_for()
    page.page.click("#conversations-fold")
    page.page.click(".cf-list-files button")
    name, text = saved(page, "#feedback-export")
    assert name.endswith(".jsonl")
    assert json.loads(text)["messages"][-1] == {"role": "assistant", "content": "Seven dollars a month."}
    page.page.click("#conversations-fold")
    thumb(page, "Disliked").click()
    thumb(page, "Dislike").wait_for()
    page.page.reload()
    answers(page, 1)
    page.page.click("#conversations-fold")
    page.page.click(".cf-list-files button")
    page.page.click("#feedback-export")
    page.page.locator("#conversations-told", has_text="No thumb or vote of yours").wait_for()
    assert (page.faults, page.dialogs) == ([], [])


def test_two_tabs_of_one_person_lose_none_of_each_other_s_turns(
    serve: Callable[..., str], open_page: Callable[..., Any]
) -> None:
    page = open_page(serve())
    page.wait_ready()
    page.ask("What is the monthly fee?")
    listed(page, 1)
    first = page.page
    second = page.context.new_page()
    second.set_default_timeout(45_000)
    second.goto(page.url)
    second.wait_for_selector(OPEN)
    second.click(OPEN)
    second.wait_for_selector("#chat-log .bot-row")
    page.ask("And for students?")
    page.page = second
    page.ask("And abroad?")
    second.reload()
    answers(page, 3)
    page.page = first
    page.ask("And for children?")
    first.reload()
    answers(page, 4)
    assert page.faults == []
