"""The page's own bookkeeping: choices, conversation, columns, answers under way."""

from __future__ import annotations

import html
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from threading import Event
from types import SimpleNamespace
from typing import Any

import pytest

from crossfade.corpora.registry import Corpus, Task
from crossfade.errors import AdapterError, EngineError, QuestionError, SettingsError
from crossfade.evaluation.prices import Prices
from crossfade.history.votes import TIE, Vote, export_for_judge
from crossfade.settings import Settings
from crossfade.types import Answer, Generation, Query
from crossfade.ui.answering import thinned
from crossfade.ui.asked import PASTED, questions_of
from crossfade.ui.asking import Asking
from crossfade.ui.choices import Choice, find_choice, list_choices
from crossfade.ui.columns import Columns, ColumnSettings, end_open, make_columns
from crossfade.ui.controls import Asked
from crossfade.ui.conversation import Shown, all_messages, history, settled
from crossfade.ui.crossfader import SHARES, Step, faded, steps_of
from crossfade.ui.downloads import TOO_LARGE
from crossfade.ui.extras import MOST_BYTES, judge_of, prices_of, votes_of
from crossfade.ui.mixer import blend_of
from crossfade.ui.running import Running
from crossfade.ui.turn_changes import put_back

ANSWER = Task("answer", "Answer from the documents", "Answer.", adapter="domain")
TICKET = Task("ticket", "Turn a message into a ticket", "JSON.", adapter="json", schema={"type": "object"})
CORPUS = Corpus("bank", "Bank", "", Path(), "ticket", {"answer": ANSWER, "ticket": TICKET})


@dataclass(frozen=True)
class Card:
    name: str
    task: str = ""
    purpose: str = ""
    sha256: str = "a" * 64
    refused: str = ""


def shown(text: str, *, task: str = "answer", answer: str = "Yes.", finish: str = "stop") -> Shown:
    query = Query(text=text, corpus="bank", task=task)
    return Shown(query, answer=Answer(query, generation=Generation(answer, finish=finish)))


def test_each_task_is_offered_the_default_first_with_or_without_adapters() -> None:
    choices = list_choices(CORPUS, [Card("mine", "answer"), Card("domain")])
    assert [(c.task.name, c.adapter) for c in choices] == [("ticket", ""), ("answer", "domain"), ("answer", "mine")]
    assert "No adapter" in choices[0].why_off
    assert [c.why_off for c in choices[1:]] == ["", ""]
    assert len({c.key for c in choices}) == 3
    assert find_choice(choices, None) == choices[0]
    assert all(find_choice(choices, choice.key) == choice for choice in choices)


def test_an_adapter_that_is_gone_never_becomes_another_one() -> None:
    choices = list_choices(CORPUS, [Card("mine", "answer"), Card("domain")])
    gone = find_choice(choices, "answer/mane")
    assert (gone.task, gone.adapter, gone.key) == (ANSWER, "", "answer/mane")
    assert "'mane'" in gone.why_off
    with pytest.raises(AdapterError, match="'style'"):
        find_choice(choices, "voice/style")


def test_a_refused_adapter_keeps_its_place_beside_another_of_its_task() -> None:
    before = list_choices(CORPUS, [Card("domain"), Card("mine", "answer")])
    after = list_choices(CORPUS, [Card("domain", refused="It is of another base."), Card("mine", "answer")])
    assert {c.key for c in before} == {c.key for c in after}
    refused = find_choice(after, "answer/domain")
    assert (refused.task, refused.adapter) == (ANSWER, "")
    assert "'domain' was refused: It is of another base." in refused.why_off
    assert [c.adapter for c in after] == ["", "mine", ""], "what can be used comes first in its task"


def test_a_refused_adapter_is_not_offered_and_its_reason_is_told() -> None:
    first, *_ = list_choices(CORPUS, [Card("json", refused="Rank 9999 is not allowed.")])
    assert first.adapter == ""
    assert "Rank 9999" in first.why_off


def test_history_holds_answered_turns_of_the_same_task_as_plain_text() -> None:
    turns = (
        shown("one", answer="1 < 2"),
        shown("two", task="ticket", answer="{}"),
        shown("three", answer=""),
        shown("four").failed("The engine fell over."),
        shown("five", answer="half an", finish="cancelled"),
    )
    told = history(turns, corpus="bank", task="answer")
    assert [(t.question, t.answer) for t in told] == [("one", "1 < 2"), ("five", "half an")]
    assert history(turns, corpus="other", task="answer") == ()


