"""Everybody can use the page: no serious fault by axe-core, narrow and enlarged, by keyboard, in both languages.

axe-core comes in the wheel axe-playwright-python; what it finds in Gradio's own parts is listed, with the reason.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from importlib import resources
from typing import Any

import pytest

pytestmark = [pytest.mark.browser, pytest.mark.timeout(280)]

NAMES = {
    "en": ("Chat", "Compare", "Adapters", "Evaluate", "Advise"),
    "zh": ("对话", "比较", "适配器", "评测", "建议"),
}
GRADIO = {
    ("aria-required-children", ".examples"): "the Chatbot's examples are a list whose items are buttons",
}
"""What is wrong in Gradio's own markup: the rule and the class of the element, and why it is left."""


@pytest.fixture(scope="module")
def axe() -> str:
    package = pytest.importorskip("axe_playwright_python", reason="the Python package axe-playwright-python is missing")
    return resources.files(package).joinpath("axe.min.js").read_text(encoding="utf-8")


def faults(page: Any, axe: str) -> list[tuple[str, str, str]]:
    """Each serious or critical fault that is our own: the rule, the element, what is wrong with it."""
    page.evaluate(f"if (!window.axe) {{ {axe} }}")
    found = page.evaluate("axe.run(document, {resultTypes: ['violations'], iframes: false})")["violations"]
    return [
        (rule["id"], node["html"][:160], node["failureSummary"][:300])
        for rule in found
        if rule["impact"] in ("serious", "critical")
        for node in rule["nodes"]
        if not any(rule["id"] == known and str(node["target"][-1]).startswith(at) for known, at in GRADIO)
    ]


def show(page: Any, *, language: str = "en", dark: bool = False) -> None:
    """Open the page again in a language, light or dark, until it is drawn in it."""
    page.context.add_cookies([{"name": "crossfade_language", "value": language, "url": page.url}])
    page.page.emulate_media(color_scheme="dark" if dark else "light")
    page.page.reload()
    page.page.wait_for_selector(f".cf-languages button[lang={language}][aria-pressed=true]")
    page.page.wait_for_function(f"document.body.classList.contains('dark') === {str(dark).lower()}")
    page.wait_ready()


def go(page: Any, name: str) -> None:
    """Open a tab by its name, out of the menu where there is no place for it."""
    tab = page.page.get_by_role("tab", name=name, exact=True)
    if not tab.is_visible():
        page.page.click(".overflow-menu > button")
        page.page.locator(".overflow-dropdown button", has_text=name).click()
    else:
        tab.click()
    page.page.wait_for_function(
        "name => document.querySelector('[role=tab][aria-selected=true]')?.innerText.trim() === name", arg=name
    )


def settled(page: Any) -> None:
    """Until nothing of the page moves: a colour on its way to another is no fault."""
    page.page.wait_for_function("document.getAnimations().every(a => a.playState !== 'running')")


def wide(page: Any) -> dict[str, int]:
    """Pixels by which the page is wider than its window, and the elements that are."""
    over: dict[str, int] = page.page.evaluate(
        """() => Object.fromEntries([...document.querySelectorAll('.gradio-container *')]
            .map(e => [e.id || String(e.className.baseVal ?? e.className), Math.round(e.getBoundingClientRect().right)])
            .filter(([name, right]) => right > innerWidth + 1)
            .concat([['page', document.documentElement.scrollWidth - innerWidth]]))"""
    )
    return over if over["page"] > 0 else {}


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_axe_finds_no_serious_fault_on_any_tab_empty_or_full(
    open_page: Callable[..., Any], serve: Any, axe: str, dark: bool
) -> None:
    page = open_page(serve("--delay", "0.001"))
    show(page, dark=dark)
    for name in NAMES["en"]:
        go(page, name)
        settled(page)
        assert faults(page.page, axe) == [], name
    go(page, "Chat")
    page.ask("What is the fee?")
    page.ask("FAIL now")
    settled(page)
    assert faults(page.page, axe) == []
    go(page, "Compare")
    page.page.fill("#compare-question textarea", "What is the fee?")
    page.page.click("#compare-send")
    page.page.wait_for_selector(".cf-columns .cf-facts:has-text('in all')")
    page.page.wait_for_selector("#compare-stop", state="hidden")
    settled(page)
    assert faults(page.page, axe) == []
    go(page, "Evaluate")
    for fold in ("drafts", "earlier", "extras"):
        page.page.locator(f"#evaluate-{fold} > button").click()
    page.page.fill("#evaluate-limit input", "1")
    page.page.click("#evaluate-send")
    page.page.wait_for_selector("iframe.cf-report")
    page.page.wait_for_selector("#evaluate-send", state="visible")
    settled(page)
    assert faults(page.page, axe) == []


