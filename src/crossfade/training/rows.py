"""The rows of a training, from a corpus's task or from a person's own file, split into learned and held-out ones."""

from __future__ import annotations

import hashlib
import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol

from crossfade.corpora.registry import TEXT, Corpus, Task, read_rows
from crossfade.errors import TrainingError
from crossfade.training.against import JudgingSet, overlapping_rows, read_judging
from crossfade.training.cloze import asked_by_rule
from crossfade.training.compose import Finder, compose
from crossfade.training.data import TrainingRow
from crossfade.training.findings import about_overlap, joined
from crossfade.training.forms import Mapping, to_examples
from crossfade.training.near import near_rows
from crossfade.training.overlap import Embed
from crossfade.training.report import data_report
from crossfade.training.split import split
from crossfade.training.table import Table
from crossfade.training.tokens import CountPrompt
from crossfade.types import Message

HELD_OUT_EVERY = 20
"""Of a task's rows one of so many is watched and not learned; of a person's own, which are fewer, one of ten."""
MOST_HELD_OUT = 48
"""Of a task's watched rows so many are kept."""
INSTRUCTIONS = "Answer the request."
"""The system message of rows that have none."""


@dataclass(frozen=True, slots=True)
class Rows:
    """What is learned and what is watched, and what the card tells of where they came from.

    `task` and `corpus` name what the rows are answers to; for a person's own rows they are "" and `instructions` holds
    the system message that the adapter is asked with, `template` what a text is put into, `report` what was found in
    them. `mix` are the shares that a task's rows were made with, by the names of `TaskData`'s fields, those not 0.
    """

    learned: tuple[TrainingRow, ...]
    held_out: tuple[TrainingRow, ...]
    data: str
    file_sha256: str
    task: str = ""
    corpus: str = ""
    instructions: str = ""
    template: str = ""
    report: dict[str, Any] | None = None
    mix: dict[str, float] = field(default_factory=dict)


class Source(Protocol):
    """Where rows come from."""

    @property
    def told(self) -> str:
        """The rows in a few words: the file, and what of it is used."""

    @property
    def compares(self) -> bool:
        """Whether rows are compared by meaning, for which an embedder is needed."""

    def rows(
        self,
        *,
        finder: Finder | None,
        count: CountPrompt,
        limit: int,
        seed: int,
        control_tokens: Sequence[str] = (),
        embed: Embed | None = None,
    ) -> Rows:
        """The rows, none of more than `limit` tokens where passages can be left out to fit.

        A row that holds one of `control_tokens` would end or forge a turn. With `embed` a person's own rows, and what
        is asked by rule, are compared by meaning with the sets that they may not overlap.
        """


