"""Which parameters of a run are kept, by what its measurements of the held-out rows said."""

from __future__ import annotations

import random
from collections.abc import Sequence

import pytest

from crossfade.training.best import (
    CLEAR,
    Measurement,
    best_of,
    gets_worse,
    is_clearly_worse,
    kept_of,
)


def at(step: int, rows: Sequence[float]) -> Measurement:
    return Measurement(step, sum(rows) / len(rows), tuple(rows))


def noisy(step: int, mean: float, spread: float, seed: int = 0) -> Measurement:
    draw = random.Random(f"{seed} {step}")
    return at(step, [draw.gauss(mean, spread) for _ in range(48)])


BASE = noisy(0, 3.0, 0.5)


def test_a_last_step_that_is_worse_by_less_than_chance_is_kept() -> None:
    half, last = noisy(10, 0.64, 0.3), noisy(20, 0.64, 0.3)
    half = at(10, [loss - sum(half.rows) / 48 + 0.635 for loss in half.rows])
    last = at(20, [loss - sum(last.rows) / 48 + 0.644 for loss in last.rows])
    assert best_of([BASE, half, last]) is half
    assert kept_of([BASE, half, last], steps=20) is last


def test_a_step_that_is_clearly_better_than_the_last_one_is_kept() -> None:
    half, last = noisy(10, 0.6, 0.2), noisy(20, 1.2, 0.2)
    assert kept_of([BASE, half, last], steps=20) is half


def test_a_small_growth_of_every_row_is_clear_though_the_rows_differ_much() -> None:
    half = noisy(10, 2.0, 1.0)
    assert is_clearly_worse(at(20, [loss + 0.01 for loss in half.rows]), half)
    assert not is_clearly_worse(at(20, [loss - 0.01 for loss in half.rows]), half)


def test_the_border_is_two_standard_errors_of_the_paired_difference() -> None:
    half = at(10, [1.0] * 4)  # grows of 1 + x and 1 - x: their sum is 4, its standard error sqrt(4 / 3 * 4 * x * x)
    border = 4 / CLEAR / (16 / 3) ** 0.5
    for x, clear in ((0.99 * border, True), (1.01 * border, False)):
        assert is_clearly_worse(at(20, [2 + x, 2 - x, 2 + x, 2 - x]), half) is clear


def test_a_run_that_did_not_come_to_its_end_keeps_the_least_loss() -> None:
    half, later = at(10, [0.6, 0.9, 0.3]), at(15, [0.9, 0.6, 0.31])
    assert not is_clearly_worse(later, half)
    assert kept_of([BASE, half, later], steps=20) is half


@pytest.mark.parametrize("rows", [(), (2.0,)])
def test_of_fewer_than_two_rows_nothing_is_clear(rows: tuple[float, ...]) -> None:
    early, last = Measurement(10, 1.0, tuple(row - 1 for row in rows)), Measurement(20, 2.0, rows)
    assert kept_of([early, last], steps=20) is last


def test_what_was_not_learned_is_never_kept() -> None:
    worse = noisy(20, 9.0, 0.1)
    assert kept_of([BASE, worse], steps=20) is worse
    assert kept_of([BASE], steps=20) is None
    assert kept_of([], steps=20) is None


def test_a_run_ends_early_only_where_it_is_clearly_worse_and_stays_so() -> None:
    best = noisy(1, 0.6, 0.1)
    worse, worst, as_good = noisy(2, 1.0, 0.1), noisy(3, 1.2, 0.1), at(3, [loss + 0.001 for loss in best.rows[::-1]])
    assert gets_worse([BASE, best, worse, worst], patience=2)
    assert not gets_worse([BASE, best, worse, worst], patience=0)
    assert not gets_worse([BASE, worse, worst], patience=2), "there is nothing to go back to"
    assert not gets_worse([BASE, best, worse, as_good], patience=2)
    assert not gets_worse([BASE, best, worse], patience=2)
