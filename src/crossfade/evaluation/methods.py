"""Compare training methods on the same rows: what each scores on the held-out ones, and what it took. Draws the plot.

Every training is a process of its own, so that its peak memory is its own; the answers are scored afterwards.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from html import escape
from pathlib import Path
from typing import Any

from crossfade.evaluation.rows import kind_of, score_rows
from crossfade.training.data import TrainingRow

DOTS = ("#2f6fde", "#0f766e", "#b45309", "#7c3aed", "#be123c", "#475569", "#111827")


@dataclass(frozen=True, slots=True, kw_only=True)
class MethodResult:
    """One method's figures; `scores` come first-to-rank first. `failed` says why there are none. Base has no cost."""

    method: str
    scores: Mapping[str, float] = field(default_factory=dict)
    held_out_loss: float | None = None
    trainable: int = 0
    peak_memory_mb: int = 0
    minutes: float = 0.0
    file_mb: float = 0.0
    note: str = ""
    failed: str = ""


def result_of(method: str, made: Path, card: Mapping[str, Any], answers: Sequence[str], wanted: Sequence[str]) -> Any:
    """The figures of one method from its card and its answers to the held-out rows."""
    losses = dict(card.get("held_out_loss", ()))
    there = card.get("held_out_loss_on_the_whole_base")
    return MethodResult(
        method=method,
        scores=score_rows(answers, wanted, kind=kind_of(wanted)),
        held_out_loss=losses.get(card.get("kept_step")),
        trainable=int(card.get("trainable_parameters", 0)),
        peak_memory_mb=int(card.get("peak_memory_mb", 0)),
        minutes=float(card.get("minutes", 0.0)),
        file_mb=round(sum(path.stat().st_size for path in made.iterdir()) / 1e6, 1),
        note=f"held-out loss on the whole base {there:.3f}" if isinstance(there, float) else "",
    )


def scored(method: str, rows: Sequence[TrainingRow], answers: Sequence[str]) -> MethodResult:
    """The figures of what was not trained."""
    wanted = [row.response for row in rows]
    return MethodResult(method=method, scores=score_rows(answers, wanted, kind=kind_of(wanted)))


def table(results: Sequence[MethodResult]) -> str:
    """The figures as a Markdown table, a row a method."""
    names = list(dict.fromkeys(name for result in results for name in result.scores))
    head = ["method", *names, "held-out loss", "trained parameters", "peak memory, MB", "minutes", "file, MB", ""]
    lines = ["| " + " | ".join(head) + " |", "| --- " * len(head) + "|"]
    for r in results:
        cost = (
            [f"{r.trainable:,}", f"{r.peak_memory_mb:,}", f"{r.minutes:.1f}", f"{r.file_mb:.1f}"]
            if r.trainable
            else [""] * 4
        )
        loss = "" if r.held_out_loss is None else f"{r.held_out_loss:.3f}"
        cells = [r.method, *(f"{r.scores[n]:.3f}" if n in r.scores else "" for n in names), loss, *cost]
        lines.append("| " + " | ".join([*cells, r.failed or r.note]) + " |")
    return "\n".join(lines)


def as_json(results: Sequence[MethodResult]) -> list[dict[str, Any]]:
    """The figures as plain values."""
    return [asdict(result) for result in results]


def plot(results: Sequence[MethodResult]) -> str:
    """An SVG of the first score by minutes of training; the area of a dot goes with the peak memory."""
    trained = [r for r in results if r.trainable]
    name = next((n for r in results for n in r.scores), "")
    most = max((r.minutes for r in trained), default=1.0) or 1.0
    memory = max((r.peak_memory_mb for r in trained), default=1) or 1
    parts = [
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 640 360" font-family="sans-serif" font-size="12">',
        '<rect width="640" height="360" fill="white"/>',
    ]
    for share in (0.0, 0.25, 0.5, 0.75, 1.0):
        y = 310 - 280 * share
        parts.append(
            f'<line x1="60" x2="620" y1="{y}" y2="{y}" stroke="#ddd"/><text x="20" y="{y + 4}">{share:.2f}</text>'
        )
    for share in (0.0, 0.5, 1.0):
        parts.append(f'<text x="{60 + 480 * share}" y="332" text-anchor="middle">{most * share:.1f} min</text>')
    parts.append(
        f'<text x="60" y="20">{escape(name)} on held-out rows, by minutes of training; area: peak memory</text>'
    )
    for base in (r for r in results if not r.trainable and name in r.scores):
        y = 310 - 280 * base.scores[name]
        parts.append(f'<line x1="60" x2="620" y1="{y:.1f}" y2="{y:.1f}" stroke="#888" stroke-dasharray="4 4"/>')
        parts.append(f'<text x="560" y="{y - 4:.1f}">{escape(base.method)}</text>')
    for number, r in enumerate(trained):
        if name not in r.scores:
            continue
        x, y = 60 + 480 * r.minutes / most, 310 - 280 * r.scores[name]
        radius = 4 + 14 * (r.peak_memory_mb / memory) ** 0.5
        colour = DOTS[number % len(DOTS)]
        parts.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{radius:.1f}" fill="{colour}" fill-opacity=".55"/>')
        parts.append(f'<text x="{x + radius + 4:.1f}" y="{y + 4:.1f}">{escape(r.method)}</text>')
    return "".join([*parts, "</svg>"])
