"""Laws of near-duplicates: what is called near is near, what is near is found, in any order, and soon."""

from __future__ import annotations

import random
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crossfade.training.near import FEW, NEAR, jaccard, near_groups, normalised, shingles

SENTENCE = "The monthly fee of the account is waived when the balance stays above the limit for all of the month"
FEW_WORDS = st.lists(st.sampled_from(list("abcde")), max_size=12).map(" ".join)


def alone(*texts: str) -> bool:
    return near_groups(texts) == tuple((n,) for n in range(len(texts)))


@given(texts=st.lists(st.text(max_size=30) | FEW_WORDS, max_size=12))
def test_each_text_is_in_one_group_and_the_same_texts_are_together(texts: list[str]) -> None:
    groups = near_groups(texts)
    assert sorted(number for group in groups for number in group) == list(range(len(texts)))
    place = {number: group for group in groups for number in group}
    assert all(
        place[i] == place[j]
        for i in range(len(texts))
        for j in range(i)
        if normalised(texts[i]) == normalised(texts[j])
    )


@given(texts=st.lists(FEW_WORDS, max_size=10), seed=st.integers(0, 9))
def test_the_order_of_the_texts_changes_no_group(texts: list[str], seed: int) -> None:
    order = random.Random(seed).sample(range(len(texts)), len(texts))
    shuffled = near_groups([texts[n] for n in order])
    assert {frozenset(order[n] for n in group) for group in shuffled} == set(map(frozenset, near_groups(texts)))


@settings(max_examples=60)
@given(texts=st.lists(FEW_WORDS, max_size=FEW))
def test_the_groups_are_those_that_comparing_every_pair_gives(texts: list[str]) -> None:
    sets = [shingles(text) for text in texts]
    leader = list(range(len(texts)))
    for i in range(len(texts)):
        for j in range(i):
            if jaccard(sets[i], sets[j]) >= NEAR and leader[i] != leader[j]:
                leader = [leader[j] if n == leader[i] else n for n in leader]
    assert {frozenset(n for n in range(len(texts)) if leader[n] == k) for k in leader} == set(
        map(frozenset, near_groups(texts))
    )


@pytest.mark.parametrize(
    "other",
    [
        SENTENCE.upper(),
        SENTENCE.replace(" ", "  ") + "\n",
        SENTENCE + "!",
        SENTENCE.replace("fee", "ﬁ fee").replace("ﬁ ", ""),
        SENTENCE + " please",
        SENTENCE.replace("monthly", "yearly"),
    ],
)
def test_a_text_that_is_hardly_changed_is_near(other: str) -> None:
    assert near_groups([SENTENCE, other]) == ((0, 1),)


def test_texts_that_share_their_words_in_another_order_or_half_of_them_are_not_near() -> None:
    words = SENTENCE.split()
    assert alone(SENTENCE, " ".join(reversed(words)), " ".join(words[:10]), "Another text")
    assert alone("", "?", "!?", "Is it $5?", "Is it 5%?")


def test_a_script_without_spaces_is_compared_by_its_signs() -> None:
    text = "この口座の毎月の手数料は残高が限度額を超えている場合は免除されます"
    assert near_groups([text, text + "か", "今日の天気はどうですか"]) == ((0, 1), (2,))


def test_near_is_passed_on() -> None:
    words = [f"w{n}" for n in range(40)]
    chain = [" ".join(words[n : n + 24]) for n in range(0, 8, 2)]
    assert jaccard(shingles(chain[0]), shingles(chain[-1])) < NEAR
    assert near_groups(chain) == ((0, 1, 2, 3),)


def test_rows_of_one_template_are_not_near_for_its_sake_and_their_twins_still_are() -> None:
    texts = [f"{SENTENCE}. The branch is {name}" for name in (*"abcdefghijklmnop", "p!", "Q", "q")]
    assert near_groups(texts) == (*((n,) for n in range(15)), (15, 16), (17, 18))
    assert near_groups(texts[:8]) == (tuple(range(8)),), "of so few it cannot be told what is a template"


@pytest.mark.parametrize("kind", ["random", "alike"])
def test_twenty_thousand_texts_take_seconds_even_where_all_are_built_alike(kind: str) -> None:
    draw = random.Random(1)
    if kind == "random":
        texts = [" ".join(f"w{draw.randrange(5000)}" for _ in range(20)) for _ in range(20_000)]
    else:
        templates = [" ".join(f"w{k}{letter}" for letter in "abcdefghijklmnopqrst") for k in range(40)]
        texts = [f"{templates[n % 40]} number {n}" for n in range(20_000)]
    began = time.process_time()
    groups = near_groups(texts)
    assert time.process_time() - began < 20, "two to four seconds on an idle machine"
    assert len(groups) == (20_000 if kind == "random" else 40)
