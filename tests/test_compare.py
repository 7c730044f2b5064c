"""One question through several modes, over a fake engine: one retrieval, columns that do not hinder each other."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from threading import Barrier, Event
from typing import Any

import pytest

from crossfade.compare import MAX_COLUMNS, compare, fair_order, query_in_mode
from crossfade.errors import CrossfadeError, EngineError, QuestionError
from crossfade.pipeline import Pipeline
from crossfade.types import MODES, Answer, Generation, Query, Sampling, Turn, mode_name, mode_switches
from fake_engine import FakeEngine, FakeRetriever, fake_pipeline

QUERY = Query("What is the fee?", corpus="bank", task="answer", sampling=Sampling(max_new_tokens=20))
BLEND = (("domain", 1.0),)


def queries(*modes: str) -> list[Query]:
    return [query_in_mode(QUERY, mode, blend=BLEND) for mode in modes]


def last_of_each(pipeline: Pipeline, asked: list[Query]) -> dict[int, Answer | CrossfadeError]:
    return dict(compare(pipeline, asked))


def test_a_comparison_retrieves_once_and_gives_the_passages_to_every_rag_column(tmp_path: Path) -> None:
    retriever = FakeRetriever()
    last = last_of_each(fake_pipeline(tmp_path, retriever=retriever), queries(*MODES, "hybrid+icl"))
    assert len(retriever.asked) == 1
    for column, mode in enumerate((*MODES, "hybrid+icl")):
        answer = last[column]
        assert isinstance(answer, Answer)
        assert answer.query.mode == mode
        assert answer.passages == (retriever.passages[:2] if mode in ("rag", "hybrid", "hybrid+icl") else ())


def test_without_a_rag_column_nothing_is_retrieved(tmp_path: Path) -> None:
    retriever = FakeRetriever()
    last_of_each(fake_pipeline(tmp_path, retriever=retriever), queries("base", "icl", "fine-tune"))
    assert retriever.asked == []


def test_a_column_says_what_its_mode_says_alone(tmp_path: Path) -> None:
    pipeline = fake_pipeline(tmp_path)
    last = last_of_each(pipeline, queries(*MODES))
    for column, query in enumerate(queries(*MODES)):
        answer, alone = last[column], pipeline.ask(query)
        assert isinstance(answer, Answer)
        assert (answer.generation, answer.prompt) == (alone.generation, alone.prompt)


def test_the_error_of_one_column_does_not_end_the_others(tmp_path: Path) -> None:
    asked = queries("base", "hybrid", "rag")
    asked[1] = replace(asked[1], blend=(("jsn", 1.0),))
    last = last_of_each(fake_pipeline(tmp_path), asked)
    assert [isinstance(last[n], Answer) for n in range(3)] == [True, False, True]
    assert "'jsn'" in str(last[1])
    answer = last[2]
    assert isinstance(answer, Answer)
    assert answer.generation.finish == "stop"


def test_an_engine_that_fails_in_mid_stream_fails_that_column_after_its_first_words(tmp_path: Path) -> None:
    asked = [replace(q, text="EXPLODE now") for q in queries("base", "rag")]
    seen = list(compare(fake_pipeline(tmp_path), asked))
    for column in (0, 1):
        column_seen = [item for number, item in seen if number == column]
        assert isinstance(column_seen[-1], EngineError)
        assert isinstance(column_seen[-2], Answer)
        assert column_seen[-2].generation.text


@pytest.mark.parametrize("number", [0, 1, MAX_COLUMNS + 1])
def test_fewer_than_two_or_more_than_six_modes_are_refused(number: int, tmp_path: Path) -> None:
    engine = FakeEngine()
    with pytest.raises(QuestionError, match=f"{number} modes.* 2 to 6"):
        list(compare(fake_pipeline(tmp_path, engine=engine), [QUERY] * number))
    assert engine.asked == []


@pytest.mark.parametrize("number", [2, MAX_COLUMNS])
def test_two_to_six_modes_are_answered(number: int, tmp_path: Path) -> None:
    assert sorted(last_of_each(fake_pipeline(tmp_path), [QUERY] * number)) == list(range(number))


@pytest.mark.parametrize(
    "other",
    [
        replace(QUERY, text="Another?"),
        replace(QUERY, corpus="other"),
        replace(QUERY, history=(Turn("before", "then"),)),
    ],
)
def test_columns_that_ask_different_things_are_refused(other: Query, tmp_path: Path) -> None:
    with pytest.raises(QuestionError, match="one question of one corpus"):
        list(compare(fake_pipeline(tmp_path), [QUERY, other]))


def test_an_engine_that_mixes_adapters_is_asked_in_every_mode_at_once(tmp_path: Path) -> None:
    begun, go_on = Barrier(len(MODES)), FakeEngine.stream

    class Mixing(FakeEngine):
        def stream(self, *args: Any, **more: Any) -> Iterator[Generation]:
            begun.wait(20)  # nobody passes before all columns have come
            yield from go_on(self, *args, **more)

    pipeline = fake_pipeline(tmp_path, engine=Mixing(mixes=True))
    last, alone = last_of_each(pipeline, queries(*MODES)), last_of_each(fake_pipeline(tmp_path), queries(*MODES))
    assert sorted(last) == sorted(alone)
    for column, answer in last.items():
        assert isinstance(answer, Answer)
        assert answer.generation == alone[column].generation  # type: ignore[union-attr]


def test_at_once_too_a_column_that_fails_ends_alone_and_what_nobody_foresaw_ends_all(tmp_path: Path) -> None:
    asked = queries("base", "hybrid", "rag")
    asked[1] = replace(asked[1], blend=(("jsn", 1.0),))
    last = last_of_each(fake_pipeline(tmp_path, engine=FakeEngine(mixes=True)), asked)
    assert [isinstance(last[n], Answer) for n in range(3)] == [True, False, True]

    class Broken(FakeEngine):
        def count_tokens(self, messages: Any) -> int:
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        last_of_each(fake_pipeline(tmp_path, engine=Broken(mixes=True)), asked)


def test_leaving_stops_every_column_that_runs_at_once(tmp_path: Path) -> None:
    class Endless(FakeEngine):
        def stream(self, prompt: Any, *, stop: Event, **more: Any) -> Iterator[Generation]:
            while not stop.wait(0.001) and not stop.is_set():
                yield Generation("on and on", 1, 0, 1, 0.1, 0.1)
            self.ended.append("stopped")

    engine, stop = Endless(mixes=True), Event()
    columns = compare(fake_pipeline(tmp_path, engine=engine), queries("base", "rag"), stop=stop)
    for _ in range(20):
        next(columns)
    columns.close()
    until = time.monotonic() + 5
    while len(engine.ended) < 2 and time.monotonic() < until:
        time.sleep(0.01)
    assert engine.ended == ["stopped"] * 2
    assert not stop.is_set(), "the asker's own event is not touched"


def test_closing_the_comparison_closes_the_engine_s_stream(tmp_path: Path) -> None:
    engine = FakeEngine()
    columns = compare(fake_pipeline(tmp_path, engine=engine), queries("base", "rag"))
    next(columns)
    next(columns)
    columns.close()
    assert engine.ended == ["closed"]
    assert len(engine.asked) == 1


def test_stop_ends_every_column(tmp_path: Path) -> None:
    stop = Event()
    stop.set()
    for _, answer in dict(compare(fake_pipeline(tmp_path), queries("base", "rag", "hybrid"), stop=stop)).items():
        assert isinstance(answer, Answer)
        assert answer.generation.finish == "cancelled"


@pytest.mark.parametrize("fine_tune", [False, True])
@pytest.mark.parametrize("rag", [False, True])
@pytest.mark.parametrize("icl", [False, True])
def test_a_query_in_a_mode_has_that_mode_and_asks_the_same(fine_tune: bool, rag: bool, icl: bool) -> None:
    mode = mode_name(fine_tune=fine_tune, rag=rag, icl=icl)
    query = query_in_mode(QUERY, mode, blend=BLEND)
    assert query.mode == mode
    assert replace(query, blend=(), rag=False, icl=False) == QUERY


def test_an_unknown_mode_is_told_with_all_known_ones() -> None:
    with pytest.raises(QuestionError) as caught:
        query_in_mode(QUERY, "hybird", blend=BLEND)
    known = [name.strip(" .") for name in str(caught.value).partition("Known:")[2].split(",")]
    assert len(known) == 8
    assert all(mode_switches(name) for name in known)


@pytest.mark.parametrize("mode", ["fine-tune", "hybrid", "hybrid+icl"])
def test_fine_tuning_without_an_adapter_is_refused(mode: str) -> None:
    with pytest.raises(QuestionError, match="needs an adapter"):
        query_in_mode(QUERY, mode, blend=())


def test_columns_start_in_the_order_given_and_answer_as_without_it(tmp_path: Path) -> None:
    asked, order = queries("base", "icl", "rag"), (2, 0, 1)
    seen = list(compare(fake_pipeline(tmp_path), asked, order=order))
    assert tuple(dict.fromkeys(number for number, _ in seen)) == order
    ordered, plain = dict(seen), last_of_each(fake_pipeline(tmp_path), asked)
    assert all(ordered[n].generation == plain[n].generation for n in range(3))  # type: ignore[union-attr]


@pytest.mark.parametrize("columns", range(2, MAX_COLUMNS + 1))
def test_every_column_is_first_as_often_as_any_other(columns: int) -> None:
    orders = [fair_order(columns, seed=str(seed)) for seed in range(3_000)]
    assert all(sorted(order) == list(range(columns)) for order in orders)
    firsts = [sum(order[0] == column for order in orders) for column in range(columns)]
    # Five standard deviations of a fair draw.
    assert all(abs(first - 3_000 / columns) < 5 * (3_000 / columns) ** 0.5 for first in firsts)
    assert fair_order(columns, seed="a") == fair_order(columns, seed="a")