def test_messages_alternate_and_an_error_keeps_what_was_answered() -> None:
    failed = shown("q", answer="half", finish="").failed("It fell over.")
    messages = all_messages((shown("a"), failed))
    assert [m["role"] for m in messages] == ["user", "assistant"] * 2
    assert "half" in messages[-1]["content"]
    assert "It fell over" in messages[-1]["content"]
    assert not failed.open
    assert shown("q", finish="").open


def in_mode(text: str, **mode: Any) -> Shown:
    query = replace(Query(text=text, corpus="bank", task="answer"), **mode)
    return Shown(query, answer=Answer(query, generation=Generation("Yes.", finish="stop")))


def test_a_change_of_how_is_asked_is_marked_where_it_begins_and_nowhere_else() -> None:
    blend = (("domain", 1.0), ("<b>", 0.5))
    turns = (in_mode("a"), in_mode("b"), in_mode("c", rag=True, blend=blend), in_mode("d", rag=True, blend=blend))
    marks = [message["content"].count("cf-from") for message in all_messages(turns)[::2]]
    assert marks == [0, 0, 1, 0]
    line = html.unescape(all_messages(turns)[4]["content"])
    assert "from here: hybrid · adapter domain + <b> × 0.5" in line
    assert "<b>" not in all_messages(turns)[4]["content"]
    for how in ({"corpus": "other"}, {"task": "ticket"}, {"blend": (("domain", 0.5),)}):
        changed = all_messages(
            (in_mode("a", blend=(("domain", 1.0),)), in_mode("b", **{"blend": (("domain", 1.0),)} | how))
        )
        assert "cf-from" in changed[2]["content"], how


def test_only_the_last_turn_is_retried_and_one_that_grows_offers_nothing() -> None:
    growing = shown("c", answer="half", finish="")
    first, second = (message["content"] for message in all_messages((shown("a"), shown("b")))[1::2])
    assert ("cf-do-copy" in first, "cf-do-retry" in first) == (True, False)
    assert ("cf-do-copy" in second, "cf-do-retry" in second) == (True, True)
    assert "cf-do-" not in all_messages((shown("a"), growing))[3]["content"]
    assert "重试" in all_messages((shown("a"),), "zh")[1]["content"]


def test_a_turn_takes_the_place_of_others_once_it_is_answered_and_not_before() -> None:
    before, old = shown("one"), (shown("two"), shown("three"))
    new = replace(shown("edited", answer="", finish=""), instead=old)
    assert settled((before, new)) == (before, new), "it is open"
    assert settled((before, new.failed("It fell over."))) == (before, *old)
    half = replace(shown("edited", finish=""), instead=old).failed("It fell over.")
    assert settled((before, half)) == (before, *old), "an error after some words"
    assert settled((before, replace(shown("edited", answer="", finish="cancelled"), instead=old))) == (before, *old)
    for finish in ("stop", "cancelled", "length"):
        assert settled((before, replace(shown("edited", finish=finish), instead=old))) == (
            before,
            shown("edited", finish=finish),
        )
    assert settled(()) == ()


def test_a_question_that_failed_is_back_in_the_box_and_what_stands_there_stays() -> None:
    old = (shown("two"),)
    again, edited = (replace(shown(text), instead=old).failed("It fell over.") for text in ("two", "edited"))
    box, note, place = put_back(again, 1, box="", language="en")
    assert (box, place) == ("two", None)
    assert "It fell over. What stood here before" in html.unescape(note)
    box, note, place = put_back(edited, 1, box=" ", language="en")
    assert (box, place) == ("edited", 1)
    assert "question 2" in html.unescape(note)
    box, note, place = put_back(edited, 1, box="something new", language="zh")
    assert (box == "edited", place) == (False, None)
    assert "edited" in note, "so that it is not lost"


def test_what_an_answer_came_to_is_kept_only_where_its_page_is_gone() -> None:
    running, kept = Running(), list[str]()
    asking = Asking(SimpleNamespace(), running, "chat", busy=lambda: False)  # type: ignore[arg-type]
    request: Any = SimpleNamespace(session_hash="s", headers={}, cookies={})

    def answer(end: str) -> Iterator[int]:
        asking.begin(request)
        with asking.if_left(request, lambda: kept.append(end)):
            yield 1
            if end == "left":
                running.leave("s")

    for end, told in (("stayed", []), ("left", ["left"]), ("closed", ["left", "closed"])):
        running.leave("s")
        going = answer(end)
        assert next(going) == 1
        if end == "closed":
            going.close()  # type: ignore[attr-defined]
        assert list(going) == []
        assert kept == told


