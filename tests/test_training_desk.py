"""Trainings ordered from the app: one at a time, in processes of their own, told by their folders."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, fields
from pathlib import Path
from threading import Event
from typing import Any

import pytest

import handmade_adapters
import handmade_bases
from crossfade.adapters.ownership import owners_in
from crossfade.errors import TrainingError
from crossfade.settings import Settings
from crossfade.training import adapter
from crossfade.training import desk as desk_module
from crossfade.training.desk import MOST_WAITING, Desk
from crossfade.training.record import LoraSettings, RunSettings, TrainingRecord
from crossfade.training.run_folder import RunFolder

WORKER = """
import signal, sys
from pathlib import Path
from threading import Event
from crossfade.training.run_folder import RunFolder

words = sys.argv[2:]  # after "-c" and "train"
how = "ends" if words[0] == "resume" else words[0]
run = RunFolder(Path(ROOT) / (words[1] if words[0] == "resume" else words[words.index("--run") + 1]))
if how == "breaks":
    sys.exit("crossfade: There is no file nowhere.jsonl.")
if how == "loads":
    Event().wait(60)
stop = Event()
signal.signal(signal.SIGTERM, lambda *_: stop.set())
if not run.has_begun:
    run.begin({"name": "a", "method": "lora", "data": "rows.jsonl"}, (), ())
with run.held():
    run.tell("running")
    if how == "ends" or stop.wait(60):
        run.tell("cancelled" if stop.is_set() else "done", made=str(Path(ROOT) / "made"))
"""
"""A process that does to a run's folder what a training does, without torch."""


@pytest.fixture
def done() -> Event:
    return Event()


@pytest.fixture
def desk(tmp_path: Path, done: Event, monkeypatch: pytest.MonkeyPatch) -> Iterator[Desk]:
    monkeypatch.setattr(desk_module, "_MAIN", WORKER.replace("ROOT", repr(str(tmp_path))))
    monkeypatch.setenv("PYTHONPATH", ":".join(sys.path))
    made = Desk(tmp_path, done=done.set)
    yield made
    made.close()


def wait_for(true: Callable[[], bool], seconds: float = 30) -> None:
    until = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < until, "it never came to that"
        time.sleep(0.02)


def order(desk: Desk, how: str, name: str = "a") -> RunFolder:
    return desk.order([how], name=name, method="lora", data="rows.jsonl")


def state(run: RunFolder) -> str:
    return str(run.state()["state"])


def test_an_order_is_carried_out_and_told(desk: Desk, done: Event) -> None:
    run = order(desk, "ends")
    assert run.about()["data"] == "rows.jsonl"
    wait_for(done.is_set)
    assert state(run) == "done"
    assert run.state()["made"].endswith("made")
    assert desk.runs() == [run]


def test_one_trains_and_the_others_wait_in_their_order(desk: Desk) -> None:
    first, second, third = (order(desk, "lasts", name) for name in "abc")
    wait_for(lambda: state(first) == "running")
    assert desk.waiting() == [second, third]
    assert [desk.before(run) for run in (first, second, third)] == [0, 1, 2]
    desk.cancel(second)
    assert state(second) == "cancelled"
    assert desk.waiting() == [third]
    desk.cancel(first)
    wait_for(lambda: state(third) == "running")
    assert state(first) == "cancelled"
    assert first.state()["made"], "the best so far is kept"


def test_a_name_is_trained_once_at_a_time(desk: Desk) -> None:
    order(desk, "lasts")
    with pytest.raises(TrainingError, match="'a' is under way"):
        order(desk, "lasts")


def test_too_many_are_refused(desk: Desk) -> None:
    for number in range(MOST_WAITING + 1):
        order(desk, "lasts", f"a{number}")
        wait_for(lambda number=number: len(desk.waiting()) == number)  # type: ignore[misc]
    with pytest.raises(TrainingError, match=f"{MOST_WAITING} trainings wait"):
        order(desk, "lasts", "more")


def test_what_went_wrong_before_it_began_is_told(desk: Desk, done: Event) -> None:
    run = order(desk, "breaks")
    wait_for(done.is_set)
    assert run.state() | {"pid": 0} == {"state": "failed", "message": "There is no file nowhere.jsonl.", "pid": 0}


