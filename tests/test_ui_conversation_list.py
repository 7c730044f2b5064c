"""The list of conversations and the thumbs, asked without a browser: what is kept, found, opened, and by whom."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

pytest.importorskip("gradio")

import gradio as gr

from crossfade.errors import StorageError
from crossfade.history.conversations import Conversations, Listed, new_id
from crossfade.history.database import Database
from crossfade.history.feedback import Feedback, Thumb
from crossfade.history.kept import keys_of
from crossfade.types import Answer, Generation, Query
from crossfade.ui import conversation_list, listing
from crossfade.ui.conversation import MOST_TURNS, Conversation, Shown, all_messages
from crossfade.ui.conversation_list import ConversationList
from crossfade.ui.feedback import FeedbackBox, feedback_values, turn_at
from crossfade.ui.listing import list_html
from crossfade.ui.opened import Open, continued, opened, to_keep, to_show
from crossfade.ui.owner import COOKIE, owner_of
from history_kit import failed, turn
from ui_kit import built

HOSTILE = "<img src=x onerror=alert(1)>\" onclick='x' **b** ${1+1} {{x}}"


def request(who: str = "a") -> Any:
    return SimpleNamespace(cookies={COOKIE: who * 43} if who else {}, headers={}, session_hash=f"s{who}")


def shown(text: str, *, said: str = "Seven.", finish: str = "stop") -> Shown:
    query = Query(text, "bank", "answer")
    return Shown(query, answer=Answer(query, generation=Generation(said, finish=finish)))


class Page:
    """A list and a box for thumbs on one database, and the chat that they are joined to."""

    def __init__(self, path: Path) -> None:
        database = Database(path)
        self.kept, self.thumbs = Conversations(database), Feedback(database)
        with gr.Blocks() as self.blocks:
            self.chat = SimpleNamespace(turns=gr.State(()), chatbot=gr.Chatbot(), notice=gr.HTML())
            self.chat.editing, self.chat.dropped = gr.State(None), gr.State(None)
            button = gr.Button()
            self.chat.accepted = self.chat.undone = button.click(lambda: None)
            self.chat.ended = [self.chat.undone]
            self.list = ConversationList(SimpleNamespace(corpora=()), self.kept)  # type: ignore[arg-type]
            self.box = FeedbackBox(database)
            self.list.wire(self.blocks.load, self.chat)
            self.box.wire(self.chat, self.list)

    def keep(self, turns: Conversation, open_: Open | None, who: str = "a") -> Any:
        return self.list._keep(request(who), turns, open_, "", 50)

    def press(self, act: str, id: str, who: str = "a", turns: Conversation = (), open_: Open | None = None) -> Any:
        event = SimpleNamespace(_data={"act": act, "id": id})
        return self.list._press(request(who), event, turns, open_ or Open(), "", 50)  # type: ignore[arg-type]

    def panel(self, button: Any, *values: Any) -> Any:
        """What the panel's own button does with these values."""
        target = (button._id, "click")
        fn: Callable[..., Any] = next(f.fn for f in self.blocks.fns.values() if target in f.targets and f.fn)
        return fn(*values)

    def listed(self, who: str = "a") -> tuple[Listed, ...]:
        return self.kept.newest(owner_of(request(who)))


@pytest.fixture
def page(tmp_path: Path) -> Page:
    return built(lambda: Page(tmp_path / "history.sqlite"))


def note(changes: Any, component: Any) -> str:
    return html.unescape(changes.get(component, ""))


def test_a_turn_is_kept_once_it_has_ended_and_comes_back_as_it_was_shown(page: Page) -> None:
    ended, growing = shown("one"), shown("two", finish="")
    assert page.list.open not in page.keep((ended, growing), Open("c"))
    assert page.listed() == ()
    changes = page.keep((ended, shown("two")), Open("c"))
    assert [c.title for c in page.listed()] == ["one"]
    assert "one" in changes[page.list.shown]
    back = page.press("open", "c")
    assert back[page.chat.turns] == (ended, shown("two"))
    assert back[page.chat.chatbot] == all_messages((ended, shown("two")))
    again = page.keep((*back[page.chat.turns], shown("three")), back[page.list.open])
    assert len(page.kept.open(owner_of(request()), "c").turns) == 3
    assert again[page.list.open].id == "c"


