"""What a person should know of data before training on them, as values, as JSON and as lines. Prints nothing."""

from __future__ import annotations

import bisect
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

from crossfade.errors import TrainingError
from crossfade.training import findings
from crossfade.training.against import JudgingSet, Overlapping, overlapping
from crossfade.training.estimate import Estimate, Plan, estimate
from crossfade.training.findings import Finding, Groups
from crossfade.training.forms import Example, Mapping, to_examples
from crossfade.training.near import near_groups, normalised
from crossfade.training.overlap import Embed
from crossfade.training.split import SHARE, Split, split
from crossfade.training.table import Broken, Table
from crossfade.training.tokens import Count

BOUNDS = (16, 32, 64, 128, 256, 512, 1024, 2048, 4096, 8192)
"""The histogram counts rows with up to so many tokens; the last class has no bound."""
COMPARING, COUNTING = "Comparing the rows with each other", "Counting tokens"
JUDGING, PERSONAL = "Comparing the rows with a judging set", "Looking for personal data"
Progress = Callable[[str, int, int], None]
"""Called with a stage, one of these, with how much of it is done, and of how much."""
TOLD_EVERY = 200
FEWEST_WORDS = 4
"""An overlap is allowed by a sentence, not by a yes: who reads the report later should learn why."""


@dataclass(frozen=True, slots=True)
class Tokens:
    """Tokens of the usable rows, in all and of the longest; (most tokens or None, rows) for each class of lengths.

    `rough` says that they were estimated without a tokenizer.
    """

    total: int
    longest: int
    histogram: tuple[tuple[int | None, int], ...]
    rough: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class DataReport:
    """What was found in a table. Rows are named by their lines; groups of lines belong together.

    `rows` counts all, the broken ones too; `usable` those that make an example. `longest` are (line, tokens) of rows
    over the `limit`. `labels` is empty where the responses are no labels. `despite_overlap` is the sentence with which
    an overlap was allowed, or "".
    """

    name: str
    rows: int
    usable: int
    learned: int
    held_out: int
    mapping: Mapping
    unused: tuple[str, ...]
    tokens: Tokens
    limit: int
    too_long: tuple[tuple[int, int], ...]
    broken: tuple[Broken, ...]
    duplicates: Groups
    near_duplicates: Groups
    contradictions: Groups
    labels: tuple[tuple[str, int], ...]
    judged_by: tuple[str, ...]
    overlaps: tuple[Overlapping, ...]
    despite_overlap: str
    personal: tuple[tuple[str, tuple[int, ...]], ...]
    estimate: Estimate | None
    findings: tuple[Finding, ...]

    @property
    def errors(self) -> tuple[Finding, ...]:
        """The findings that forbid training."""
        return tuple(finding for finding in self.findings if finding.severity == "error")

    def as_json(self) -> dict[str, Any]:
        """All of it as plain values for programs."""
        return {**asdict(self), "errors": len(self.errors)}

    def as_lines(self) -> tuple[str, ...]:
        """Lines that are a table in Markdown and on a terminal, then the findings, errors first."""
        from crossfade.training.report_lines import report_lines

        return report_lines(self)


