"""A run of the evaluate tab as it is shown: how far it is, and its report in the end. Pure."""

from __future__ import annotations

from html import escape

from crossfade.evaluation.export import to_html
from crossfade.evaluation.report import Report
from crossfade.evaluation.run import RunProgress
from crossfade.ui import render
from crossfade.ui.language import say
from crossfade.ui.phrases import said


def progress_html(progress: RunProgress, shown: str = "en") -> str:
    """How far a run is: a bar, the counts, the time left."""
    left, done, total = progress.seconds_left, f"{progress.done:,}", f"{progress.total:,}"
    told = [say(shown, "evaluate.progress", done=done, total=total, column=said(shown, progress.column))]
    if progress.failed:
        told.append(say(shown, "evaluate.failed", count=f"{progress.failed:,}"))
    if left is not None and left < 90:
        told.append(say(shown, "evaluate.seconds_left", count=max(1, round(left))))
    elif left is not None:
        told.append(say(shown, "evaluate.minutes_left", count=f"{left / 60:.0f}"))
    name = say(shown, "evaluate.answers_made")
    bar = f'<progress max="{progress.total}" value="{progress.done}" aria-label="{name}"></progress>'
    return f'<div class="cf-progress">{bar}{render.note_html(", ".join(told), kind="wait")}</div>'


def report_html(report: Report, shown: str = "en") -> str:
    """The report in a frame: a document of its own, that runs its own script and reaches nothing."""
    note = "" if shown == "en" else render.note_html(say(shown, "evaluate.report_language"))
    return (
        f'{note}<iframe class="cf-report" title="{say(shown, "evaluate.report")}" '
        f'sandbox="allow-scripts allow-downloads" srcdoc="{escape(to_html(report))}"></iframe>'
    )
