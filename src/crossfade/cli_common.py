"""What several commands share: options that mean the same everywhere, and a startup that tells its progress."""

from __future__ import annotations

import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Event
from typing import TYPE_CHECKING, Annotated

import typer

from crossfade.settings import Settings
from crossfade.terminal import tell

if TYPE_CHECKING:
    from crossfade.startup import Startup

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Base = Annotated[
    str, typer.Option("--base", help="A catalogue name, a .gguf, a folder, or hub:owner/repo[/file.gguf].")
]
EngineName = Annotated[str, typer.Option("--engine", help="auto, llama.cpp or transformers.")]


@contextmanager
def started(base: str = "", engine: str = "") -> Iterator[Startup]:
    """A startup that tells its progress on a terminal; its engine is closed on leaving."""
    from crossfade.startup import Startup

    startup = Startup(Settings.from_environment().asked_for(base, engine), report=tell if sys.stderr.isatty() else None)
    try:
        yield startup
    finally:
        if startup.pipeline is not None:
            startup.pipeline.engine.close()


@contextmanager
def stopped_by_signals(told: str) -> Iterator[Event]:
    """An event that the first Ctrl-C or SIGTERM sets, with a line for the person; the second ends at once."""
    stop = Event()

    def handle(number: int, frame: object) -> None:
        if stop.is_set():
            raise KeyboardInterrupt
        stop.set()
        tell(told)

    before = {number: signal.signal(number, handle) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
