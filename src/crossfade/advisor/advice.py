"""An advice and its reasons, as values."""

from __future__ import annotations

from dataclasses import dataclass

EXAMPLES = 200
"""So many examples an adapter wants to begin with; measured here, more keep paying."""


@dataclass(frozen=True, slots=True)
class Reason:
    """A sentence and what it rests on: `report`, `answer: KEY`, or `experience`."""

    text: str
    source: str


@dataclass(frozen=True, slots=True)
class Advice:
    """What to use and why. `mode` is a mode's name, `column` the report's name of it, empty without a report.

    `measured` tells whether a report decided. `setup` is what it takes to have it, `per_thousand` what 1,000 questions
    cost, `changes` what would change the advice, `steps` what to do next, the most useful first.
    """

    mode: str
    column: str
    measured: bool
    headline: str
    reasons: tuple[Reason, ...]
    setup: str
    per_thousand: str
    changes: tuple[str, ...]
    steps: tuple[str, ...]


def setup_of(fine_tune: bool, rag: bool, icl: bool, training_seconds: float) -> str:
    """What it takes to have a combination, in a sentence; `training_seconds` are 0 where they are not known."""
    parts = []
    if fine_tune:
        took = f", which took {training_seconds / 60:.0f} minutes" if training_seconds else ""
        parts.append(f"an adapter: examples and a training{took}, again when the task changes")
    if rag:
        parts.append("documents and an index, refreshed when they change")
    if icl:
        parts.append("some worked examples")
    return f"It takes {'; '.join(parts)}." if parts else "It takes nothing but the model."
