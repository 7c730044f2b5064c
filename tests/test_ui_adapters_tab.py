"""What the page does with a training that has ended, without a browser: chat with it, compare it, delete it."""

from __future__ import annotations

import html
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from ui_kit import built

sys.path.append(str(Path(__file__).parent / "browser"))

pytest.importorskip("gradio")

import gradio as gr

from crossfade.errors import TrainingError
from crossfade.settings import Settings
from crossfade.training.desk import Desk
from crossfade.training.run_deletion import delete_run
from crossfade.training.run_folder import RunFolder, list_runs, new_run
from crossfade.ui.owner import COOKIE, owner_of


def request(who: str = "") -> Any:
    cookies = {COOKIE: who.ljust(43, "x")} if who else {}
    return SimpleNamespace(cookies=cookies, headers={})


class Page:
    """The tab, and what its buttons lead to: no more of the chat and the comparison than they set."""

    def __init__(self, startup: Any, desk: Desk) -> None:
        from crossfade.ui.adapters import AdaptersTab

        with gr.Blocks() as self.blocks:
            self.tab = AdaptersTab(startup, desk)
            controls = [SimpleNamespace(corpus=gr.Dropdown(), choice=gr.Dropdown()) for _ in range(2)]
            boxes = [gr.Checkbox() for _ in range(3)]
            chat = SimpleNamespace(controls=controls[0], switches=SimpleNamespace(values=boxes))
            comparison = SimpleNamespace(controls=controls[1], modes=gr.CheckboxGroup())
            self.tab.wire(gr.Tabs(), chat, comparison)  # type: ignore[arg-type]

    def press(self, button: Any, run: str | None, who: str = "") -> Any:
        """What the button gives: the tab, the notice, the choice of the adapter, and what is switched on."""
        fn: Any = next(f.fn for f in self.blocks.fns.values() if (button._id, "click") in f.targets and f.fn)
        return fn(request(who), run, "tidewell")


@pytest.fixture
def startup(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    from standin import ROOT, StandIn

    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path / "served"))
    settings = Settings(home=tmp_path / "home", corpora=ROOT / "corpora", adapters=tmp_path / "shipped", slots=4)
    return StandIn(settings=settings, adapters=("domain", "json"))


@pytest.fixture
def page(startup: Any) -> Any:
    return built(lambda: Page(startup, Desk(startup.settings.trainings, done=lambda: None)))


def ended(startup: Any, made: str, owner: str = "") -> RunFolder:
    run = new_run(startup.settings.trainings, "r")
    run.ticket("r", "lora", "rows.jsonl", arguments=[], owner=owner)
    run.tell("done", made=str(startup.settings.my_adapters / made) if made else "")
    return run


def test_chat_with_it_opens_the_chat_with_the_adapter_alone_switched_on(page: Page, startup: Any) -> None:
    run = ended(startup, "json")
    tabs, notice, choice, *boxes = page.press(page.tab.runs.chat, run.path.name)
    assert (tabs.selected, notice) == ("chat", "")
    assert choice.value == "ticket/json"
    assert choice.value in [value for _, value in choice.choices]
    assert boxes == [True, False, False], "fine-tuning, and neither documents nor examples"


def test_compare_with_base_opens_the_comparison_of_the_two(page: Page, startup: Any) -> None:
    run = ended(startup, "domain")
    tabs, notice, choice, modes = page.press(page.tab.runs.compare, run.path.name)
    assert (tabs.selected, notice, choice.value) == ("compare", "", "answer/domain")
    assert modes == ["base", "fine-tune"]


@pytest.mark.parametrize("made", ["", "gone"])
def test_what_made_no_adapter_that_is_there_leads_nowhere_and_says_so(page: Page, startup: Any, made: str) -> None:
    run = ended(startup, made)
    for button, count in ((page.tab.runs.chat, 6), (page.tab.runs.compare, 4)):
        stays, notice, *others = page.press(button, run.path.name)
        assert "made no adapter that is there any more" in html.unescape(notice)
        assert len([stays, notice, *others]) == count
        assert all("value" not in other for other in (stays, *others)), "nothing else is changed"


