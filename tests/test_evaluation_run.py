"""A run asks each question once in each mode, keeps every answer, and counts what failed."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from threading import Event
from typing import Any

import pytest

from crossfade.errors import AdapterError, QuestionError, SettingsError
from crossfade.evaluation.questions import EvalQuestion
from crossfade.evaluation.results import Result, Store, key_of
from crossfade.evaluation.run import Column, Run, RunProgress, run
from crossfade.pipeline import Pipeline
from crossfade.types import Answer, Query, Sampling
from fake_engine import FakeEngine, FakeRetriever, fake_pipeline

QUERY = Query("", "bank", "answer", sampling=Sampling(max_new_tokens=20))
DOMAIN = (("domain", 1.0),)
COLUMNS = [Column("hybrid", "hybrid", DOMAIN), Column("base", "base", DOMAIN), Column("rag", "rag", DOMAIN)]


def questions(*texts: str) -> list[EvalQuestion]:
    return [EvalQuestion(id=f"q{n}", text=text, line=n) for n, text in enumerate(texts, start=1)]


THREE = questions("What is the fee?", "Who signs?", "When is it due?")


def measured(tmp_path: Path, asked: list[EvalQuestion] = THREE, **more: object) -> tuple[Run, FakeEngine]:
    engine = FakeEngine()
    pipeline = fake_pipeline(tmp_path, engine=engine)
    store = Store(tmp_path / "results.sqlite")
    try:
        return run(pipeline, QUERY, asked, more.pop("columns", COLUMNS), store=store, **more), engine  # type: ignore[arg-type]
    finally:
        store.close()


def test_every_question_is_asked_once_in_every_mode(tmp_path: Path) -> None:
    made, engine = measured(tmp_path)
    assert made.asked == len(engine.asked) == 9
    assert set(made.results) == {"hybrid", "base", "rag"}
    for column in COLUMNS:
        found = made.results[column.name]
        assert [bool(r and r.text and not r.error) for r in found] == [True] * 3
        assert all(r and bool(r.passages) == (column.name != "base") for r in found)
        assert all(r and bool(r.adapters) == (column.name == "hybrid") for r in found)


def test_answers_are_those_of_the_pipeline(tmp_path: Path) -> None:
    made, _ = measured(tmp_path)
    pipeline = fake_pipeline(tmp_path)
    for n, question in enumerate(THREE):
        query = Query(question.text, "bank", "answer", blend=DOMAIN, rag=True, sampling=QUERY.sampling)
        result = made.results["hybrid"][n]
        assert result
        assert result.text == pipeline.ask(query).generation.text


def test_a_question_is_retrieved_for_once_for_all_modes(tmp_path: Path) -> None:
    retriever = FakeRetriever()
    pipeline = fake_pipeline(tmp_path, retriever=retriever)
    store = Store(tmp_path / "results.sqlite")
    run(pipeline, QUERY, THREE, COLUMNS, store=store)
    store.close()
    assert sorted(question for question, *_ in retriever.asked) == sorted(q.text for q in THREE)


def test_the_same_run_again_asks_nothing_and_gives_the_same(tmp_path: Path) -> None:
    first, _ = measured(tmp_path)
    second, engine = measured(tmp_path)
    assert (second.asked, engine.asked) == (0, [])
    assert second.results == first.results


@pytest.mark.parametrize("change", ["question", "weight", "mode", "sampling", "document", "embedder", "variant"])
def test_what_an_answer_depends_on_makes_it_be_asked_again(tmp_path: Path, change: str) -> None:
    column = Column("h", "hybrid", DOMAIN)
    measured(tmp_path, THREE[:1], columns=[column])
    asked, query, variant, embedder = THREE[:1], QUERY, "", ""
    if change == "question":
        asked = questions("What is the fee now?")
    elif change == "weight":
        column = Column("h", "hybrid", (("domain", 0.5),))
    elif change == "mode":
        column = Column("h", "fine-tune", DOMAIN)
    elif change == "sampling":
        query = Query("", "bank", "answer", sampling=Sampling(max_new_tokens=19))
    elif change == "document":
        (tmp_path / "bank" / "docs" / "fees.md").write_text("# Fees\n\nThe fee is $8 now.\n", encoding="utf-8")
    elif change == "embedder":
        embedder = "a" * 64
    else:
        variant = "Q4_0"
    store = Store(tmp_path / "results.sqlite")
    made = run(fake_pipeline(tmp_path, embedder=embedder), query, asked, [column], store=store, variant=variant)
    store.close()
    assert made.asked == 1


def test_another_embedder_asks_again_only_what_it_embeds_for(tmp_path: Path) -> None:
    columns = [Column(mode, mode) for mode in ("base", "rag", "icl")]
    measured(tmp_path, THREE[:1], columns=columns)
    store = Store(tmp_path / "results.sqlite")
    made = run(fake_pipeline(tmp_path, embedder="a" * 64), QUERY, THREE[:1], columns, store=store)
    store.close()
    assert made.asked == 2


def test_the_name_of_a_column_is_no_part_of_the_key(tmp_path: Path) -> None:
    measured(tmp_path, columns=[Column("one", "hybrid", DOMAIN)])
    again, _ = measured(tmp_path, columns=[Column("other", "hybrid", DOMAIN)])
    assert again.asked == 0


def test_a_failure_is_kept_apart_and_asked_again_next_time(tmp_path: Path) -> None:
    asked = [*THREE, *questions("EXPLODE please", "x " * 2000)]
    made, _ = measured(tmp_path, asked)
    for column in COLUMNS:
        errors = [r and r.error for r in made.results[column.name]]
        assert errors[:3] == [""] * 3
        assert "fell over" in str(errors[3])
        assert "Shorten it" in str(errors[4])
    again, _ = measured(tmp_path, asked)
    assert again.asked == 6, "what failed is asked again, and nothing else"


def test_a_stopped_run_keeps_what_it_has_and_goes_on_later(tmp_path: Path) -> None:
    stop, seen = Event(), list[RunProgress]()

    def progress(told: RunProgress) -> None:
        seen.append(told)
        if told.asked == 4:
            stop.set()

    made, _ = measured(tmp_path, stop=stop, progress=progress, at_once=1)
    assert made.asked == 4
    assert sum(r is None for found in made.results.values() for r in found) == 5
    rest, engine = measured(tmp_path)
    assert rest.asked == len(engine.asked) == 5
    assert [p.done for p in seen] == [1, 2, 3, 4]
    assert all(p.total == 9 and p.seconds_left is not None and p.failed == 0 for p in seen)


def test_a_question_that_breaks_the_program_is_a_failure_and_costs_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = Pipeline.ask

    def breaks(self: Pipeline, query: Query, **more: Any) -> Answer:
        if "signs" in query.text:
            raise ZeroDivisionError("secret detail")
        return asked(self, query, **more)

    monkeypatch.setattr(Pipeline, "ask", breaks)
    made, _ = measured(tmp_path, columns=[Column("base", "base")])
    errors = [r and r.error for r in made.results["base"]]
    assert errors[::2] == ["", ""]
    assert "its log says what" in str(errors[1])
    assert "secret" not in str(errors[1])


def test_a_change_of_how_prompts_are_made_makes_all_be_asked_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    measured(tmp_path)
    monkeypatch.setattr("crossfade.evaluation.run._code", lambda: "other")
    assert measured(tmp_path)[0].asked == 9


@pytest.mark.parametrize("at_once", [1, 3, 8])
def test_how_many_are_asked_at_once_changes_no_answer(tmp_path: Path, at_once: int) -> None:
    made, _ = measured(tmp_path, at_once=at_once)
    (tmp_path / "other").mkdir()
    alone, _ = measured(tmp_path / "other", at_once=1)
    assert {n: [r and r.text for r in f] for n, f in made.results.items()} == {
        n: [r and r.text for r in f] for n, f in alone.results.items()
    }


def test_modes_of_one_blend_follow_each_other(tmp_path: Path) -> None:
    _, engine = measured(tmp_path, at_once=1)
    blends = [asked.blend for asked in engine.asked]
    assert blends == sorted(blends)


def test_what_cannot_be_asked_is_refused_before_anything_is(tmp_path: Path) -> None:
    for column, error in (
        (Column("x", "magic"), QuestionError),
        (Column("x", "hybrid"), QuestionError),
        (Column("x", "hybrid", (("nobody", 1.0),)), AdapterError),
    ):
        with pytest.raises(error):
            measured(tmp_path, columns=[Column("base", "base"), column])
    assert measured(tmp_path, columns=[Column("base", "base")])[0].asked == 3, "nothing had been asked"


def test_results_survive_as_they_were(tmp_path: Path) -> None:
    made, _ = measured(tmp_path)
    store = Store(tmp_path / "results.sqlite")
    for n, result in enumerate(r for found in made.results.values() for r in found):
        assert result
        store.put(str(n), result)
        assert store.get(str(n)) == result
    assert store.get("nothing") is None
    store.close()


def test_a_result_of_another_version_counts_as_none(tmp_path: Path) -> None:
    store = Store(tmp_path / "results.sqlite")
    with sqlite3.connect(tmp_path / "results.sqlite") as db:
        db.execute("INSERT INTO results VALUES ('old', '{\"text\": 1}'), ('torn', '{')")
    assert (store.get("old"), store.get("torn")) == (None, None)
    store.close()


def test_a_file_that_is_no_store_is_told_and_kept(tmp_path: Path) -> None:
    path = tmp_path / "results.sqlite"
    path.write_text("something else, and longer than a header of a database would be")
    with pytest.raises(SettingsError, match="move the file away"):
        Store(path)
    assert path.read_text().startswith("something else")


def test_keys_hang_on_every_value_and_on_no_order() -> None:
    assert key_of(a=1, b=[2]) == key_of(b=[2], a=1)
    assert len({key_of(a=1), key_of(a=2), key_of(b=1), key_of(a="1")}) == 4


def test_a_killed_process_loses_no_answer_that_was_stored(tmp_path: Path) -> None:
    import os
    import subprocess
    import sys

    script = (
        "import os, sys\nfrom pathlib import Path\nfrom crossfade.evaluation.results import Result, Store\n"
        "store = Store(Path(sys.argv[1]))\nfor n in range(20):\n    store.put(str(n), Result(text=str(n)))\n"
        "os.kill(os.getpid(), 9)\n"
    )
    path = tmp_path / "results.sqlite"
    done = subprocess.run([sys.executable, "-c", script, str(path)], env={**os.environ}, check=False)
    assert done.returncode == -9
    store = Store(path)
    assert [store.get(str(n)) for n in range(20)] == [Result(text=str(n)) for n in range(20)]
    store.close()
