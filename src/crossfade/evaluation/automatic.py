"""Answer a question in the mode that a report's rule chooses for it. Knows how to retrieve, and no page."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from crossfade.compare import query_in_mode
from crossfade.errors import QuestionError
from crossfade.evaluation.auto import SIGNS, Rule, signs_of
from crossfade.evaluation.measured_on import CHANGED, changed, measured_on
from crossfade.pipeline import Pipeline
from crossfade.types import Blend, Passage, Query, mode_switches


@dataclass(frozen=True, slots=True)
class Automatic:
    """A report's rule with what its columns are: mode and blend by name. It is of one corpus, task and base.

    `measured` has what else it was measured on, as `measured_on` names it.
    """

    rule: Rule
    columns: Mapping[str, tuple[str, Blend]]
    corpus: str
    task: str
    base_sha256: str = ""
    measured: Mapping[str, str] = field(default_factory=dict)

    def check(self, query: Query) -> None:
        """Raises QuestionError for a query of another corpus or task: the rule was fitted on neither."""
        if (query.corpus, query.task) != (self.corpus, self.task):
            raise QuestionError(
                f"Auto was fitted on task {self.task!r} of {self.corpus!r}, and this is {query.task!r} of "
                f"{query.corpus!r}. "
                "Choose a mode, or measure this task."
            )


def read_automatic(report: Mapping[str, Any]) -> Automatic | None:
    """The rule of a report as JSON, or None where it has none. Raises QuestionError where it is no report."""
    try:
        if not report["auto"]:
            return None
        rule = Rule(**report["auto"]["rule"])
        found = {m["column"]["name"]: m["column"] for m in report["modes"]}
        columns = {n: (c["mode"], tuple((str(a), float(w)) for a, w in c["blend"])) for n, c in found.items()}
        known = rule.sign in SIGNS and all(
            n in columns and mode_switches(columns[n][0]) for n in (rule.below, rule.above)
        )
        if not known or not isinstance(rule.threshold, int | float):
            raise ValueError("its rule names what is not there")
        about = report["about"]
        measured = {name: str(about[name]) for name in CHANGED if name in about}
        place = (str(about["corpus"]), str(about["task"]), str(about.get("base sha256", "")))
        return Automatic(rule, columns, *place, measured)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise QuestionError(f"This is no report of crossfade eval ({error!r}). Give its report.json.") from error


def choose(pipeline: Pipeline, query: Query, automatic: Automatic) -> tuple[Query, tuple[Passage, ...], str]:
    """The query in the chosen mode, the passages that were found for it, and which mode and why, in a sentence.

    A second sentence says what has changed since the rule was fitted: it may choose worse than it did.
    Raises QuestionError, CorpusError and ModelError.
    """
    automatic.check(query)
    if automatic.base_sha256 not in ("", pipeline.engine.base_sha256):
        raise QuestionError("Auto was fitted on another base. Choose a mode, or measure on this base.")
    found = pipeline.retrieve(query)
    signs = signs_of(query.text, found)
    mode, blend = automatic.columns[automatic.rule.choose(signs)]
    why = f"Auto chose {automatic.rule.why(signs)}"
    if since := _since(pipeline, automatic):
        why = f"{why} Since auto was measured, these have changed: {'; '.join(since)}. Measure again."
    return query_in_mode(query, mode, blend=blend), found, why


def _since(pipeline: Pipeline, automatic: Automatic) -> list[str]:
    corpus = pipeline.corpus(automatic.corpus)
    adapters = {name for _, blend in automatic.columns.values() for name, _ in blend}
    now = measured_on(pipeline.engine, corpus, corpus.task(automatic.task), adapters)
    return changed(automatic.measured, now)
