"""What a visitor may ask: all but the adapters of other visitors, and the tasks that these bring."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from crossfade.adapters.ownership import owners
from crossfade.corpora.own_tasks import OWN
from crossfade.corpora.registry import Corpus
from crossfade.settings import Settings

if TYPE_CHECKING:
    from crossfade.startup import Startup


def hidden_adapters(settings: Settings, person: str | None) -> frozenset[str]:
    """The names of the adapters that are another visitor's; `person` as of `owner.person_of`."""
    if person is None:
        return frozenset()
    return frozenset(name for name, owner in owners(settings).items() if owner != person)


def visible_corpora(startup: Startup, person: str | None) -> tuple[Corpus, ...]:
    """The corpora, without the tasks that adapters of other visitors bring."""
    if not (hidden := hidden_adapters(startup.settings, person)):
        return startup.corpora
    gone = {f"{OWN}{name}" for name in hidden}
    return tuple(
        replace(corpus, tasks={name: task for name, task in corpus.tasks.items() if name not in gone})
        for corpus in startup.corpora
    )
