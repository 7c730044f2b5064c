"""Rows to train on from thumbs and votes: what was liked, won a comparison, or was written as the better answer. Pure.

A row's prompt is what the model was given when it answered: the task's instructions, the earlier turns, the question
with its passages; the worked examples of ICL are left out, since a tuned model is to do without them. Its response is
the better answer, else the answer that was liked, or that was found the best of its comparison.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from crossfade.history.feedback import Judged
from crossfade.history.votes import BAD, ONE, Vote
from crossfade.types import Answer, Message, Prompt

DOWN = "disliked, without a better answer"
OLDER = "another answer to the same prompt was liked or written later"
UNLIKED = "the same answer was disliked later"
NO_WINNER = "a vote that names no best answer"
CUT = "liked, though it does not end by itself"
NO_PROMPT = "without the prompt that the model was given"


@dataclass(frozen=True, slots=True)
class FeedbackRows:
    """The rows, of how many thumbs and votes, and how many of those gave none, by why."""

    rows: tuple[dict[str, Any], ...]
    thumbs: int
    votes: int
    left_out: dict[str, int]


@dataclass(frozen=True, slots=True)
class _Opinion:
    """What a thumb or a vote says: of the answer to learn, `why_none` where there is none, and of those disliked."""

    at: float
    answer: Answer | None
    source: str = ""
    better: str = ""
    why_none: str = ""
    disliked: tuple[Answer, ...] = ()


def feedback_rows(judged: Sequence[Judged], votes: Sequence[Vote] = ()) -> FeedbackRows:
    """One row for each prompt, the newest thumb or vote deciding where several are about one prompt."""
    left_out: Counter[str] = Counter()
    rows: dict[tuple[Message, ...], dict[str, Any]] = {}
    refused: set[tuple[tuple[Message, ...], str]] = set()
    opinions = [*map(_of_thumb, judged), *map(_of_vote, votes)]
    for one in sorted(opinions, key=lambda one: one.at, reverse=True):
        answer, prompt = one.answer, _prompt(one.answer)
        response = one.better or (answer.generation.text.strip() if answer else "")
        if one.why_none:
            left_out[one.why_none] += 1
        elif answer is None or not prompt:
            left_out[NO_PROMPT] += 1
        elif not one.better and (answer.generation.finish != "stop" or not response):
            left_out[CUT] += 1
        elif (prompt, response) in refused:
            left_out[UNLIKED] += 1
        elif prompt in rows:
            left_out[OLDER] += 1
        else:
            rows[prompt] = _row(one, answer, prompt=prompt, response=response)
        refused |= {(_prompt(bad), bad.generation.text.strip()) for bad in one.disliked}
    return FeedbackRows(tuple(reversed(rows.values())), len(judged), len(votes), dict(left_out))


def _of_thumb(one: Judged) -> _Opinion:
    better, answer = one.thumb.better.strip(), one.turn.answer
    if one.thumb.liked:
        return _Opinion(one.at, answer, "better answer" if better else "thumb up", better)
    disliked = (answer,) if answer else ()
    return _Opinion(one.at, answer, "better answer", better, "" if better else DOWN, disliked)


def _of_vote(vote: Vote) -> _Opinion:
    """The winner is learned; where all are bad each is disliked. What merely did not win is not said to be wrong."""
    if vote.verdict == ONE:
        return _Opinion(vote.at, vote.answers[vote.winner], "vote")
    disliked = vote.answers if vote.verdict == BAD else ()
    return _Opinion(vote.at, None, why_none=NO_WINNER, disliked=disliked)


def _prompt(answer: Answer | None) -> tuple[Message, ...]:
    """What an answer was given, nothing where that is not known."""
    return given(answer.prompt) if answer and answer.prompt and answer.prompt.messages else ()


def given(prompt: Prompt) -> tuple[Message, ...]:
    """The messages of a prompt without its worked examples, which stand between the earlier turns and the question."""
    *before, question = prompt.messages
    kept = len(before) - 2 * prompt.examples
    return (*before[: max(kept, 0)], question)


def _row(one: _Opinion, answer: Answer, *, prompt: tuple[Message, ...], response: str) -> dict[str, Any]:
    turns: list[dict[str, Any]] = [{"role": turn.role, "content": turn.content} for turn in prompt]
    for turn in turns:
        if turn["role"] == "assistant":  # what was answered before is context: nobody said whether it was good
            turn["weight"] = 0
    return {
        "messages": [*turns, {"role": "assistant", "content": response}],
        "source": one.source,
        "corpus": answer.query.corpus,
        "task": answer.query.task,
        "mode": answer.query.mode,
        "adapters": [
            {"name": name, "weight": weight, "sha256": sha256} for name, weight, sha256 in answer.generation.adapters
        ],
        "date": datetime.fromtimestamp(one.at, UTC).isoformat(timespec="seconds"),
    }
