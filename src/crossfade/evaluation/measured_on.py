"""What answers were measured on, in short hashes by name: a report keeps it, and a later moment is held against it."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from crossfade.corpora.registry import Corpus, Task
from crossfade.engines.protocol import Engine
from crossfade.evaluation.results import key_of

CHANGED = {
    "documents": "the documents",
    "instructions": "the instructions",
    "adapters": "the adapters",
    "passages and examples": "how many passages and examples are shown",
    "examples": "the examples",
}
"""What is kept, by its name in a report, as it is told where it has changed."""


def measured_on(engine: Engine, corpus: Corpus, task: Task, adapters: Collection[str]) -> dict[str, str]:
    """What the answers of a task with these adapters depend on, by the names of `CHANGED`."""
    return {
        "documents": key_of(documents=[[d.name, d.sha256] for d in corpus.documents])[:12],
        "instructions": key_of(instructions=task.instructions)[:12],
        "adapters": ", ".join(
            f"{name} {engine.adapters[name][:12]}" for name in sorted(set(adapters)) if name in engine.adapters
        ),
        "passages and examples": f"{corpus.passages} and {task.examples}",
        "examples": key_of(examples=[[e.question, e.answer] for e in corpus.examples.get(task.name, ())])[:12],
    }


def changed(before: Mapping[str, str], now: Mapping[str, str]) -> list[str]:
    """What is other now than it was, as it is told; what was not kept then is passed over."""
    return [told for name, told in CHANGED.items() if name in before and before[name] != now[name]]
