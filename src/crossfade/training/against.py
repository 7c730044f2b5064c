"""The sets that an adapter will be judged on, and the training rows that ask what they ask.

One rule for the report, the training and the page: the words by the bar `NEARLY_ALL`, and the meanings too where there
is an embedder.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from crossfade.corpora.registry import Corpus
from crossfade.errors import TrainingError
from crossfade.training.forms import Example, to_examples
from crossfade.training.guess import PROMPTS, guess, named
from crossfade.training.near import normalised
from crossfade.training.overlap import Embed, overlaps, shared_words
from crossfade.training.table import Table, read_table

NEARLY_ALL = 0.75
"""The share of trigrams from which two rows ask the same. By a half 18 of 894 questions on other articles did, such as
"What is the name of" two different things, and by 0.6 two; and a finding ends the training."""


@dataclass(frozen=True, slots=True)
class JudgingSet:
    """A set's name and its rows: `question`, `line`, and where the set has them `answers`, `documents`, `label`.

    `by_words` says that nobody named it: it is compared by its words alone.
    """

    name: str
    rows: tuple[dict[str, Any], ...]
    by_words: bool = False


@dataclass(frozen=True, slots=True)
class Overlapping:
    """The line of a training row, the set and line of a judging row that asks the same, and how that was seen."""

    line: int
    judging_set: str
    judging_line: int
    why: str


def read_judging(path: Path) -> JudgingSet:
    """Read a judging set of any kind and form. Raises TrainingError as `read_table` and `guess` do."""
    table = read_table(path)
    if column := named(table, PROMPTS):
        asked = {record.line: str(record.values.get(column) or "") for record in table.records}
    else:
        asked = {example.line: example.asked for example in to_examples(table, guess(table))[0]}
    told = ("answers", "documents", "label")
    rows = [
        {
            "question": asked[record.line],
            "line": record.line,
            **{k: record.values[k] for k in told if k in record.values},
        }
        for record in table.records
        if asked.get(record.line, "").strip()
    ]
    if not rows:
        raise TrainingError(f"{path.name} holds no question to compare with. Give a set with a question in each row.")
    return JudgingSet(path.name, tuple(_whole(row) for row in rows))


def sets_of_corpora(corpora: Iterable[Corpus], *, besides: Collection[Path] = ()) -> tuple[JudgingSet, ...]:
    """The sets that lie beside the documents of corpora, but for those that are named, which are `besides`.

    They judge whoever names none. A file that holds no question is none.
    """
    found, named_ones = [], {path.resolve() for path in besides}
    for corpus in corpora:
        for path in corpus.question_sets:
            if path.resolve() not in named_ones:
                with suppress(TrainingError):
                    found.append(replace(read_judging(path), name=f"{corpus.name}: {path.name}", by_words=True))
    return tuple(found)


def overlapping(
    examples: Sequence[Example],
    judging: JudgingSet,
    *,
    embed: Embed | None = None,
    table: Table | None = None,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> tuple[Overlapping, ...]:
    """The examples that ask what a row of the set asks, one at most for each example, in their order.

    Without `embed`, which gives unit vectors (texts, dimensions), or where nobody named the set, the words alone are
    compared. From the `table` of the examples their `documents` are taken, where it has them. `progress` is as of
    `overlaps`.
    """
    documents = {record.line: record.values.get("documents") for record in table.records} if table else {}
    training = [
        _whole({"question": e.asked, "answer": e.row.response, "documents": documents.get(e.line)}) for e in examples
    ]
    return tuple(
        Overlapping(examples[number].line, judging.name, judging.rows[other]["line"], why)
        for number, (other, why) in sorted(
            _found(training, judging, None if judging.by_words else embed, progress).items()
        )
    )


def overlapping_rows(rows: Sequence[dict[str, Any]], judging: JudgingSet) -> tuple[Overlapping, ...]:
    """The rows of a corpus's task, one in each line of their file, that ask in either wording what the set asks.

    Words alone are compared.
    """
    asked = [(line, str(row.get("question") or row.get("message") or "")) for line, row in enumerate(rows, start=1)]
    asked += [(line, str(row["reworded"])) for line, row in enumerate(rows, start=1) if row.get("reworded")]
    found: dict[int, Overlapping] = {}
    training = [{"question": text} for _, text in asked]
    for number, (other, why) in _found(training, judging, None).items():
        line = asked[number][0]
        found.setdefault(line, Overlapping(line, judging.name, judging.rows[other]["line"], why))
    return tuple(found[line] for line in sorted(found))


def _found(
    training: Sequence[dict[str, Any]],
    judging: JudgingSet,
    embed: Embed | None,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> dict[int, tuple[int, str]]:
    """For the numbers of the training rows that overlap, the judging row's number and how that was seen."""
    same = {normalised(row["question"]): number for number, row in reversed(list(enumerate(judging.rows)))}
    shared = (
        overlaps(training, judging.rows, embed, same_words=NEARLY_ALL, progress=progress)
        if embed
        else shared_words(training, judging.rows, same_words=NEARLY_ALL, progress=progress)
    )
    found = {o.training: (o.judging, o.why) for o in shared}
    for number, row in enumerate(training):  # a text of three words has no trigrams to share
        if (other := same.get(normalised(row["question"]))) is not None:
            found[number] = (other, "the texts are the same")
    return found


def _whole(row: dict[str, Any]) -> dict[str, Any]:
    """The row with lists of texts in the fields that are compared as such; what is of another kind is not compared."""
    for name in ("documents", "answers"):
        value = row.get(name)
        texts = [value] if isinstance(value, str) else value if isinstance(value, list) else []
        row[name] = [text for text in texts if isinstance(text, str)]
    return row