def test_a_crossfade_goes_from_the_first_alone_to_the_second_alone() -> None:
    mixes = [faded("a", "b", share) for share in SHARES]
    assert (mixes[0], mixes[-1]) == ((("a", 1.0),), (("b", 1.0),))
    assert all(sum(weight for _, weight in mix) == 1 for mix in mixes)
    assert [dict(mix).get("b", 0.0) for mix in mixes] == list(SHARES)


def test_an_error_of_a_crossfade_is_in_the_reader_s_language() -> None:
    step = Step(0.5, shown("q").failed("Unknown adapter 'mine'. Known: none is loaded."))
    assert "未知适配器" in html.unescape(step.html("zh"))
    assert "Unknown adapter" in html.unescape(step.html("en"))


def test_a_crossfade_holds_each_answer_against_the_question_s_own_schema() -> None:
    choice = find_choice(list_choices(CORPUS, [Card("json")]), "ticket/json")
    query = Query("q", "bank", "ticket", rag=True)
    plain = steps_of(asked(query, choice), "a", "b", waiting="")
    assert [step.shown.schema for step in plain] == [TICKET.schema] * len(SHARES)
    own = replace(query, schema='{"type": "array"}', enforce_schema=True)
    held = steps_of(asked(own, choice), "a", "b", waiting="")
    assert [step.shown.schema for step in held] == [{"type": "array"}] * len(SHARES)
    assert [step.shown.query for step in held] == [replace(own, blend=faded("a", "b", share)) for share in SHARES]


def asked(query: Query, choice: Choice) -> Asked:
    return Asked(query, choice, blend_of(choice.adapter, ()))


def columns_of(asked: Asked, *modes: str) -> Columns:
    return make_columns(asked, [ColumnSettings(mode) for mode in modes], lambda key: asked.choice)


def test_columns_that_need_a_missing_adapter_say_so_and_the_others_are_asked() -> None:
    query = Query(text="q", corpus="bank", task="answer")
    without = find_choice(list_choices(CORPUS, []), "answer/")
    columns = columns_of(asked(query, without), "base", "rag", "hybrid")
    assert [c.query.mode if c.query else None for c in columns] == ["base", "rag", None]
    assert "No adapter" in columns[2].error
    with_adapter = columns_of(asked(query, replace(without, adapter="domain")), "base", "hybrid")
    assert [c.query.blend for c in with_adapter if c.query] == [(), (("domain", 1.0),)]
    with pytest.raises(QuestionError, match="Fewer than 2"):
        columns_of(asked(query, without), "base", "hybrid")
    with pytest.raises(QuestionError, match="1 columns"):
        columns_of(asked(query, without), "base")


def test_a_mixer_s_values_are_the_blend_with_the_chosen_adapter_first() -> None:
    names = ("style", "domain", "json")
    assert blend_of("domain", ()) == (("domain", 1.0),)
    assert blend_of("domain", (names, 0.0, 1.0, 0)) == (("domain", 1.0),)
    assert blend_of("domain", (names, 0.6, 0.8, 0, 0.5)) == (("domain", 0.8), ("style", 0.6))
    assert blend_of("domain", (names, 9, 0, None)) == (("domain", 0.0), ("style", 1.5))
    assert blend_of("mine", (names, 0, 0.5, -1)) == (("mine", 1.0), ("domain", 0.5)), "one without a slider is at 1"
    assert blend_of("", (names, 1.0, 1.0, 1.0)) == ()


def judging(**more: str) -> Settings:
    return Settings(home=Path(), corpora=Path(), adapters=Path(), judge_key="secret", **more)  # type: ignore[arg-type]