MARKDOWN = """The monthly fee for Harbor Checking is **$7**. It is `waived` at $1,500 [1].

# Fees

1. one
   - two

| a | b |
|---|---|
| 1 | 2 |

> three

```python
print(7)
```
"""


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_axe_finds_no_serious_fault_in_what_opens(
    open_page: Callable[..., Any], serve: Any, axe: str, dark: bool
) -> None:
    page = open_page(serve("--delay", "0.001", "--documents", "harbor-checking,overdraft", "--answer", MARKDOWN))
    show(page, dark=dark)
    page.preset("hybrid")
    page.ask("What does Harbor Checking cost?")
    page.page.locator("#chat-log button[aria-label='Dislike']").last.click()
    page.page.wait_for_selector("#feedback", state="visible")
    page.page.locator("#conversations-list [data-act=manage]").first.click()
    page.page.wait_for_selector("#conversations-panel", state="visible")
    page.page.click("#chat-log .cf-do-menu")
    page.page.click("#fader > button")
    page.page.click("#fader-ask")
    page.page.wait_for_selector("#fader-4 .cf-facts:has-text('in all')")
    settled(page)
    assert faults(page.page, axe) == []
    page.page.locator("#chat-log button.cf-cite").first.click()
    page.page.wait_for_selector(".cf-panel .cf-here")
    settled(page)
    assert faults(page.page, axe) == []
    page.page.keyboard.press("Escape")
    page.choose("json")
    page.preset("fine-tune")
    page.ask("A ticket?")
    page.page.wait_for_selector("#chat-log .cf-tree")
    settled(page)
    assert faults(page.page, axe) == []
    go(page, "Compare")
    page.page.fill("#compare-question textarea", "What does Harbor Checking cost?")
    page.page.click("#compare-send")
    page.page.wait_for_selector("#compare-vote", state="visible")
    page.page.click("#vote-choice label:has-text('5 · hybrid')")
    page.page.click("#vote-cast")
    page.page.click("#votes-panel button")
    page.page.click("#shared-panel button")
    page.page.check("#compare-customise input")
    page.page.wait_for_selector("#card-1", state="visible")
    page.page.click("#card-0 button:has-text('Settings of its own')")
    page.page.click("#share-publish")
    page.page.wait_for_selector("#share-link", state="visible")
    settled(page)
    assert faults(page.page, axe) == []


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_axe_finds_no_serious_fault_in_a_report(browser: Any, axe: str, dark: bool) -> None:
    from crossfade.evaluation.export import to_html
    from report_kit import report_of

    context = browser.new_context(color_scheme="dark" if dark else "light")
    page = context.new_page()
    page.set_content(to_html(report_of({"base": [True, False] * 5, "rag": [False, True] * 5})))
    assert faults(page, axe) == []
    context.close()


@pytest.mark.parametrize("language", ["en", "zh"])
def test_nothing_is_wider_than_a_phone(open_page: Callable[..., Any], serve: Any, axe: str, language: str) -> None:
    page = open_page(serve("--delay", "0.001"), width=360, height=780)
    show(page, language=language)
    for name in NAMES[language]:
        go(page, name)
        settled(page)
        assert wide(page) == {}, name
        assert faults(page.page, axe) == [], name


@pytest.mark.parametrize("how", ["whole", "text"])
def test_twice_as_large_it_is_read_without_scrolling_to_the_side(
    open_page: Callable[..., Any], serve: Any, how: str
) -> None:
    # A window of 1,280 pixels shows 640 of them at 200%; a reader may also have the text alone enlarged.
    page = open_page(serve("--delay", "0.001"), width=640 if how == "whole" else 1280, height=450)
    show(page)
    if how == "text":
        page.page.evaluate("document.documentElement.style.fontSize = '200%'")
    for name in NAMES["en"]:
        go(page, name)
        assert wide(page) == {}, name
    go(page, "Chat")
    page.ask("What is the fee?")
    assert wide(page) == {}


