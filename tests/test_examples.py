from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from crossfade.examples import ExampleStore, choose
from crossfade.types import Example
from hashing_embedder import HashingEmbedder

EXAMPLES = tuple(
    Example(question, f"answer {number}")
    for number, question in enumerate(
        [
            "What is the monthly fee of Harbor Checking?",
            "What is the monthly fee of Harbor Checking now?",
            "How do I report a lost card?",
            "Which rate does the mortgage have?",
            "How long does a wire take to arrive?",
        ]
    )
)


def words(example: Example) -> int:
    return len(f"{example.question} {example.answer}".split())


def pick(question: str, *, k: int = 3, budget: int = 1000) -> tuple[Example, ...]:
    return choose(question, EXAMPLES, HashingEmbedder(), k=k, budget=budget, count=words)


@pytest.mark.parametrize("question", ["fee", "How do I report a card?", "é", "a wire to Harbor"])
@pytest.mark.parametrize("k", [-1, 0, 1, 3, 7])
@pytest.mark.parametrize("budget", [-5, 0, 8, 11, 20, 31, 60])
def test_choice_keeps_to_k_and_budget_and_never_repeats(question: str, k: int, budget: int) -> None:
    chosen = pick(question, k=k, budget=budget)
    assert len(chosen) <= max(k, 0)
    assert sum(map(words, chosen)) <= max(budget, 0)
    assert len(set(chosen)) == len(chosen)
    assert set(chosen) <= set(EXAMPLES)


def test_the_nearest_example_stands_last() -> None:
    assert pick("My card is lost, how do I report it?")[-1] == EXAMPLES[2]


def test_a_near_copy_gives_way_to_something_new() -> None:
    chosen = pick("the monthly fee of Harbor Checking, and how do I report a lost card", k=2)
    assert EXAMPLES[2] in chosen
    assert len(set(EXAMPLES[:2]) & set(chosen)) == 1


def test_an_example_too_long_is_passed_over_for_one_that_fits() -> None:
    tight = min(map(words, EXAMPLES))
    chosen = pick("What is the fee?", k=3, budget=tight)
    assert len(chosen) == 1
    assert words(chosen[0]) <= tight


def test_the_very_question_is_never_its_own_example() -> None:
    assert EXAMPLES[2] not in pick("how do I  report a lost card?", k=5)
    assert len(pick("how do I  report a lost card?", k=5)) == 4


@pytest.mark.parametrize(("k", "budget"), [(0, 100), (3, 0)])
def test_nothing_is_embedded_when_nothing_can_be_chosen(k: int, budget: int) -> None:
    embedder = HashingEmbedder()
    assert ExampleStore(EXAMPLES, embedder).choose("fee", k=k, budget=budget, count=words) == ()
    assert ExampleStore((), embedder).choose("fee", k=3, budget=100, count=words) == ()
    assert embedder.embedded == []


def test_a_store_embeds_its_examples_once_even_for_many_threads() -> None:
    embedder = HashingEmbedder()
    store = ExampleStore(EXAMPLES, embedder)
    with ThreadPoolExecutor(8) as pool:
        chosen = list(pool.map(lambda _: store.choose("lost card", k=2, budget=99, count=words), range(32)))
    assert len(set(chosen)) == 1
    assert all(embedder.embedded.count(example.question) == 1 for example in EXAMPLES)
