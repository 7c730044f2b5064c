"""When the documents seem not to tell: how strongly signs of retrieval speak for the sentence that says so. Pure.

A small model that reads passages is poor at seeing that none of them answers. What retrieval saw knows nearly as much
about it, and other things. So the log-odds of absence, by logistic regression over a few signs, are added to the
model's own where its answer begins: the first word of the sentence that says so becomes likelier or less likely.
`crossfade absence` fits the numbers and writes them to a file beside the documents.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from crossfade.errors import CorpusError

SIGNS = (
    "closest passage",
    "words covered",
    "unknown words",
    "asks yes or no",
    "asks how much",
    "asks who or where",
)
"""The cosine of the closest passage; the share of the question's words, by rarity, in the passage that has most; how
many of its words no document has; and three kinds of question."""
MOST = 8.0
"""The highest change of a log-odds, in nats: no sign is certain."""


@dataclass(frozen=True, slots=True)
class Sign:
    """One sign's weight in the log-odds, after subtracting its mean and dividing by its scale."""

    mean: float
    scale: float
    weight: float


@dataclass(frozen=True, slots=True)
class Absence:
    """The log-odds that no document tells, and how far they move a model's own.

    `says` is the sentence that tells so. The nats that its first word gains are `strength` times the log-odds above
    `threshold`.
    """

    says: str
    signs: Mapping[str, Sign]
    constant: float
    strength: float
    threshold: float

    @property
    def opening(self) -> str:
        """The word that the sentence begins with."""
        return self.says.split()[0]

    def log_odds(self, signs: Mapping[str, float]) -> float:
        """That no document tells, by the signs alone, in nats."""
        return self.constant + sum(s.weight * (signs[name] - s.mean) / s.scale for name, s in self.signs.items())

    def leaning(self, signs: Mapping[str, float]) -> float:
        """The nats that the first word of `says` gains; below 0 it loses them."""
        return max(-MOST, min(MOST, self.strength * (self.log_odds(signs) - self.threshold)))


def write_absence(path: Path, absence: Absence, *, about: Mapping[str, object]) -> None:
    """Write it beside and rename it; `about` tells what it was fitted on."""
    data = asdict(absence) | {"signs": {name: asdict(sign) for name, sign in absence.signs.items()}, "about": about}
    beside = path.with_suffix(".new")
    beside.write_text(json.dumps(data, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    beside.replace(path)


def read_absence(path: Path) -> Absence:
    """What `write_absence` wrote. Raises CorpusError where the file is missing or broken."""
    try:
        data = json.loads(path.read_text(encoding="utf-8-sig"))
        signs = {
            name: Sign(**{key: float(sign[key]) for key in ("mean", "scale", "weight")})
            for name, sign in data["signs"].items()
        }
        if set(signs) != set(SIGNS):
            raise ValueError(f"its signs are {', '.join(signs) or 'none'}; they must be {', '.join(SIGNS)}")
        numbers = [float(data[key]) for key in ("constant", "strength", "threshold")]
        every = [*numbers, *(value for sign in signs.values() for value in (sign.mean, sign.scale, sign.weight))]
        if not all(map(math.isfinite, every)) or not all(sign.scale > 0 for sign in signs.values()):
            raise ValueError("a number is not finite, or a scale not above 0")
        if not str(data["says"]).strip():
            raise ValueError("says is empty")
        return Absence(str(data["says"]).strip(), signs, *numbers)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise CorpusError(f"{path} cannot be read ({error}). Make it again with: crossfade absence.") from error
