"""The numbers of a text, however they are written: `seven dollars` is `$7`, `15:00` is `3 p.m.`. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from decimal import Decimal
from functools import lru_cache

_ONES_TOLD = (
    "one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen "
    "eighteen nineteen"
)
_TENS_TOLD = "twenty thirty forty fifty sixty seventy eighty ninety"
_ONES, _TENS = _ONES_TOLD.split(), _TENS_TOLD.split()
_WORDS = {word: n for n, word in enumerate(_ONES, start=1)} | {word: 10 * n for n, word in enumerate(_TENS, start=2)}
_SCALES = {"hundred": 100, "thousand": 1_000, "million": 1_000_000, "billion": 1_000_000_000}
_TENS_ONES = rf"(?:{'|'.join(_TENS)})(?:[ -](?:{'|'.join(_ONES[:9])}))?"
_QUANTITY = re.compile(
    r"\b(?P<hour>\d{1,2})(?:[:.](?P<minute>[0-5]\d))?[ \n]?(?P<half>[ap])\.?m\b\.?"
    r"|\b(?P<clock>[01]?\d|2[0-3]):(?P<past>[0-5]\d)\b"
    r"|\b(?P<named>noon|midnight)\b"
    r"|(?P<money>[$€£]\s?)?"
    rf"(?:(?<![\w.])(?P<digits>\d+(?:,\d{{3}})*(?:\.\d+)?)|\b(?P<word>{_TENS_ONES}|{'|'.join(_ONES)})\b)"
    rf"(?P<scale>[\s-](?:{'|'.join(_SCALES)})\b)?(?P<unit>\s?%|[\s-]per[\s-]?cent\b|[\s-](?:dollars?|euros?|pounds?)\b)?",
    re.IGNORECASE,
)
_MONEY = {"$": "$", "d": "$", "€": "€", "e": "€", "£": "£", "p": "£"}


@dataclass(frozen=True, slots=True)
class Quantity:
    """A number with its unit (`$`, `€`, `£`, `%`, `time` in minutes of the day, or empty) and whether in digits."""

    value: Decimal
    unit: str
    digits: bool

    def agrees(self, other: Quantity) -> bool:
        """Whether both may tell the same: equal values, and no two different units."""
        return self.value == other.value and (self.unit == other.unit or not (self.unit and other.unit))


@lru_cache(maxsize=4096)
def quantities(text: str) -> tuple[Quantity, ...]:
    """The numbers of a text in order. A `one` in words is left out: it mostly counts nothing."""
    found = (_read(match) for match in _QUANTITY.finditer(text))
    return tuple(quantity for quantity in found if quantity.digits or quantity.value != 1)


def without_quantities(text: str) -> str:
    """The text without its numbers and their units."""
    return _QUANTITY.sub(" ", text)


def _read(match: re.Match[str]) -> Quantity:
    if match["hour"]:
        hour = int(match["hour"]) % 12 + (12 if match["half"].lower() == "p" else 0)
        return Quantity(Decimal(60 * hour + int(match["minute"] or 0)), "time", True)
    if match["clock"]:
        return Quantity(Decimal(60 * int(match["clock"]) + int(match["past"])), "time", True)
    if match["named"]:
        return Quantity(Decimal(720 if match["named"].lower() == "noon" else 0), "time", True)
    if match["digits"]:
        value = Decimal(match["digits"].replace(",", ""))
    else:
        value = Decimal(sum(_WORDS[word] for word in re.split(r"[ -]", match["word"].casefold())))
    if match["scale"]:
        value *= _SCALES[match["scale"][1:].casefold()]
    unit = (match["unit"] or "").strip(" \n-").lower()
    if match["money"]:
        sign = match["money"][0]
    else:
        sign = "%" if unit == "%" or unit.startswith("per") else _MONEY[unit[0]] if unit else ""
    return Quantity(value, sign, bool(match["digits"]))
