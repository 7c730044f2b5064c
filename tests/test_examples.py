from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import ClassVar

import numpy as np
import pytest
from numpy.typing import NDArray

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


class Placed:
    """Each text has its own place on the sphere."""

    places: ClassVar = {"question": (1, 0, 0), "near": (0.8, 0.6, 0), "copy": (0.8, 0.6, 0), "other": (0.7, 0, 0.714)}

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        return np.array([self.places[text] for text in texts], dtype=np.float32)


def test_a_copy_of_what_is_taken_gives_way_to_something_else() -> None:
    examples = [Example(name, "answer") for name in ("near", "copy", "other")]
    chosen = choose("question", examples, Placed(), k=2, budget=99, count=words)
    assert [example.question for example in chosen] == ["other", "near"]


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