def test_what_came_of_an_answer_before_its_page_went_is_kept_in_place_of_the_question_alone(page: Page) -> None:
    def stored(id: str) -> list[tuple[str, str, str]]:
        turns = page.kept.open(owner_of(request()), id).turns
        return [(t.query.text, t.answer.generation.text if t.answer else "", t.error[:12]) for t in turns]

    for finish, error in (("", "This answer "), ("cancelled", "This answer "), ("stop", ""), ("length", "")):
        id = f"c-{finish}"
        first = replace(shown("one"), thread=id)
        page.keep((first,), Open(id))
        open_ = Open(id, keys_of(to_keep((first,))))
        begun = (first, Shown(Query("two", "bank", "answer"), waiting="Wait", thread=id))
        page.list._begin(request(), begun, open_, "", 50)
        assert stored(id)[1] == ("two", "", "This answer ")
        came = replace(begun[1], answer=shown("two", said="Half of", finish=finish).answer)
        for _ in range(2):
            page.chat.left(request(), begun, came)
            assert stored(id) == [("one", "Seven.", ""), ("two", "Half of", error)]
    page.keep((replace(first, thread="again"),), Open("again"))
    again = replace(begun[1], thread="again", instead=(first,))
    page.chat.left(request(), (again,), replace(again, answer=shown("two", said="Half", finish="cancelled").answer))
    assert stored("again") == [("one", "Seven.", ""), ("two", "Half", "This answer ")], "what it was to replace stays"
    page.chat.left(request(""), begun, came)


def test_a_page_that_is_loaded_again_opens_what_it_had_open(page: Page) -> None:
    page.keep((shown("one"),), Open("c"))
    again = page.list._start(request(), "c")
    assert again[page.chat.turns] == (shown("one"),)
    assert again[page.list.open].id == "c"
    for other, recalled in (("a", ""), ("a", "gone"), ("b", "c"), ("", "c")):
        fresh = page.list._start(request(other), recalled)
        assert page.chat.turns not in fresh
        assert fresh[page.list.open].id != "c"
    assert "no cookie" in note(page.list._start(request(""), ""), page.list.notice)


@pytest.mark.parametrize("other", ["b", ""])
def test_an_id_alone_opens_nothing(page: Page, other: str) -> None:
    page.keep((shown("secret"),), Open("c"))
    for act in ("open", "manage"):
        changes = page.press(act, "c", who=other)
        assert page.chat.turns not in changes
        assert page.list.panel.box not in changes
        assert "not there any more" in note(changes, page.list.notice)
        assert "secret" not in repr(changes)
    rest = ((), Open(), "", 50)
    panel = page.list.panel
    for button in (panel.rename, panel.really):
        changes = page.panel(button, request(other), "c", "mine", *rest)
        assert "not there any more" in note(changes, panel.told)
    for button in (panel.as_json, panel.as_markdown):
        text, _, told = page.panel(button, request(other), "c")
        assert text == ""
        assert "not there any more" in html.unescape(told)
    assert "secret" not in page.panel(panel.all_markdown, request(other), "c")[0]
    assert "secret" not in page.list._search(request(other), (), None, "secret", 50)[page.list.shown]
    assert [c.title for c in page.listed()] == ["secret"]
    if other:
        page.keep((shown("planted"),), Open("c"), who=other)
        assert len(page.kept.open(owner_of(request()), "c").turns) == 1


def test_two_pages_of_one_person_lose_nothing(page: Page) -> None:
    first = page.keep((shown("one"),), Open("c"))[page.list.open]
    page.keep((shown("one"), shown("left")), first)
    page.keep((shown("one"), shown("right")), first)
    assert [t.query.text for t in page.kept.open(owner_of(request()), "c").turns] == ["one", "left", "right"]


