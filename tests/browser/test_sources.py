"""Citations and the panel of sources on the served page, with hostile documents too."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytestmark = [pytest.mark.browser, pytest.mark.timeout(600)]

ROOT = Path(__file__).resolve().parents[2]
ANSWER = (
    "The monthly fee for Harbor Checking is $7. It is waived if the average daily balance is $1,500 or more [1]. "
    "Students get a free boat until they are 30."
)
SERVED = ("--documents", "harbor-checking,overdraft", "--answer", ANSWER)
HOSTILE = (
    "<script>alert(1)</script><img src=http://evil.invalid/a.png onerror=alert(2)> ![x](http://evil.invalid/b.png) "
    "</div></mark></details><svg onload=alert(3)> [y](javascript:alert(4)) ${alert(5)} {{alert(6)}} `code` | a | b | "
    f"{'longword' * 400} \u202e\u0645\u0631\u062d\u0628\u0627 \u0628\u0643\u0645"
)


def asked(page: Any, mode: str = "rag") -> None:
    page.wait_ready()
    page.preset(mode)
    page.ask("What does Harbor Checking cost?")
    page.page.wait_for_selector("#chat-log button.cf-cite")


def test_a_citation_opens_its_passage_in_the_document_and_the_keyboard_closes_it(
    open_page: Callable[..., Any], serve: Any
) -> None:
    page = open_page(serve(*SERVED))
    asked(page)
    text = page.answer.locator(".cf-text").first
    assert text.locator("button.cf-found").count() == 1
    assert text.locator("button.cf-cite:not(.cf-found)").count() == 1
    assert "free boat" in text.locator(".cf-unsupported").inner_text()
    cite = text.locator("button.cf-found")
    for _ in range(2):  # the same one again, after it was closed
        cite.focus()
        page.page.keyboard.press("Enter")
        page.page.wait_for_selector(".cf-panel mark:has-text('The monthly fee for Harbor Checking is $7.')")
        page.page.wait_for_function("document.activeElement.className === 'cf-panel-close'")
        assert "You must be 18 or older" in page.page.inner_text(".cf-panel-body")
        assert "0.700, place 2" in page.page.inner_text(".cf-panel-about")
        assert page.page.locator(".cf-panel mark:not(.cf-also)").is_visible()
        assert "waived" in page.page.inner_text(".cf-panel mark.cf-also"), "what supports another sentence"
        page.page.keyboard.press("Escape")
        page.page.wait_for_selector(".cf-panel", state="detached")
        assert "cf-found" in page.page.evaluate("document.activeElement.className")
    cite.evaluate("button => { button.value = '0123456789abcdef.1.0' }")  # of an answer that this page has not
    cite.click()
    page.page.wait_for_selector(".cf-panel:has-text('no longer on this page')")
    assert page.faults == []
    assert page.outbound == []


def test_a_comparison_opens_the_passages_of_its_columns_too(open_page: Callable[..., Any], serve: Any) -> None:
    page = open_page(serve(*SERVED))
    page.wait_ready()
    page.page.get_by_role("tab", name="Compare").click()
    page.page.fill("#compare-question textarea", "What does Harbor Checking cost?")
    page.page.click("#compare-send")
    page.page.wait_for_selector("#compare-columns button.cf-found")
    page.page.wait_for_selector("#compare-stop", state="hidden")
    page.page.locator("#compare-columns button.cf-found").last.click()
    page.page.wait_for_selector(".cf-panel mark:has-text('Harbor Checking is $7.')")
    page.page.click(".cf-panel-close")
    page.page.wait_for_selector(".cf-panel", state="detached")
    assert page.faults == []


@pytest.mark.parametrize("width", [360, 1400])
def test_a_hostile_document_runs_nothing_loads_nothing_and_breaks_no_layout(
    open_page: Callable[..., Any], serve: Any, tmp_path_factory: pytest.TempPathFactory, width: int
) -> None:
    corpora = tmp_path_factory.getbasetemp() / "hostile"
    if not corpora.exists():
        shutil.copytree(ROOT / "corpora", corpora)
        parts = [f"# Page {HOSTILE}", "## First", "Nothing.", f"## {HOSTILE}", f"A boat costs $9.\n\n{HOSTILE}"]
        (corpora / "tidewell" / "docs" / "hostile.md").write_text("\n\n".join(parts) + "\n", encoding="utf-8")
    answer = f"A boat costs $9.\n\n{HOSTILE} [1]"
    page = open_page(serve("--documents", "hostile", "--corpora", str(corpora), "--answer", answer), width=width)
    asked(page)
    page.page.locator("#chat-log button.cf-cite").first.click()
    page.page.wait_for_selector(".cf-panel .cf-here")
    assert "<script>alert(1)</script>" in page.page.inner_text(".cf-panel-body")
    panel = page.page.locator(".cf-panel").bounding_box()
    assert panel["width"] <= width
    assert panel["x"] + panel["width"] <= width + 1
    for part in (".cf-panel-body", ".cf-panel-about", ".cf-panel-head", "html"):
        wide = page.page.evaluate(f"(e => e.scrollWidth - e.clientWidth)(document.querySelector('{part}'))")
        assert wide <= 1, part
    close = page.page.locator(".cf-panel-close").bounding_box()
    assert close["x"] + close["width"] <= width
    page.page.click(".cf-panel-close")
    page.page.wait_for_selector(".cf-panel", state="detached")
    assert page.dialogs == []
    assert page.faults == []
    assert page.outbound == []
