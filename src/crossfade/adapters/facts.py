"""What a person is told of an adapter, read from its card and files. Pure; a card may come from anybody.

{"name": "json", "purpose": "Turns a message into a ticket", "method": "lora", "base": "smollm2-135m", "rank": 8,
 "bytes": 4938648, "data": "json.jsonl", "rows": 713, "loss_before": 0.8823, "loss_after": 0.0207, ...}
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from crossfade.abstention import abstention_of
from crossfade.adapters.peft_files import WEIGHTS_FILE, AdapterFiles

MAX_CHARACTERS = 200
"""A longer text of a card is shown up to here."""
MAX_SCORES = 200
"""So many figures of a card are read at most."""


class Score(NamedTuple):
    """One figure of a mode on a set: its value, and where the card has them its interval, questions and time."""

    of: str
    what: str
    mode: str
    value: float
    low: float | None = None
    high: float | None = None
    n: int = 0
    when: str = ""


@dataclass(frozen=True, slots=True)
class AdapterFacts:
    """One adapter, or one base of a person's own, for people.

    `bytes` are those of its weights; a loss is None, and `rows` 0, where none is recorded. `rank` is the highest of its
    layers, of P-Tuning the virtual tokens, and of a base 0. `gives_way` is the probability of `Abstention`, 0 for none.
    """

    name: str
    purpose: str
    task: str
    method: str
    base: str
    rank: int
    bytes: int
    data: str
    rows: int
    loss_before: float | None
    loss_after: float | None
    sha256: str
    scores: tuple[Score, ...] = field(default=(), repr=False)
    gives_way: float = 0.0


def facts_of(adapter: AdapterFiles) -> AdapterFacts:
    """The facts of a checked adapter."""
    return facts_from(
        adapter.card,
        adapter.name,
        method=adapter.kind.lower().replace("_", "-"),
        base=adapter.base_name,
        rank=max((rank for _, _, rank, _ in adapter.modules.values()), default=adapter.virtual_tokens),
        size=_size(adapter),
        sha256=adapter.sha256,
    )


def facts_from(
    card: Mapping[str, Any], name: str, *, method: str, size: int, sha256: str, base: str = "", rank: int = 0
) -> AdapterFacts:
    """The facts that a card and the files beside it tell; `method` and `base` hold where the card has none.

    `size` is in bytes.
    """
    losses = _losses(card.get("held_out_loss"))
    rows = card.get("rows")
    return AdapterFacts(
        name=name,
        purpose=_text(card.get("purpose"), 300),
        task=_text(card.get("task")),
        method=_text(card.get("method")) or method,
        base=_text(card.get("base")) or base,
        rank=rank,
        bytes=size,
        data=_text(card.get("data")),
        rows=rows if isinstance(rows, int) and not isinstance(rows, bool) and 0 < rows < 10**12 else 0,
        loss_before=losses[0] if losses else None,
        loss_after=_kept(card, losses),
        sha256=sha256,
        scores=tuple(itertools.islice(_scores(card.get("scores")), MAX_SCORES)),
        gives_way=rule.below if (rule := abstention_of(card)) else 0.0,
    )


def _text(value: object, most: int = MAX_CHARACTERS) -> str:
    text = " ".join(value.split())[:most] if isinstance(value, str) else ""
    return text.encode("utf-8", "replace").decode("utf-8")  # JSON may hold half a surrogate pair


def _number(value: object) -> float | None:
    usable = isinstance(value, int | float) and not isinstance(value, bool)
    return float(value) if usable and math.isfinite(value) and abs(value) < 1e6 else None  # type: ignore[arg-type]


def _size(adapter: AdapterFiles) -> int:
    try:
        return (adapter.folder / WEIGHTS_FILE).stat().st_size
    except OSError:  # removed since it was read
        return 0


def _losses(curve: object) -> list[float]:
    """The held-out losses of a card, [[step, loss], ...]; empty where it is anything else."""
    pairs = curve if isinstance(curve, list) else []
    found = [_number(pair[1]) if isinstance(pair, list) and len(pair) == 2 else None for pair in pairs]
    return [loss for loss in found if loss is not None] if all(loss is not None for loss in found) else []


def _kept(card: Mapping[str, Any], losses: list[float]) -> float | None:
    """The loss at the step whose weights were kept: the last one, where a card is from before that was recorded."""
    if len(losses) < 2:
        return None
    steps = [pair[0] for pair in card["held_out_loss"]]
    kept = card.get("kept_step")
    return losses[steps.index(kept)] if kept in steps else losses[-1]


def _scores(told: object) -> Iterator[Score]:
    """The figures of `scores`, {set: {mode: {figure: value or [mean, low, high]}}}; another form is passed over."""
    for of, modes in _entries(told):
        for mode, figures in _entries(modes):
            about = dict(_entries(figures))
            n, when = int(_number(about.pop("n", None)) or 0), _text(about.pop("when", None))
            for what, value in about.items():
                found = [_number(part) for part in (value if isinstance(value, list) else [value])[:4]]
                numbers = [number for number in found if number is not None]
                if len(numbers) == len(found) and len(found) in (1, 3):
                    low, high = numbers[1:] or (None, None)
                    yield Score(of, what, mode, numbers[0], low, high, n, when)


def _entries(told: object) -> list[tuple[str, object]]:
    return [(_text(key), value) for key, value in list(told.items())[:MAX_SCORES]] if isinstance(told, dict) else []
