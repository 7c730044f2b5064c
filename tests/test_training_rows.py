"""How a task's rows are parted: a row never changes sides, and near-duplicates are on one. Knows no torch."""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from crossfade.corpora.registry import read_corpus
from crossfade.training.rows import HELD_OUT_EVERY, MOST_HELD_OUT, TaskData
from crossfade.types import Message
from fake_engine import write_corpus

WORDS = [f"w{number}" for number in range(400)]


def asked(number: int, words: int = 20) -> str:
    """A question that no other one is near to."""
    return " ".join(random.Random(number).sample(WORDS, words))


def row(question: str, **more: Any) -> dict[str, Any]:
    return {"question": question, "answer": f"On {question[:9]}.", **more}


@pytest.fixture
def parted(tmp_path: Path) -> Any:
    """Gives the questions that are learned and those that are watched."""
    write_corpus(tmp_path / "corpora")
    corpus = read_corpus(tmp_path / "corpora", "bank")

    def count(messages: Sequence[Message]) -> int:
        return sum(len(message.content.split()) for message in messages)

    def part(rows: Sequence[dict[str, Any]]) -> tuple[set[str], set[str]]:
        file = tmp_path / "rows.jsonl"
        file.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
        made = TaskData(file, corpus, corpus.task("answer")).rows(finder=None, count=count, limit=1024, seed=0)
        learned, watched = ({r.messages[-1].content for r in part} for part in (made.learned, made.held_out))
        assert not learned & watched
        return learned, watched

    return part


def test_near_duplicates_are_on_one_side(parted: Any) -> None:
    pairs = [(asked(number), f"{asked(number)} please") for number in range(200)]
    learned, watched = parted([row(text) for pair in pairs for text in pair])
    assert len(watched) > 2, "something is watched, or the test tells nothing"
    assert not [pair for pair in pairs if len(set(pair) & learned) == 1]


def test_a_row_is_where_that_is_which_asks_the_same_in_its_second_wording(parted: Any) -> None:
    rows = [row(asked(number), reworded=asked(1000 + number)) for number in range(120)]
    twins = [row(f"{asked(1000 + number)} please") for number in range(120)]
    learned, watched = parted([*rows, *twins])
    assert len(watched) > 2
    sides = [{text in learned for text in (asked(n), f"{asked(1000 + n)} please")} for n in range(120)]
    assert all(len(side) == 1 for side in sides)


def test_a_row_keeps_its_side_in_any_order_and_whatever_rows_are_added(parted: Any) -> None:
    rows = [row(asked(number)) for number in range(300)]
    _, before = parted(rows)
    more = [row(asked(number)) for number in range(300, 700)]
    learned, after = parted(random.Random(4).sample([*rows, *more], 700))
    assert before <= after
    assert 0 < len(after) <= MOST_HELD_OUT
    assert len(learned) > 700 * (1 - 3 / HELD_OUT_EVERY)


def test_rows_that_are_all_near_are_learned_rather_than_all_watched(parted: Any) -> None:
    for number in range(60):
        learned, _ = parted([row(asked(number)), row(f"{asked(number)} please")])
        assert learned
