"""The bases that a person trained whole, in the page: listed, told how to chat with, renamed, deleted after asking."""

from __future__ import annotations

import html
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

pytest.importorskip("gradio")

import gradio as gr

import handmade_bases
from crossfade.adapters.ownership import set_owner
from crossfade.settings import Settings
from crossfade.ui.base_list import BaseList
from crossfade.ui.owner import COOKIE, owner_of
from ui_kit import built

CARD = {"method": "full", "base": "smollm2-135m", "purpose": "<b>Talks</b>", "data": "d.jsonl", "rows": 1234}


def request(who: str = "", language: str = "en") -> Any:
    cookies = {COOKIE: who.ljust(43, "x")} if who else {}
    return SimpleNamespace(cookies=cookies, headers={"accept-language": language})


@pytest.fixture
def listed(tmp_path: Path) -> Any:
    """The list of a home with the bases `mine`, of nobody, and `anns`."""
    settings = Settings(home=tmp_path / "home", corpora=tmp_path, adapters=tmp_path / "shipped")
    handmade_bases.write(settings.my_bases / "mine", card=CARD)
    set_owner(handmade_bases.write(settings.my_bases / "anns", card=CARD), owner_of(request("ann")))

    def make() -> Any:
        with gr.Blocks():
            return BaseList(SimpleNamespace(settings=settings))  # type: ignore[arg-type]

    return built(make)


class Seen:
    """What the page shows of the list."""

    def __init__(self, drawn: list[Any]) -> None:
        self.box, _, table, self.chosen, about, self.sure, notice = drawn
        self.markup, self.table, self.about, self.notice = table, *map(html.unescape, (table, about, notice))
        self.names = list(self.chosen.choices)


def for_others(listed: Any) -> None:
    listed._startup.settings = replace(listed._startup.settings, host="0.0.0.0")


def test_a_base_is_listed_with_its_facts_and_how_to_chat_with_it(listed: Any) -> None:
    seen = Seen(listed._choose(request(), "mine"))
    assert seen.box.visible
    assert (seen.names, seen.chosen.value) == ([("anns", "anns"), ("mine", "mine")], "mine")
    for told in ("full", "smollm2-135m", "d.jsonl, 1,234 rows", "a base", CARD["purpose"]):
        assert str(told) in seen.table
    assert "<b>Talks" not in seen.markup
    folder = listed._startup.settings.my_bases / "mine"
    assert f"crossfade serve --base {folder}" in seen.about
    assert f"CROSSFADE_BASE={folder}" in seen.about


def test_the_base_that_answers_is_told_so_and_stays(listed: Any) -> None:
    settings = listed._startup.settings
    listed._startup.settings = settings.with_base(str(settings.my_bases / "mine"))
    seen = Seen(listed._choose(request(), "mine"))
    assert "answers here" in seen.table
    assert "serve --base" not in seen.about
    assert "the one that answers here" in Seen(listed._delete(request(), "mine")).notice
    assert (settings.my_bases / "mine").is_dir()


def test_a_base_is_deleted_after_a_question_that_names_it(listed: Any) -> None:
    sure, question, asked = listed._ask(request(), "mine")
    assert sure.visible
    assert "Delete mine for good?" in html.unescape(question)
    folder = listed._startup.settings.my_bases / "mine"
    assert folder.is_dir(), "nothing goes before the answer"
    seen = Seen(listed._delete(request(), asked))
    assert "mine is deleted" in seen.notice
    assert seen.names == [("anns", "anns")]
    assert not folder.exists()
    assert "not there any more" in Seen(listed._delete(request(), asked)).notice


def test_a_renamed_base_is_chosen_under_its_new_name(listed: Any) -> None:
    seen = Seen(listed._rename(request(), "mine", " ours "))
    assert "mine is now ours" in seen.notice
    assert seen.chosen.value == "ours"
    assert "not allowed" in Seen(listed._rename(request(), "ours", "../x")).notice
    assert "不可用" in Seen(listed._rename(request(language="zh"), "ours", "../x")).notice


def test_where_others_open_the_page_each_has_their_own_bases_alone(listed: Any) -> None:
    for_others(listed)
    settings = listed._startup.settings
    seen = Seen(listed._choose(request("ann"), None))
    assert seen.names == [("anns", "anns")]
    assert "ask whoever runs this page" in seen.about
    assert str(settings.home) not in seen.about + seen.table
    for who in ("bob", ""):
        seen = Seen(listed._choose(request(who), "anns"))
        assert not seen.box.visible
        assert "anns" not in seen.table + seen.about
        for told in (listed._delete(request(who), "anns"), listed._rename(request(who), "mine", "x")):
            assert "not there any more" in Seen(told).notice
    assert (settings.my_bases / "anns").is_dir()
    assert "anns is deleted" in Seen(listed._delete(request("ann"), "anns")).notice


def test_without_a_base_there_is_nothing_to_see(listed: Any) -> None:
    for name in ("mine", "anns"):
        seen = Seen(listed._delete(request(), name))
    assert not seen.box.visible
    assert "is deleted" in seen.notice
