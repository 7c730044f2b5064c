"""Fit how signs of retrieval speak for "the documents do not say". Pure: numbers in, numbers out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from crossfade.corpora.absence import SIGNS, Absence, Sign
from crossfade.errors import TrainingError

RIDGE = 100.0
"""The penalty on squared weights of standardised signs: training questions resemble each other more than real ones."""
STRENGTHS = (0.0, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0, 8.0, 12.0)
"""What is tried; 0 leaves the signs out and moves the threshold alone."""
NEARLY = 0.02
"""A weaker strength is taken for as good as the best by so much: the signs were not made for this model."""
FEWEST = 20
"""So many questions of each kind are needed, to fit and to choose."""


def fit(seen: Sequence[Mapping[str, float]], absent: Sequence[bool], *, says: str) -> Absence:
    """The log-odds of absence by ridge logistic regression, with `strength` 1 and `threshold` 0.

    Newton's method; Hastie, Tibshirani and Friedman, The Elements of Statistical Learning (2009), 4.4. Raises
    TrainingError where there are too few questions of a kind.
    """
    truth = _both_kinds(absent)
    values = np.array([[signs[name] for name in SIGNS] for signs in seen], dtype=float)
    mean, scale = values.mean(0), values.std(0)
    scale[scale == 0] = 1.0
    columns = np.column_stack([(values - mean) / scale, np.ones(len(values))])
    penalty = RIDGE * np.eye(columns.shape[1])
    penalty[-1, -1] = 0.0
    weights = np.zeros(columns.shape[1])
    for _ in range(50):
        chance = 1 / (1 + np.exp(-columns @ weights))
        hessian = columns.T @ (columns * (chance * (1 - chance))[:, None]) + penalty
        weights -= np.linalg.solve(hessian, columns.T @ (chance - truth) + penalty @ weights)
    signs = {name: Sign(float(mean[i]), float(scale[i]), float(weights[i])) for i, name in enumerate(SIGNS)}
    return Absence(says=says, signs=signs, constant=float(weights[-1]), strength=1.0, threshold=0.0)


def choose_strength(
    fitted: Absence,
    seen: Sequence[Mapping[str, float]],
    own: Sequence[float],
    absent: Sequence[bool],
    *,
    allowed: float,
) -> tuple[Absence, float, float]:
    """Strength and threshold that say "absent" most often where it is true, and in at most `allowed` elsewhere.

    `own` holds the model's log-odds of beginning with the sentence. A strength is judged by the mean over shares around
    `allowed`, so that one lucky question does not choose it. Returns the shares said where true, and elsewhere.
    """
    truth = _both_kinds(absent).astype(bool)
    by_signs = np.array([fitted.log_odds(signs) for signs in seen])
    model = np.array(own, dtype=float)
    around = (0.6 * allowed, 0.8 * allowed, allowed, min(1.2 * allowed, 0.9))

    def said(strength: float, share: float) -> tuple[float, float]:
        total = model + strength * by_signs
        bound = _bound(total[~truth], share)
        return float((total[truth] > bound).mean()), bound

    means = {tried: sum(said(tried, share)[0] for share in around) / len(around) for tried in STRENGTHS}
    strength = next(tried for tried in STRENGTHS if means[tried] >= max(means.values()) - NEARLY)
    share, bound = said(strength, allowed)
    elsewhere = float((model + strength * by_signs > bound)[~truth].mean())
    # The sentence is said where own + strength * (log-odds - threshold) > 0. Without signs the bound alone moves it.
    if strength == 0.0:
        raise TrainingError("The signs of retrieval help nothing here: leave absence out of corpus.toml.")
    return replace(fitted, strength=strength, threshold=bound / strength), share, elsewhere


def _bound(elsewhere: NDArray[np.float64], share: float) -> float:
    """A value that at most that share of the others exceeds."""
    falling = np.sort(elsewhere)[::-1]
    return float(falling[min(int(share * len(falling)), len(falling) - 1)])


def _both_kinds(absent: Sequence[bool]) -> NDArray[np.float64]:
    truth = np.array(absent, dtype=float)
    if min(truth.sum(), len(truth) - truth.sum()) < FEWEST:
        raise TrainingError(
            f"{int(truth.sum())} of {len(truth)} questions have no answer in the documents; at least {FEWEST} with "
            f"and {FEWEST} without one are needed. Add questions."
        )
    return truth
