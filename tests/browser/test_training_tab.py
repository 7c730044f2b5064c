"""The training part of the Adapters tab on a stand-in: long looks at rows, and the bases that were trained whole."""

from __future__ import annotations

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
