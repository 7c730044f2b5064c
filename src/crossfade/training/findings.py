"""What is wrong with rows, one finding each, with the lines it is about and what to do. Pure; prints nothing.

Each wording stands whole in one text, with values and short clauses in it, since the page says it in other languages by
that (`ui/phrases.py`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Literal

from crossfade.training.against import JudgingSet, Overlapping
from crossfade.training.forms import Example
from crossfade.training.guess import MOST_LABELS
from crossfade.training.near import normalised
from crossfade.training.personal import personal_kinds
from crossfade.training.split import Split
from crossfade.training.table import Broken

RARE = 10
"""A label with fewer rows is hardly learned."""
ALSO = " Also: "
"""Stands between several findings in one message."""
Groups = tuple[tuple[int, ...], ...]
"""Lines that belong together."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong: its kind, whether it forbids training, a text for people, and all lines it is about."""

    kind: str
    severity: Literal["error", "warning"]
    text: str
    lines: tuple[int, ...] = ()


def joined(findings: Iterable[Finding]) -> str:
    """The texts of findings as one line, which is taken apart again where it is said in other languages."""
    return ALSO.join(finding.text for finding in findings)


def told_lines(lines: Sequence[int], most: int = 8) -> str:
    """`line 3`, `lines 3, 5 and 9`, or `lines 3, 5 and 20 more`."""
    shown = [str(line) for line in lines[: most if len(lines) > most + 1 else None]]
    if len(shown) < len(lines):
        return f"lines {', '.join(shown)} and {len(lines) - len(shown)} more"
    return f"line {shown[0]}" if len(shown) == 1 else f"lines {', '.join(shown[:-1])} and {shown[-1]}"


def duplicates(examples: Sequence[Example]) -> tuple[Groups, Groups]:
    """(exact duplicates, contradictions): lines with one prompt, and within it one response or different ones."""
    by_prompt: dict[tuple[tuple[str, str], ...], dict[str, list[int]]] = {}
    for example in examples:
        prompt = tuple((message.role, normalised(message.content)) for message in example.row.messages)
        by_prompt.setdefault(prompt, {}).setdefault(example.row.response.strip(), []).append(example.line)
    same = sorted(tuple(lines) for found in by_prompt.values() for lines in found.values() if len(lines) > 1)
    against = sorted(
        tuple(sorted(chain.from_iterable(found.values()))) for found in by_prompt.values() if len(found) > 1
    )
    return tuple(same), tuple(against)


def label_counts(examples: Sequence[Example], *, labels: bool) -> tuple[tuple[str, int], ...]:
    """The responses and how often each is given, most often first, where they are labels or few enough to be."""
    counts = Counter(example.row.response for example in examples)
    if not labels and (len(counts) > MOST_LABELS or len(counts) * 2 > len(examples)):
        return ()
    return tuple(sorted(counts.items(), key=lambda pair: (-pair[1], pair[0])))


def personal_lines(examples: Iterable[Example]) -> tuple[tuple[str, tuple[int, ...]], ...]:
    """The kinds of personal data that rows seem to hold, each with its lines."""
    found: dict[str, list[int]] = {}
    for example in examples:
        texts = "\n".join([*(message.content for message in example.row.messages), example.row.response])
        for kind in personal_kinds(texts):
            found.setdefault(kind, []).append(example.line)
    return tuple((kind, tuple(lines)) for kind, lines in sorted(found.items()))


def about_rows(
    examples: Sequence[Example], broken: Sequence[Broken], *, column: str, last: bool = False
) -> list[Finding]:
    """Rows that cannot be used, none that can, and responses that are all the same.

    `column` names that of the responses, or with `last` of chats, of which the last answers are compared.
    """
    found = []
    if broken:
        lines = tuple(row.line for row in broken)
        first, where = f"line {broken[0].line}: {broken[0].why}", told_lines(lines)
        text = (
            f"1 row cannot be used and will be left out, {first}. Mend or remove what is named."
            if len(lines) == 1
            else f"{len(lines):,} rows cannot be used and will be left out, {where} ({first}). Mend or remove what is "
            "named."
        )
        found.append(Finding("broken", "warning", text, lines))
    if not examples:
        text = "No row can be used. Name the columns that hold the prompt and the response."
        found.append(Finding("no rows", "error", text))
    if len(examples) > 1 and len({example.row.response for example in examples}) == 1:
        lines = tuple(example.line for example in examples)
        said, where = _short(examples[0].row.response), told_lines(lines)
        text = (
            f"All {len(lines)} last answers in column {column}, {where}, are {said!r}; a model would learn to say that "
            "to everything. Give rows with different answers."
            if last
            else f"All {len(lines)} responses in column {column}, {where}, are {said!r}; a model would learn to say "
            "that to everything. Give rows with different responses, or choose another column."
        )
        found.append(Finding("one response", "error", text, lines))
    return found


def about_lengths(tokens: Sequence[tuple[int, int]], limit: int, *, column: str) -> list[Finding]:
    """Rows, as (line, tokens), longer than the limit; `column` names that of the prompt."""
    lines = tuple(line for line, count in tokens if count > limit)
    if not lines:
        return []
    every = len(lines) == len(tokens)
    have = "1 row has" if len(lines) == 1 else f"{len(lines):,} rows have"
    where = told_lines(lines)
    text = (
        f"Every row has more than {limit:,} tokens, {where}. Shorten column {column}, or raise the limit up to the "
        "base's context."
        if every
        else f"{have} more than {limit:,} tokens and will be left out, {where}. Shorten column {column} "
        "there, or raise the limit up to the base's context."
    )
    return [Finding("too long", "error" if every else "warning", text, lines)]


