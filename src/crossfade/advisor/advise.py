"""Which of fine-tuning, RAG and ICL a person needs: from a report where there is one, else from general experience.

What was measured goes first: only a mode that nothing was measured to beat is recommended, and among those the answers
to the nine questions choose, then the cost. Every reason points to a figure of the report or to an answer. Without a
report the advice is the field's: try ICL first, retrieve facts that are missing or change, train form, skill and
jargon; and it says that it is no measurement.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from crossfade.advisor.advice import Advice
from crossfade.advisor.experience import from_experience
from crossfade.advisor.interview import check_answers
from crossfade.advisor.measured import from_report
from crossfade.errors import QuestionError
from crossfade.evaluation.auto import AUTO
from crossfade.types import mode_switches


def advise(report: Mapping[str, Any] | None, answers: Mapping[str, str] | None = None) -> Advice:
    """Advice from a report as JSON (or None) and the answers by question. Raises QuestionError for a broken one."""
    given = check_answers(answers or {})
    if report is None:
        return from_experience(given)
    try:
        modes = {m["column"]["name"]: {**m, "switches": _switches(report, m)} for m in report["modes"] if m["right"]}
        best = [name for name in report["best"] if name in modes]
        pairs, effects = list(report["pairs"]), list(report["effects"])
        if not best:
            advice = from_experience(given)
            step = "Give questions with answers, labels, objects or rules: this report could score none."
            if modes:
                step = "Run the evaluation to its end: no question was answered by every mode yet."
            return replace(advice, steps=(step, *advice.steps))
        return from_report(modes, best, pairs, effects, given)
    except (LookupError, TypeError, ValueError, AttributeError) as error:
        raise QuestionError(f"This is no report of crossfade eval ({error!r}). Give its report.json.") from error


def _switches(report: Mapping[str, Any], figures: Mapping[str, Any]) -> tuple[bool, bool, bool]:
    """A column's switches (fine_tune, rag, icl). Auto has those of every column that it chooses: it needs them all."""
    if figures["column"]["mode"] != AUTO:
        return mode_switches(figures["column"]["mode"]) or (False, False, False)
    columns = {m["column"]["name"]: m["column"] for m in report["modes"]}
    used = [mode_switches(columns[name]["mode"]) or (False,) * 3 for name in report["auto"]["chosen"]]
    fine_tune, rag, icl = (any(switches[index] for switches in used) for index in range(3))
    return fine_tune, rag, icl
