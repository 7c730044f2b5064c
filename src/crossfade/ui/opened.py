"""Which conversation a page has open, and its turns as they are shown and as they are kept. Pure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from crossfade.corpora.registry import Corpus
from crossfade.history.conversations import Kept, new_id
from crossfade.history.kept import KeptTurn
from crossfade.types import Query
from crossfade.ui.conversation import MOST_TURNS, Conversation, Shown


@dataclass(frozen=True, slots=True)
class Open:
    """The conversation of one page: its id, the keys of its turns that the page has seen kept, its first question."""

    id: str = field(default_factory=new_id)
    keys: tuple[str, ...] = ()
    first: str = ""


def to_keep(turns: Conversation) -> tuple[KeptTurn, ...]:
    """The turns that have ended, as they are kept."""
    return tuple(
        KeptTurn(shown.query, shown.answer, shown.error, shown.schema, shown.form) for shown in turns if not shown.open
    )


def to_show(turns: Sequence[KeptTurn], schema_of: Callable[[Query], dict[str, Any] | None]) -> Conversation:
    """Kept turns as they are shown; `schema_of` gives that of a question's task, for turns that came without theirs."""
    return tuple(
        Shown(t.query, t.schema or schema_of(t.query), answer=t.answer, error=t.error, form=t.form) for t in turns
    )


def schema_in(corpora: Sequence[Corpus], query: Query) -> dict[str, Any] | None:
    """The schema of a question's task, or None where there is none, or no such task any more."""
    for corpus in corpora:
        if corpus.name == query.corpus and (task := corpus.tasks.get(query.task or corpus.default_task)):
            return task.schema
    return None


def opened(kept: Kept) -> Open:
    """What a page has open after a conversation was opened."""
    return Open(kept.id, kept.keys, kept.turns[0].query.text if kept.turns else "")


def continued(open_: Open, turns: Conversation, keys: Sequence[str]) -> Open:
    """The conversation that these turns, whose keys are given, belong to: the open one, or a new one.

    Turns that share none with the open conversation are a new one, unless its first question was answered again. Its
    keys are those that were seen before and may be taken back by these turns: not those that the page itself lost,
    because it shows no more than MOST_TURNS.
    """
    if not open_.keys:
        return replace(open_, first=turns[0].query.text)
    kept = [number for number, key in enumerate(open_.keys) if key in keys]
    if not kept and turns[0].query.text != open_.first:
        return Open(first=turns[0].query.text)
    if kept and len(turns) >= MOST_TURNS:
        return replace(open_, keys=open_.keys[kept[0] :])
    return open_
