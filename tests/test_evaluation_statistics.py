"""The statistics against outside truth: textbook values, closed forms, and simulated modes of known quality."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crossfade.evaluation.statistics import (
    bootstrap_means,
    design_effect,
    differences,
    estimate,
    holm,
    questions_needed,
    sign_test,
    winners,
)

law = settings(deadline=None)
"""The first example loads scipy, which takes seconds on a busy machine."""
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


@law
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
    assert estimate([1.0] * 20, [str(n // 4) for n in range(20)]).low == pytest.approx(few.low), "five documents"
    none = estimate([0.0] * 5, gaps=True)
    assert (none.low, none.high) == (0.0, 0.0)


def test_large_sets_are_drawn_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    values = np.random.default_rng(0).random(5000)
    assert bootstrap_means(values).std() == pytest.approx(values.std() / math.sqrt(5000), rel=0.03)
    few, names = values[:60], [str(n // 3) for n in range(60)]
    whole = [bootstrap_means(few), bootstrap_means(few, names)]
    monkeypatch.setattr("crossfade.evaluation.statistics._AT_ONCE", 7_777)
    assert np.allclose([bootstrap_means(few), bootstrap_means(few, names)], whole), "the parts are the same draws"


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
def test_without_clusters_the_test_is_mcnemar_s_exact_one(gained: int, lost: int, p: float) -> None:
    gaps = [1.0] * gained + [-1.0] * lost + [0.0] * 7
    assert sign_test(gaps) == pytest.approx(p)
    assert sign_test([-gap for gap in gaps]) == pytest.approx(p)
    assert sign_test(gaps, [str(n) for n in range(len(gaps))]) == pytest.approx(p), "each its own cluster"


@law
@given(st.lists(st.tuples(st.sampled_from([-1.0, 0.0, 1.0]), st.integers(0, 4)), min_size=1, max_size=14))
def test_with_clusters_the_test_counts_every_way_to_sign_them(pairs: list[tuple[float, int]]) -> None:
    gaps, clusters = [gap for gap, _ in pairs], [str(cluster) for _, cluster in pairs]
    sums = [sum(gap for gap, c in zip(gaps, clusters, strict=True) if c == name) for name in sorted(set(clusters))]
    ways = [abs(sum(s * sign for s, sign in zip(sums, signs, strict=True))) for signs in signings(len(sums))]
    assert sign_test(gaps, clusters) == pytest.approx(sum(way >= abs(sum(sums)) for way in ways) / len(ways))


def signings(count: int) -> list[tuple[int, ...]]:
    return list(itertools.product((-1, 1), repeat=count))


def test_the_design_effect_is_the_ratio_of_the_two_bootstraps() -> None:
    draw = np.random.default_rng(2)
    right, clusters = clustered(draw, 60, 5)
    gaps = np.asarray(right["better"]) - np.asarray(right["other"])
    ratio = bootstrap_means(gaps, clusters).var() / bootstrap_means(gaps).var()
    assert design_effect(gaps.tolist(), clusters) == pytest.approx(ratio, rel=0.06)
    assert ratio > 1.5
    assert design_effect(gaps.tolist(), None) == 1.0
    copies = np.repeat(gaps, 4).tolist()
    assert design_effect(copies, [str(n // 4) for n in range(len(copies))]) == pytest.approx(4.0)


def test_holm_is_the_published_procedure() -> None:
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.9, 0.8]) == [1.0, 1.0]
    assert holm([]) == []


@law
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


def clustered(
    draw: np.random.Generator, documents: int, each: int = 6, *, gain: float = 0.0
) -> tuple[dict[str, list[float]], list[str]]:
    """Two modes on documents of so many questions, on each of which one of them is better by what the document is."""
    lean = draw.normal(gain, 0.35, (documents, 1))
    better, other = (draw.random((documents, each)) < np.clip(0.5 + part, 0, 1) for part in (lean / 2, -lean / 2))
    right = {"better": better.astype(float).ravel().tolist(), "other": other.astype(float).ravel().tolist()}
    return right, [str(n // each) for n in range(documents * each)]


def test_equal_modes_on_shared_documents_have_no_winner_and_by_question_they_would_have_one_too_often() -> None:
    draw = np.random.default_rng(4)
    runs = [clustered(draw, 40) for _ in range(100)]
    by_document = sum(differences(right, clusters)[0].settled for right, clusters in runs)
    by_question = sum(sign_test(gaps_of(right)) < 0.05 for right, _ in runs)
    assert by_document <= 9
    assert by_question >= 12


def gaps_of(right: dict[str, list[float]]) -> list[float]:
    return [a - b for a, b in zip(right["better"], right["other"], strict=True)]


def test_the_questions_needed_on_shared_documents_have_the_promised_power_and_by_question_too_few_are_asked_for() -> (
    None
):
    draw = np.random.default_rng(5)
    pilot, clusters = clustered(draw, 2000, gain=0.25)
    enough, too_few = questions_needed(gaps_of(pilot), clusters), questions_needed(gaps_of(pilot))
    assert enough
    assert too_few
    assert enough > 1.7 * too_few

    def power(total: int) -> float:
        found = (differences(*clustered(draw, round(total / 6), gain=0.25))[0] for _ in range(80))
        return sum(d.settled and d.first == "better" for d in found) / 80

    assert 0.7 <= power(enough) <= 0.97
    assert power(too_few) < 0.65


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
