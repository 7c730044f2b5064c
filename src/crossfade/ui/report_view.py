"""What a measurement shows in the page: how far it is, and its report. Measures nothing.

The report is the file that can be saved: it stands in a frame of its own, where nothing of it can reach the page.
"""

from __future__ import annotations

from functools import partial
from html import escape

from crossfade.evaluation.export import to_html
from crossfade.evaluation.page_words import Reader
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
    page = to_html(report, Reader(shown, partial(said, shown)))
    return (
        f'<iframe class="cf-report" title="{say(shown, "evaluate.report")}" '
        f'sandbox="allow-scripts allow-downloads" srcdoc="{escape(page)}"></iframe>'
    )