def about_control(examples: Sequence[Example], tokens: Sequence[str]) -> list[Finding]:
    """Rows that hold a control token of the base, which would end or forge a turn; training refuses them."""
    held: dict[str, list[int]] = {}
    for example in examples:
        texts = (example.row.response, *(message.content for message in example.row.messages))
        for token in tokens:
            if any(token in text for text in texts):
                held.setdefault(token, []).append(example.line)
    return [
        Finding(
            "control token",
            "error",
            f"The control token {token!r} would end or forge a turn, {told_lines(lines)}. Remove it.",
            tuple(lines),
        )
        for token, lines in held.items()
    ]


def about_twins(exact: Groups, near: Groups, contradictions: Groups) -> list[Finding]:
    """Rows that say the same, almost the same, or answer one prompt in two ways."""
    told = (
        ("duplicates", exact, f"{_have(exact)} the same prompt and response ({_where(exact)}). Keep one of each."),
        (
            "near duplicates",
            near,
            f"{_have(near)} almost the same prompt ({_where(near)}). The split keeps them together; drop those not "
            "wanted.",
        ),
        (
            "contradictions",
            contradictions,
            f"{_have(contradictions)} the same prompt and different responses ({_where(contradictions)}). Decide on "
            "one for each.",
        ),
    )
    return [
        Finding(kind, "warning", text, tuple(sorted(line for group in groups for line in group)))
        for kind, groups, text in told
        if groups
    ]


def _have(groups: Groups) -> str:
    return "A group of rows has" if len(groups) == 1 else f"{len(groups):,} groups of rows have"


def _where(groups: Groups) -> str:
    return "; ".join([*map(told_lines, groups[:3]), *(["..."] if len(groups) > 3 else [])])


def about_labels(
    labels: Sequence[tuple[str, int]],
    examples: Sequence[Example],
    made: Split | None,
    judged: Sequence[JudgingSet],
    *,
    column: str,
) -> list[Finding]:
    """Labels with few rows, labels that are held out and never learned, and labels that only a judging set knows.

    `column` names that of the labels.
    """
    found = []
    lines: dict[str, list[int]] = {label: [] for label, _ in labels}
    for example in examples:
        lines.get(example.row.response, []).append(example.line)
    learned = {example.row.response for example in made.learned} if made else set(lines)
    unseen = [label for label in lines if label not in learned]
    rare = [label for label in lines if label in learned and len(lines[label]) < RARE] if len(lines) > 1 else []
    if unseen:
        text = (
            f"Never learned of column {column}, because all their rows are held out: {_labels(unseen, lines)}. Add "
            "rows of them."
        )
        found.append(Finding("label never learned", "warning", text, _all_lines(unseen, lines)))
    if rare:
        text = (
            f"Labels with few rows in column {column}: {_labels(rare, lines)}. Give each at least {RARE}, or join some."
        )
        found.append(Finding("rare label", "warning", text, _all_lines(rare, lines)))
    known = {label for label, _ in labels}
    for judging in judged if known else ():
        unknown = [row for row in judging.rows if row.get("label") and str(row["label"]) not in known]
        if unknown:
            where, label = told_lines([row["line"] for row in unknown]), _short(str(unknown[0]["label"]))
            names = ", ".join(sorted(known))
            text = f"{judging.name}, {where}, column label: {label!r} stands in no row to learn. Known: {names}."
            found.append(Finding("label never learned", "warning", text))
    return found


def about_overlap(found: Sequence[Overlapping], despite: str) -> list[Finding]:
    """Rows that a judging set asks too: an error, or a warning where a person has said why they may be learned."""
    if not found:
        return []
    first = f"line {found[0].line} and {found[0].judging_set}, line {found[0].judging_line}: {found[0].why}"
    lines = tuple(dict.fromkeys(overlap.line for overlap in found))
    ask, where = "1 row asks" if len(lines) == 1 else f"{len(lines):,} rows ask", told_lines(lines)
    if despite:
        text = f'{ask} what a judging set asks, {where} ({first}). Allowed with the words: "{despite}"'
        return [Finding("overlap", "warning", text, lines)]
    text = (
        f"{ask} what a judging set asks, {where} ({first}). Remove them, or say in a sentence why they may be learned."
    )
    return [Finding("overlap", "error", text, lines)]


def about_personal(kinds: Sequence[tuple[str, tuple[int, ...]]]) -> list[Finding]:
    """What looks like personal data; a model may say it to anybody."""
    found = []
    for kind, lines in kinds:
        seem = "1 row seems" if len(lines) == 1 else f"{len(lines):,} rows seem"
        text = (
            f"{seem} to hold personal data ({kind}), {told_lines(lines)}. A model may repeat it to anybody; replace it "
            "with made-up data."
        )
        found.append(Finding("personal data", "warning", text, lines))
    return found


def _labels(names: Sequence[str], lines: Mapping[str, Sequence[int]]) -> str:
    told = [f"label {_short(name)!r}, {told_lines(lines[name])}" for name in names[:8]]
    return "; ".join([*told, *([f"and {len(names) - 8} more"] if len(names) > 8 else [])])


def _all_lines(names: Sequence[str], lines: Mapping[str, Sequence[int]]) -> tuple[int, ...]:
    return tuple(sorted(line for name in names for line in lines[name]))


def _short(text: str) -> str:
    return text if len(text) <= 60 else f"{text[:57]}..."
