"""What is told of a run while it goes on, by a clock that the test sets."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from crossfade.training import watch as watch_module
from crossfade.training.best import Measurement
from crossfade.training.record import LoraSettings, TrainingProgress
from crossfade.training.run_folder import RunFolder
from crossfade.training.watch import Watch

STEP, LOOK = 2.0, 30.0
"""Seconds of a step, and of a measurement."""


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    now = SimpleNamespace(seconds=0.0)
    monkeypatch.setattr(watch_module, "time", SimpleNamespace(perf_counter=lambda: now.seconds))
    monkeypatch.setattr(watch_module, "write_state", lambda *args, **kwargs: None)
    return now


def test_the_time_left_counts_the_measurements_to_come_and_the_speed_none(clock: Any, tmp_path: Path) -> None:
    seen: list[TrainingProgress] = []

    def measure(step: int) -> Measurement:
        clock.seconds += LOOK
        return Measurement(step, 1.0)

    watch = Watch(
        None,
        None,  # type: ignore[arg-type]
        LoraSettings(evaluations=3),
        folder=RunFolder(tmp_path / "run"),
        steps=10,
        tokens_a_step=100,
        measure=measure,
        sample=None,
        progress=seen.append,
    )
    watch.begin(0)
    for step in range(1, 11):
        clock.seconds += STEP
        watch.step(step, 1.0, 1.0)
    measured = [progress.step for progress in seen if progress.held_out is not None]
    assert measured == [4, 8, 10]
    left = [10 - p.step for p in seen], [sum(at > p.step for at in measured) for p in seen]
    assert [p.seconds_left for p in seen] == pytest.approx([STEP * a + LOOK * b for a, b in zip(*left, strict=True)])
    assert {p.tokens_per_second for p in seen} == {100 / STEP}
    assert seen[-1].seconds == pytest.approx(10 * STEP + 4 * LOOK)
