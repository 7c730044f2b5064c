"""How sure a measured figure is, and whether two modes differ. Pure functions of scores; knows no mode and no question.

Scores are one number a question, in the same order for every mode. Questions that share a document are drawn together
and tested together (`clusters`): what a document is like moves all of its questions.
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
    """The first of two modes minus the second, paired: interval, and the p-value of `sign_test`.

    `gained` questions are right in the first alone, `lost` in the second alone. `adjusted` is the p-value after Holm's
    correction over all pairs. `more` is how many further questions would settle a difference of this size, 0 where it
    is settled, None where none was seen; they are `design_effect` times as many as would do if none shared a document.
    """

    first: str
    second: str
    estimate: Estimate
    gained: int
    lost: int
    p: float
    adjusted: float
    more: int | None
    design_effect: float = 1.0

    @property
    def settled(self) -> bool:
        """Whether the evidence is enough to name a winner of the two: by the test and by the interval."""
        return self.adjusted < 1 - LEVEL and (self.estimate.low > 0 or self.estimate.high < 0)


def estimate(
    scores: Sequence[float], clusters: Sequence[str] | None = None, *, seed: int = 0, gaps: bool = False
) -> Estimate:
    """The mean of scores and its interval by the percentile bootstrap (Efron 1979), whole clusters drawn.

    Scores that are all 0 or all 1 have Wilson's interval (1927), for drawn from themselves they would look certain; of
    `gaps` between two modes so have those that are all 1 or all -1. It is of as many as there are clusters: scores that
    are all alike do not tell how alike those of one cluster are. Raises ValueError for no score.
    """
    values = np.asarray(scores, dtype=float)
    if not len(values):
        raise ValueError("there is no score to estimate a mean from")
    if len(set(values.tolist())) == 1 and abs(values[0]) in ((1.0,) if gaps else (0.0, 1.0)):
        from scipy.stats import binomtest

        one, count = float(values[0]), len(values if clusters is None else set(clusters))
        ones = binomtest(count if one else 0, count).proportion_ci(LEVEL, method="wilson")
        low, high = sorted((ones.low, ones.high)) if one >= 0 else sorted((-ones.low, -ones.high))
        return Estimate(one, float(low), float(high), len(values))
    low, high = np.quantile(bootstrap_means(values, clusters, seed=seed), ((1 - LEVEL) / 2, (1 + LEVEL) / 2))
    return Estimate(float(values.mean()), float(low), float(high), len(values))


def bootstrap_means(
    values: NDArray[np.float64], clusters: Sequence[str] | None = None, *, seed: int = 0
) -> NDArray[np.float64]:
    """The means (DRAWS,) of samples drawn with replacement, whole clusters where they are given."""
    draw, means = np.random.default_rng(seed), np.empty(DRAWS)
    sums, sizes = (values, np.ones(len(values))) if clusters is None else _sums(values, clusters)
    count = len(sizes)
    block = max(1, _AT_ONCE // count)
    for first in range(0, DRAWS, block):
        drawn = means[first : first + block]
        if clusters is None:
            drawn[:] = values[draw.integers(0, count, (len(drawn), count))].mean(axis=1)
        else:
            times = draw.multinomial(count, np.full(count, 1 / count), size=len(drawn))
            drawn[:] = (times @ sums) / (times @ sizes)
    return means


def sign_test(gaps: Sequence[float], clusters: Sequence[str] | None = None) -> float:
    """The exact two-sided p-value of whole clusters' gaps having their signs by chance; gaps are -1, 0 or 1.

    Where two modes are alike, which of them did better on a document is a fair coin's throw: with the sum s_c of each
    cluster, p is the probability that |sum of +-s_c| is at least what was seen. Without clusters that is McNemar's
    exact test (1947), which takes the questions for independent.
    """
    from scipy.stats import binom

    values = np.asarray(gaps, dtype=float)
    sums = np.rint(values if clusters is None else _sums(values, clusters)[0]).astype(int)
    seen, chances = abs(int(sums.sum())), np.ones(1)
    for size, count in zip(*np.unique(np.abs(sums[sums != 0]), return_counts=True), strict=True):
        # So many clusters of one size: of their sum (-count .. count) * size, as a binomial with gaps between.
        spread = np.zeros(2 * count * size + 1)
        spread[:: 2 * size] = binom.pmf(np.arange(count + 1), count, 0.5)
        chances = np.convolve(chances, spread)
    distance = np.abs(np.arange(len(chances)) - len(chances) // 2)
    return min(1.0, float(chances[distance >= seen].sum()))


def design_effect(values: Sequence[float], clusters: Sequence[str] | None) -> float:
    """The variance of a mean drawn by clusters over that drawn by questions, at least 1 (Kish, Survey Sampling, 1965).

    So many times as many questions are needed as if none shared a cluster, where further ones share them alike. Both
    variances are those that `bootstrap_means` tends to: sum((s_c - m * n_c)**2) over sum((x - m)**2), with the mean m
    and the sum s_c of the n_c values of a cluster.
    """
    scores = np.asarray(values, dtype=float)
    alone = float(((scores - scores.mean()) ** 2).sum())
    if clusters is None or alone < 1e-12:
        return 1.0
    sums, sizes = _sums(scores, clusters)
    return max(1.0, float(((sums - scores.mean() * sizes) ** 2).sum()) / alone)


def _sums(values: NDArray[np.float64], clusters: Sequence[str]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The sum and the number of the values of each cluster, both (clusters,)."""
    _, member = np.unique(np.asarray(clusters), return_inverse=True)
    return np.bincount(member, weights=values).astype(float), np.bincount(member).astype(float)


