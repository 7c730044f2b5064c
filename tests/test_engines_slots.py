"""The laws of the slot table: one request a slot, and a prefix only for the blend it was made with."""

from __future__ import annotations

import threading
import time
from collections import Counter
from contextlib import ExitStack
from threading import Event

import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from crossfade.engines.slots import BETWEEN, Lease, SlotTable
from crossfade.errors import EngineError
from crossfade.types import Blend

BLENDS: tuple[Blend, ...] = ((), (("a", 1.0),), (("a", 0.5),), (("b", 1.0),))
STEPS = some.one_of(
    some.tuples(some.just("take"), some.sampled_from(BLENDS), some.text("xy", max_size=4)),
    some.tuples(some.sampled_from(["end", "break", "forget"]), some.integers(0, 3), some.just("")),
)


class Broke(Exception):
    pass


@settings(max_examples=150, deadline=None)
@given(some.integers(1, 3), some.lists(STEPS, max_size=40))
def test_a_slot_has_one_lease_and_is_reused_only_for_its_last_blend(count: int, steps: list) -> None:
    table = SlotTable(count, patience=0.0)
    running: dict[int, tuple[ExitStack, Lease]] = {}
    last: dict[int, Blend | None] = {}
    for action, argument, text in steps:
        if action == "take":
            stack = ExitStack()
            if len(running) == count:
                with pytest.raises(EngineError, match="busy"):
                    stack.enter_context(table.lease(argument, text, Event()))
                continue
            lease = stack.enter_context(table.lease(argument, text, Event()))
            assert lease is not None
            assert lease.number not in running
            assert lease.number in range(count)
            assert lease.reuse == (last.get(lease.number) == argument)
            free = [last.get(n) for n in range(count) if n not in running]
            if not lease.reuse and argument in free:
                assert last.get(lease.number) is None, "a prefix was left unused for one of another blend"
            running[lease.number], last[lease.number] = (stack, lease), argument
        elif argument in running:
            stack, lease = running.pop(argument)
            if action == "forget":
                table.forget(lease)
            if action == "break":
                with pytest.raises(Broke), stack:
                    raise Broke
            stack.close()
            if action != "end":
                last[argument] = None


def test_no_two_threads_ever_hold_one_slot() -> None:
    table, held, most = SlotTable(3), Counter[int](), Counter[int]()
    guard, failures = threading.Lock(), list[str]()

    def client(number: int) -> None:
        for turn in range(40):
            with table.lease(BLENDS[(number + turn) % 4], "x" * turn, Event()) as lease:
                assert lease is not None
                with guard:
                    held[lease.number] += 1
                    if held[lease.number] > 1:
                        failures.append(f"slot {lease.number} twice")
                    most["slots"] = max(most["slots"], sum(held.values()))
                time.sleep(0.0005)
                with guard:
                    held[lease.number] -= 1

    threads = [threading.Thread(target=client, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert not failures
    assert most["slots"] == 3, "the slots were used side by side"


def test_conversations_of_one_blend_keep_their_prefixes_while_slots_are_empty() -> None:
    table = SlotTable(3)

    def take(*messages: str) -> Lease:
        with table.lease((), BETWEEN.join(messages), Event()) as lease:
            assert lease is not None
            return lease

    first, second = take("rules", "A?"), take("rules", "B?")
    assert first.number != second.number
    assert take("rules", "A?", "a", "And then?") == Lease(first.number, reuse=True)
    assert take("rules", "B?", "b", "And then?") == Lease(second.number, reuse=True)
    third = take("rules", "C?")
    assert third.number not in (first.number, second.number)
    assert take("rules", "D?").reuse, "none is empty now: the instructions at least are there"


def test_the_slot_with_the_longest_common_prefix_is_chosen() -> None:
    table = SlotTable(3)
    with ExitStack() as stack:
        numbers = {}
        for text in ("abc", "abcdef", "xyz"):
            lease = stack.enter_context(table.lease((), text, Event()))
            assert lease is not None
            numbers[text] = lease.number
    for text, like in (("abcdeX", "abcdef"), ("xyZ", "xyz")):
        with table.lease((), text, Event()) as lease:
            assert lease == Lease(numbers[like], reuse=True)


def test_another_blend_takes_an_unused_slot_then_the_one_unused_for_longest() -> None:
    table, used = SlotTable(2), []
    for blend in BLENDS:
        with table.lease(blend, "same", Event()) as lease:
            assert lease is not None
            assert not lease.reuse
            used.append(lease.number)
        time.sleep(0.002)
    assert used == [used[0], 1 - used[0]] * 2


def test_more_than_may_wait_are_told_that_the_model_is_busy() -> None:
    table, go_on, waiting = SlotTable(1, waiting=3), Event(), []
    with table.lease((), "", Event()):
        for _ in range(3):
            waiting.append(threading.Thread(target=lambda: table.lease((), "", go_on).__enter__(), daemon=True))
            waiting[-1].start()
        until_waiting = time.monotonic() + 10
        while table._queue < 3 and time.monotonic() < until_waiting:
            time.sleep(0.005)
        with pytest.raises(EngineError, match=r"busy: 3 .*Try again"), table.lease((), "", Event()):
            pass
        go_on.set()
        for thread in waiting:
            thread.join(10)
    with table.lease((), "", Event()) as lease:
        assert lease is not None, "those who left have freed their places"


def test_a_stop_ends_the_wait_and_patience_ends_too() -> None:
    table, stop = SlotTable(1, patience=0.05), Event()
    with table.lease((), "", Event()):
        with pytest.raises(EngineError, match="busy"), table.lease((), "", Event()):
            pass
        stop.set()
        with table.lease((), "", stop) as lease:
            assert lease is None