def test_turns_belong_to_the_conversation_of_their_thread() -> None:
    def follow(open_: Open, *turns: Shown) -> Open:
        return continued(open_, turns, keys_of(to_keep(turns)))

    one, two = shown("one"), shown("two")
    begun = Open("c", keys_of(to_keep((one, two))))
    assert follow(begun, one) == begun, "the second was taken back"
    assert follow(begun, shown("another")) == begun, "the first was asked otherwise"
    assert follow(begun, replace(one, thread="d")) == Open("d"), "what the page has open is behind, and loses nothing"
    many = tuple(shown(str(n)) for n in range(MOST_TURNS + 1))
    long = Open("c", keys_of(to_keep(many[:-1])))
    assert follow(long, *many[1:]).keys == long.keys[1:], "what the page has no more room for was not taken back"


def texts(page: Page, id: str) -> list[str]:
    return [turn.query.text for turn in page.kept.open(owner_of(request()), id).turns]


def in_thread(*turns: Shown) -> Conversation:
    return tuple(replace(turn, thread="c") for turn in turns)


def test_an_edited_question_takes_the_place_of_what_followed_it_also_of_the_first(page: Page) -> None:
    one, two, three = in_thread(shown("one"), shown("two"), shown("three"))
    open_ = page.keep((one, two, three), Open("c"))[page.list.open]
    edited = replace(two, query=replace(two.query, text="edited"))
    open_ = page.keep((one, edited), open_)[page.list.open]
    assert texts(page, "c") == ["one", "edited"]
    page.keep(in_thread(shown("anew")), open_)
    assert texts(page, "c") == ["anew"]
    assert len(page.listed()) == 1


def test_a_question_is_kept_while_it_is_answered_and_its_answer_takes_its_place(page: Page) -> None:
    one, growing = in_thread(shown("one"), shown("two", finish=""))
    open_ = page.keep((one,), Open("c"))[page.list.open]
    open_ = page.list._begin(request(), (one, growing), open_, "", 50)[page.list.open]
    again = page.list._start(request(), "c")[page.chat.turns]
    assert [turn.query.text for turn in again] == ["one", "two"]
    assert "broken off" in again[-1].error
    open_ = page.keep((one, *in_thread(shown("two"))), open_)[page.list.open]
    assert [turn.error for turn in page.kept.open(owner_of(request()), "c").turns] == ["", ""]
    assert len(open_.keys) == 2


def test_what_a_new_turn_is_to_replace_is_kept_until_that_is_answered(page: Page) -> None:
    one, two, three = in_thread(shown("one"), shown("two"), shown("three"))
    (growing,) = in_thread(replace(shown("edited", said="Half", finish=""), instead=(two, three)))
    kept = page.keep((one, two, three), Open("c"))[page.list.open]
    begun = page.list._begin(request(), (one, growing), kept, "", 50)[page.list.open]
    again = page.list._start(request(), "c")[page.chat.turns]
    assert [turn.query.text for turn in again] == ["one", "two", "three", "edited"]
    assert again[:3] == (one, two, three)
    assert "broken off" in again[3].error
    stopped = Answer(growing.query, generation=Generation(finish="cancelled"))
    for ended in (growing.failed("It fell over."), replace(growing, answer=stopped)):
        failing = page.keep((one, ended), begun)
        assert texts(page, "c") == ["one", "two", "three"]
        begun = page.list._begin(request(), (one, growing), failing[page.list.open], "", 50)[page.list.open]
    for finish in ("stop", "cancelled"):
        answered = Answer(growing.query, generation=Generation("Half", finish=finish))
        begun = page.keep((one, replace(growing, answer=answered)), begun)[page.list.open]
        assert texts(page, "c") == ["one", "edited"]
    assert len(begun.keys) == 2


