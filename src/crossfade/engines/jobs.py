"""One request on its way through a worker that writes several: what it has so far, and what its reader is told."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from queue import SimpleQueue
from threading import Event
from typing import TYPE_CHECKING

from crossfade.engines.choosing import Chooser
from crossfade.engines.torch_adapters import Added
from crossfade.engines.torch_base import TorchBase, is_out_of_memory
from crossfade.errors import CrossfadeError, EngineError
from crossfade.types import Generation

if TYPE_CHECKING:
    from torch import Tensor

_LEFT = Event()
_LEFT.set()


@dataclass(slots=True, eq=False)
class Job:
    """A request. The worker writes it, `out` carries what its reader sees.

    `room` is how many tokens it may write, `used` are its adapters with weight and hash, `began` is the
    `time.perf_counter()` that seconds count from.
    """

    ids: list[int]
    room: int
    added: Added
    used: tuple[tuple[str, float, str], ...]
    chooser: Chooser
    stop: Event
    began: float
    out: SimpleQueue[Generation | CrossfadeError] = field(default_factory=SimpleQueue)
    text: str = ""
    tokens: list[int] = field(default_factory=list)
    first: float = 0.0
    log_probability: float | None = None

    def leave(self) -> None:
        """Its reader has gone; the asker's own event is not touched."""
        self.stop = _LEFT

    def write(self, logits: Tensor, base: TorchBase) -> bool:
        """Choose the next token and tell it; whether the answer has ended by that."""
        if self.stop.is_set():
            self.tell("cancelled")
            return True
        self.tokens.append(self.chooser.choose(logits))
        if self.tokens[-1] in base.stop_tokens:
            self.tell("stop")
            return True
        if self.log_probability is not None:
            self.log_probability += self.chooser.log_probability
        self.first = self.first or time.perf_counter() - self.began
        self.text = base.decode(self.tokens)
        ended = len(self.tokens) == self.room
        self.tell("length" if ended else "")
        return ended

    def tell(self, finish: str = "") -> None:
        """Send the answer so far."""
        seconds = time.perf_counter() - self.began
        generation = Generation(
            text=self.text,
            prompt_tokens=len(self.ids),
            cached_tokens=0,  # each prompt is read whole
            new_tokens=len(self.tokens),
            seconds_to_first=self.first or seconds,
            seconds=seconds,
            finish=finish,
            adapters=self.used,
            log_probability=self.log_probability,
        )
        self.out.put(generation)


def told(error: BaseException) -> CrossfadeError:
    """An error of the model as a sentence for people."""
    if isinstance(error, CrossfadeError):
        return error
    if is_out_of_memory(error):
        return EngineError(
            "The model ran out of memory; other questions are answered on. Ask for less: a shorter question, fewer "
            "new tokens, a lower CROSSFADE_CONTEXT or CROSSFADE_SLOTS, or a smaller base."
        )
    return EngineError(f"The model failed: {' '.join(str(error).split())[:300] or type(error).__name__}. Ask again.")
