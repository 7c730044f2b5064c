"""Laws of the split: a row's side is its own, near-duplicates go together, and neither side is empty."""

from __future__ import annotations

import itertools
import random
from collections.abc import Sequence

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from crossfade.errors import TrainingError
from crossfade.training.data import TrainingRow
from crossfade.training.forms import Example
from crossfade.training.near import near_groups
from crossfade.training.split import Split, split
from crossfade.types import Message

WORDS = [f"word{n}" for n in range(400)]


def examples(texts: Sequence[str]) -> list[Example]:
    return [Example(n, TrainingRow((Message("user", text),), "yes"), text) for n, text in enumerate(texts, start=1)]


def unlike(count: int, seed: int = 0) -> list[str]:
    """Texts of which none is near another."""
    draw = random.Random(seed)
    return [" ".join(draw.sample(WORDS, 8)) for _ in range(count)]


def held_out(made: Split) -> set[str]:
    return {example.asked for example in made.held_out}


@given(texts=st.lists(st.text("abc ", max_size=8), min_size=2, max_size=12), share=st.floats(0.01, 0.99))
def test_every_row_is_on_one_side_and_neither_side_is_empty(texts: list[str], share: float) -> None:
    assume(len(near_groups(texts)) > 1)
    rows = examples(texts)
    made = split(rows, share)
    assert sorted([*made.learned, *made.held_out], key=lambda example: example.line) == rows
    assert made.learned
    assert made.held_out


@settings(max_examples=40, deadline=None)
@given(count=st.integers(100, 140), seed=st.integers(0, 50))
def test_a_row_never_changes_sides_when_others_are_added_or_the_file_is_shuffled(count: int, seed: int) -> None:
    texts = unlike(200, seed)
    assume(len(near_groups(texts)) == len(texts))
    few, all_of_them = held_out(split(examples(texts[:count]))), held_out(split(examples(texts)))
    assert few == all_of_them & set(texts[:count])
    assert held_out(split(examples(random.Random(seed).sample(texts, len(texts))))) == all_of_them


def test_a_larger_share_keeps_what_was_held_out() -> None:
    texts = unlike(300)
    sides = [held_out(split(examples(texts), share)) for share in (0.05, 0.1, 0.3, 0.6)]
    assert all(small < large for small, large in itertools.pairwise(sides))


def test_case_spaces_and_what_all_rows_share_move_no_row() -> None:
    texts = unlike(100)
    plain = split(examples(texts))
    changed = [
        Example(e.line, TrainingRow((Message("system", "Be kind."), Message("user", f"Say: {e.asked}")), "no"), text)
        for e, text in zip(examples(texts), (f" {t.upper()}\n" for t in texts), strict=True)
    ]
    assert [e.line for e in split(changed).held_out] == [e.line for e in plain.held_out]


def test_near_duplicates_stay_together_and_contradictions_with_them() -> None:
    texts = [text for base in unlike(200) for text in (f"{base} one two three", f"{base} one two three!", base.upper())]
    place = {number: group for group in near_groups(texts) for number in group}
    out = {example.line - 1 for example in split(examples(texts)).held_out}
    assert all(set(place[number]) <= out for number in out)


def test_a_group_of_many_is_held_out_no_more_often_than_a_row_alone() -> None:
    groups = [[f"{text} number {n}" for n in range(20)] for text in unlike(400)]
    texts = [text for group in groups for text in group]
    numbers = [tuple(range(20 * n, 20 * n + 20)) for n in range(400)]
    rows = split(examples(texts), groups=numbers).held_out
    assert 0.05 < len(rows) / len(texts) < 0.16


def test_the_share_is_about_what_was_asked_for() -> None:
    for share in (0.05, 0.1, 0.3):
        made = split(examples(unlike(2000)), share)
        assert abs(len(made.held_out) / 2000 - share) < 0.03


@pytest.mark.parametrize(
    ("texts", "told"), [(["a"], "1 row, line 1, cannot"), (["a b", "A  b", "a b!"], "3 rows, all almost")]
)
def test_one_row_or_one_text_cannot_be_split(texts: list[str], told: str) -> None:
    with pytest.raises(TrainingError, match=f"{told}.*At least 2 rows that ask different things are needed"):
        split(examples(texts))


def test_no_rows_cannot_be_split_and_a_share_is_between_0_and_1() -> None:
    with pytest.raises(TrainingError, match="At least 2 rows"):
        split([])
    for share in (0.0, 1.0, -1.0, float("nan")):
        with pytest.raises(TrainingError, match="must be between 0 and 1"):
            split(examples(unlike(3)), share)
