"""What an evaluation found of single adapters, written into the cards of a person's own ones. Knows no page.

    "scores": {"eval.jsonl, answer": {"hybrid": {"right": [0.64, 0.55, 0.72], "n": 110, "when": "2026-11-20"}}}

A figure is its mean with the interval. What ships is never written to: it comes again with each update.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from typing import Any

from crossfade.adapters.card import changed_card
from crossfade.adapters.ownership import owners
from crossfade.adapters.peft_files import AdapterFiles
from crossfade.adapters.registry import adapters_of
from crossfade.errors import AdapterError
from crossfade.evaluation.figures import ModeFigures
from crossfade.evaluation.report import Report
from crossfade.evaluation.statistics import Estimate
from crossfade.settings import Settings

BASE = "base"
MOST_SETS = 20
"""So many sets a card holds figures of; the oldest go."""

log = logging.getLogger(__name__)


def keep_scores(report: Report, settings: Settings, *, person: str | None = None) -> tuple[str, ...]:
    """Write the figures of each adapter that stood alone in a column into its card; the names of those written to.

    Only those in the person's own folder are, and where `person` is named, theirs alone. Columns that were stopped
    before their end are passed over. A card that cannot be written is told in the log: the report stands without it.
    """
    alone: dict[str, list[ModeFigures]] = {}
    for figures in report.modes:
        column = figures.column
        if column.switches[0] and len(column.blend) == 1 and column.blend[0][1] == 1.0 and _whole(report, figures):
            alone.setdefault(column.blend[0][0], []).append(figures)
    if not alone:
        return ()
    base = [figures for figures in report.modes if figures.column.mode == BASE and _whole(report, figures)]
    registry, owner = adapters_of(settings), owners(settings)
    written = []
    for name, measured in alone.items():
        adapter = registry.adapters.get(name) or registry.disabled.get(name)
        if adapter is None or adapter.folder.parent != settings.my_adapters or _asked(report, name) != adapter.sha256:
            continue
        if person is not None and owner.get(name) != person:
            continue
        told = {figures.column.mode: _told(report, figures) for figures in (*base, *measured)}
        try:
            _write(adapter, f"{report.about['questions']}, {report.about['task']}", told)
            written.append(name)
        except AdapterError as error:
            log.warning("The scores of %r are not in its card: %s", name, error)
    return tuple(written)


def _whole(report: Report, figures: ModeFigures) -> bool:
    return all(report.grid[figures.column.name]) and figures.answered > 0


def _asked(report: Report, name: str) -> str:
    """The hash of the adapter of that name that answered: another one may have its name by now."""
    cells: Iterable[Any] = (cell for column in report.grid.values() for cell in column if cell)
    return next((sha256 for cell in cells for used, _, sha256 in cell.result.adapters if used == name), "")


def _told(report: Report, figures: ModeFigures) -> dict[str, Any]:
    """Whether answers are right, where a question says what is; then the scores of form."""
    found = {"right": figures.right} if figures.right else {}
    found |= {name: score for name, score in figures.scores.items() if name not in ("right", "words")}
    return {name: _rounded(score) for name, score in found.items()} | {
        "n": figures.right.n if figures.right else len(report.questions),
        "when": report.about["when"],
    }


def _rounded(score: Estimate) -> list[float]:
    return [round(value, 3) for value in (score.mean, score.low, score.high)]


def _write(adapter: AdapterFiles, name: str, told: Mapping[str, Any]) -> None:
    """Put the figures first among the card's."""
    with changed_card(adapter.folder) as card:
        before = card.get("scores")
        others = [pair for pair in before.items() if pair[0] != name] if isinstance(before, dict) else []
        card["scores"] = {name: told} | dict(others[: MOST_SETS - 1])
