"""What can be chosen in the adapter list: each adapter with its task. Pure; knows neither Gradio nor an engine.

A choice sets the task as well: every mode of a task is given the same instructions, so that base and fine-tune are
asked for the same thing. A task without a usable adapter stays in the list, for the modes that need none.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from crossfade.corpora.registry import Corpus, Task

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
    """The choice with that key, otherwise the first: a list may have changed since the page was drawn."""
    return next((c for c in choices if c.key == key), choices[0])


def _of_task(corpus: Corpus, task: Task, cards: tuple[AdapterCard, ...]) -> list[Choice]:
    own = [card for card in cards if corpus.tasks.get(card.task, corpus.task_of_adapter(card.name)) == task]
    own.sort(key=lambda card: card.name != task.adapter)
    usable = [card for card in own if not card.refused]
    if usable:
        return [Choice(f"{task.name}/{card.name}", _label(card, task), task, adapter=card.name) for card in usable]
    why = f"Adapter {own[0].name!r} was refused: {own[0].refused}" if own else "No adapter for this task is installed."
    return [Choice(f"{task.name}/", f"no adapter: {_lower_first(task.title)}", task, why_off=why)]


def _label(card: AdapterCard, task: Task) -> str:
    purpose = card.purpose.strip().rstrip(".")
    return f"{card.name}: {_lower_first(purpose if 0 < len(purpose) <= LABEL_CHARACTERS else task.title)}"


def _lower_first(text: str) -> str:
    return text[:1].lower() + text[1:] if text[1:2].islower() or text[1:2] == " " else text
