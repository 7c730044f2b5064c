"""Which slot of a llama.cpp server takes the next request. Pure bookkeeping; knows no model and no network.

A slot keeps the prefix of its last prompt. A prefix is worth something only to a request with the same blend and, to
be right at all, must never serve another: `reuse` is true only where the slot's last request had the same blend.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from threading import Event

from crossfade.errors import EngineError
from crossfade.types import Blend

BETWEEN = "\0"
"""Stands between the messages in a prompt's text, and in none of them."""


@dataclass(slots=True)
class _Slot:
    number: int
    blend: Blend | None = None
    text: str = ""
    busy: bool = False
    used: float = 0.0


@dataclass(frozen=True, slots=True)
class Lease:
    """A slot that was given to one request; `reuse` says whether its cached prefix may be used."""

    number: int
    reuse: bool


class SlotTable:
    """Hands out `count` slots; at most `waiting` requests wait, each at most `patience` seconds."""

    def __init__(self, count: int, *, waiting: int = 64, patience: float = 120.0) -> None:
        self._slots = [_Slot(n) for n in range(count)]
        self._changed = threading.Condition()
        self._queue = 0
        self._waiting = waiting
        self._patience = patience

    @contextmanager
    def lease(self, blend: Blend, text: str, stop: Event) -> Iterator[Lease | None]:
        """A slot for a prompt's text, its messages parted by BETWEEN, or None where `stop` was set first.

        Raises EngineError where all are busy.
        """
        slot = self._take(blend, text, stop)
        if slot is None:
            yield None
            return
        reuse = slot.blend == blend
        slot.blend, slot.text = blend, text
        try:
            yield Lease(slot.number, reuse)
        except BaseException:
            slot.blend = None  # what the server holds now is not known
            raise
        finally:
            with self._changed:
                slot.busy, slot.used = False, time.monotonic()
                self._changed.notify_all()

    def forget(self, lease: Lease) -> None:
        """Trust nothing in the slot any more: its request may have ended before the server took it up."""
        self._slots[lease.number].blend = None

    def _take(self, blend: Blend, text: str, stop: Event) -> _Slot | None:
        with self._changed:
            if self._queue >= self._waiting:
                raise EngineError(f"The model is busy: {self._queue} requests wait already. Try again in a minute.")
            self._queue += 1
            deadline = time.monotonic() + self._patience
            try:
                while not (free := [s for s in self._slots if not s.busy]):
                    if stop.is_set():
                        return None
                    if time.monotonic() > deadline:
                        raise EngineError(f"The model was busy for {self._patience:.0f} s. Try again in a minute.")
                    self._changed.wait(0.1)
            finally:
                self._queue -= 1
            slot = _best(free, blend, text)
            slot.busy = True
            return slot


def _best(free: list[_Slot], blend: Blend, text: str) -> _Slot:
    """The same conversation's slot; else one never used; else the longest prefix of the same blend; else the oldest.

    Two prompts of one blend are of one conversation where they share more than their first message, the instructions:
    a second conversation does not cost the first its prefix while slots are empty.
    """
    prefixes = {s.number: os.path.commonprefix([s.text + BETWEEN, text + BETWEEN]) for s in free if s.blend == blend}  # noqa: RUF071 - not paths
    same = [s for s in free if s.number in prefixes]
    talking = [s for s in same if prefixes[s.number].count(BETWEEN) > 1]
    empty = [s for s in free if s.blend is None]
    if talking or (same and not empty):
        return max(talking or same, key=lambda s: (len(prefixes[s.number]), -s.used))
    return empty[0] if empty else min(free, key=lambda s: s.used)
