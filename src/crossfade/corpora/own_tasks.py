"""The tasks that adapters bring: those trained on a person's own rows are asked with the instructions of these."""

from __future__ import annotations

from dataclasses import replace

from crossfade.adapters.peft_files import AdapterFiles
from crossfade.adapters.registry import Registry
from crossfade.corpora.registry import Corpus, Task

OWN = "own-"
"""The names of tasks that adapters bring begin so."""
MAX_INSTRUCTIONS = 4000
"""Longer instructions in a card, in characters, are passed over."""


def with_own_tasks(corpus: Corpus, registry: Registry) -> Corpus:
    """The corpus with a task more for every adapter that brings its own instructions."""
    own = {task.name: task for adapter in registry.adapters.values() if (task := _own_task(adapter))}
    tasks = {name: task for name, task in corpus.tasks.items() if not name.startswith(OWN)} | own
    return corpus if tasks == corpus.tasks else replace(corpus, tasks=tasks)


def _own_task(adapter: AdapterFiles) -> Task | None:
    """The task of an adapter that was trained on a person's own rows, with the instructions that those had."""
    instructions = adapter.card.get("instructions")
    if not isinstance(instructions, str) or not 0 < len(instructions) <= MAX_INSTRUCTIONS:
        return None
    return Task(f"{OWN}{adapter.name}", adapter.purpose or adapter.name, instructions, adapter=adapter.name)
