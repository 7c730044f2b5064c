"""One question through one mode, over a fake engine: what is in the prompt, what is refused, what is closed."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from threading import Event
from typing import Any

import pytest

from crossfade.errors import AdapterError, CorpusError, CrossfadeError, QuestionError
from crossfade.pipeline import Pipeline
from crossfade.prompts import PASSAGES_HEAD
from crossfade.trace import answer_as_dict
from crossfade.types import Answer, Generation, Query, Sampling, Turn, mode_name, mode_switches
from fake_engine import EXAMPLES, TOML, FakeEngine, FakeRetriever, fake_pipeline, passage, write_corpus

ALL_MODES = [mode_name(fine_tune=f, rag=r, icl=i) for f in (False, True) for r in (False, True) for i in (False, True)]
SHORT = Sampling(max_new_tokens=20)


def query(mode: str = "base", text: str = "What is the fee?", *, adapter: str = "domain", task: str = "") -> Query:
    switches = mode_switches(mode)
    assert switches
    fine_tune, rag, icl = switches
    blend = ((adapter, 1.0),) if fine_tune else ()
    return Query(text, corpus="bank", task=task, blend=blend, rag=rag, icl=icl, sampling=SHORT)


@pytest.mark.parametrize("mode", ALL_MODES)
def test_a_mode_decides_what_is_in_the_prompt_and_which_adapter_answers(mode: str, tmp_path: Path) -> None:
    engine = FakeEngine()
    answer = fake_pipeline(tmp_path, engine=engine).ask(query(mode))
    assert answer.prompt
    last = answer.prompt.messages[-1].content
    assert answer.query.mode == mode
    assert (
        (PASSAGES_HEAD in last)
        == ("Fact 1 is $1." in last)
        == bool(answer.passages)
        == ("rag" in mode or "hybrid" in mode)
    )
    before = [m.content for m in answer.prompt.messages[:-1]]
    assert ("Sample one?" in before) == bool(answer.examples) == ("icl" in mode)
    fine_tuned = "fine-tune" in mode or "hybrid" in mode
    assert engine.asked[0].blend == ((("domain", 1.0),) if fine_tuned else ())
    assert answer.generation.adapters == ((("domain", 1.0, engine.adapters["domain"]),) if fine_tuned else ())


def test_own_instructions_follow_the_tasks_and_are_counted_and_none_change_nothing(tmp_path: Path) -> None:
    pipeline = fake_pipeline(tmp_path, engine=FakeEngine())
    plain, blank, own = (
        pipeline.prepare(replace(query(), instructions=text)).prompt for text in ("", " \n", "Answer in rhymes.")
    )
    assert plain
    assert own
    assert plain == blank
    assert own.messages[0].content == f"{plain.messages[0].content}\n\nAnswer in rhymes."
    assert own.messages[1:] == plain.messages[1:]
    assert own.tokens > plain.tokens


def test_base_mode_ignores_that_an_adapter_is_loaded(tmp_path: Path) -> None:
    with_adapters = fake_pipeline(tmp_path, engine=FakeEngine()).ask(query())
    without = fake_pipeline(tmp_path, engine=FakeEngine(adapters=())).ask(query())
    assert (with_adapters.prompt, with_adapters.generation) == (without.prompt, without.generation)


@pytest.mark.parametrize("task", ["answer", "ticket"])
def test_every_mode_of_a_task_has_the_same_system_message(task: str, tmp_path: Path) -> None:
    pipeline = fake_pipeline(tmp_path)
    prompts = [pipeline.prepare(query(mode, task=task)).prompt for mode in ALL_MODES]
    assert {p.messages[0] for p in prompts if p} == {prompts[0].messages[0] if prompts[0] else None}
    assert pipeline.corpus("bank").task(task).instructions == (prompts[0] and prompts[0].messages[0].content)


def test_the_same_question_again_is_answered_without_its_earlier_answers(tmp_path: Path) -> None:
    retriever, engine = FakeRetriever(), FakeEngine()
    pipeline = fake_pipeline(tmp_path, engine=engine, retriever=retriever)
    other = Turn("Who are you?", "The desk.")
    history = (Turn("What is  the fee?", "Nothing."), other, Turn("what is the FEE?", "Ten euros."))
    again = pipeline.ask(replace(query("hybrid"), history=history))
    assert again.prompt == pipeline.ask(replace(query("hybrid"), history=(other,))).prompt
    assert "The desk." in str(again.prompt)
    assert "Ten euros." not in str(again.prompt)
    assert [turns for _, turns, _ in retriever.asked] == [(other,)] * 2
    assert again.query.history == history, "the trace tells what was given"


def test_the_retriever_is_asked_in_rag_modes_alone_with_history_and_the_corpus_s_number(tmp_path: Path) -> None:
    retriever = FakeRetriever()
    pipeline = fake_pipeline(tmp_path, retriever=retriever)
    history = (Turn("What is the fee?", "$7"),)
    for mode in ("base", "icl", "fine-tune"):
        pipeline.ask(query(mode))
    assert retriever.asked == []
    followed = Query(" And for students? ", corpus="bank", task="", rag=True, history=history, sampling=SHORT)
    answer = pipeline.ask(followed)
    assert retriever.asked == [("And for students?", history, 2)]
    assert answer.passages == retriever.passages[:2]
    assert answer.prompt
    assert [m.content for m in answer.prompt.messages[1:3]] == ["What is the fee?", "$7"]


def test_given_passages_are_used_instead_of_retrieving(tmp_path: Path) -> None:
    retriever = FakeRetriever()
    mine = (passage(9),)
    answer = fake_pipeline(tmp_path, retriever=retriever).ask(query("rag"), passages=mine)
    assert (answer.passages, retriever.asked) == (mine, [])
    assert fake_pipeline(tmp_path, retriever=retriever).ask(query("base"), passages=mine).passages == ()


def test_the_trace_holds_the_passages_and_examples_that_fitted_and_no_others(tmp_path: Path) -> None:
    retriever = FakeRetriever([passage(1, "fee " * 30), passage(2, "rate " * 60)])
    answer = fake_pipeline(tmp_path, engine=FakeEngine(context=110), retriever=retriever).prepare(query("rag+icl"))
    assert answer.prompt
    assert (answer.passages, answer.examples) == (retriever.passages[:1], EXAMPLES)
    assert answer.prompt.left_out == ("1 of 2 passages",)
    tight = fake_pipeline(tmp_path, engine=FakeEngine(context=48), retriever=retriever).prepare(query("rag+icl"))
    assert (tight.passages, tight.examples) == ((), EXAMPLES[1:])
    assert tight.prompt
    asked = [m.content for m in tight.prompt.messages]
    assert "Sample two?" in asked
    assert "Sample one?" not in asked


def test_prompt_and_answer_share_the_context(tmp_path: Path) -> None:
    alone = fake_pipeline(tmp_path).prepare(query()).prompt
    assert alone
    fits = FakeEngine(context=alone.tokens + SHORT.max_new_tokens)
    assert fake_pipeline(tmp_path, engine=fits).prepare(query()).prompt == alone
    short = FakeEngine(context=alone.tokens + SHORT.max_new_tokens - 1)
    with pytest.raises(QuestionError, match=f"takes {alone.tokens} tokens"):
        fake_pipeline(tmp_path, engine=short).prepare(query())
    assert short.asked == []


@pytest.mark.parametrize("wanted", [0, -1, 1000, 5000])
def test_an_answer_as_long_as_the_context_is_refused_by_its_own_name(wanted: int, tmp_path: Path) -> None:
    asked = Query("fee?", corpus="bank", task="", sampling=Sampling(max_new_tokens=wanted))
    with pytest.raises(QuestionError, match=r"new tokens were asked for.* 1,000 tokens"):
        fake_pipeline(tmp_path).prepare(asked)


def test_the_answer_grows_from_no_text_to_a_finish(tmp_path: Path) -> None:
    answers = list(fake_pipeline(tmp_path).stream(query("hybrid")))
    texts = [a.generation.text for a in answers]
    assert texts[0] == ""
    assert all(after.startswith(before) for before, after in pairwise(texts))
    assert [bool(a.generation.finish) for a in answers] == [False] * (len(answers) - 1) + [True]
    assert {(a.prompt, a.passages, a.query.text) for a in answers} == {
        (answers[0].prompt, answers[0].passages, "What is the fee?")
    }


def test_the_same_query_gives_the_same_answer(tmp_path: Path) -> None:
    one, two = (fake_pipeline(tmp_path).ask(query("hybrid")) for _ in range(2))
    assert one.generation == two.generation
    assert one.generation.text != fake_pipeline(tmp_path).ask(query("rag")).generation.text


def test_closing_the_answers_closes_the_engine_s_at_once(tmp_path: Path) -> None:
    engine = FakeEngine()
    held, stream = [], engine.stream

    def holding(*args: Any, **kwargs: Any) -> Iterator[Generation]:
        held.append(stream(*args, **kwargs))
        return held[-1]

    engine.stream = holding  # type: ignore[method-assign]
    answers = fake_pipeline(tmp_path, engine=engine).stream(query())
    next(answers)
    next(answers)
    answers.close()
    assert engine.ended == ["closed"], "even while somebody else holds the engine's generator"


def test_stop_reaches_the_engine(tmp_path: Path) -> None:
    stop = Event()
    answers = fake_pipeline(tmp_path).stream(query(), stop=stop)
    next(answers)
    next(answers)
    stop.set()
    assert [a.generation.finish for a in answers] == ["cancelled"]


def test_a_question_is_cleaned_and_its_notices_reach_the_asker(tmp_path: Path) -> None:
    engine = FakeEngine()
    answer = fake_pipeline(tmp_path, engine=engine, english_only=["base model"]).ask(query(text=" 手续费\x00是多少 "))
    assert answer.query.text == "手续费是多少"
    assert len(answer.notices) == 2
    assert engine.asked[0].prompt.messages[-1].content == "手续费是多少"


@pytest.mark.parametrize("mode", ALL_MODES)
def test_an_english_embedder_is_told_of_where_it_is_asked(mode: str, tmp_path: Path) -> None:
    prepared = fake_pipeline(tmp_path, english_only=["embedder"]).prepare(query(mode, "手续费是多少?"))
    assert [("embedder" in n, "base" in n) for n in prepared.notices] == [(True, False)] * (
        prepared.query.rag or prepared.query.icl
    )


def test_seconds_are_those_that_the_asker_waited(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    engine, retriever = FakeEngine(), FakeRetriever()
    count, retrieve = engine.count_tokens, retriever.retrieve

    def slow(work: Any, seconds: float) -> Any:
        return lambda *a, **k: (time.sleep(seconds), work(*a, **k))[1]

    monkeypatch.setattr(retriever, "retrieve", slow(retrieve, 0.1))
    monkeypatch.setattr(engine, "count_tokens", slow(count, 0.2))
    began = time.perf_counter()
    answer = fake_pipeline(tmp_path, engine=engine, retriever=retriever).ask(query("rag"))
    assert 0.3 <= answer.seconds_before <= time.perf_counter() - began
    assert 0.1 <= answer.seconds_retrieving <= answer.seconds_before - 0.2
    assert answer.seconds_to_first == answer.seconds_before + answer.generation.seconds_to_first
    assert answer.seconds == answer.seconds_before + answer.generation.seconds
    timings = answer_as_dict(answer)["timings"]
    assert (timings["first_token"], timings["total"]) == (answer.seconds_to_first, answer.seconds)


@pytest.mark.parametrize("text", ["", "😀", "a" * 100_001])
@pytest.mark.parametrize("mode", ["base", "hybrid+icl"])
def test_a_bad_question_reaches_neither_retriever_nor_engine(mode: str, text: str, tmp_path: Path) -> None:
    engine, retriever = FakeEngine(), FakeRetriever()
    with pytest.raises(QuestionError):
        fake_pipeline(tmp_path, engine=engine, retriever=retriever).ask(query(mode, text))
    assert (engine.asked, retriever.asked) == ([], [])


def test_a_schema_is_enforced_only_where_asked_and_only_for_a_task_that_has_one(tmp_path: Path) -> None:
    engine = FakeEngine()
    pipeline = fake_pipeline(tmp_path, engine=engine)

    def asked(task: str, enforce: bool) -> Answer:
        return pipeline.ask(Query("fee?", corpus="bank", task=task, sampling=SHORT, enforce_schema=enforce))

    asked("ticket", True)
    asked("ticket", False)
    assert [a.schema for a in engine.asked] == [{"type": "object"}, None]
    with pytest.raises(QuestionError, match=r"'answer' has no JSON schema.*ticket"):
        asked("answer", True)


def test_a_query_s_own_schema_goes_before_the_task_s_and_serves_a_task_without_one(tmp_path: Path) -> None:
    engine = FakeEngine()
    pipeline, own = fake_pipeline(tmp_path, engine=engine), '{"type": "array"}'
    for task, enforce in (("ticket", True), ("answer", True), ("ticket", False)):
        pipeline.ask(Query("fee?", corpus="bank", task=task, sampling=SHORT, enforce_schema=enforce, schema=own))
    assert [a.schema for a in engine.asked] == [{"type": "array"}, {"type": "array"}, None]
    with pytest.raises(QuestionError, match="leads out"):
        pipeline.ask(Query("fee?", corpus="bank", task="answer", sampling=SHORT, schema='{"$ref": "http://x"}'))


def test_a_schema_is_not_enforced_on_an_answer_in_yaml(tmp_path: Path) -> None:
    write_corpus(tmp_path, toml=TOML.replace('schema = "', 'form = "yaml"\nschema = "'))
    with pytest.raises(QuestionError, match=r"'ticket' has no JSON schema.*none"):
        fake_pipeline(tmp_path).ask(Query("fee?", corpus="bank", task="ticket", sampling=SHORT, enforce_schema=True))


UNKNOWN: list[tuple[Callable[[Pipeline], object], type[CrossfadeError], list[str]]] = [
    (lambda p: p.ask(query("hybrid", adapter="jsn")), AdapterError, ["'jsn'", "domain, json"]),
    (lambda p: p.ask(query(task="tikcet")), CorpusError, ["'tikcet'", "answer, ticket"]),
    (lambda p: p.ask(Query("fee?", corpus="bnak", task="")), CorpusError, ["'bnak'", "bank"]),
    (lambda p: p.ask(Query("fee?", corpus="../bank", task="")), CorpusError, ["'../bank'", "bank"]),
]


@pytest.mark.parametrize(("ask", "error", "told"), UNKNOWN)
def test_an_unknown_name_is_told_with_the_known_ones(
    ask: Callable[[Pipeline], object], error: type[CrossfadeError], told: list[str], tmp_path: Path
) -> None:
    with pytest.raises(error) as caught:
        ask(fake_pipeline(tmp_path))
    assert all(text in str(caught.value) for text in told)


def test_the_reason_of_a_refused_adapter_is_told_to_who_asks_for_it(tmp_path: Path) -> None:
    pipeline = fake_pipeline(tmp_path, refused={"style": "Adapter 'style' is refused: it is of another base."})
    with pytest.raises(AdapterError, match="of another base"):
        pipeline.ask(query("hybrid", adapter="style"))


def test_with_no_adapter_loaded_the_message_says_so(tmp_path: Path) -> None:
    with pytest.raises(AdapterError, match="none is loaded"):
        fake_pipeline(tmp_path, engine=FakeEngine(adapters=())).ask(query("hybrid"))


def test_an_empty_task_is_the_corpus_s_default_and_is_named_in_the_trace(tmp_path: Path) -> None:
    write_corpus(tmp_path)
    assert fake_pipeline(tmp_path).ask(query()).query.task == "answer"
