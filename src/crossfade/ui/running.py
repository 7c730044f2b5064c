"""Which answers are being written, so that they can be stopped from elsewhere. Knows nothing of what is answered.

An answer begins when its question is accepted, is taken when its turn in the queue comes, is closed when its text has
ended, and is forgotten when the page has been set right. A browser that goes away ends it at any point.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from threading import Event, Lock


@dataclass(slots=True)
class _Entry:
    stop: Event = field(default_factory=Event)
    taken: bool = False
    closed: bool = False


class Running:
    """The answers under way, at most one for each browser session and tab."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._entries: dict[tuple[str, str], _Entry] = {}

    def begin(self, session: str, tab: str) -> bool:
        """Begin an answer; False while another one is under way."""
        with self._lock:
            if (session, tab) in self._entries:
                return False
            self._entries[session, tab] = _Entry()
            return True

    def take(self, session: str, tab: str) -> Event | None:
        """The event that stops the answer, to whoever writes it; None where there is none or it is taken already."""
        with self._lock:
            entry = self._entries.get((session, tab))
            if entry is None or entry.taken:
                return None
            entry.taken = True
            return entry.stop

    def close(self, session: str, tab: str) -> None:
        """The text has ended."""
        with self._lock:
            if entry := self._entries.get((session, tab)):
                entry.closed = True
                entry.stop.set()

    def stop(self, session: str, tab: str) -> None:
        """Ask the answer to stop; without one, nothing happens."""
        with self._lock:
            if entry := self._entries.get((session, tab)):
                entry.stop.set()

    def waits(self, session: str, tab: str) -> bool:
        """Whether an answer is under way that nobody has begun to write."""
        with self._lock:
            entry = self._entries.get((session, tab))
            return entry is not None and not entry.taken

    def under_way(self, session: str, tab: str) -> bool:
        """Whether there is an answer that is not forgotten yet."""
        with self._lock:
            return (session, tab) in self._entries

    def forget(self, session: str, tab: str) -> bool:
        """Forget an answer that nobody writes: closed, or never taken. False while it is written, or where none is."""
        with self._lock:
            entry = self._entries.get((session, tab))
            if entry is None or (entry.taken and not entry.closed):
                return False
            del self._entries[session, tab]
            return True

    def leave(self, session: str) -> None:
        """A browser went away: stop and forget all that it had under way."""
        with self._lock:
            for key in [key for key in self._entries if key[0] == session]:
                self._entries.pop(key).stop.set()

    def __len__(self) -> int:
        """How many answers are under way."""
        with self._lock:
            return len(self._entries)
