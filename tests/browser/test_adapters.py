"""The adapters tab on a stand-in whose list of adapters is real: switch, upload, download, rename, delete."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from http.client import HTTPConnection
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from chat_stub import chat_stub
from crossfade.adapters.archive import pack
from crossfade.adapters.peft_files import read_adapter
from crossfade.training.run_folder import new_run

pytestmark = [pytest.mark.browser, pytest.mark.timeout(240)]

SHIPPED = Path(__file__).resolve().parents[2] / "adapters"


def rows(page: Any) -> list[str]:
    return list(page.page.locator("#adapters-table tbody td:first-child").all_inner_texts())


def state_of(page: Any, name: str) -> Any:
    return page.page.locator(f"#adapters-table tr:has(b:text-is('{name}')) .cf-state")


def choose(page: Any, name: str) -> None:
    page.page.locator("#adapters-chosen input").click()
    page.page.locator("ul[role=listbox] li", has_text=name).first.click()
    page.page.wait_for_function(f"document.querySelector('#adapters-chosen input').value === {name!r}")


def upload(page: Any, path: Path) -> None:
    with page.page.expect_file_chooser() as chooser:
        page.page.click("#adapters-upload")
    chooser.value.set_files(path)


def told(page: Any, text: str) -> None:
    page.page.wait_for_selector(f"#adapters-notice :text({text!r})")


def offered(page: Any) -> list[str]:
    """What the chat's list of adapters offers."""
    page.page.get_by_role("tab", name="Chat").click()
    page.page.locator(".cf-chat .cf-choice input").first.click()
    found = page.page.locator("ul[role=listbox] li").all_inner_texts()
    page.page.keyboard.press("Escape")
    page.page.get_by_role("tab", name="Adapters").click()
    return [text.strip(" ✓\n") for text in found]


def test_adapters_are_listed_switched_uploaded_downloaded_renamed_and_deleted(
    open_page: Callable[..., Any], serve: Any, tmp_path: Path
) -> None:
    from playwright.sync_api import expect

    page = open_page(serve("--delay", "0.001"))
    page.page.get_by_role("tab", name="Adapters").click()
    assert rows(page) == ["domain", "json", "style"]
    expect(state_of(page, "json")).to_have_text("served")
    assert any(label.startswith("json:") for label in offered(page))

    choose(page, "json")
    page.page.click("#adapters-toggle")
    told(page, "json is disabled")
    expect(state_of(page, "json")).to_have_text("disabled")
    assert not any(label.startswith("json:") for label in offered(page))
    page.page.click("#adapters-toggle")
    told(page, "json is enabled")
    assert any(label.startswith("json:") for label in offered(page))
    assert page.page.locator("#adapters-delete").is_disabled(), "what ships stays"

    page.page.click("#adapters-zip")
    with page.page.expect_download() as saved:
        page.page.click("#adapters-download")
    assert saved.value.suggested_filename == "json.zip"

    packed = pack(read_adapter(SHIPPED / "json"), tmp_path / "json.zip")
    assert Path(saved.value.path()).read_bytes() == packed.read_bytes()
    upload(page, packed)
    told(page, "'json' exists already")
    page.page.fill("#adapters-upload-name input, #adapters-upload-name textarea", "tickets")
    with page.page.expect_response("**/upload*") as sent:
        upload(page, packed)
    told(page, "tickets is here")
    assert rows(page) == ["domain", "json", "style", "tickets"]
    assert any(label.startswith("tickets:") for label in offered(page))
    (served,) = sent.value.json()
    assert page.context.request.get(f"{page.url}gradio_api/file={served}").status in (403, 404), "served no more"

    page.page.fill("#adapters-upload-name input, #adapters-upload-name textarea", "folder")
    with page.page.expect_file_chooser() as chooser:
        page.page.click("#adapters-upload-folder")
    with page.page.expect_response("**/upload*") as sent:
        chooser.value.set_files(SHIPPED / "json")
    told(page, "folder is here")
    for served in sent.value.json():
        assert page.context.request.get(f"{page.url}gradio_api/file={served}").status in (403, 404), "served no more"
    choose(page, "folder")
    page.page.click("#adapters-delete")
    page.page.click("#adapters-really")
    told(page, "folder is deleted")
    choose(page, "tickets")

    page.page.locator("#adapters-export").get_by_text("Export, or push").click()
    page.page.fill("#push-token input", "secret")
    page.page.click("#push-send")
    page.page.wait_for_selector("#export-notice :text('names no repository')")
    assert page.page.input_value("#push-token input") == ""

    page.page.fill("#adapters-new-name input, #adapters-new-name textarea", "mine")
    page.page.click("#adapters-rename")
    told(page, "tickets is now mine")
    page.page.click("#adapters-delete")
    page.page.click("#adapters-keep")
    assert "mine" in rows(page)
    page.page.click("#adapters-delete")
    page.page.click("#adapters-really")
    told(page, "mine is deleted")
    assert rows(page) == ["domain", "json", "style"]
    assert page.faults == []
    assert page.outbound == []