def test_the_judge_s_key_goes_to_its_own_server_alone() -> None:
    known = "https://judge.example/v1"
    settings = judging(judge_url=known, host="0.0.0.0")
    assert judge_of("", known, settings) is None
    found = judge_of(" big ", f"{known}/", settings)
    assert found
    assert (found.model, found.url, found.key) == ("big", known, "secret")
    with pytest.raises(SettingsError, match="CROSSFADE_JUDGE_URL"):
        judge_of("big", "https://thief.example/v1", settings)
    with pytest.raises(SettingsError, match="CROSSFADE_JUDGE_URL"):
        judge_of("big", "", judging(host="0.0.0.0"))
    mine = judge_of("big", "http://localhost:8000/v1", judging(judge_url=known))
    assert mine
    assert mine.key == ""


def test_votes_that_a_comparison_saved_for_a_judge_are_read_and_others_told() -> None:
    answer = shown("Why?").answer
    assert answer
    saved = export_for_judge([Vote("c", TIE, (answer, answer))])
    assert list(votes_of(saved).values()) == [True]
    assert votes_of("") == {}
    with pytest.raises(QuestionError, match="your votes, line 1: a vote has"):
        votes_of('{"id": 1}')
    with pytest.raises(QuestionError, match="您的投票"):
        votes_of('{"id": 1}', "zh")
    with pytest.raises(QuestionError, match=f"{MOST_BYTES // 10**6} MB"):
        votes_of(TOO_LARGE)


def test_pasted_tables_may_be_parted_by_semicolons_or_tabs_and_long_lines_are_none() -> None:
    for mark in (",", ";", "\t"):
        pasted = f'question{mark}answers\n"How much, then; in all?"{mark}$7|$8'
        (found,) = questions_of(CORPUS, PASTED, pasted).questions
        assert (found.text, found.answers) == ("How much, then; in all?", ("$7", "$8"))
    (long,) = questions_of(CORPUS, PASTED, "question " * 30_000).questions
    assert long.text.startswith("question question")


def test_prices_of_the_page_are_numbers_from_0_and_none_means_none() -> None:
    assert prices_of([0, None, 0, 0, 0]) is None
    assert prices_of([0.05, None, 0, 2, 100]) == Prices(0.05, 0, 0, 2, "of the page", 100)
    with pytest.raises(SettingsError, match="price"):
        prices_of([0, 0, 0, 0, 100])


def test_a_column_grows_fails_and_ends() -> None:
    query = Query(text="q", corpus="bank", task="answer")
    first, second = columns_of(asked(query, find_choice(list_choices(CORPUS, []), "answer/")), "base", "rag")
    assert first.open
    grown = first.grown(Answer(query, generation=Generation("text", finish="stop")))
    assert not grown.open
    assert second.grown(EngineError("busy")).error == "busy"
    assert [c.error for c in end_open((grown, second), "Stopped.")] == ["", "Stopped."]


def test_an_answer_begins_once_is_taken_once_and_is_forgotten_at_its_end() -> None:
    running = Running()
    assert not running.under_way("s", "chat")
    assert running.begin("s", "chat")
    assert running.under_way("s", "chat")
    assert not running.begin("s", "chat")
    assert running.begin("s", "compare")
    stop = running.take("s", "chat")
    assert stop is not None
    assert running.take("s", "chat") is None
    assert not running.forget("s", "chat")
    running.stop("s", "chat")
    assert stop.is_set()
    running.close("s", "chat")
    assert running.forget("s", "chat")
    assert not running.forget("s", "chat")
    assert running.begin("s", "chat")


def test_a_browser_that_leaves_stops_its_own_answers_only() -> None:
    running = Running()
    events: dict[str, Event | None] = {}
    for session in ("a", "b"):
        running.begin(session, "chat")
        events[session] = running.take(session, "chat")
    running.leave("a")
    assert [event is not None and event.is_set() for event in events.values()] == [True, False]
    assert len(running) == 1


def test_a_waiting_answer_can_be_forgotten_before_it_is_taken() -> None:
    running = Running()
    running.begin("s", "chat")
    running.stop("s", "chat")
    assert running.forget("s", "chat")
    assert running.take("s", "chat") is None


def test_thinning_keeps_the_first_and_the_important_and_closes_the_stream() -> None:
    closed = []

    def numbers():  # type: ignore[no-untyped-def]
        try:
            yield from range(1000)
        finally:
            closed.append(True)

    kept = list(thinned(numbers(), important=lambda n: n == 999))
    assert kept[0] == 0
    assert kept[-1] == 999
    assert len(kept) < 100
    stream = thinned(numbers(), important=bool)
    next(stream)
    stream.close()
    assert closed == [True, True]
