"""An answer as plain data, for JSON: the same names on the command line and, later, over HTTP."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from crossfade.abstention import probability
from crossfade.types import Answer


def answer_as_dict(answer: Answer) -> dict[str, Any]:
    """The whole trace. Seconds are seconds; hashes are sha256 in hex; offsets are characters of the document.

    `withheld` is there where an answer gave way to saying that the documents do not say: it, and how likely it was.

    `first_token` and `total` are what the asker waited, `before_engine` included, as `Answer` counts them; tokens that
    the engine did not tell are null.
    """
    generation, prompt = answer.generation, answer.prompt
    withheld = {"answer": generation.withheld, "probability": probability(generation)}
    return {
        "question": answer.query.text,
        "answer": generation.text,
        **({"withheld": withheld} if generation.withheld else {}),
        "mode": answer.query.mode,
        "corpus": answer.query.corpus,
        "task": answer.query.task,
        **({"instructions": own} if (own := answer.query.instructions.strip()) else {}),
        "adapters": [{"name": n, "weight": w, "sha256": s} for n, w, s in generation.adapters],
        "passages": [{**asdict(p), "source": p.source} for p in answer.passages],
        "examples": [asdict(e) for e in answer.examples],
        "prompt": {
            "messages": [asdict(m) for m in prompt.messages] if prompt else [],
            "left_out": list(prompt.left_out) if prompt else [],
        },
        "usage": {
            "prompt_tokens": generation.prompt_tokens,
            "cached_tokens": generation.cached_tokens,
            "new_tokens": generation.new_tokens,
        },
        "timings": {
            "retrieving": answer.seconds_retrieving,
            "before_engine": answer.seconds_before,
            "first_token": answer.seconds_to_first,
            "total": answer.seconds,
        },
        "finish": generation.finish,
        "sampling": asdict(answer.query.sampling),
        "notices": list(answer.notices),
    }