def test_rows_are_made_by_a_teacher_chosen_and_downloaded_and_what_is_not_served_is_told(
    open_page: Callable[..., Any], serve: Any
) -> None:
    from playwright.sync_api import expect

    page = open_page(serve("--delay", "0.001"))
    page.page.get_by_role("tab", name="Adapters").click()
    page.page.locator("#make-rows > button").first.click()
    page.page.locator("#build-way").get_by_text("a teacher's answers").click()
    with chat_stub() as teacher:
        teacher.reply = lambda body: (200, f"The answer to {body['messages'][-1]['content']}")
        page.page.fill("#build-typed textarea", "\n".join(f"Question {n}?" for n in range(20)))
        page.page.fill("#build-address input, #build-address textarea", teacher.url)
        page.page.fill("#build-model input, #build-model textarea", "big")
        page.page.fill("#build-key input", "sk-secret")
        page.page.click("#build-make")
        page.page.wait_for_selector("#build-notice :text('20 rows, 20 of them new')")
        assert teacher.keys[0] == "Bearer sk-secret"
    assert page.page.input_value("#build-key input") == ""
    with page.page.expect_download() as saved:
        page.page.click("#build-download")
    assert len(Path(saved.value.path()).read_text().splitlines()) == 20
    assert page.page.input_value("#train-source input") == saved.value.suggested_filename
    page.page.locator("#train-method").get_by_text("P-Tuning").click()
    page.page.wait_for_selector("#train-served :text('cannot chat with it')")
    page.page.fill("#train-name input, #train-name textarea", "mine")
    page.page.click("#train-send")
    page.page.wait_for_selector("#train-notice :text('tick that you train it')")
    expect(page.page.locator("#train-anyway")).to_be_visible()
    assert page.faults == []
    assert page.outbound == []


def add_rows(page: Any, path: Path) -> None:
    page.page.get_by_role("tab", name="Adapters").click()
    with page.page.expect_file_chooser() as chooser:
        page.page.click("#train-upload")
    chooser.value.set_files(path)
    page.page.wait_for_function(f"document.querySelector('#train-source input').value === {path.name!r}")


def sources(page: Any, field: str) -> list[str]:
    """The files that a list offers."""
    page.page.locator(f"{field} input").click()
    found = page.page.locator("ul[role=listbox] li").all_inner_texts()
    page.page.keyboard.press("Escape")
    return [text.strip(" ✓\n") for text in found]


