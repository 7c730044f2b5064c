"""Reports of runs whose truth is known, for tests of what reads a report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from crossfade.evaluation.questions import EvalQuestion
from crossfade.evaluation.report import Report, build_report
from crossfade.evaluation.results import Result
from crossfade.evaluation.run import Column, Run


def report_of(
    right: Mapping[str, Sequence[bool | None]], *, seconds: Mapping[str, float] | None = None, **more: Any
) -> Report:
    """A report of modes that were right or wrong as given; None is a failure."""
    count = len(next(iter(right.values())))
    questions = tuple(
        EvalQuestion(id=f"q{n}", text=f"How much is number {n}?", line=n + 1, answers=(f"${n}",), answerable=True)
        for n in range(count)
    )
    results = {
        mode: tuple(
            Result(error="It broke.")
            if good is None
            else Result(
                text=f"${n if good else n + 1000}",
                seconds=(seconds or {}).get(mode, 1.0),
                prompt_tokens=100,
                new_tokens=10,
            )
            for n, good in enumerate(found)
        )
        for mode, found in right.items()
    }
    columns = tuple(Column(mode, mode, (("domain", 1.0),) if mode[:2] in ("fi", "hy") else ()) for mode in right)
    return build_report(Run(questions, columns, results, 0, 1.0), about={"title": "Test"}, **more)