def data_report(
    table: Table,
    mapping: Mapping,
    *,
    count: Count,
    rough: bool = False,
    limit: int = 1024,
    share: float = SHARE,
    against: Sequence[JudgingSet] = (),
    embed: Embed | None = None,
    despite_overlap: str = "",
    control_tokens: Sequence[str] = (),
    plan: Plan | None = None,
    progress: Progress = lambda stage, done, total: None,
) -> DataReport:
    """Look at the rows of a table as a mapping reads them.

    `count` gives the tokens of a row; `rough` says that it estimates. Rows over `limit` tokens are listed, and rows
    that hold one of `control_tokens` are an error. `against` are the sets it will be judged on, compared by meaning
    with `embed` and by words without. What `progress` raises ends the work. Raises TrainingError for a mapping that
    does not fit and for words that are no sentence; what is wrong with the rows themselves is a finding.
    """
    despite = sentence(despite_overlap)
    examples, broken = to_examples(table, mapping)
    learned_from = mapping.response or mapping.prompt
    groups = near_groups([example.asked for example in examples], progress=partial(progress, COMPARING))
    made, unsplit = _split(examples, share, groups)
    tokens = [(example.line, count(example.row)) for example in _telling(examples, partial(progress, COUNTING))]
    labels = findings.label_counts(examples, labels=mapping.form == "label")
    exact, contradictions = findings.duplicates(examples)
    near = tuple(tuple(examples[n].line for n in group) for group in groups if _differ(examples, group))
    found: list[Overlapping] = []
    for judging in against:
        found += overlapping(examples, judging, embed=embed, table=table, progress=partial(progress, JUDGING))
    personal = findings.personal_lines(_telling(examples, partial(progress, PERSONAL)))
    all_findings = [
        *findings.about_rows(examples, broken, column=learned_from, last=not mapping.response),
        *unsplit,
        *findings.about_lengths(tokens, limit, column=mapping.prompt),
        *findings.about_control(examples, control_tokens),
        *findings.about_twins(exact, near, contradictions),
        *findings.about_labels(
            labels, examples, made, [judging for judging in against if not judging.by_words], column=learned_from
        ),
        *findings.about_overlap(found, despite),
        *findings.about_personal(personal),
    ]
    learned = {example.line for example in made.learned} if made else set()
    return DataReport(
        name=table.name,
        rows=len(table.records) + len(table.broken),
        usable=len(examples),
        learned=len(made.learned) if made else 0,
        held_out=len(made.held_out) if made else 0,
        mapping=mapping,
        unused=tuple(name for name in table.columns if name not in mapping.columns().values()),
        tokens=_tokens([n for _, n in tokens], rough),
        limit=limit,
        too_long=tuple((line, n) for line, n in tokens if n > limit),
        broken=broken,
        duplicates=exact,
        near_duplicates=near,
        contradictions=contradictions,
        labels=labels,
        judged_by=tuple(judging.name for judging in against),
        overlaps=tuple(found),
        despite_overlap=despite if found else "",
        personal=personal,
        estimate=estimate(sum(n for line, n in tokens if line in learned and n <= limit), plan) if plan else None,
        findings=tuple(sorted(all_findings, key=lambda finding: finding.severity)),
    )


def _telling(examples: Sequence[Example], progress: Callable[[int, int], None]) -> Iterator[Example]:
    for number, example in enumerate(examples):
        if number % TOLD_EVERY == 0:
            progress(number, len(examples))
        yield example


def sentence(words: str) -> str:
    """The words on one line. Raises TrainingError where they are some, and too few to say why."""
    words = " ".join(words.split())
    if words and len(words.split()) < FEWEST_WORDS:
        raise TrainingError(
            f"{words!r} is no sentence. Say in at least {FEWEST_WORDS} words why rows may be learned that are judged."
        )
    return words


def _split(
    examples: Sequence[Example], share: float, groups: Sequence[Sequence[int]]
) -> tuple[Split | None, list[Finding]]:
    if not examples:
        return None, []  # told as such
    try:
        return split(examples, share, groups=groups), []
    except TrainingError as error:
        return None, [Finding("too few", "error", str(error), tuple(example.line for example in examples))]


def _differ(examples: Sequence[Example], group: Sequence[int]) -> bool:
    return len(group) > 1 and len({normalised(examples[n].asked) for n in group}) > 1


def _tokens(counts: Sequence[int], rough: bool) -> Tokens:
    classes = [0] * (len(BOUNDS) + 1)
    for count in counts:
        classes[bisect.bisect_left(BOUNDS, count)] += 1
    histogram = tuple((bound, rows) for bound, rows in zip((*BOUNDS, None), classes, strict=True) if rows)
    return Tokens(sum(counts), max(counts, default=0), histogram, rough)