def test_light_or_dark_is_chosen_by_hand_and_outlives_a_reload(open_page: Callable[..., Any], serve: Any) -> None:
    page = open_page(serve("--delay", "0.001"))
    show(page)
    dark = "document.body.classList.contains('dark')"
    for wanted in (True, False):
        page.page.click(".cf-theme")
        assert page.page.evaluate(dark) is wanted
        page.page.reload()
        page.page.wait_for_function(f"document.querySelector('.cf-theme') && {dark} === {str(wanted).lower()}")
    page.page.emulate_media(color_scheme="dark")
    page.page.wait_for_timeout(300)
    assert page.page.evaluate(dark) is False, "the choice goes before the system's"
    assert page.faults == []


def test_by_keyboard_one_sees_where_one_is_and_can_ask(open_page: Callable[..., Any], serve: Any) -> None:
    page = open_page(serve("--delay", "0.001"))
    show(page)
    keyboard, seen = page.page.keyboard, []
    for _ in range(40):
        keyboard.press("Tab")
        focus = page.page.evaluate(
            """() => {
              const e = document.activeElement;
              return [e.innerText || e.getAttribute('aria-label') || e.tagName, e.tagName,
                getComputedStyle(e).outlineStyle !== 'none'];
            }"""
        )
        seen.append(focus)
        if focus[1] == "TEXTAREA":
            break
    assert seen[-1][1] == "TEXTAREA", seen
    assert [name for name, _, visible in seen if not visible] == []
    keyboard.type("What is the fee?")
    keyboard.press("Enter")
    page.page.wait_for_selector("#chat-log .user-row")
    page.wait_end()
    assert "seven dollars" in page.answer.inner_text()


@pytest.mark.parametrize("language", ["en", "zh"])
def test_no_tab_complains_or_asks_beyond_this_machine(open_page: Callable[..., Any], serve: Any, language: str) -> None:
    page = open_page(serve("--delay", "0.001"))
    told: list[str] = []
    page.page.on("console", lambda message: told.append(message.text) if message.type == "error" else None)
    show(page, language=language)
    assert page.page.evaluate("document.documentElement.lang").startswith(language)
    for name in NAMES[language]:
        go(page, name)
    assert (told, page.faults, page.outbound) == ([], [], [])


def test_a_chinese_reader_is_told_first_what_the_models_know_and_reads_chinese(
    open_page: Callable[..., Any], serve: Any
) -> None:
    page = open_page(serve("--delay", "0.001"))
    assert page.page.locator("#language-note").inner_text().strip() == ""
    page.page.click(".cf-languages button[lang=zh]")
    page.page.wait_for_selector("#language-note :text('只懂英语')")
    assert "就绪" in page.page.inner_text("#status")
    go(page, "建议")
    page.page.wait_for_selector("#advice h2:has-text('先用 icl')")
    page.page.locator("#advise-form label", has_text="必不可少").click()
    page.page.locator("#advise-data label", has_text="一百条以上").click()
    page.page.wait_for_selector("#advice h2:has-text('先用 fine-tune')")
    shown = page.page.locator("#advise-form, #advice, #advise-skill, #advise-about").all_inner_texts()
    assert [
        text for text in shown if re.search(r"[a-z]{4,}", re.sub("fine-tune|crossfade eval|schema", "", text))
    ] == []
    go(page, "评测")
    page.page.locator("#evaluate-source input").click()
    page.page.locator("ul[role=listbox] li", has_text="在下方粘贴").first.click()
    page.page.click("#evaluate-send")
    page.page.wait_for_selector("#evaluate-notice .cf-error:has-text('没有粘贴任何问题')")
    page.page.fill("#evaluate-pasted textarea", "What is the fee?")
    page.page.click("#evaluate-send")
    page.page.wait_for_selector("iframe.cf-report")
    page.page.click(".cf-languages button[lang=en]")
    page.page.wait_for_selector("#status :text('Ready')")
    assert page.faults == []
