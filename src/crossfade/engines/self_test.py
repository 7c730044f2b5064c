"""Whether an adapter does anything: judged by the likeliest tokens with and without it. Knows no engine."""

from __future__ import annotations

import math
from collections.abc import Callable

from crossfade.errors import AdapterError
from crossfade.types import Blend, Message

PROBE = (Message("user", "Hello. What can you tell me about the fees?"),)
"""The prompt on which an adapter must change the logits."""
LEAST = 1e-5
"""By so much at least, in nats."""


def check_effect(name: str, likeliest: Callable[[Blend], dict[int, float]]) -> None:
    """Compare the base with the adapter at weight 1; `likeliest` gives PROBE's next tokens with log probabilities.

    Raises AdapterError where the adapter changes nothing or makes the base compute no numbers.
    """
    base, with_it = likeliest(()), likeliest(((name, 1.0),))
    if not all(map(math.isfinite, with_it.values())):
        raise AdapterError(f"Adapter {name!r} is refused: with it the base computes no numbers. Train it anew.")
    if max(abs(with_it.get(token, -99.0) - value) for token, value in base.items()) < LEAST:
        raise AdapterError(
            f"Adapter {name!r} is refused: it does not change what the base says. It is untrained, or its "
            "weights are zero."
        )
