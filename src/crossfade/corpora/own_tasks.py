"""The tasks that adapters and bases bring: those trained on a person's own rows are asked with the instructions of
these."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from crossfade.adapters.peft_files import purpose_of, read_card
from crossfade.adapters.registry import Registry
from crossfade.corpora.registry import TEXT, Corpus, Task
from crossfade.errors import AdapterError

OWN = "own-"
"""The names of tasks that adapters and bases bring begin so."""
MAX_INSTRUCTIONS = 4000
"""Longer instructions and templates in a card, in characters, are passed over."""


def with_own_tasks(corpus: Corpus, registry: Registry, *, base: str) -> Corpus:
    """The corpus with a task more for every adapter that brings its own instructions, and for the base if it does.

    `base` is as the settings name it. What a base brings becomes the default: it learned that, and nothing else.
    """
    adapters = (_own_task(a.name, a.card, adapter=a.name) for a in registry.adapters.values())
    of_base = _task_of_base(Path(base))
    own = {task.name: task for task in (*adapters, of_base) if task}
    tasks = {name: task for name, task in corpus.tasks.items() if not name.startswith(OWN)} | own
    default = of_base.name if of_base else corpus.default_task
    same = (tasks, default) == (corpus.tasks, corpus.default_task)
    return corpus if same else replace(corpus, tasks=tasks, default_task=default)


def _task_of_base(folder: Path) -> Task | None:
    """The task of a base that was trained whole on a person's own rows."""
    with suppress(AdapterError):  # with a card that cannot be read it is chatted with all the same
        return _own_task(folder.name, read_card(folder)) if folder.is_dir() else None
    return None


def _own_task(name: str, card: Mapping[str, Any], *, adapter: str = "") -> Task | None:
    """The task of what was trained on a person's own rows, with the instructions and the template that those had."""
    instructions = card.get("instructions")
    if not isinstance(instructions, str) or not 0 < len(instructions) <= MAX_INSTRUCTIONS:
        return None
    template = card.get("template")
    if not isinstance(template, str) or TEXT not in template or len(template) > MAX_INSTRUCTIONS:
        template = ""
    return Task(f"{OWN}{name}", purpose_of(card) or name, instructions, adapter=adapter, template=template)
