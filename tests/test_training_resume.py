"""A run that is killed, cancelled, or meets the limits of the machine, on a tiny random Llama."""

from __future__ import annotations

import errno
import json
import os
import shutil
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from threading import Event
from typing import Any

import pytest

from test_training_methods import SMALL
from training_kit import load, make_base, rows, train, train_by, weights

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")
pytest.importorskip("peft")

from safetensors import SafetensorError  # noqa: E402

from crossfade.errors import TrainingError  # noqa: E402
from crossfade.training.record import TrainingProgress  # noqa: E402
from crossfade.training.run_folder import RunFolder, list_runs  # noqa: E402

pytestmark = pytest.mark.filterwarnings("ignore")  # the training libraries warn of each other's old names

KILLED = """
import os, signal, sys
from pathlib import Path
from training_kit import SETTINGS, rows, train
from crossfade.training.run_folder import RunFolder

def kill(progress):
    if progress.step == 7:
        os.kill(os.getpid(), signal.SIGKILL)

base, out, folder = map(Path, sys.argv[1:])
train(base, out, held_out=rows(12)[8:], folder=RunFolder(folder), progress=kill, checkpoint_seconds=0)
"""


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_base(tmp_path_factory.mktemp("base"))


class Killed(Exception):
    pass


def kill_at(step: int) -> Any:
    def progress(seen: TrainingProgress) -> None:
        if seen.step == step:
            raise Killed

    return progress


def test_a_killed_run_goes_on_and_ends_with_the_weights_of_one_that_was_not(base: Path, tmp_path: Path) -> None:
    whole = train(base, tmp_path / "whole", held_out=rows(12)[8:])
    command = [sys.executable, "-c", KILLED, str(base), str(tmp_path / "a"), str(tmp_path / "run")]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(Path(__file__).parent), *sys.path])}
    killed = subprocess.run(command, env=environment, capture_output=True, timeout=300)
    assert killed.returncode == -signal.SIGKILL, killed.stderr.decode()
    assert not (tmp_path / "a").exists()
    folder = RunFolder(tmp_path / "run")
    assert folder.progress()[-1].step == 7
    record = train(base, tmp_path / "a", held_out=rows(12)[8:], folder=folder)
    again, expected = weights(tmp_path / "a"), weights(tmp_path / "whole")
    assert all(torch.equal(again[name], expected[name]) for name in expected)
    assert record.train_loss == whole.train_loss
    assert record.held_out_loss == whole.held_out_loss
    assert [p.step for p in folder.progress()] == list(range(1, record.steps + 1))


@pytest.mark.parametrize("name", ["qlora", "adalora", "p-tuning", "freeze", "full"])
def test_every_method_goes_on_from_its_checkpoint(name: str, base: Path, tmp_path: Path) -> None:
    settings = replace(SMALL[name], epochs=6)
    whole = train_by(settings, base, tmp_path / "whole")
    folder = RunFolder(tmp_path / "run")
    with pytest.raises(Killed):
        train_by(settings, base, tmp_path / "a", folder=folder, progress=kill_at(10), checkpoint_seconds=0)
    record = train_by(settings, base, tmp_path / "a", folder=folder)
    assert [step for step, _ in record.train_loss] == [step for step, _ in whole.train_loss]
    assert record.train_loss[-1][1] == pytest.approx(whole.train_loss[-1][1], rel=0.01)
    if name == "full":
        pairs = zip(load(tmp_path / "a").parameters(), load(tmp_path / "whole").parameters(), strict=True)
        assert all(torch.equal(a, b) for a, b in pairs)


def test_a_checkpoint_that_was_half_written_is_passed_over(base: Path, tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "run")
    with pytest.raises(Killed):
        train(base, tmp_path / "a", folder=folder, progress=kill_at(7), checkpoint_seconds=0)
    last = folder.last_checkpoint()
    assert last is not None
    assert last.name == "checkpoint-6"
    shutil.copytree(last, folder.checkpoints / "checkpoint-7")
    (folder.checkpoints / "checkpoint-7" / "whole.json").unlink()
    assert folder.last_checkpoint() == last
    torn = last / "optimizer.pt"
    torn.write_bytes(torn.read_bytes()[:-1])
    before = folder.last_checkpoint()
    assert before is not None
    assert before.name == "checkpoint-5"
    train(base, tmp_path / "whole")
    with pytest.raises(Killed):
        train(base, tmp_path / "a", folder=folder, progress=kill_at(6), checkpoint_seconds=1000)
    assert [path.name for path in folder.checkpoints.iterdir()] == ["checkpoint-5"], "no torn one pushes it out"
    train(base, tmp_path / "a", folder=folder)
    assert all(torch.equal(w, weights(tmp_path / "a")[name]) for name, w in weights(tmp_path / "whole").items())


