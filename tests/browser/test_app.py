"""The real app in a real browser: real base model, real retrieval, trained adapters."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest

from crossfade.settings import Settings

pytestmark = [pytest.mark.browser, pytest.mark.slow]

FEE = "How much is the monthly fee for Harbor Checking?"
MESSAGE = "My Coral card was stolen on 4 May 2026 and someone spent 85 dollars. Please hurry. Ada Fenn, RT-20417"


@pytest.fixture
def page(open_page: Callable[..., Any], real_app: str) -> Any:
    page = open_page(real_app)
    page.wait_ready(seconds=280)  # the first start of all downloads the models
    return page


@pytest.mark.timeout(400)
def test_the_page_is_there_before_or_when_all_is_ready(open_page: Callable[..., Any], real_app: str) -> None:
    page = open_page(real_app)
    assert page.page.locator("#status .cf-loading, #status .cf-ready").count() == 1
    page.wait_ready(seconds=280)
    assert page.outbound == []
    assert page.faults == []


@pytest.mark.timeout(500)
def test_a_second_start_without_a_network_answers_and_downloads_nothing(
    open_page: Callable[..., Any], page: Any, start_app: Callable[..., str]
) -> None:
    home = Settings.from_environment().home

    def weights() -> dict[str, tuple[int, int]]:
        files = [p for p in (home / "models").rglob("*") if p.suffix in (".gguf", ".safetensors", ".json")]
        return {str(p): (p.stat().st_size, p.stat().st_mtime_ns) for p in files}

    before = weights()
    assert before
    again = open_page(start_app(PIP_INDEX_URL="http://127.0.0.1:9", PIP_CONFIG_FILE="/dev/null", PIP_FIND_LINKS=""))
    again.wait_ready(seconds=280)
    again.preset("hybrid")
    again.ask(FEE)
    assert "$7" in again.answer.locator(".cf-answer > .cf-text").inner_text()
    assert weights() == before


def test_base_knows_no_document_and_hybrid_is_given_the_right_one(page: Any) -> None:
    page.preset("base")
    page.ask(FEE)
    assert "base" in page.answer.locator(".cf-badge").inner_text()
    assert "$7" not in page.answer.locator(".cf-answer > .cf-text").inner_text()
    assert page.answer.locator(".cf-adapter, details").count() == 0
    page.preset("hybrid")
    page.ask(FEE)
    answer = page.answer
    assert answer.locator(".cf-badge").inner_text() == "hybrid"
    sha256 = re.fullmatch(r"sha256 ([0-9a-f]{64})", answer.locator(".cf-adapter").get_attribute("title"))
    assert sha256
    shown = re.fullmatch(r"domain ([0-9a-f]{8,12})", answer.locator(".cf-adapter").inner_text())
    assert shown
    assert sha256[1].startswith(shown[1])
    assert re.search(r"\d+ prompt tokens \(\d+ cached\).*first token [\d.]+ s", answer.inner_text(), re.S)
    answer.locator("details summary").first.click()
    assert "[1] Harbor Checking" in answer.locator("details").first.inner_text()
    assert "$7" in answer.locator(".cf-answer > .cf-text").inner_text(), "not in a passage, which is .cf-text too"


def test_the_json_adapter_writes_a_valid_ticket(page: Any) -> None:
    page.choose("json")
    page.page.wait_for_selector(".cf-chat .cf-enforce", state="visible")
    page.preset("fine-tune")
    page.ask(MESSAGE)
    assert page.answer.locator("pre code").count() == 1
    assert "Valid against the schema" in page.answer.inner_text()


def test_the_base_is_asked_for_a_ticket_too_and_the_schema_can_be_enforced(page: Any) -> None:
    page.choose("json")
    page.page.wait_for_selector(".cf-chat .cf-enforce", state="visible")
    page.preset("icl")
    page.page.check(".cf-chat .cf-enforce input")
    page.ask(MESSAGE)
    assert page.answer.locator(".cf-adapter").count() == 0
    assert "Valid against the schema" in page.answer.inner_text()


def test_five_modes_side_by_side_share_one_retrieval(page: Any) -> None:
    page.page.get_by_role("tab", name="Compare").click()
    page.page.fill("#compare-question textarea", FEE)
    page.page.click("#compare-send")
    page.page.wait_for_selector("#column-4 .cf-fold", timeout=55_000)
    page.page.wait_for_selector("#compare-send", state="visible")
    modes = [page.page.inner_text(f"#column-{n} .cf-badge") for n in range(5)]
    assert modes == ["base", "icl", "rag", "fine-tune", "hybrid"]
    rag, hybrid = (page.page.text_content(f"#column-{n} .cf-fold") for n in (2, 4))
    assert rag == hybrid
    assert "Harbor Checking" in rag
    assert [page.page.locator(f"#column-{n} .cf-adapter").count() for n in range(5)] == [0, 0, 0, 1, 1]
    assert page.page.locator("#column-5").is_hidden()