def holm(p_values: Sequence[float]) -> list[float]:
    """The p-values adjusted by Holm's step-down method (1979), in the order given."""
    adjusted, running = [0.0] * len(p_values), 0.0
    for rank, index in enumerate(sorted(range(len(p_values)), key=p_values.__getitem__)):
        running = max(running, min(1.0, (len(p_values) - rank) * p_values[index]))
        adjusted[index] = running
    return adjusted


def questions_needed(
    gaps: Sequence[float], clusters: Sequence[str] | None = None, *, tests: int = 1, effect: float | None = None
) -> int | None:
    """How many questions in all would settle a mean gap as large as this one, at a power of 0.8; None without a gap.

    n = ((z + z') * s / d)**2 with s the gaps' standard deviation, d their mean, z and z' the normal quantiles of the
    level, shared by `tests` tests, and of the power; then n / 4 * (1 + sqrt(1 + 4 / (n * |d|)))**2, the correction for
    continuity (Fleiss, Statistical Methods for Rates and Proportions, 1981), since an exact test is coarse; then times
    the design effect of `clusters`, which is `effect` where it is known already.
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
    times = design_effect(gaps, clusters) if effect is None else effect
    fewest = math.ceil(math.log2(2 * tests / (1 - LEVEL)))  # that differ: below it no exact test reaches the level
    differ = np.count_nonzero(values if clusters is None else _sums(values, clusters)[0])
    return math.ceil(max(times * corrected, fewest * len(values) / differ))


def differences(
    right: Mapping[str, Sequence[float]], clusters: Sequence[str] | None = None, *, seed: int = 0
) -> list[Difference]:
    """Every pair of modes, the better one first, by their yes/no scores (0 or 1) on the same questions."""
    pairs = []
    for a, b in combinations(right, 2):
        first, second = (a, b) if sum(right[a]) >= sum(right[b]) else (b, a)
        gaps = np.asarray(right[first], dtype=float) - np.asarray(right[second], dtype=float)
        pairs.append((first, second, gaps, int((gaps > 0).sum()), int((gaps < 0).sum())))
    p_values = [sign_test(list(gaps), clusters) for _, _, gaps, _, _ in pairs]
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
            design_effect=design_effect(list(gaps), clusters),
        )
        needed = questions_needed(list(gaps), clusters, tests=len(pairs), effect=told.design_effect)
        more = None if needed is None else max(1, needed - len(gaps))
        found.append(told if told.settled else replace(told, more=more))
    return found


def winners(right: Mapping[str, Sequence[float]], found: Sequence[Difference]) -> list[str]:
    """The modes that no other one is known to beat, best first; one name alone is a winner."""
    beaten = {d.second for d in found if d.settled}
    return [mode for mode in sorted(right, key=lambda mode: -sum(right[mode])) if mode not in beaten]
