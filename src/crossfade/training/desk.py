"""Trainings ordered from the app: each runs in a process of its own, one at a time, the others wait in their order.

What the page shows of a run is read from its folder, so that a page that is loaded again, or another one, finds it.
A training gives way to answers: it runs with a lower priority. When the app ends, its training is killed, and can go
on from its last checkpoint. Knows no torch and no page.
"""

from __future__ import annotations

import atexit
import logging
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from threading import Condition, Thread

from crossfade.errors import TrainingError
from crossfade.training.run_deletion import delete_run
from crossfade.training.run_folder import RunFolder, list_runs, new_run

logger = logging.getLogger(__name__)

MOST_WAITING = 8
NICENESS = 10
SECONDS_BETWEEN_LOOKS = 1.0
_LOG = "log.txt"
_MAIN = "from crossfade.cli import main; main()"


class Desk:
    """Takes orders for trainings and carries them out. `done` is called after each, from a thread."""

    def __init__(self, runs: Path, *, done: Callable[[], None]) -> None:
        self._runs, self._done = runs, done
        self._waiting: list[RunFolder] = []
        self._process: subprocess.Popen[bytes] | None = None
        self._now: RunFolder | None = None
        self._change = Condition()
        self._worker: Thread | None = None
        self._closed = False
        self._orders = 0
        self._cancelled: RunFolder | None = None
        atexit.register(self.close)

    def order(self, arguments: Sequence[str], *, name: str, method: str, data: str, owner: str = "") -> RunFolder:
        """Train with the arguments of `crossfade train`, now or when those before it have ended.

        Raises TrainingError where too many wait, or one for an adapter of that name waits or runs.
        """
        with self._change:
            before = [*self._waiting, *([self._now] if self._now else [])]
            if any(run.about().get("name") == name for run in before):
                raise TrainingError(
                    f"A training of {name!r} is under way already. Wait for it, or choose another name."
                )
            if len(self._waiting) >= MOST_WAITING:
                raise TrainingError(f"{MOST_WAITING} trainings wait already. Cancel one, or wait until one has ended.")
            run = new_run(self._runs, name)
            run.ticket(name, method, data, arguments=arguments, owner=owner)
            self._enqueue(run)
            return run

    def resume(self, run: RunFolder) -> None:
        """Go on with a run that was interrupted, or try one again that failed. Raises TrainingError."""
        with self._change:
            if run in self._waiting or run == self._now:
                raise TrainingError("This training waits or runs already.")
            if not run.can_go_on:
                raise TrainingError("This training has ended. Start a new one.")
            self._enqueue(run)

    def cancel(self, run: RunFolder) -> None:
        """End a run: one that waits never starts, one that trains keeps its best so far."""
        state = run.state()
        with self._change:
            if run in self._waiting or (state["state"] == "waiting" and run != self._now):
                self._waiting = [other for other in self._waiting if other != run]
                _tell_cancelled(run)
                return
            if run == self._now and self._process is None:
                self._cancelled = run
                return
        if state["state"] == "running" and state.get("pid"):
            with suppress(ProcessLookupError):
                os.kill(int(state["pid"]), signal.SIGTERM)
        elif run == self._now and self._process:
            self._cancelled = run  # it has not begun to train: nothing is lost
            self._process.terminate()

    def delete(self, run: RunFolder) -> None:
        """Delete a run with its rows. Raises TrainingError where it waits or runs, or the disk refuses."""
        with self._change:
            if run in self._waiting or run == self._now:
                raise TrainingError("This training waits or runs. Cancel it first, then delete it.")
            delete_run(run)

    def knows(self, run: RunFolder) -> bool:
        """Whether a run waits or trains here. One that waits and is not known was left by an app that has ended."""
        with self._change:
            return run in self._waiting or run == self._now

    @property
    def is_busy(self) -> bool:
        """Whether a training is under way, what follows its end included."""
        return self._now is not None

    def mark(self) -> str:
        """Another text whenever a run was ordered, here or by a command, or goes on; costs one look at a folder."""
        with suppress(OSError):
            return f"{self._orders} {self._runs.stat().st_mtime_ns}"
        return str(self._orders)

    def waiting(self) -> list[RunFolder]:
        """The runs that wait, the next one first."""
        with self._change:
            return list(self._waiting)

    def before(self, run: RunFolder) -> int:
        """How many trainings come before one that waits, the one under way among them; 0 for any other run."""
        with self._change:
            return self._waiting.index(run) + (self._now is not None) if run in self._waiting else 0

    def runs(self) -> list[RunFolder]:
        """All runs, the newest first."""
        return list_runs(self._runs)

    def close(self) -> None:
        """Kill the training under way; it can go on from its last checkpoint."""
        atexit.unregister(self.close)
        with self._change:
            self._waiting.clear()
            self._closed = True
            if self._process and self._process.poll() is None:
                self._process.kill()

    def _enqueue(self, run: RunFolder) -> None:
        run.tell("waiting")
        self._orders += 1
        self._waiting.append(run)
        if self._worker is None or not self._worker.is_alive():
            self._worker = Thread(target=self._work, daemon=True, name="trainings")
            self._worker.start()
        self._change.notify_all()

    def _work(self) -> None:
        while True:
            with self._change:
                self._change.wait_for(lambda: bool(self._waiting))
                self._now = run = self._waiting.pop(0)
            try:
                self._carry_out(run)
            except Exception as error:
                logger.exception("the training %s was not carried out", run.path.name)
                with suppress(OSError):
                    run.tell("failed", f"It did not start: {error}")
            try:
                self._done()
            except Exception:  # what was trained stays trained; it is served at the next look, or start
                logger.exception("what followed the training %s went wrong", run.path.name)
            finally:
                with self._change:
                    self._now = self._process = None

    def _carry_out(self, run: RunFolder) -> None:
        words = ["resume", run.path.name] if run.has_begun else [*run.arguments(), "--run", run.path.name]
        command = [sys.executable, "-c", _MAIN, "train", *words]
        while any(r.state()["state"] == "running" for r in self.runs()):  # one at a time, of other processes too
            if self._closed or self._cancelled == run:
                break
            time.sleep(SECONDS_BETWEEN_LOOKS)
        with (run.path / _LOG).open("wb") as log:
            with self._change:
                if self._cancelled == run:
                    _tell_cancelled(run)
                    return
                if self._closed:
                    return
                self._process = subprocess.Popen(
                    command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
                )
            with suppress(OSError):
                os.setpriority(os.PRIO_PROCESS, self._process.pid, NICENESS)
            code = self._process.wait()
        if code and self._cancelled == run:
            _tell_cancelled(run)
        elif code and not self._closed and run.state()["state"] in ("waiting", "running", "interrupted"):
            run.tell("failed", _last_words(run, code))


def _tell_cancelled(run: RunFolder) -> None:
    went = "went on; it still can" if run.last_checkpoint() else "began"
    run.tell("cancelled", f"Cancelled before it {went}.")


def _last_words(run: RunFolder, code: int) -> str:
    """Why a process ended that did not say so in its run's state: its own error line, or its end."""
    if code == -signal.SIGKILL:
        return "It was killed, perhaps because memory ran out. Go on with it after closing other programs."
    lines = (run.path / _LOG).read_text(encoding="utf-8", errors="replace").strip().splitlines()
    told = [line.removeprefix("crossfade: ") for line in lines if line.startswith("crossfade: ")]
    return told[-1] if told else f"The training ended with code {code}; {run.path / _LOG} has what it said."