def test_a_best_of_steps_that_are_taken_again_gives_way_to_the_one_before_it(
    base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Measured at steps 0, 3, 6, 9 and 12; killed at 6, the best so far, it goes on from the checkpoint of step 5."""
    told = iter([3.0, 1.0, 0.5, 9.0, 9.0, 9.0, 3.0, 1.0])
    monkeypatch.setattr("crossfade.training.trainer.row_losses", lambda *args, **kwargs: (next(told),) * 2)
    folder, given = RunFolder(tmp_path / "run"), {"held_out": rows(12)[8:]}
    with pytest.raises(Killed):
        train(base, tmp_path / "a", folder=folder, progress=kill_at(6), checkpoint_seconds=0, **given)
    assert [m.step for m in folder.measurements()] == [0, 3, 6]
    assert folder.last_checkpoint() == folder.checkpoints / "checkpoint-5"
    assert train(base, tmp_path / "a", folder=folder, **given).kept_step == 3
    stop = Event()
    train(base, tmp_path / "three", progress=lambda p: stop.set() if p.step == 2 else None, stop=stop, **given)
    assert all(torch.equal(w, weights(tmp_path / "a")[name]) for name, w in weights(tmp_path / "three").items())


def test_what_is_kept_is_the_best_by_the_held_out_rows(base: Path, tmp_path: Path) -> None:
    other = [replace(row, response="No colour at all, sorry.") for row in rows(8)]
    settings = {"epochs": 12, "evaluations": 12}
    record = train(base, tmp_path / "a", rows(8), held_out=other, settings=settings)
    losses = {step: loss for step, loss in record.held_out_loss if step}
    assert record.kept_step == min(losses, key=lambda step: losses[step]) < record.steps
    short = train(base, tmp_path / "b", rows(8), held_out=rows(8), settings=settings)
    assert short.kept_step > record.kept_step


def test_a_run_ends_early_where_going_on_has_no_use(base: Path, tmp_path: Path) -> None:
    other = [replace(row, response="No colour at all, sorry.") for row in rows(8)]
    settings = {"epochs": 30, "evaluations": 30, "patience": 2}
    record = train(base, tmp_path / "a", rows(8), held_out=other, settings=settings)
    assert len(record.train_loss) < record.steps
    assert [step for step, _ in record.held_out_loss][-3] == record.kept_step


def test_a_cancelled_run_keeps_the_best_so_far(base: Path, tmp_path: Path) -> None:
    stop = Event()

    def progress(seen: TrainingProgress) -> None:
        if seen.step == 5:
            stop.set()

    record = train(base, tmp_path / "a", held_out=rows(12)[8:], progress=progress, stop=stop)
    assert record.train_loss[-1][0] == record.kept_step == 6
    assert record.held_out_loss[-1][0] == 6
    assert weights(tmp_path / "a")


def test_samples_are_answered_at_each_measurement(base: Path, tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "run")
    record = train(base, tmp_path / "a", held_out=rows(12)[8:], folder=folder, samples=2)
    samples = folder.samples()
    assert {s.step for s in samples} == {step for step, _ in record.held_out_loss}
    assert len(samples) == 2 * len(record.held_out_loss)
    assert "What colour is item 8?" in samples[0].prompt
    assert samples[0].wanted == "It is red."
    assert samples[0].answer != samples[-2].answer


@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.ENOSPC, "No space left on device"),
        RuntimeError("[enforce fail at inline_container.cc:664] . PytorchStreamWriter failed writing file data/0"),
        SafetensorError("Error while serializing: I/O error: No space left on device (os error 28)"),
    ],
)
def test_a_full_disk_says_where_to_go_on(
    error: Exception, base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*args: Any, **kwargs: Any) -> None:
        raise error

    monkeypatch.setattr("crossfade.training.trainer.write_state", full)
    folder = RunFolder(tmp_path / "run-1")
    with pytest.raises(TrainingError, match=r"disk is full: .*crossfade train resume run-1"):
        train(base, tmp_path / "a", folder=folder, checkpoint_seconds=0)
    monkeypatch.undo()
    train(base, tmp_path / "a", folder=folder)
    assert weights(tmp_path / "a")


@pytest.mark.parametrize(
    "error",
    [MemoryError(), RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried ...")],
)
def test_too_little_memory_says_what_to_change(
    error: Exception, base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def short(*args: Any, **kwargs: Any) -> None:
        raise error

    monkeypatch.setattr("crossfade.training.trainer.to_tensors", short)
    with pytest.raises(TrainingError, match=r"memory does not suffice. Lower --micro-tokens \(now 1024\)"):
        train(base, tmp_path / "a")


def test_a_run_folder_gives_back_what_was_ordered_and_tells_where_it_stands(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "run")
    folder.begin({"command": "crossfade train", "started": "2026-01-01"}, rows(3), rows(5)[3:])
    assert folder.rows() == (rows(3), rows(5)[3:])
    assert folder.order()["command"] == "crossfade train"
    assert folder.state()["state"] == "waiting"
    with folder.held():
        folder.tell("running")
        assert folder.state()["state"] == "running"
        with pytest.raises(TrainingError, match="Another process"), RunFolder(folder.path).held():
            pass
    assert folder.state()["state"] == "interrupted"
    folder.tell("done", adapter="a")
    assert folder.state()["adapter"] == "a"
    with pytest.raises(TrainingError, match="holds a run already"):
        folder.begin({}, rows(1), ())
    assert list_runs(tmp_path) == [folder]
    with pytest.raises(TrainingError, match="no training run"):
        RunFolder(tmp_path / "none").order()


def test_torn_lines_of_a_killed_run_are_passed_over(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "run")
    for step in (1, 2, 3):
        folder.log(TrainingProgress(step, 9, 1.0, None, 10.0, 1.0, 1.0))
    file = folder.path / "progress.jsonl"
    file.write_bytes(file.read_bytes()[:-9])
    assert [p.step for p in folder.progress()] == [1, 2]
    folder.cut_back(1)
    assert [p.step for p in folder.progress()] == [1]
    assert json.loads(file.read_text())["step"] == 1
    (folder.path / "run.json").write_text("{")
    with pytest.raises(TrainingError, match="no training run"):
        folder.order()
