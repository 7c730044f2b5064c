"""What is measured of a person's adapter stands in its card; what ships, and what is another's, is left alone."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import handmade_adapters as made
from crossfade.abstention import CARD_KEY
from crossfade.adapters.facts import facts_of
from crossfade.adapters.ownership import set_owner
from crossfade.adapters.peft_files import CARD_FILE, read_adapter
from crossfade.evaluation.card_scores import MOST_SETS, keep_scores
from crossfade.evaluation.questions import EvalQuestion
from crossfade.evaluation.report import Report, build_report
from crossfade.evaluation.results import Result
from crossfade.evaluation.run import Column, Run
from crossfade.settings import Settings
from crossfade.types import Blend

MINE: Blend = (("mine", 1.0),)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    settings = Settings(home=tmp_path / "home", corpora=tmp_path, adapters=tmp_path / "shipped")
    made.write(settings.my_adapters / "mine", card={"purpose": "Tickets", "base_sha256": "ab", "scores": {}})
    made.write(settings.adapters / "domain", card={"scores": {}}, tensors=made.matrices(seed=3))
    return settings


def report(
    settings: Settings, right: Mapping[str, Sequence[bool | None]], blend: Blend = MINE, name: str = "own.jsonl"
) -> Report:
    """A report of modes that were right or wrong as given, None where they were stopped before."""
    count = len(next(iter(right.values())))
    asked = tuple(EvalQuestion(id=f"q{n}", text=f"Number {n}?", line=n + 1, answers=(f"${n}",)) for n in range(count))
    columns = tuple(Column(mode, mode, blend if mode in ("fine-tune", "hybrid") else ()) for mode in right)
    folder = {"mine": settings.my_adapters, "domain": settings.adapters}

    def result(column: Column, n: int, good: bool | None) -> Result | None:
        used = tuple((a, weight, read_adapter(folder[a] / a).sha256) for a, weight in column.blend)
        return None if good is None else Result(text=f"${n if good else n + 1000}", adapters=used, new_tokens=3)

    results = {c.name: tuple(result(c, n, good) for n, good in enumerate(right[c.name])) for c in columns}
    about = {"title": "Test", "questions": name, "task": "answer", "when": "2026-11-20 10:02 UTC"}
    return build_report(Run(asked, columns, results, 0, 1.0), about=about)


def scores(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / CARD_FILE).read_text())["scores"]
    return found


RIGHT = {"base": [False] * 10, "rag": [True] * 10, "fine-tune": [True] * 8 + [False] * 2, "hybrid": [True] * 10}


def test_each_mode_of_the_adapter_alone_is_in_its_card_with_set_task_count_interval_and_time(
    settings: Settings,
) -> None:
    measured = report(settings, RIGHT)
    assert keep_scores(measured, settings) == ("mine",)
    found = scores(settings.my_adapters / "mine")["own.jsonl, answer"]
    assert list(found) == ["base", "fine-tune", "hybrid"], "rag says nothing of the adapter"
    tuned = found["fine-tune"]
    assert (tuned["n"], tuned["when"], tuned["right"][0]) == (10, "2026-11-20 10:02 UTC", 0.8)
    assert tuned["right"][1] < 0.8 < tuned["right"][2]
    card = json.loads((settings.my_adapters / "mine" / CARD_FILE).read_text())
    assert (card["purpose"], card["base_sha256"]) == ("Tickets", "ab"), "the rest stays"
    (score,) = [s for s in facts_of(read_adapter(settings.my_adapters / "mine")).scores if s[:3] == KEY]
    assert (score.value, score.n, score.low) == (0.8, 10, tuned["right"][1])


KEY = ("own.jsonl, answer", "right", "fine-tune")


def test_what_ships_is_never_written_to(settings: Settings) -> None:
    before = (settings.adapters / "domain" / CARD_FILE).read_bytes()
    assert keep_scores(report(settings, RIGHT, blend=(("domain", 1.0),)), settings) == ()
    assert (settings.adapters / "domain" / CARD_FILE).read_bytes() == before


@pytest.mark.parametrize("blend", [(("mine", 0.5),), (("mine", 1.0), ("domain", 1.0))])
def test_a_blend_says_nothing_of_one_adapter(settings: Settings, blend: Blend) -> None:
    assert keep_scores(report(settings, RIGHT, blend=blend), settings) == ()


def test_a_column_that_was_stopped_takes_no_whole_one_s_place(settings: Settings) -> None:
    keep_scores(report(settings, RIGHT), settings)
    before = scores(settings.my_adapters / "mine")
    assert keep_scores(report(settings, {"base": [True, True], "hybrid": [True, None]}), settings) == ()
    assert scores(settings.my_adapters / "mine") == before


def test_the_newest_set_comes_first_and_the_oldest_go(settings: Settings) -> None:
    for number in range(MOST_SETS + 2):
        keep_scores(report(settings, {"hybrid": [True, False]}, name=f"{number}.jsonl"), settings)
    names = list(scores(settings.my_adapters / "mine"))
    assert (len(names), names[0], names[-1]) == (MOST_SETS, f"{MOST_SETS + 1}.jsonl, answer", "2.jsonl, answer")


def test_another_adapter_that_has_the_name_by_now_gets_no_figure(settings: Settings) -> None:
    measured = report(settings, RIGHT)
    made.write(settings.my_adapters / "mine", card={"scores": {}}, tensors=made.matrices(seed=9))
    assert keep_scores(measured, settings) == ()


def test_a_visitor_writes_into_the_card_of_their_own_adapter_alone(settings: Settings) -> None:
    measured = report(settings, RIGHT)
    assert keep_scores(measured, settings, person="ann") == (), "of whoever runs the page"
    set_owner(settings.my_adapters / "mine", "ann")
    assert keep_scores(measured, settings, person="bob") == ()
    assert keep_scores(measured, settings, person="ann") == ("mine",)


def test_a_card_that_is_being_made_by_another_process_costs_no_report(settings: Settings) -> None:
    from crossfade.adapters.swap import workplace

    with workplace(settings.my_adapters / "mine"):
        assert keep_scores(report(settings, RIGHT), settings) == ()


def test_what_was_measured_since_makes_it_no_other_adapter_for_an_engine(settings: Settings) -> None:
    before = read_adapter(settings.my_adapters / "mine")
    keep_scores(report(settings, RIGHT), settings)
    after = read_adapter(settings.my_adapters / "mine")
    assert after != before
    assert after.serves_like(before)
    assert after.serves_like(replace(before, card={**before.card, CARD_KEY: {"below": 0.2}}))
    assert not after.serves_like(None)
    assert not after.serves_like(replace(before, card={**before.card, "base_sha256": "cd"}))
