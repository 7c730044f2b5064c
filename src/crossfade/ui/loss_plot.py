"""The loss curves of a training as an SVG. Pure: numbers in, markup out."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from crossfade.ui import render
from crossfade.ui.language import say

WIDTH, HEIGHT = 640, 240
LEFT, RIGHT, TOP, BOTTOM = 48, 12, 12, 28
SMOOTHING = 0.9
"""The share of the mean so far in the next point of the learned rows' curve: single batches jump."""

Curve = Sequence[tuple[int, float]]


def loss_svg(learned: Curve, held_out: Curve, *, steps: int, kept: int = 0, language: str = "en") -> str:
    """Learned rows as a line, smoothed, held-out rows as dots on a line, the kept step as a ring; step from 0 to the
    last across, nats a token up."""
    if not learned and not held_out:
        return ""
    smooth = list(_smoothed(learned))
    losses = [loss for _, loss in (*smooth, *held_out)]
    low, high = min(0.0, *losses), max(losses) * 1.05 or 1.0
    across, up = WIDTH - LEFT - RIGHT, HEIGHT - TOP - BOTTOM

    def at(step: float, loss: float) -> tuple[float, float]:
        return round(LEFT + across * step / max(1, steps), 1), round(TOP + up * (high - loss) / (high - low), 1)

    label = render.escape(_words(held_out, smooth, language))
    parts = [f'<svg class="cf-loss" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{label}">']
    for share in (0.0, 0.5, 1.0):
        loss = low + share * (high - low)
        y = at(0, loss)[1]
        parts.append(f'<line class="cf-grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y}" y2="{y}"/>')
        parts.append(f'<text x="{LEFT - 6}" y="{y + 4}" text-anchor="end">{loss:.2f}</text>')
    for step in (0, steps // 2, steps):
        parts.append(f'<text x="{at(step, 0)[0]}" y="{HEIGHT - 8}" text-anchor="middle">{step}</text>')
    parts.append(f'<polyline class="cf-learned" points="{_points(at(*point) for point in smooth)}"/>')
    if held_out:
        places = [at(*point) for point in held_out]
        parts.append(f'<polyline class="cf-held-out" points="{_points(places)}"/>')
        for (step, loss), (x, y) in zip(held_out, places, strict=True):
            ring = ' class="cf-kept" r="6"' if step and step == kept else ' r="4"'
            title = render.escape(say(language, "training.plot_point", step=step, loss=f"{loss:.3f}"))
            parts.append(f'<circle cx="{x}" cy="{y}"{ring}><title>{title}</title></circle>')
    return "".join([*parts, "</svg>"])


def _smoothed(curve: Curve) -> Iterable[tuple[int, float]]:
    """The exponential mean, without the pull of where it began (Kingma and Ba's correction, arXiv 1412.6980)."""
    mean = weight = 0.0
    for step, loss in curve:
        mean, weight = SMOOTHING * mean + (1 - SMOOTHING) * loss, SMOOTHING * weight + 1 - SMOOTHING
        yield step, mean / weight


def _points(places: Iterable[tuple[float, float]]) -> str:
    return " ".join(f"{x},{y}" for x, y in places)


def _words(held_out: Curve, smooth: Curve, language: str) -> str:
    curve, name = (held_out, "training.held_out_rows") if held_out else (smooth, "training.learned_rows")
    (first, high), (last, low) = curve[0], curve[-1]
    told = {"rows": say(language, name), "high": f"{high:.2f}", "first": first, "low": f"{low:.2f}", "last": last}
    return say(language, "training.plot_words", **told)
