"""The training part of the Adapters tab on a stand-in: looks at rows, a training, and bases that were trained whole."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import handmade_bases

pytestmark = [pytest.mark.browser, pytest.mark.timeout(240)]


def test_a_look_at_rows_tells_how_far_it_is_and_is_stopped(open_page: Callable[..., Any], serve: Any) -> None:
    from playwright.sync_api import expect

    page = open_page(serve("--delay", "0.001", "--slow-looks"))
    page.page.get_by_role("tab", name="Adapters").click()
    page.page.fill("#train-pasted textarea", "prompt,response\nWhat is the fee?,$7\n")
    page.page.fill("#train-name input, #train-name textarea", "mine")
    for button, notice in (("#train-check", "#train-report"), ("#train-send", "#train-notice")):
        page.page.click(button)
        expect(page.page.locator(notice)).to_contain_text("Comparing the rows with each other")
        expect(page.page.locator(f"{notice} progress")).to_have_count(1)
        expect(page.page.locator(button)).to_be_disabled()
        page.page.click(f"{button}-stop")
        expect(page.page.locator(notice)).to_contain_text("Stopped.", timeout=20_000)
        expect(page.page.locator(f"{button}-stop")).to_be_hidden()
        expect(page.page.locator(button)).to_be_enabled()
        page.page.wait_for_timeout(1500)
        expect(page.page.locator(notice)).to_contain_text("Stopped.")
    assert page.page.locator("#run-shown :text('No training yet')").count() == 1
    assert page.faults == []


def fill(page: Any, field: str, text: str) -> None:
    page.page.fill(f"{field} input, {field} textarea", text)


def show(page: Any, run: str) -> None:
    page.page.locator("#run-chosen input").click()
    page.page.locator("ul[role=listbox] li", has_text=run).first.click()


@pytest.mark.timeout(480)
def test_a_training_is_watched_found_after_a_reload_cancelled_and_then_chatted_with(
    open_page: Callable[..., Any], serve: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A real one, of a tiny base, in its own process, while another waits."""
    pytest.importorskip("peft")
    from playwright.sync_api import expect

    from training_kit import make_base

    home, base = tmp_path / "home", make_base(tmp_path / "base")
    monkeypatch.setenv("CROSSFADE_HOME", str(home))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")  # two that wait for each other stand still where others work
    page = open_page(serve("--delay", "0.001", "--home", str(home), "--base", str(base)))
    page.page.get_by_role("tab", name="Adapters").click()
    rows = [f"What is item {n}?,It is number {n}." for n in range(40)]
    page.page.fill("#train-pasted textarea", "\n".join(["prompt,response", *rows]))
    page.page.locator("#train-more > button").first.click()
    page.page.locator("#train-preset").get_by_text("thorough").click()  # it answers samples most often
    fill(page, "#train-epochs", "400")
    fill(page, "#train-patience", "0")
    shown, notice = page.page.locator("#run-shown"), page.page.locator("#train-notice")
    for name, told in (("mine", "begins now"), ("second", "waits for 1 before it")):
        fill(page, "#train-name", name)
        page.page.click("#train-send")
        expect(notice).to_contain_text(told, timeout=90_000)
    expect(shown).to_contain_text("Waits for 1 before it")

    page.page.reload()
    page.page.get_by_role("tab", name="Adapters").click()
    show(page, "mine-1")
    expect(shown).to_contain_text("tokens/s", timeout=120_000)
    expect(shown).to_contain_text(re.compile(r"about \d+ (min|s) left"))
    expect(shown.locator("svg.cf-loss .cf-learned, svg.cf-loss .cf-held-out")).to_have_count(2)
    expect(shown.locator(".cf-samples")).to_contain_text(re.compile("At step [1-9]"), timeout=120_000)
    show(page, "second-1")
    expect(shown).to_contain_text("Waits for 1 before it")
    page.page.click("#run-cancel")
    expect(shown).to_contain_text("Cancelled.")
    show(page, "mine-1")
    expect(shown).to_contain_text("Trains.")
    page.page.click("#run-cancel")
    expect(shown).to_contain_text("the best so far was kept", timeout=60_000)

    expect(page.page.locator("#adapters-table")).to_contain_text("mine", timeout=60_000)
    page.page.click("#run-compare")
    expect(page.page.get_by_role("tab", name="Compare")).to_have_attribute("aria-selected", "true")
    page.page.get_by_role("tab", name="Adapters").click()
    page.page.click("#run-chat")
    expect(page.page.locator(".cf-chat .cf-choice input").first).to_have_value(re.compile("mine"))
    page.ask("What is item 3?")
    assert page.faults == []


def test_a_base_that_was_trained_whole_is_listed_renamed_and_deleted_after_asking(
    open_page: Callable[..., Any], serve: Any, tmp_path: Path
) -> None:
    from playwright.sync_api import expect

    home = tmp_path / "home"
    handmade_bases.write(home / "my-bases" / "whole", card={"purpose": "<b>All</b>", "method": "full"})
    page = open_page(serve("--delay", "0.001", "--home", str(home)))
    page.page.get_by_role("tab", name="Adapters").click()
    expect(page.page.locator("#bases-table tbody td").first).to_have_text("whole")
    assert page.page.locator("#bases-table").inner_text().count("<b>All</b>") == 1
    expect(page.page.locator("#bases-about")).to_contain_text(f"crossfade serve --base {home / 'my-bases' / 'whole'}")
    page.page.fill("#bases-new-name input, #bases-new-name textarea", "mine")
    page.page.click("#bases-rename")
    page.page.wait_for_selector("#bases-notice :text('whole is now mine')")
    page.page.click("#bases-delete")
    page.page.click("#bases-keep")
    expect(page.page.locator("#bases-really")).to_be_hidden()
    page.page.click("#bases-delete")
    page.page.wait_for_selector("#bases-sure :text('Delete mine for good')")
    page.page.click("#bases-really")
    page.page.wait_for_selector("#bases-notice :text('mine is deleted')")
    expect(page.page.locator("#bases-table")).to_be_hidden()
    assert not (home / "my-bases" / "mine").exists()
    assert page.faults == []
