"""What can be chosen in the adapter list: each adapter with its task. Pure; knows neither Gradio nor an engine.

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


def list_choices(corpus: Corpus, adapters: Iterable[AdapterCard]) -> tuple[Choice, ...]:
    """The choices of a corpus, those of its default task first. Never empty."""
    cards = tuple(adapters)
    names = sorted(corpus.tasks, key=lambda name: name != corpus.default_task)
    return tuple(choice for name in names for choice in _of_task(corpus, corpus.tasks[name], cards))


def find_choice(choices: tuple[Choice, ...], key: str | None) -> Choice:
    """The choice with that key; the first where nothing is chosen yet, hence None.

    An adapter that is gone since the page was drawn leaves its task with a choice that says so. Raises AdapterError
    where its task is gone too.
    """
    if key is None:
        return choices[0]
    task, _, name = key.partition("/")
    same = [choice for choice in choices if choice.task.name == task]
    gone = f"Adapter {name!r} is not there any more. Choose another one." if name else "Choose an adapter first."
    if not same:
        raise AdapterError(gone)
    found = next((choice for choice in same if choice.key == key), None)
    return found or replace(same[0], key=key, label=f"{name or 'no adapter'}: gone", adapter="", why_off=gone)


def _of_task(corpus: Corpus, task: Task, cards: tuple[AdapterCard, ...]) -> list[Choice]:
    own = [card for card in cards if corpus.tasks.get(card.task, corpus.task_of_adapter(card.name)) == task]
    own.sort(key=lambda card: (bool(card.refused), card.name != task.adapter))
    if own:
        return [_of_adapter(card, task) for card in own]
    why = "No adapter for this task is installed."
    return [Choice(f"{task.name}/", f"no adapter: {_lower_first(task.title)}", task, why_off=why)]


def _of_adapter(card: AdapterCard, task: Task) -> Choice:
    key = f"{task.name}/{card.name}"
    if card.refused:
        why = f"Adapter {card.name!r} was refused: {card.refused}"
        return Choice(key, f"{card.name}, refused: {_lower_first(task.title)}", task, why_off=why)
    return Choice(key, _label(card, task), task, adapter=card.name)


def _label(card: AdapterCard, task: Task) -> str:
    purpose = card.purpose.strip().rstrip(".")
    return f"{card.name}: {_lower_first(purpose if 0 < len(purpose) <= LABEL_CHARACTERS else task.title)}"


def _lower_first(text: str) -> str:
    return text[:1].lower() + text[1:] if text[1:2].islower() or text[1:2] == " " else text
