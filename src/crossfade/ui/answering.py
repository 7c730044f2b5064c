"""What both tabs do around an answer: wait for the models, thin out the stream, put errors into a sentence."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Generator, Iterator
from threading import Event
from typing import TYPE_CHECKING, TypeVar

from crossfade.errors import CrossfadeError, EngineError
from crossfade.pipeline import Pipeline
from crossfade.ui.language import say
from crossfade.ui.phrases import said, said_status

if TYPE_CHECKING:
    from crossfade.startup import Startup

log = logging.getLogger(__name__)

QUEUE = "answers"
"""Chat and comparison share one queue: together they ask no more of the engine than it has slots."""

QUEUE_LENGTH = 32
"""How many questions may wait for a place; beyond that the page says that it is busy.

Those accepted at the same moment may go over it; Gradio's queue ends at twice as many."""

SECONDS_BETWEEN = 0.07
"""Pages are redrawn at most this often: more is not seen, and costs the engine its processor."""

T = TypeVar("T")


def until_ready(startup: Startup, stop: Event, language: str = "en") -> Iterator[str]:
    """Sentences on what is still loading, until the pipeline is there or `stop` is set. Raises EngineError."""
    while startup.pipeline is None and not stop.is_set():
        if startup.error:
            raise EngineError(startup.error)
        newest = startup.status[-1] if startup.status else "Model: starting"
        yield say(language, "chat.loading", newest=said_status(language, newest))
        stop.wait(0.3)


def ready_pipeline(startup: Startup) -> Pipeline:
    """The pipeline. Raises EngineError where it is not there."""
    if startup.pipeline is None:
        raise EngineError(startup.error or "The models are still loading. Ask again in a moment.")
    return startup.pipeline


def thinned(stream: Iterator[T], *, important: Callable[[T], bool]) -> Generator[T, None, None]:
    """The stream without what comes too quickly to be seen; the important ones all stay. Closes the stream."""
    shown = 0.0
    try:
        for item in stream:
            now = time.monotonic()
            if important(item) or now - shown >= SECONDS_BETWEEN:
                shown = now
                yield item
    finally:
        if close := getattr(stream, "close", None):
            close()


def sentence(error: Exception, language: str) -> str:
    """What a person is told of an error: its own text where it is one of ours; anything else goes to the log."""
    if isinstance(error, CrossfadeError):
        return said(language, str(error))
    log.error("an answer failed", exc_info=error)
    return say(language, "chat.unexpected")
