"""Rows to train on from thumbs: what was liked, and what somebody wrote as the better answer. Pure.

A row's prompt is what the model was given when it answered: the task's instructions, the earlier turns, the question
with its passages; the worked examples of ICL are left out, since a tuned model is to do without them. Its response is
the better answer, else the answer that was liked.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from crossfade.history.feedback import Judged
from crossfade.types import Answer, Message, Prompt

DOWN = "disliked, without a better answer"
OLDER = "another answer to the same prompt was liked or written later"
UNLIKED = "the same answer was disliked later"
CUT = "liked, though it does not end by itself"
NO_PROMPT = "without the prompt that the model was given"


@dataclass(frozen=True, slots=True)
class FeedbackRows:
    """The rows, of how many thumbs, and how many of those gave none, by why."""

    rows: tuple[dict[str, Any], ...]
    thumbs: int
    left_out: dict[str, int]


def feedback_rows(judged: Sequence[Judged]) -> FeedbackRows:
    """One row for each prompt, the newest thumb deciding where several are about one prompt."""
    left_out: Counter[str] = Counter()
    rows: dict[tuple[Message, ...], dict[str, Any]] = {}
    refused: set[tuple[tuple[Message, ...], str]] = set()
    for one in sorted(judged, key=lambda one: one.at, reverse=True):
        answer = one.turn.answer
        if answer is None or answer.prompt is None or not answer.prompt.messages:
            left_out[NO_PROMPT] += 1
            continue
        prompt, better = given(answer.prompt), one.thumb.better.strip()
        said = answer.generation.text.strip()
        response = better or (said if one.thumb.liked else "")
        if not response:
            left_out[DOWN] += 1
        elif not better and answer.generation.finish != "stop":
            left_out[CUT] += 1
        elif (prompt, response) in refused:
            left_out[UNLIKED] += 1
        elif prompt in rows:
            left_out[OLDER] += 1
        else:
            rows[prompt] = _row(one, answer, prompt=prompt, response=response)
        if not one.thumb.liked:
            refused.add((prompt, said))
    return FeedbackRows(tuple(reversed(rows.values())), len(judged), dict(left_out))


def given(prompt: Prompt) -> tuple[Message, ...]:
    """The messages of a prompt without its worked examples, which stand between the earlier turns and the question."""
    *before, question = prompt.messages
    kept = len(before) - 2 * prompt.examples
    return (*before[: max(kept, 0)], question)


def _row(one: Judged, answer: Answer, *, prompt: tuple[Message, ...], response: str) -> dict[str, Any]:
    turns = (*prompt, Message("assistant", response))
    return {
        "messages": [{"role": turn.role, "content": turn.content} for turn in turns],
        "source": "better answer" if one.thumb.better.strip() else "thumb up",
        "corpus": answer.query.corpus,
        "task": answer.query.task,
        "mode": answer.query.mode,
        "adapters": [
            {"name": name, "weight": weight, "sha256": sha256} for name, weight, sha256 in answer.generation.adapters
        ],
        "date": datetime.fromtimestamp(one.at, UTC).isoformat(timespec="seconds"),
    }
