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
    """The conversation of one page: its id, and the keys of its turns that the page has seen kept."""

    id: str = field(default_factory=new_id)
    keys: tuple[str, ...] = ()


def to_keep(turns: Conversation) -> tuple[KeptTurn, ...]:
    """The turns that have ended, as they are kept."""
    return tuple(
        KeptTurn(shown.query, shown.answer, shown.error, shown.schema, shown.form) for shown in turns if not shown.open
    )


def interrupted(turns: Conversation, why: str) -> tuple[KeptTurn, ...]:
    """The same with the last one, which is being answered, as it is where nothing more comes of it.

    What it would take the place of stands before it.
    """
    *before, last = turns
    return to_keep((*before, *last.instead, last.failed(why)))


def to_show(
    turns: Sequence[KeptTurn], schema_of: Callable[[Query], dict[str, Any] | None], *, thread: str = ""
) -> Conversation:
    """Kept turns of a conversation as they are shown.

    `schema_of` gives the schema of a question's task, for turns that came without theirs.
    """
    return tuple(
        Shown(t.query, t.schema or schema_of(t.query), answer=t.answer, error=t.error, form=t.form, thread=thread)
        for t in turns
    )


def schema_in(corpora: Sequence[Corpus], query: Query) -> dict[str, Any] | None:
    """The schema of a question's task, or None where there is none, or no such task any more."""
    for corpus in corpora:
        if corpus.name == query.corpus and (task := corpus.tasks.get(query.task or corpus.default_task)):
            return task.schema
    return None


def opened(kept: Kept) -> Open:
    """What a page has open after a conversation was opened."""
    return Open(kept.id, kept.keys)


def continued(open_: Open, turns: Conversation, keys: Sequence[str]) -> Open:
    """The conversation that these turns, whose keys are given, belong to: the open one, or that of their thread.

    Its keys are those that were seen before and may be taken back by these turns: not those that the page itself lost,
    because it shows no more than MOST_TURNS.
    """
    thread = turns[-1].thread or open_.id
    if thread != open_.id:
        return Open(thread)
    if len(turns) < MOST_TURNS:
        return open_
    first = next((number for number, key in enumerate(open_.keys) if key in keys), len(open_.keys))
    return replace(open_, keys=open_.keys[first:])
