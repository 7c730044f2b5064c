"""Long work for the page: what it tells comes, its result ends it, its fault is raised, and leaving stops it."""

from __future__ import annotations

from collections.abc import Callable
from threading import Event

import pytest

pytest.importorskip("gradio")

from crossfade.errors import TrainingError
from crossfade.ui.working import Done, Stopped, Told, in_thread

Tell = Callable[[Told], None]


def test_what_is_told_comes_before_the_result() -> None:
    seen = Event()

    def work(tell: Tell, stop: Event) -> int:
        tell(Told("half", 1, 2))
        assert seen.wait(30)
        return 7

    coming = in_thread(work)
    assert next(coming) == Told("half", 1, 2)
    assert next(coming) == Told("half", 1, 2), "told again while nothing new comes"
    seen.set()
    assert list(coming)[-1] == Done(7)


def test_a_fault_of_the_work_is_raised_where_it_is_waited_for() -> None:
    def work(tell: Tell, stop: Event) -> int:
        raise TrainingError("No rows.")

    with pytest.raises(TrainingError, match="No rows"):
        list(in_thread(work))


def test_left_alone_the_work_stops_at_what_it_tells_next() -> None:
    ended, left = Event(), Event()

    def work(tell: Tell, stop: Event) -> int:
        tell(Told("one"))
        assert stop.wait(30)
        try:
            tell(Told("two"))
        except Stopped:
            ended.set()
            raise
        left.set()
        return 1

    coming = in_thread(work)
    next(coming)
    coming.close()  # type: ignore[attr-defined]
    assert ended.wait(30)
    assert not left.is_set()
