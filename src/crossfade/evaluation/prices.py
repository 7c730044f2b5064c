"""What answers cost in money, by a table that a person can edit. Pure but for reading the file.

[own machine]
per_hour = 0.05                   # of the seconds that answers took
prompt = 0.0                      # per million tokens
cached = 0.0
new = 0.0
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from crossfade.errors import SettingsError

HOURS = 3600.0
MILLION = 1e6


@dataclass(frozen=True, slots=True)
class Prices:
    """The price of an hour of the machine and of a million tokens of each kind, in one currency.

    The machine's time for training is spread over `spread` questions; 0 leaves it out.
    """

    per_hour: float = 0.0
    prompt: float = 0.0
    cached: float = 0.0
    new: float = 0.0
    name: str = ""
    spread: int = 0

    def of(self, *, seconds: float, prompt: float, cached: float, new: float) -> float:
        """The price of so many seconds and tokens; `cached` tokens are among the `prompt` ones."""
        tokens = (prompt - cached) * self.prompt + cached * self.cached + new * self.new
        return seconds / HOURS * self.per_hour + tokens / MILLION


def read_prices(path: Path, name: str = "") -> Prices:
    """The prices of that name in a TOML file, or its first ones. Raises SettingsError."""
    allowed = [field.name for field in fields(Prices) if field.name not in ("name", "spread")]
    try:
        tables = tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise SettingsError(f"The prices in {path} cannot be read: {error}.") from error
    if not tables or (name and name not in tables):
        raise SettingsError(f"{path} has no prices {name!r}. It has: {', '.join(tables) or 'none'}.")
    chosen = name or next(iter(tables))
    table = tables[chosen]
    if not isinstance(table, dict) or not all(
        key in allowed and isinstance(value, int | float) and not isinstance(value, bool) and value >= 0
        for key, value in table.items()
    ):
        raise SettingsError(f"{path}, [{chosen}]: prices are numbers from 0 named {', '.join(allowed)}.")
    numbers: dict[str, Any] = {key: float(value) for key, value in table.items()}
    return Prices(**numbers, name=chosen)