def test_undo_takes_a_turn_out_of_what_is_kept_and_the_last_one_with_its_conversation(page: Page) -> None:
    one, two = in_thread(shown("one"), shown("two"))

    def undo(dropped: Shown | None, turns: Conversation, open_: Open) -> Any:
        return page.list._undo(request(), dropped, turns, open_, "", 50)

    open_ = page.keep((one, two), Open("c"))[page.list.open]
    assert page.list.open not in undo(None, (), open_)
    assert page.list.open not in undo(replace(two, thread="d"), (), open_), "a turn of another conversation"
    open_ = undo(two, (one,), open_)[page.list.open]
    assert texts(page, "c") == ["one"]
    page.keep((one, *in_thread(shown("of another tab"))), Open("c"))
    open_ = undo(one, (), open_)[page.list.open]
    assert (texts(page, "c"), open_.id != "c") == (["of another tab"], True)
    left = page.press("open", "c")
    emptied = undo(left[page.chat.turns][0], (), left[page.list.open])
    assert page.listed() == ()
    assert emptied[page.list.open].keys == ()


def test_a_new_chat_keeps_what_was_answered_and_waits_for_what_is_being_written(page: Page) -> None:
    changes = page.list._new(request(), (shown("one"),), Open("c"), "", 50)
    assert [c.title for c in page.listed()] == ["one"]
    assert changes[page.chat.turns] == ()
    assert changes[page.list.open].id != "c"
    growing = (shown("two", finish=""),)
    for changes in (page.list._new(request(), growing, Open("d"), "", 50), page.press("open", "c", turns=growing)):
        assert page.chat.turns not in changes
        assert "still being written" in note(changes, page.list.notice)


def test_rename_delete_export_and_import_from_the_panel(page: Page) -> None:
    panel = page.list.panel
    open_ = page.keep((shown("one"),), Open("c"))[page.list.open]
    rest = ((shown("one"),), open_, "", 50)
    assert page.press("manage", "c")[panel.title] == "one"
    assert "needs a title" in note(page.panel(panel.rename, request(), "c", " ", *rest), panel.told)
    assert HOSTILE not in page.panel(panel.rename, request(), "c", HOSTILE, *rest)[page.list.shown]
    assert page.listed()[0].title == HOSTILE
    text, name, _ = page.panel(panel.as_json, request(), "c")
    assert re.fullmatch(r"crossfade-conversation-[0-9-]+\.json", name)
    assert "&lt;img" in page.panel(panel.all_markdown, request(), "c")[0]
    told = page.panel(panel.take_in, request("b"), text, "", (), Open(), "", 50)
    assert "imported: 1" in note(told, panel.told)
    assert page.listed("b")[0].title == HOSTILE
    assert page.listed("b")[0].id != "c"
    refused = page.panel(panel.take_in, request("b"), '{"a": 1}', "", (), Open(), "", 50)
    assert "no file of exported conversations" in note(refused, panel.told)
    growing = page.panel(panel.really, request(), "c", "", (shown("x", finish=""),), open_, "", 50)
    assert "still being written" in note(growing, panel.told)
    gone = page.panel(panel.really, request(), "c", "", *rest)
    assert gone[page.chat.turns] == ()
    assert gone[page.list.open].id != "c"
    assert page.listed() == ()


def test_more_than_a_file_holds_is_refused_before_it_is_read(page: Page, monkeypatch: pytest.MonkeyPatch) -> None:
    page.keep((shown("one"), shown("two")), Open("c"))
    assert page.kept.size(owner_of(request()))[:2] == (1, 2)
    assert page.kept.size(owner_of(request("b"))) == page.kept.size("") == (0, 0, 0)
    monkeypatch.setattr("crossfade.history.export.MOST_TURNS", 1)
    monkeypatch.setattr(page.kept, "all", None)
    for button in (page.list.panel.all_json, page.list.panel.all_markdown):
        text, _, told = page.panel(button, request(), "")
        assert text == ""
        assert "one by one" in html.unescape(told)