def test_a_fault_after_the_end_leaves_what_was_trained_as_done(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    called = Event()

    def breaks() -> None:
        called.set()
        raise OSError("the engine did not start")

    monkeypatch.setattr(desk, "_done", breaks)
    run = order(desk, "ends")
    wait_for(called.is_set)
    wait_for(lambda: not desk.is_busy)
    assert state(run) == "done"
    assert run.state()["made"]


def test_what_is_cancelled_while_it_loads_never_began(desk: Desk, done: Event) -> None:
    run = order(desk, "loads")
    wait_for(lambda: desk.is_busy and desk._process is not None)
    desk.cancel(run)
    wait_for(done.is_set)
    assert run.state()["state"] == "cancelled"
    assert "before it began" in run.state()["message"]


def test_a_training_that_the_app_left_can_go_on(desk: Desk, tmp_path: Path, done: Event) -> None:
    run = order(desk, "lasts")
    wait_for(lambda: state(run) == "running")
    desk.close()
    wait_for(lambda: state(run) == "interrupted")
    again = Desk(tmp_path, done=done.set)
    done.clear()
    again.resume(run)
    wait_for(lambda: state(run) == "done" and not again.is_busy)
    with pytest.raises(TrainingError, match="has ended"):
        again.resume(run)
    again.close()


@pytest.mark.parametrize("method", ["lora", "full"])
@pytest.mark.parametrize("owner", ["ab" * 32, ""])
def test_what_a_run_makes_is_of_who_ordered_it(
    owner: str, method: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def trained(rows: Any, *, out: Path, settings: RunSettings, **_: Any) -> TrainingRecord:
        (handmade_bases if method == "full" else handmade_adapters).write(out)
        names = [field.name for field in fields(TrainingRecord) if field.name != "more"]
        told = (
            method,
            "tiny",
            "a" * 64,
            settings,
            2,
            (),
            0,
            (),
            "d" * 64,
            1,
            1,
            9,
            9,
            9,
            0.1,
            9.0,
            (),
            (),
            "f",
            "c",
            1,
        )
        return TrainingRecord(**dict(zip(names, told, strict=True)))

    monkeypatch.setattr("crossfade.training.train.train", trained)
    settings = Settings(home=tmp_path, corpora=tmp_path, adapters=tmp_path / "shipped")
    run = RunFolder(settings.trainings / "mine-1")
    run.path.mkdir(parents=True)
    run.ticket("mine", "lora", "rows.jsonl", arguments=[], owner=owner)
    told = dict.fromkeys(("purpose", "task", "corpus", "instructions", "command", "data_file_sha256"), "")
    root = settings.my_bases if method == "full" else settings.my_adapters
    places = {"out": str(root), "base_folder": str(tmp_path), "base": "tiny", "base_sha256": "a" * 64}
    order = {"name": "mine", "method": "lora", "data": "rows.jsonl", "replace": False, "start": None}
    run.begin({**told, **places, **order, "settings": asdict(LoraSettings())}, (), ())
    assert run.owner == owner
    assert adapter.carry_out(run) == root / "mine"
    assert owners_in(root) == ({"mine": owner} if owner else {})


def test_what_is_cancelled_while_it_waits_to_go_on_can_still_go_on(desk: Desk) -> None:
    run = order(desk, "lasts")
    wait_for(lambda: state(run) == "running")
    checkpoint = run.checkpoints / "checkpoint-3"
    checkpoint.mkdir(parents=True)
    (checkpoint / "trained").write_text("much")
    run.mark_whole(3)
    assert desk._process is not None
    desk._process.kill()
    wait_for(lambda: not desk.is_busy)
    other = order(desk, "lasts", "b")
    wait_for(lambda: state(other) == "running")
    desk.resume(run)
    desk.cancel(run)
    assert state(run) == "cancelled"
    assert run.state()["message"] == "Cancelled before it went on; it still can."
    desk.resume(run)
    assert desk.waiting() == [run]
    never = order(desk, "lasts", "c")
    desk.cancel(never)
    with pytest.raises(TrainingError, match="has ended"):
        desk.resume(never)
