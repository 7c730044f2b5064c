"""Which parameters of a run are kept, and when there is no use in going on. Pure: knows no model and no file.

The held-out rows are few, so their loss is uncertain; and half way down a cosine the learning rate is high still, which
the last step is past. So a run that came to its end keeps its last parameters unless an earlier measurement was clearly
better, and none ends early before it is clearly worse than it was. One that is cancelled keeps the least loss.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

CLEAR = 2.0
"""A difference of so many of its standard errors is clear: by chance alone it comes once in twenty times."""


@dataclass(frozen=True, slots=True)
class Measurement:
    """The held-out loss after a step in nats a learned token, and the nats of each row, always in one order."""

    step: int
    loss: float
    rows: tuple[float, ...] = ()


def best_of(measured: Sequence[Measurement]) -> Measurement | None:
    """The least loss, the first of several; at step 0 nothing was learned that could be kept."""
    return min((m for m in measured if m.step), key=lambda m: m.loss, default=None)


def is_clearly_worse(later: Measurement, earlier: Measurement) -> bool:
    """Whether the rows' losses have grown by more than chance explains; of fewer than two rows that is not known.

    With d_i the growth of row i of n, and s their standard deviation: sum(d) > CLEAR * s * sqrt(n).
    """
    n = len(later.rows)
    if n < 2 or n != len(earlier.rows):
        return False
    grown = [after - before for after, before in zip(later.rows, earlier.rows, strict=True)]
    mean = sum(grown) / n
    return sum(grown) > CLEAR * math.sqrt(n / (n - 1) * sum((d - mean) ** 2 for d in grown))


def kept_of(measured: Sequence[Measurement], *, steps: int) -> Measurement | None:
    """The measurement whose parameters are kept of a run of so many steps, None where nothing was measured."""
    best = best_of(measured)
    if best and measured[-1].step == steps and not is_clearly_worse(measured[-1], best):
        return measured[-1]
    return best


def gets_worse(measured: Sequence[Measurement], *, patience: int) -> bool:
    """Whether the last measurements, as many as the patience, are each clearly worse than the best before them."""
    best = best_of(measured[:-patience]) if patience else None
    return best is not None and all(is_clearly_worse(m, best) for m in measured[-patience:])
