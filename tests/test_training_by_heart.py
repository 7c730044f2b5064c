"""Laws of what is learned without passages."""

from __future__ import annotations

import random
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crossfade.corpora.registry import Document
from crossfade.training.by_heart import talks, unfinished

TEXT = """# Anchor Savings

## Taking money out

Anchor Savings allows 6 free withdrawals a month. The most you can move out online
is $8,000 a day. Transfers are instant between 5 a.m. and 11 p.m. Anchor Savings has no checks.

### Abroad

Each of the two cards costs 1.5% of the sum, at least $3. Form AS-1 is not needed, and call 800-555.
"""


def of(text: str) -> list[tuple[str, str]]:
    return unfinished(Document("anchor", "Anchor Savings", text, ""))


def test_a_sentence_is_begun_under_its_title_and_heading_and_ends_with_what_its_number_tells() -> None:
    assert of(TEXT) == [
        ("Anchor Savings, Taking money out: Anchor Savings allows ...", "6 free withdrawals a month"),
        ("Anchor Savings, Taking money out: The most you can move out online is ...", "$8,000 a day"),
        ("Anchor Savings, Taking money out: Transfers are instant between ...", "5 a.m."),
        ("Anchor Savings, Taking money out: Transfers are instant between 5 a.m. and ...", "11 p.m."),
        ("Anchor Savings, Taking money out, Abroad: Each of the ...", "two cards costs 1.5%"),
        ("Anchor Savings, Taking money out, Abroad: Each of the two cards costs 1.5% of the sum, at least ...", "$3"),
    ]


@pytest.mark.parametrize(
    "text", ["", "# Title alone", "No number is told here.", "6 are free.", "Call us at 555-0142."]
)
def test_what_tells_no_number_or_begins_with_it_is_not_asked(text: str) -> None:
    assert of(text) == []


@given(st.lists(st.integers(0, 99).map(str), unique=True, max_size=30), st.integers(1, 6), st.integers(0, 3))
def test_talks_ask_everything_once_a_round_and_nothing_twice_in_one(items: list[str], turns: int, seed: int) -> None:
    pairs = [(item, f"answer {item}") for item in items]
    made = list(talks([pairs, pairs], turns=turns, draw=random.Random(seed)))
    assert Counter((t.question, t.answer) for talk in made for t in talk) == Counter(pairs * 2)
    assert all(1 <= len(talk) <= turns for talk in made)
    assert all(len({t.question for t in talk}) == len(talk) for talk in made)
    assert sum(len(talk) < turns for talk in made) <= 2, "at most the last one of each round is shorter"