@dataclass(frozen=True, slots=True)
class TaskData:
    """A file of rows of a corpus's task, made into more by `compose`.

    Its shares are `earlier_turns` and `shuffled`. `max_rows` are drawn from the rows made, all for 0. Besides,
    every number of the documents that rows name is asked for `numbers` times without passages, never as a set of the
    corpus asks for it. No row may ask what a set of the corpus asks, unless `despite_overlap` says why.
    """

    path: Path
    corpus: Corpus
    task: Task
    max_rows: int = 0
    earlier_turns: float = 0.0
    shuffled: float = 0.0
    numbers: int = 0
    despite_overlap: str = ""

    @property
    def compares(self) -> bool:
        """Whether what is asked by rule is compared by meaning with the corpus's sets."""
        return self.numbers > 0

    @property
    def mix(self) -> dict[str, float]:
        """The shares that are not 0, by name."""
        shares = {name: getattr(self, name) for name in ("max_rows", "earlier_turns", "shuffled", "numbers")}
        return {name: share for name, share in shares.items() if share}

    @property
    def told(self) -> str:
        return f"{self.path.name}, rows of the task {self.task.name} of {self.corpus.name}"

    def rows(
        self,
        *,
        finder: Finder | None,
        count: CountPrompt,
        limit: int,
        seed: int,
        control_tokens: Sequence[str] = (),
        embed: Embed | None = None,
    ) -> Rows:
        found, sha256 = read_rows(self.path), _sha256(self.path)  # now: the file may be edited while this trains
        allowed, parts = self._overlaps(found), _parted(found)
        learned, watched = (
            compose(
                part,
                self.task,
                finder=finder,
                passages=self.corpus.passages,
                count=count,
                limit=limit,
                earlier_turns=self.earlier_turns,
                shuffled=self.shuffled,
                seed=seed,
            )
            for part in parts
        )
        asked = asked_by_rule(
            parts[0], self.corpus, instructions=self.task.instructions, often=self.numbers, seed=seed, embed=embed
        )
        return Rows(
            (*_drawn(learned, self.max_rows, seed), *asked),
            tuple(watched[:MOST_HELD_OUT]),
            data=self.path.name,
            file_sha256=sha256,
            task=self.task.name,
            corpus=self.corpus.name,
            mix=self.mix,
            report={"despite_overlap": self.despite_overlap, "findings": allowed} if allowed else None,
        )

    def _overlaps(self, rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
        """The rows that ask what the corpus will be judged by and that are allowed. Raises TrainingError for others."""
        shared = [found for path in self.corpus.question_sets for found in overlapping_rows(rows, read_judging(path))]
        made = about_overlap(shared, self.despite_overlap)
        if made and not self.despite_overlap:
            raise TrainingError(made[0].text)
        return [asdict(finding) for finding in made]


@dataclass(frozen=True, slots=True)
class OwnData:
    """A person's own file, as a table with the mapping of its columns. `max_rows` are drawn from the learned ones.

    `against` are the sets that it will be judged on, which no row may overlap, unless `despite_overlap` says why.
    """

    path: Path
    table: Table
    mapping: Mapping
    max_rows: int = 0
    against: tuple[JudgingSet, ...] = ()
    despite_overlap: str = ""

    @property
    def compares(self) -> bool:
        """Whether a set is compared by meaning too, since a person named it."""
        return any(not judging.by_words for judging in self.against)

    @property
    def told(self) -> str:
        used = ", ".join(f"{role} from {column}" for role, column in self.mapping.columns().items())
        return f"{self.path.name}, {len(self.table.records):,} rows of the form {self.mapping.form}, {used}"

    def rows(
        self,
        *,
        finder: Finder | None,
        count: CountPrompt,
        limit: int,
        seed: int,
        control_tokens: Sequence[str] = (),
        embed: Embed | None = None,
    ) -> Rows:
        # Without a system message some chat templates put in one of their own; the chat always has one.
        mapping = replace(self.mapping, instructions=self.mapping.instructions or INSTRUCTIONS)
        report = data_report(
            self.table,
            mapping,
            count=lambda row: count((*row.messages, Message("assistant", row.response))),
            limit=limit,
            against=self.against,
            embed=embed,
            despite_overlap=self.despite_overlap,
            control_tokens=control_tokens,
        )
        if report.errors:
            raise TrainingError(joined(report.errors))
        parts = split(to_examples(self.table, mapping)[0])
        learned, watched = ([e.row for e in part] for part in (parts.learned, parts.held_out))
        common = Counter(row.messages[0].content for row in learned).most_common(1)[0][0]
        return Rows(
            _drawn(learned, self.max_rows, seed),
            tuple(random.Random(seed).sample(watched, len(watched))),  # files are sorted; only the first are measured
            data=self.path.name,
            file_sha256=_sha256(self.path),
            instructions=common,
            template=mapping.template if mapping.form == "label" and mapping.template != TEXT else "",
            report=report.as_json(),
        )


def _drawn(rows: Sequence[TrainingRow], most: int, seed: int) -> tuple[TrainingRow, ...]:
    return tuple(random.Random(seed).sample(list(rows), most) if 0 < most < len(rows) else rows)


def _parted(rows: Sequence[dict[str, Any]]) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """The rows of a task that are learned and those that are watched, by the hash of their text.

    A row never changes sides, and rows of which any wordings are near are on one: that of the first of them by hash.
    """
    asked = [str(row.get("question") or row.get("message")) for row in rows]
    hashes = [hashlib.sha256(text.encode(errors="replace")).digest() for text in asked]
    parts: tuple[list[int], list[int]] = ([], [])
    for group in near_rows([(text, str(row.get("reworded") or "")) for text, row in zip(asked, rows, strict=True)]):
        first = min((hashes[number] for number in group), key=lambda found: found[16:])  # not by what decides its side
        parts[first[0] % HELD_OUT_EVERY == 0].extend(group)
    learned, watched = ([rows[number] for number in sorted(part)] for part in parts)
    return (learned, watched) if learned else (watched, [])


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
