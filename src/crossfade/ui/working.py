"""Long work in a thread of its own, with what it tells on the way. Knows not what the work is."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from threading import Event, Thread
from typing import Any, Generic, TypeVar

from crossfade.errors import CrossfadeError
from crossfade.ui.render import note_html

SECONDS_BETWEEN_LOOKS = 0.3

Result = TypeVar("Result")


class Stopped(CrossfadeError):
    """Raised in the work, by what it tells with, once nobody waits for it any more."""


@dataclass(frozen=True, slots=True)
class Told:
    """What the work told: a line, and how much is done of how much, where that is known."""

    line: str
    done: int = 0
    total: int = 0


@dataclass(frozen=True, slots=True)
class Done(Generic[Result]):
    """What the work returned."""

    result: Result


def told_html(told: Told) -> str:
    """What was told, with a bar where it is known how much there is."""
    bar = f'<progress max="{told.total}" value="{told.done}" aria-hidden="true"></progress>' if told.total else ""
    return f'<div class="cf-progress">{bar}{note_html(told.line, kind="wait")}</div>'


def settle() -> None:
    """Wait until what was told just before a stop has reached the page, where it may overtake the note on the stop."""
    time.sleep(2 * SECONDS_BETWEEN_LOOKS)


def in_thread(work: Callable[[Callable[[Told], None], Event], Result]) -> Iterator[Told | Done[Result]]:
    """What `work(tell, stop)` tells, the newest again at each look, then what it returned; what it raised is raised.

    Closed before the end, `stop` is set, and the work's next `tell` raises Stopped.
    """
    stop, coming = Event(), SimpleQueue[Any]()

    def tell(told: Told) -> None:
        if stop.is_set():
            raise Stopped("Stopped.")
        coming.put(told)

    def run() -> None:
        try:
            coming.put(Done(work(tell, stop)))
        except Exception as error:
            coming.put(error)

    Thread(target=run, daemon=True, name="long work").start()
    last: Told | None = None
    try:
        while True:
            try:
                item = coming.get(timeout=SECONDS_BETWEEN_LOOKS)
                while isinstance(item, Told) and not coming.empty():
                    item = coming.get()  # the newest is shown; what came before is old by now
            except Empty:
                item = last
            if isinstance(item, Exception):
                raise item
            if isinstance(item, Done):
                yield item
                return
            if isinstance(item, Told):
                last = item
                yield item
    finally:
        stop.set()
