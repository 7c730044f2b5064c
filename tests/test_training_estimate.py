"""Laws of the estimate: more of anything takes more, and the parts are the formula's."""

from __future__ import annotations

from dataclasses import replace

import pytest

from crossfade.errors import TrainingError
from crossfade.training.estimate import Machine, Plan, Size, estimate

SIZE = Size(parameters=1_000_000, layers=10, hidden=64, trainable=10_000, added=10_000)
PLAN = Plan(Machine(100.0), SIZE)


def test_time_is_tokens_times_epochs_by_speed() -> None:
    assert estimate(12_000, PLAN).minutes == 2
    assert estimate(12_000, replace(PLAN, epochs=3)).minutes == 6
    assert estimate(12_000, replace(PLAN, machine=Machine(200.0))).minutes == 1


def test_memory_is_weights_gradients_optimizer_and_activations() -> None:
    made = estimate(1, PLAN)
    assert (made.weights, made.gradients, made.optimizer) == (4_040_000, 40_000, 80_000)
    assert made.activations == 1024 * 10 * 64 * 68
    assert made.memory == made.weights + made.gradients + made.optimizer + made.activations


def test_training_all_parameters_takes_sixteen_bytes_of_each_and_an_adapter_much_less() -> None:
    full = estimate(1, replace(PLAN, size=replace(SIZE, trainable=1_000_000, added=0)))
    assert full.memory - full.activations == 16_000_000
    assert estimate(1, PLAN).memory < full.memory


def test_four_bits_shrink_the_weights_alone() -> None:
    small = estimate(1, replace(PLAN, size=replace(SIZE, weight_bytes=0.5)))
    assert small.weights == 500_000 + 40_000
    assert (small.minutes, small.gradients, small.activations) == (
        (made := estimate(1, PLAN)).minutes,
        made.gradients,
        made.activations,
    )


def test_whether_it_fits_is_said_where_the_machine_s_memory_is_known() -> None:
    need = estimate(1, PLAN).memory
    fits = [estimate(1, replace(PLAN, machine=Machine(100.0, memory))).fits for memory in (0, need - 1, need)]
    assert fits == [None, False, True]


@pytest.mark.parametrize("speed", [0.0, -1.0, float("nan")])
def test_a_speed_that_is_none_is_refused(speed: float) -> None:
    with pytest.raises(TrainingError, match="must be above 0"):
        estimate(1, replace(PLAN, machine=Machine(speed)))