def test_a_full_disk_is_told_and_the_chat_goes_on(page: Page, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any, **__: Any) -> None:
        raise StorageError("database or disk is full")

    monkeypatch.setattr(page.kept, "save", full)
    changes = page.keep((shown("one"),), Open("c"))
    assert "not being kept" in note(changes, page.list.notice)
    assert "disk is full" in note(changes, page.list.notice)
    only_copy = page.list._new(request(), (shown("one"),), Open("c"), "", 10)
    assert "disk is full" in note(only_copy, page.list.notice)
    assert page.chat.turns not in only_copy, "a page with the only copy is not emptied"
    monkeypatch.undo()
    assert page.keep((shown("one"), shown("two")), Open("c"))[page.list.notice] == ""
    assert len(page.kept.open(owner_of(request()), "c").turns) == 2, "what was not kept is kept with the next"
    monkeypatch.setattr(page.kept, "newest", full)
    assert "disk is full" in note(page.list._start(request(), ""), page.list.notice)
    monkeypatch.setattr(page.box._feedback, "give", full)
    assert "disk is full" in note(like(page, (shown("one"),), 1), page.box.notice)


def test_a_deleted_conversation_that_another_page_goes_on_with_holds_the_new_turns_alone(page: Page) -> None:
    open_ = page.keep((shown("one"),), Open("c"))[page.list.open]
    page.kept.delete(owner_of(request()), "c")
    page.keep((shown("one"),), open_)
    assert page.listed() == ()
    page.keep((shown("one"), shown("two")), open_)
    kept = page.kept.open(owner_of(request()), "c")
    assert (kept.title, [t.query.text for t in kept.turns]) == ("two", ["two"])


def test_turns_without_a_schema_are_shown_with_that_of_their_task() -> None:
    schema = {"type": "object"}
    assert to_show([turn("q")], lambda _: schema)[0].schema == schema
    held = replace(turn("q"), schema={"type": "array"}, form="yaml")
    (back,) = to_show([held], lambda _: schema)
    assert (back.schema, back.form) == ({"type": "array"}, "yaml")
    assert to_keep(to_show([held, failed("x")], lambda _: None)) == (held, failed("x"))


def test_the_list_shows_titles_as_text_marks_what_is_open_and_offers_more() -> None:
    found = [Listed(f"id{n}", HOSTILE if n else "plain", 1_000_000 - n * 90_000) for n in range(12)]
    shown = list_html(found, open_id="id1", most=10, searched=False, language="en", now=1_000_000)
    assert shown.count('data-act="open"') == 10
    assert shown.count("aria-current=true") == 1
    assert 'data-act="more"' in shown
    assert not re.search(r"<img|onclick='|\$\{|\{\{", shown)
    assert re.findall(r"<h3>(.*?)</h3>", shown) == ["Last 24 hours", "Last 7 days", "Older"]
    assert 'data-act="more"' not in list_html(found[:3], open_id="", most=10, searched=False, language="zh")
    assert "&#" in list_html([], open_id=HOSTILE, most=10, searched=True, language="en")
    assert "<button" not in list_html([], open_id=HOSTILE, most=10, searched=True, language="zh")


def test_a_page_of_the_list_is_bounded_however_many_there_are(page: Page) -> None:
    for number in range(conversation_list.PAGE + 3):
        page.keep((shown(f"q{number}"),), Open())
    first = page.list._start(request(), "")
    assert first[page.list.shown].count('data-act="open"') == conversation_list.PAGE
    more = page.press("more", "")
    assert more[page.list.shown].count('data-act="open"') == conversation_list.PAGE + 3


def like(page: Page, turns: Conversation, index: Any, liked: Any = True, who: str = "a") -> Any:
    event = SimpleNamespace(index=index, liked=liked)
    return page.box._like(request(who), event, turns, Open("c"))  # type: ignore[arg-type]


def marks(changes: Any, page: Page) -> Any:
    return changes[page.chat.chatbot].feedback_value


