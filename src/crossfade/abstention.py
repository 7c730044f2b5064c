"""When an answer from passages gives way to saying that the documents do not say: where it was held too unlikely.

An adapter that is taught to say so decides that by its first token, before it has looked for an answer. So it is made
to look first: what it says when it finds nothing is banned, it writes its best answer, and the probability of that
decides. (Selective prediction by sequence probability, as in Kamath et al., https://arxiv.org/abs/2006.09462.) Pure.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, TypeGuard

from crossfade.types import Answer, Generation

ABSENT = "The documents do not say."
"""What rows made here teach an adapter to say where the documents do not."""
CARD_KEY = "abstention"
MAX_SAYS = 200
"""Of a sentence, in characters: a card with a longer one is passed over."""


@dataclass(frozen=True, slots=True)
class Abstention:
    """Answers of an adapter below the probability `below`, 0 to 1, give way to `says`, in the task named."""

    says: str
    below: float
    task: str

    def applies(self, answer: Answer) -> bool:
        """Whether an answer is of the kind that it was measured on: greedy, from passages, by nobody's own rules.

        Worked examples in the prompt make every answer likelier or less, and were not there.
        """
        query = answer.query
        return (
            bool(answer.passages)
            and not answer.examples
            and query.task == self.task
            and query.sampling.temperature <= 0
            and not query.enforce_schema
            and not query.instructions.strip()
        )

    def judged(self, generation: Generation) -> Generation:
        """What a reader is shown: nothing before the answer has ended, then the answer or what is said in its place.

        The first token of an answer is there for its reader when all of it is.
        """
        if generation.finish in ("", "cancelled"):
            return replace(generation, text="")
        shown = replace(generation, seconds_to_first=generation.seconds)
        if probability(generation) >= self.below:
            return shown
        return replace(shown, text=self.says, withheld=generation.text)


def probability(generation: Generation) -> float:
    """How likely the model held the text of an answer, 0 to 1; an answer without a text is not likely at all."""
    if not generation.text.strip() or generation.log_probability is None:
        return 0.0
    return math.exp(min(0.0, generation.log_probability))


def can_be_said(text: object) -> TypeGuard[str]:
    """Whether a text may stand in an answer's place: one line of up to MAX_SAYS characters, which can be printed."""
    return isinstance(text, str) and 0 < len(text.strip()) <= MAX_SAYS and text.strip().isprintable()


def abstention_of(card: Mapping[str, Any]) -> Abstention | None:
    """What an adapter's card tells of it; None where it tells nothing, or nothing that can be used."""
    told = card.get(CARD_KEY)
    if not isinstance(told, Mapping):
        return None
    says, below, task = (told.get(key) for key in ("says", "below", "task"))
    if can_be_said(says) and isinstance(task, str) and isinstance(below, float) and 0 < below < 1:
        return Abstention(says.strip(), below, task)
    return None
