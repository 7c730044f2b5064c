"""What can be chosen in the adapter list: each adapter with its task. Pure; knows no component and no engine.

A choice sets the task as well: every mode of a task is given the same instructions, so that base and fine-tune are
asked for the same thing. A task without a usable adapter stays in the list, for the modes that need none. An adapter
that is refused keeps its place, and with it what a person chose: it never turns into another one.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from crossfade.corpora.registry import Corpus, Task
from crossfade.errors import AdapterError
from crossfade.ui.language import say
from crossfade.ui.phrases import said

if TYPE_CHECKING:
    from crossfade.startup import AdapterCard

LABEL_CHARACTERS = 60
"""A purpose longer than this gives way to the title of its task."""


@dataclass(frozen=True, slots=True)
class Choice:
    """One line of the adapter list. `why_off` says why fine-tuning cannot be switched on; then `adapter` is empty."""

    key: str
    label: str
    task: Task
    adapter: str = ""
    why_off: str = ""


def list_choices(corpus: Corpus, adapters: Iterable[AdapterCard], *, language: str = "en") -> tuple[Choice, ...]:
    """The choices of a corpus, those of its default task first. Never empty."""
    cards = tuple(adapters)
    names = sorted(corpus.tasks, key=lambda name: name != corpus.default_task)
    return tuple(choice for name in names for choice in _of_task(corpus, corpus.tasks[name], cards, language))


def find_choice(choices: tuple[Choice, ...], key: str | None, *, language: str = "en") -> Choice:
    """The choice with that key; the first where nothing is chosen yet, hence None.

    An adapter that is gone since the page was drawn leaves its task with a choice that says so. Raises AdapterError
    where its task is gone too.
    """
    if key is None:
        return choices[0]
    task, _, name = key.partition("/")
    same = [choice for choice in choices if choice.task.name == task]
    gone = say(language, "controls.adapter_gone", name=name) if name else say(language, "controls.no_choice")
    if not same:
        raise AdapterError(gone)
    found = next((choice for choice in same if choice.key == key), None)
    return found or replace(same[0], key=key, label=gone_label(name, language), adapter="", why_off=gone)


def gone_label(name: str, language: str) -> str:
    """The line of a choice that is not there any more."""
    return say(language, "controls.gone", name=name or say(language, "controls.no_adapter"))


def _of_task(corpus: Corpus, task: Task, cards: tuple[AdapterCard, ...], language: str) -> list[Choice]:
    own = [card for card in cards if corpus.tasks.get(card.task, corpus.task_of_adapter(card.name)) == task]
    own.sort(key=lambda card: (bool(card.refused), card.name != task.adapter))
    if own:
        return [_of_adapter(card, task, language) for card in own]
    why, none = say(language, "controls.none_installed"), say(language, "controls.no_adapter")
    return [Choice(f"{task.name}/", f"{none}: {_lower_first(task.title)}", task, why_off=why)]


def _of_adapter(card: AdapterCard, task: Task, language: str) -> Choice:
    key = f"{task.name}/{card.name}"
    if card.refused:
        why = say(language, "controls.was_refused", name=card.name, why=said(language, card.refused))
        told = say(language, "controls.refused", name=card.name, task=_lower_first(task.title))
        return Choice(key, told, task, why_off=why)
    return Choice(key, _label(card, task), task, adapter=card.name)


def _label(card: AdapterCard, task: Task) -> str:
    purpose = card.purpose.strip().rstrip(".")
    return f"{card.name}: {_lower_first(purpose if 0 < len(purpose) <= LABEL_CHARACTERS else task.title)}"


def _lower_first(text: str) -> str:
    return text[:1].lower() + text[1:] if text[1:2].islower() or text[1:2] == " " else text
