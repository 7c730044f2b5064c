"""How sure a measured figure is, and whether two modes differ. Pure functions of scores; knows no mode and no question.

Scores are one number a question, in the same order for every mode. Questions that share a document are drawn together
(`clusters`): what a document is like moves all of its questions.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

DRAWS = 10_000
"""Bootstrap samples; the standard error is then exact to about 1%."""
LEVEL = 0.95
POWER = 0.8
"""The chance at which `questions_needed` wants a difference to be found."""
_AT_ONCE = 4_000_000
"""Scores that are drawn at once; more would fill the memory."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """A mean with its 95% interval, over `n` scores."""

    mean: float
    low: float
    high: float
    n: int


@dataclass(frozen=True, slots=True)
class Difference:
    """The first of two modes minus the second, paired: interval, and the p-value of McNemar's exact test.

    `gained` questions are right in the first alone, `lost` in the second alone. `adjusted` is the p-value after Holm's
    correction over all pairs. `more` is how many further questions would settle a difference of this size, 0 where it
    is settled, None where none was seen.
    """

    first: str
    second: str
    estimate: Estimate
    gained: int
    lost: int
    p: float
    adjusted: float
    more: int | None

    @property
    def settled(self) -> bool:
        """Whether the evidence is enough to name a winner of the two: by the test and by the interval."""
        return self.adjusted < 1 - LEVEL and (self.estimate.low > 0 or self.estimate.high < 0)


def estimate(
    scores: Sequence[float], clusters: Sequence[str] | None = None, *, seed: int = 0, gaps: bool = False
) -> Estimate:
    """The mean of scores and its interval by the percentile bootstrap (Efron 1979), whole clusters drawn.

    Scores that are all 0 or all 1 have Wilson's interval (1927), for drawn from themselves they would look certain; of
    `gaps` between two modes so have those that are all 1 or all -1. Raises ValueError for no score.
    """
    values = np.asarray(scores, dtype=float)
    if not len(values):
        raise ValueError("there is no score to estimate a mean from")
    if len(set(values.tolist())) == 1 and abs(values[0]) in ((1.0,) if gaps else (0.0, 1.0)):
        from scipy.stats import binomtest

        one = float(values[0])
        ones = binomtest(len(values) if one else 0, len(values)).proportion_ci(LEVEL, method="wilson")
        low, high = sorted((ones.low, ones.high)) if one >= 0 else sorted((-ones.low, -ones.high))
        return Estimate(one, float(low), float(high), len(values))
    low, high = np.quantile(bootstrap_means(values, clusters, seed=seed), ((1 - LEVEL) / 2, (1 + LEVEL) / 2))
    return Estimate(float(values.mean()), float(low), float(high), len(values))


def bootstrap_means(
    values: NDArray[np.float64], clusters: Sequence[str] | None = None, *, seed: int = 0
) -> NDArray[np.float64]:
    """The means (DRAWS,) of samples drawn with replacement, whole clusters where they are given."""
    draw = np.random.default_rng(seed)
    means: NDArray[np.float64]
    if clusters is None:
        block = max(1, _AT_ONCE // len(values))
        means = np.empty(DRAWS)
        for first in range(0, DRAWS, block):
            rows = min(block, DRAWS - first)
            means[first : first + rows] = values[draw.integers(0, len(values), (rows, len(values)))].mean(axis=1)
        return means
    _, member = np.unique(np.asarray(clusters), return_inverse=True)
    sizes = np.bincount(member).astype(float)
    sums = np.bincount(member, weights=values)
    times = draw.multinomial(len(sizes), np.full(len(sizes), 1 / len(sizes)), size=DRAWS)
    means = (times @ sums) / (times @ sizes)
    return means


def mcnemar(gained: int, lost: int) -> float:
    """The two-sided p-value of McNemar's exact test: are the questions that differ split like a fair coin's throws?"""
    from scipy.stats import binomtest

    return float(binomtest(gained, gained + lost).pvalue) if gained + lost else 1.0


def holm(p_values: Sequence[float]) -> list[float]:
    """The p-values adjusted by Holm's step-down method (1979), in the order given."""
    adjusted, running = [0.0] * len(p_values), 0.0
    for rank, index in enumerate(sorted(range(len(p_values)), key=p_values.__getitem__)):
        running = max(running, min(1.0, (len(p_values) - rank) * p_values[index]))
        adjusted[index] = running
    return adjusted


def questions_needed(gaps: Sequence[float], *, tests: int = 1) -> int | None:
    """How many questions in all would settle a mean gap as large as this one, at a power of 0.8; None without a gap.

    n = ((z + z') * s / d)**2 with s the gaps' standard deviation, d their mean, z and z' the normal quantiles of the
    level, shared by `tests` tests, and of the power; then n / 4 * (1 + sqrt(1 + 4 / (n * |d|)))**2, the correction for
    continuity (Fleiss, Statistical Methods for Rates and Proportions, 1981), since an exact test is coarse.
    """
    from scipy.stats import norm

    values = np.asarray(gaps, dtype=float)
    mean = float(values.mean())
    if abs(mean) < 1e-12:
        return None
    spread = float(values.std(ddof=1)) if len(values) > 1 else 1.0
    both = norm.ppf(1 - (1 - LEVEL) / 2 / tests) + norm.ppf(POWER)
    plain = (both * spread / mean) ** 2
    corrected = plain / 4 * (1 + math.sqrt(1 + 4 / (plain * abs(mean)))) ** 2 if plain else 0.0
    fewest = math.ceil(math.log2(2 * tests / (1 - LEVEL)))  # that differ: below it no exact test reaches the level
    return math.ceil(max(corrected, fewest / float(np.mean(values != 0))))


def differences(
    right: Mapping[str, Sequence[float]], clusters: Sequence[str] | None = None, *, seed: int = 0
) -> list[Difference]:
    """Every pair of modes, the better one first, by their yes/no scores (0 or 1) on the same questions."""
    pairs = []
    for a, b in combinations(right, 2):
        first, second = (a, b) if sum(right[a]) >= sum(right[b]) else (b, a)
        gaps = np.asarray(right[first], dtype=float) - np.asarray(right[second], dtype=float)
        pairs.append((first, second, gaps, int((gaps > 0).sum()), int((gaps < 0).sum())))
    p_values = [mcnemar(gained, lost) for *_, gained, lost in pairs]
    found = []
    for (first, second, gaps, gained, lost), p, adjusted in zip(pairs, p_values, holm(p_values), strict=True):
        told = Difference(
            first=first,
            second=second,
            estimate=estimate(list(gaps), clusters, seed=seed, gaps=True),
            gained=gained,
            lost=lost,
            p=p,
            adjusted=adjusted,
            more=0,
        )
        needed = questions_needed(list(gaps), tests=len(pairs))
        more = None if needed is None else max(1, needed - len(gaps))
        found.append(told if told.settled else replace(told, more=more))
    return found


def winners(right: Mapping[str, Sequence[float]], found: Sequence[Difference]) -> list[str]:
    """The modes that no other one is known to beat, best first; one name alone is a winner."""
    beaten = {d.second for d in found if d.settled}
    return [mode for mode in sorted(right, key=lambda mode: -sum(right[mode])) if mode not in beaten]
