"""Watch a run: its curves, its held-out loss, the best parameters so far, and when there is no use in going on.

Knows no data and no Trainer; it is told of each step.
"""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable, Sequence
from typing import Any

from crossfade.errors import TrainingError
from crossfade.training.best import Measurement, best_of, gets_worse, kept_of
from crossfade.training.checkpoint import before, read_state, step_of, write_state
from crossfade.training.methods import Method
from crossfade.training.record import Progress, RunSettings, Sample, TrainingProgress
from crossfade.training.run_folder import RunFolder


class Watch:
    """The eyes on one run. `measure` takes the step and the held-out loss; without it the last parameters are kept."""

    def __init__(
        self,
        model: Any,
        method: Method,
        settings: RunSettings,
        *,
        folder: RunFolder,
        steps: int,
        tokens_a_step: float,
        measure: Callable[[int], Measurement] | None,
        sample: Callable[[int], Sequence[Sample]] | None,
        progress: Progress | None,
    ) -> None:
        self._model, self._method, self._settings, self._folder = model, method, settings, folder
        self._steps, self._tokens_a_step = steps, tokens_a_step
        self._measure, self._sample, self._progress = measure, sample, progress
        self._every = max(1, math.ceil(steps / settings.evaluations))
        self._train: list[tuple[int, float]] = []
        self._held_out: list[Measurement] = []
        self._started = self._measuring = self._before = 0.0
        self._from = self._last = self._looks = 0

    def begin(self, step: int) -> None:
        """The run begins after `step`: 0, or that of the checkpoint from which it goes on."""
        self._started = time.perf_counter()
        self._from = self._last = step
        self._folder.cut_back(step)
        if not step:
            self._look(0)
            return
        seen = self._folder.progress()
        self._train = [(p.step, p.loss) for p in seen]
        self._held_out = self._folder.measurements()
        self._before = seen[-1].seconds if seen else 0.0
        best = self._folder.best
        if (step_of(best) or 0) > step:  # it is of steps that are taken again
            best.unlink()
            if 0 < (step_of(before(best)) or 0) <= step:
                os.replace(before(best), best)

    def step(self, step: int, loss: float, gradient_norm: float, *, last: bool = False) -> None:
        """A step was taken, the last one of the run or not. Raises TrainingError where its loss is no number."""
        self._check_finite(step, loss, gradient_norm)
        self._last = step
        self._train.append((step, loss))
        held_out = self._look(step) if last or step % self._every == 0 or step == self._steps else None
        seconds = self._since()
        progress = TrainingProgress(
            step=step,
            steps=self._steps,
            loss=loss,
            held_out=held_out,
            tokens_per_second=self._tokens_a_step * (step - self._from) / seconds,
            seconds=self._before + seconds + self._measuring,
            seconds_left=self._left(step, seconds),
        )
        self._folder.log(progress)
        if self._progress:
            self._progress(progress)

    @property
    def gets_worse(self) -> bool:
        """Whether the held-out rows get worse by going on."""
        return gets_worse(self._held_out, patience=self._settings.patience)

    @property
    def curves(self) -> tuple[tuple[tuple[int, float], ...], tuple[tuple[int, float], ...]]:
        """The (step, loss) pairs of the learned rows, and of the held-out ones."""
        return tuple(self._train), tuple((m.step, m.loss) for m in self._held_out)

    @property
    def seconds(self) -> float:
        """The seconds of the run: of this process without the measurements, and all those of an interrupted part."""
        return self._before + self._since()

    def keep_the_best(self) -> int:
        """Put the best parameters into the model; their step."""
        kept = kept_of(self._held_out, steps=self._steps)
        if kept is None or kept.step != step_of(self._folder.best):
            return self._last
        read_state(self._folder.best, self._model, self._method)
        return kept.step

    def _left(self, step: int, seconds: float) -> float:
        """The seconds that are left after a step: those of the steps, and of the measurements among them."""
        if step == self._steps:
            return 0.0
        looks = math.ceil(self._steps / self._every) - step // self._every
        a_look = self._measuring / self._looks if self._looks else 0.0
        return seconds / (step - self._from) * (self._steps - step) + a_look * looks

    def _since(self) -> float:
        return max(1e-9, time.perf_counter() - self._started - self._measuring)

    def _check_finite(self, step: int, *values: float) -> None:
        if not all(map(math.isfinite, values)):
            raise TrainingError(
                f"The loss is not a number at step {step} of {self._steps}; nothing was saved. Lower learning_rate "
                f"(now {self._settings.learning_rate:g}) to a half or less, and look for broken rows."
            )

    def _look(self, step: int) -> float | None:
        """The held-out loss, kept with the parameters if it is the best; at step 0 nothing was learned to be kept."""
        began = time.perf_counter()
        found = self._measure(step) if self._measure else None
        if found:
            self._check_finite(step, found.loss)
            self._held_out.append(found)
            self._folder.log_held_out(found)
            if best_of(self._held_out) is found:
                write_state(self._folder.best, self._model, self._method, step=step)
        if self._sample:
            self._folder.log_samples(self._sample(step))
        self._measuring += time.perf_counter() - began
        self._looks += 1
        return found.loss if found else None