def test_two_visitors_have_their_own_rows_trainings_and_downloads(
    open_page: Callable[..., Any], serve: Any, tmp_path: Path
) -> None:
    home = tmp_path / "home"
    (home / "data").mkdir(parents=True)
    (home / "data" / "earlier.jsonl").write_text('{"prompt": "a", "response": "b"}\n')
    url = serve("--delay", "0.001", "--public", "--home", str(home))
    ann, bob = open_page(url), open_page(url)
    (tmp_path / "hers.jsonl").write_text('{"prompt": "Secret?", "response": "Yes."}\n')
    (tmp_path / "his.csv").write_text("prompt,response\nWhy?,So.\n")
    add_rows(ann, tmp_path / "hers.jsonl")
    add_rows(bob, tmp_path / "his.csv")
    for page, own in ((ann, "hers.jsonl"), (bob, "his.csv")):
        page.page.reload()
        page.page.get_by_role("tab", name="Adapters").click()
        page.page.wait_for_function(f"document.querySelector('#train-source input').value === {own!r}")
        assert sources(page, "#train-source") == [own, "Pasted here"]

    ann.page.click("#train-get-file")
    with ann.page.expect_download() as saved:
        ann.page.click("#train-download")
    assert "Secret?" in Path(saved.value.path()).read_text()
    assert ann.context.request.get(saved.value.url).status == 200
    assert bob.context.request.get(saved.value.url).status == 404

    owner = next(path.parent.name for path in (home / "data").glob("*/hers.jsonl"))
    run = new_run(home / "trainings", "hers")
    run.ticket("hers", "lora", "hers.jsonl", arguments=[], owner=owner)
    run.tell("failed", "Nothing was learned of Secret")
    ann.page.wait_for_selector("#run-shown :text('Nothing was learned of Secret')")
    bob.page.reload()
    bob.page.get_by_role("tab", name="Adapters").click()
    bob.page.wait_for_selector("#run-shown :text('No training yet')")
    assert "Secret" not in bob.page.content()
    config = bob.context.request.get(f"{url}config").text()
    assert not any(name in config for name in ("hers-1", "hers.jsonl", "earlier.jsonl", "his.csv", owner))

    ann.page.click("#train-delete")
    ann.page.click("#train-keep")
    ann.page.click("#train-delete")
    ann.page.click("#train-really")
    ann.page.wait_for_selector("#train-notice :text('hers.jsonl is deleted')")
    assert [path.name for path in (home / "data").rglob("*.*")] == ["earlier.jsonl", "his.csv"]
    assert ann.faults == bob.faults == []


def test_an_open_page_in_chinese_finds_what_another_one_ordered_and_fits_a_phone(
    open_page: Callable[..., Any], serve: Any, tmp_path: Path
) -> None:
    page = open_page(serve("--delay", "0.001", "--home", str(tmp_path)))
    page.page.set_extra_http_headers({"Accept-Language": "zh-CN"})
    page.page.set_viewport_size({"width": 360, "height": 800})
    page.context.add_cookies([{"name": "crossfade_language", "value": "zh", "url": page.url}])
    page.page.reload()
    page.page.get_by_role("tab").first.wait_for()
    show_adapters(page)
    page.page.wait_for_selector("#run-shown :text('还没有训练任务')")
    page.page.locator("#train-columns > button").first.click()
    page.page.fill("#train-name input, #train-name textarea", "half a na")
    run = new_run(tmp_path / "trainings", "other")
    run.ticket("other", "lora", "rows.jsonl", arguments=[])
    run.tell("failed", "<b>Nothing</b> was learned")
    page.page.wait_for_selector("#run-shown :text('other：lora')")
    assert page.page.input_value("#train-name input, #train-name textarea") == "half a na", "typing is left alone"
    assert page.page.locator("#run-shown b").count() == 0
    assert page.page.evaluate("document.documentElement.scrollWidth") <= 360
    assert page.page.locator("#train-send").inner_text() == "开始训练"
    assert page.faults == []


def show_adapters(page: Any) -> None:
    """Go to the tab, which a narrow page keeps in a menu."""
    page.page.evaluate(
        """() => {
            for (const menu of document.querySelectorAll(".overflow-menu button")) menu.click();
            for (const tab of document.querySelectorAll("[role=tab][data-tab-id=adapters]")) tab.click();
        }"""
    )
    if not page.page.locator("#train-send").count():
        page.page.locator(".overflow-dropdown button", has_text="适配器").first.click()
    page.page.wait_for_selector("#train-send")


def test_an_upload_beyond_the_limit_is_refused_before_it_is_sent(serve: Any) -> None:
    connection = HTTPConnection(urlsplit(serve("--delay", "0.001")).netloc, timeout=20)
    connection.putrequest("POST", "/gradio_api/upload")
    for name, value in (("Content-Type", "multipart/form-data; boundary=x"), ("Content-Length", "201000000")):
        connection.putheader(name, value)
    connection.endheaders()
    with closing(connection), connection.getresponse() as reply:
        assert reply.status == 413
        assert b"at most 200 MB" in reply.read()