def test_an_adapter_that_is_refused_is_not_chatted_with_and_its_reason_is_told(page: Page, startup: Any) -> None:
    run = ended(startup, "domain")
    startup.adapters = tuple(replace(card, refused="It is of another base.") for card in startup.adapters)
    assert "It is of another base." in html.unescape(page.press(page.tab.runs.chat, run.path.name)[1])


def test_where_others_open_the_page_nobody_is_led_to_what_another_one_trained(page: Page, startup: Any) -> None:
    startup.settings = replace(startup.settings, host="0.0.0.0")
    run = ended(startup, "domain", owner=owner_of(request("ann")))
    assert "not there any more" in html.unescape(page.press(page.tab.runs.chat, run.path.name, who="bob")[1])
    assert page.press(page.tab.runs.chat, run.path.name, who="ann")[0].selected == "chat"


def delete(page: Page, run: RunFolder, who: str = "") -> str:
    """What is told at the end; the question comes first and names the run."""
    runs = page.tab.runs
    asked, question, sure = runs._ask_first(request(who), run.path.name)
    assert run.path.name in html.unescape(question)
    assert sure.visible
    assert run.path.exists(), "nothing goes before the answer"
    sure, notice, *_ = runs._delete(request(who), asked)
    assert not sure.visible
    return html.unescape(notice)


def test_a_run_is_deleted_with_its_rows_after_a_question_and_what_it_made_stays(page: Page, startup: Any) -> None:
    run, other = ended(startup, "json"), ended(startup, "json")
    (run.path / "rows.jsonl").write_text("private")
    run.checkpoints.mkdir()
    made = startup.settings.my_adapters / "json"
    made.mkdir(parents=True)
    assert f"{run.path.name} is deleted" in delete(page, run)
    assert not run.path.exists()
    assert made.is_dir()
    assert other.path.exists()
    assert "not there any more" in html.unescape(page.tab.runs._delete(request(), run.path.name)[1])


def test_a_run_that_trains_or_waits_is_not_deleted(page: Page, startup: Any) -> None:
    run = ended(startup, "json")
    with run.held():
        run.tell("running")
        assert "Another process is at the run" in delete(page, run)
        *_, button, _, _ = page.tab.runs._look(request(), run.path.name)
        assert not button.visible
    run.tell("waiting")
    page.tab.runs._desk._waiting.append(run)
    assert "Cancel it first" in delete(page, run)
    assert (run.path / "ticket.json").exists()
    page.tab.runs._desk._waiting.clear()
    assert "is deleted" in delete(page, run), "one that an app left waiting which has ended"


def test_where_others_open_the_page_a_run_is_deleted_by_its_owner_alone(page: Page, startup: Any) -> None:
    startup.settings = replace(startup.settings, host="0.0.0.0")
    run = ended(startup, "domain", owner=owner_of(request("ann")))
    for who in ("bob", ""):
        assert "not there any more" in delete(page, run, who=who)
        assert run.path.exists()
    assert "is deleted" in delete(page, run, who="ann")
    assert not run.path.exists()


def test_a_deletion_that_ends_half_way_leaves_a_run_that_its_owner_can_delete_again(
    startup: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = ended(startup, "json", owner="ann")
    (run.path / "rows.jsonl").write_text("private")

    def refuse(path: Path, *_: Any, **__: Any) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    with monkeypatch.context() as patched:
        patched.setattr("crossfade.training.run_deletion.shutil.rmtree", refuse)
        with pytest.raises(TrainingError, match="Make it writable"):
            delete_run(run)
    assert not (run.path / "rows.jsonl").exists()
    assert list_runs(startup.settings.trainings) == [run]
    assert run.owner == "ann"
    delete_run(run)
    assert list_runs(startup.settings.trainings) == []
