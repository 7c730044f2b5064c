"""The statistics against outside truth: textbook values, closed forms, and simulated modes of known quality."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from crossfade.evaluation.statistics import (
    bootstrap_means,
    differences,
    estimate,
    holm,
    mcnemar,
    questions_needed,
    winners,
)

yes_no = st.lists(st.sampled_from([0.0, 1.0]), min_size=1, max_size=40)


def simulated(
    draw: np.random.Generator, count: int, *, gain: float = 0.0, agreement: float = 0.7
) -> dict[str, list[float]]:
    """Two modes on the same questions: the better one gains `gain` points, and both agree on most questions."""
    shared, alike = draw.random(count) < 0.5, draw.random(count) < agreement
    half = gain / 2 / (1 - agreement)
    better, other = (np.where(alike, shared, draw.random(count) < 0.5 + part) for part in (half, -half))
    return {"better": better.astype(float).tolist(), "other": other.astype(float).tolist()}


def named(right: dict[str, list[float]]) -> list[str]:
    return winners(right, differences(right))


@given(yes_no, st.integers(0, 5))
def test_the_interval_holds_the_mean_and_the_same_seed_gives_the_same(scores: list[float], seed: int) -> None:
    found = estimate(scores, seed=seed)
    assert 0 <= found.low <= found.mean <= found.high <= 1
    assert found.mean == pytest.approx(sum(scores) / len(scores))
    assert found == estimate(scores, seed=seed)


def test_all_right_is_not_certain() -> None:
    few, many = estimate([1.0] * 5), estimate([1.0] * 500)
    assert few.low < 0.6 < many.low < few.high == pytest.approx(1.0)
    assert estimate([0.0] * 5).high == pytest.approx(1 - few.low)
    lost = estimate([-1.0] * 5, gaps=True)
    assert (lost.low, lost.high) == (pytest.approx(-1.0), pytest.approx(-few.low))
    none = estimate([0.0] * 5, gaps=True)
    assert (none.low, none.high) == (0.0, 0.0)


def test_large_sets_are_drawn_in_parts() -> None:
    values = np.random.default_rng(0).random(5000)
    assert bootstrap_means(values).std() == pytest.approx(values.std() / math.sqrt(5000), rel=0.03)


def test_a_mode_that_any_other_beats_is_no_winner() -> None:
    right = {"a": [1.0] * 20 + [0.0] * 8, "b": [0.0] * 9 + [1.0] * 10 + [0.0] * 9}
    right["c"] = [1.0] * 9 + right["b"][9:]
    found = differences(right)
    beaten = {d.second for d in found if d.settled}
    assert not beaten & set(winners(right, found))


def test_no_score_has_no_mean() -> None:
    with pytest.raises(ValueError, match="no score"):
        estimate([])


@pytest.mark.parametrize("count", [30, 300])
def test_the_bootstrap_error_is_the_analytic_one_within_two_percent(count: int) -> None:
    values = np.random.default_rng(count).random(count)
    analytic = values.std() / math.sqrt(count)
    assert bootstrap_means(values).std() == pytest.approx(analytic, rel=0.02)


def test_clusters_of_one_give_the_plain_error_and_clusters_of_copies_that_of_one_each() -> None:
    values = np.random.default_rng(1).random(200)
    plain = bootstrap_means(values).std()
    assert bootstrap_means(values, [str(n) for n in range(200)]).std() == pytest.approx(plain, rel=0.03)
    fourfold, names = np.repeat(values, 4), np.repeat([str(n) for n in range(200)], 4)
    assert bootstrap_means(fourfold, names.tolist()).std() == pytest.approx(plain, rel=0.03)
    assert bootstrap_means(fourfold).std() == pytest.approx(plain / 2, rel=0.03), "as if they were four times as many"


@pytest.mark.parametrize(
    ("gained", "lost", "p"),
    [(0, 0, 1.0), (5, 0, 0.0625), (6, 0, 0.03125), (10, 0, 2 / 2**10), (8, 2, 0.109375), (3, 3, 1.0)],
)
def test_mcnemar_is_the_exact_binomial_test(gained: int, lost: int, p: float) -> None:
    assert mcnemar(gained, lost) == pytest.approx(p)
    assert mcnemar(lost, gained) == pytest.approx(p)


def test_holm_is_the_published_procedure() -> None:
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.9, 0.8]) == [1.0, 1.0]
    assert holm([]) == []


@given(st.lists(st.floats(0, 1), min_size=1, max_size=10))
def test_holm_never_lowers_a_p_value_and_keeps_their_order(p_values: list[float]) -> None:
    adjusted = holm(p_values)
    assert all(p <= a <= 1 for p, a in zip(p_values, adjusted, strict=True))
    order = sorted(range(len(p_values)), key=p_values.__getitem__)
    assert [adjusted[i] for i in order] == sorted(adjusted)


def test_a_mode_against_itself_is_no_difference_that_questions_could_settle() -> None:
    scores = [1.0, 0.0, 1.0, 1.0]
    (found,) = differences({"a": scores, "b": scores})
    assert (found.estimate.mean, found.gained, found.lost, found.p, found.more) == (0, 0, 0, 1, None)
    assert (found.estimate.low, found.estimate.high) == (0, 0)
    assert named({"a": scores, "b": scores}) == ["a", "b"]


def test_the_better_one_comes_first_and_gains_and_losses_are_counted() -> None:
    (found,) = differences({"a": [0, 0, 1, 0.0], "b": [1, 1, 0, 0.0]})
    assert (found.first, found.second, found.gained, found.lost) == ("b", "a", 2, 1)
    assert found.estimate.mean == pytest.approx(0.25)
    assert found.more


def test_fewer_than_six_questions_that_differ_settle_nothing() -> None:
    needed = questions_needed([1.0] * 5, tests=10)
    assert needed == 9, "2 * 0.5**9 * 10 < 0.05"
    for count in range(1, 9):
        right = {"a": [1.0] * count + [0.0] * 20, "b": [0.0] * (count + 20)}
        (found,) = differences(right)
        assert found.settled == (count >= 6)


@pytest.mark.parametrize("gain", [0.05, 0.1, 0.2])
def test_as_many_questions_as_asked_for_settle_a_difference_at_the_promised_power(gain: float) -> None:
    draw = np.random.default_rng(7)
    pilot = simulated(draw, 40_000, gain=gain)
    total = questions_needed([a - b for a, b in zip(pilot["better"], pilot["other"], strict=True)])
    assert total
    found = sum(named(simulated(draw, total, gain=gain)) == ["better"] for _ in range(60))
    assert 0.65 <= found / 60 <= 0.95


def rate(runs: int, **how: float) -> float:
    draw = np.random.default_rng(0)
    return sum(len(named(simulated(draw, 300, **how))) == 1 for _ in range(runs)) / runs


def test_equal_modes_have_no_winner_nearly_always() -> None:
    """The full count of 1,000 runs is in benchmarks/evaluator.py."""
    assert rate(60) <= 0.07 + 0.06


def test_a_planted_gain_of_fifteen_points_is_found() -> None:
    assert rate(60, gain=0.15) >= 0.9 - 0.05


def test_shuffled_scores_have_no_winner() -> None:
    draw = np.random.default_rng(3)
    right = simulated(draw, 300, gain=0.3)
    assert named(right) == ["better"]
    pooled = [*right["better"], *right["other"]]
    found = 0
    for _ in range(40):
        mixed = draw.permutation(pooled).tolist()
        found += len(named({"a": mixed[:300], "b": mixed[300:]})) == 1
    assert found <= 5
