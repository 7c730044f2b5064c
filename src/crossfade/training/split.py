"""Cut examples into those that are learned and those that are held out, by the hash of their text. Knows no table.

The side of an example is decided by what it says, so it is the same whatever the file's order, and whatever other rows
are added or taken away. Examples that are almost the same (`near`) go together, or the held-out side would measure
what was learned by heart. A group goes as its first member by hash goes. What can move a row is then only this:

- a phrase comes to stand in a tenth of the rows, or no longer does, and two rows are near because of it;
- a near-duplicate is added or removed, and with it the group's first member becomes another one; or it joins two
  groups. Where a member is added to n, that happens at most once in n + 1 times;
- the data are so small that a side would be empty. Then the group next to the border is moved over, until rows are
  added that belong there of themselves.

Of n groups about share * n are held out, with a spread of sqrt(n * share * (1 - share)): of 100 rows 10, often 7 or 13.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

from crossfade.errors import TrainingError
from crossfade.training.forms import Example
from crossfade.training.near import near_groups, normalised

SHARE = 0.1


@dataclass(frozen=True, slots=True)
class Split:
    """The examples to learn and those to measure on, each in the order in which they were given."""

    learned: tuple[Example, ...]
    held_out: tuple[Example, ...]


def split(examples: Sequence[Example], share: float = SHARE, *, groups: Sequence[Sequence[int]] | None = None) -> Split:
    """Hold out about `share` of the groups of near-duplicates, at least one, and learn at least one.

    `groups` are those of `near_groups` over what the examples ask, where they are known already. Raises TrainingError
    for fewer than two groups and a share that is not between 0 and 1.
    """
    if not 0 < share < 1:
        raise TrainingError(f"The share held out is {share}; it must be between 0 and 1, such as 0.1.")
    texts = [example.asked for example in examples]
    places = sorted(_place([texts[n] for n in group], group) for group in groups or near_groups(texts))
    if len(places) < 2:
        raise TrainingError(
            f"{_rows(examples)} cannot be split into what is learned and what is held out. At least 2 rows that ask "
            "different things are needed, for a useful adapter some hundreds."
        )
    border = sum(place < share for place, _ in places)
    border = min(max(border, 1), len(places) - 1)
    out = {number for _, group in places[:border] for number in group}
    return Split(
        tuple(example for number, example in enumerate(examples) if number not in out),
        tuple(example for number, example in enumerate(examples) if number in out),
    )


def _rows(examples: Sequence[Example]) -> str:
    if len(examples) == 1:
        return f"1 row, line {examples[0].line},"
    return f"{len(examples)} rows, all almost the same,"


def _place(texts: Sequence[str], group: Sequence[int]) -> tuple[float, tuple[int, ...]]:
    """Where a group stands between 0 and 1.

    One half of the hash chooses the member that decides, the other is where it stands: were both the same, a group of
    many would be held out more often than a row alone.
    """
    first = min(hashlib.sha256(normalised(text).encode(errors="replace")).digest() for text in texts)
    return int.from_bytes(first[16:24]) / 2**64, tuple(group)