def test_a_thumb_is_kept_added_to_shown_again_and_taken_back(page: Page) -> None:
    turns, owner = (shown("one"), shown("two")), owner_of(request())
    page.keep(turns, Open("c"))
    changes = like(page, turns, 3, liked=False)
    assert marks(changes, page) == [None, "Dislike"]
    judged = changes[page.box._judged]
    page.box._save(request(), judged, "Better.", "Why")
    (one,) = page.thumbs.all(owner)
    assert (one.thumb, one.turn.query.text) == (Thumb(False, "Better.", "Why"), "two")
    assert marks(page.box._show_again(request(), None, turns, Open("c")), page) == [None, "Dislike"]
    again = like(page, turns, 3, liked=True)
    assert again[page.box.better] == "Better.", "what was written stays when the thumb turns"
    assert marks(page.box._take_back(request(), judged, turns), page) == [None, None]
    like(page, turns, 1)
    assert marks(like(page, turns, 1, liked=""), page) == [None, None]
    assert page.thumbs.all(owner) == ()


def test_thumbs_of_somebody_else_are_neither_shown_nor_changed(page: Page) -> None:
    turns = (shown("one"),)
    changes = like(page, turns, 1)
    judged = changes[page.box._judged]
    assert marks(page.box._show_again(request("b"), None, turns, Open("c")), page) == [None]
    page.box._save(request("b"), judged, "Planted.", "")
    page.box._take_back(request("b"), judged, turns)
    assert [one.thumb for one in page.thumbs.all(None)] == [Thumb(True)]
    assert page.box._export(request("b"))[0] == ""


def test_what_is_written_stays_while_an_answer_ends_and_goes_with_its_conversation(page: Page) -> None:
    turns = (shown("one"),)
    judged = like(page, turns, 1)[page.box._judged]
    assert page.box.box not in page.box._show_again(request(), judged, (*turns, shown("two")), Open("c"))
    assert page.box.box in page.box._show_again(request(), judged, (), Open("d"))


def test_one_s_own_thumbs_are_exported_as_rows(page: Page) -> None:
    (whole,) = to_show([turn("q")], lambda _: None)
    like(page, (whole,), 1)
    text, name, told = page.box._export(request())
    assert json.loads(text)["messages"][-1]["content"] == "Seven dollars."
    assert name.endswith(".jsonl")
    assert "Rows exported: 1, of 1 thumbs and 0 votes." in html.unescape(told)


@pytest.mark.parametrize("index", [0, -1, 99, None, "1", [0, 1], 3])
def test_a_thumb_on_no_answer_is_told(page: Page, index: Any) -> None:
    turns = (shown("one"), shown("two", finish=""))
    changes = like(page, turns, index)
    if index == 0:
        assert len(page.thumbs.all(None)) == 1, "the question's own answer"
    else:
        assert "no whole answer" in html.unescape(changes[page.box.head])
        assert page.thumbs.all(None) == ()


def test_thumbs_stand_at_their_answers_whatever_stands_between_the_turns() -> None:
    roles = ["assistant", "user", "assistant", "assistant", "user", "assistant"]
    messages = [{"role": role, "content": ""} for role in roles]
    assert [turn_at(messages, number) for number in range(6)] == [None, 0, 0, 0, 1, 1]
    assert feedback_values(messages, {0: Thumb(True), 1: Thumb(False)}) == [None, "Like", "Dislike"]
    plain = all_messages((shown("a"), shown("b")))
    assert feedback_values(plain, {1: Thumb(True)}) == [None, "Like"]


def test_an_opened_conversation_is_the_one_that_was_kept(page: Page) -> None:
    owner, id = owner_of(request()), new_id()
    turns = (turn("one"), failed("two"))
    keys = page.kept.save(owner, id, turns=turns)
    assert opened(page.kept.open(owner, id)) == Open(id, keys)


def test_what_a_tab_remembers_is_its_own() -> None:
    assert "sessionStorage" in listing.RECALL
    assert "localStorage" not in listing.SCRIPT + listing.RECALL
