"""The folder of one training run: what was ordered, how far it came, and what it goes on from when it was killed.

ticket.json           where it was ordered in the app: the words of its command, name, method, data and whose it is
run.json              what was ordered and where: command, settings, environment, hashes
rows.jsonl            the rows as they are learned (`held_out` marks those that are watched): data files get edited
progress.jsonl        a line a step
held_out.jsonl        a line a measurement of the held-out rows: the step, the loss, and each row's
samples.jsonl         what the model answered to some held-out rows at each measurement
checkpoints/          transformers' own, each with a `whole.json` that is written last
best.safetensors      the parameters with the least held-out loss
state.json            waiting, running, done, cancelled or failed, with a message for people
run.lock              held by the process that runs it; the system frees it when that process dies

Knows no torch: the trainer gives it what to keep. What is read back is checked, since a kill leaves torn files.
"""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from crossfade.errors import TrainingError
from crossfade.training.best import Measurement
from crossfade.training.data import TrainingRow
from crossfade.training.record import Sample, TrainingProgress
from crossfade.types import Message

_WHOLE = "whole.json"
STATES = ("waiting", "running", "done", "cancelled", "failed")


@dataclass(frozen=True, slots=True)
class RunFolder:
    """One run's folder. Reading one that is torn gives what is whole in it."""

    path: Path

    @property
    def checkpoints(self) -> Path:
        """Where transformers writes its checkpoints."""
        return self.path / "checkpoints"

    @property
    def best(self) -> Path:
        """The parameters with the least held-out loss, with the step in their metadata."""
        return self.path / "best.safetensors"

    def begin(self, order: Mapping[str, Any], learned: Sequence[TrainingRow], held_out: Sequence[TrainingRow]) -> None:
        """Write what is ordered, into an empty or a new folder. Raises TrainingError where a run is there."""
        if (self.path / "run.json").exists():
            raise TrainingError(f"{self.path} holds a run already. Go on with it, or give another folder.")
        lines = [
            _row_line(row, held_out=watched) for part, watched in ((learned, False), (held_out, True)) for row in part
        ]
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            (self.path / "rows.jsonl").write_text("".join(lines), encoding="utf-8")
            write_json(self.path / "run.json", dict(order))  # last: without it there is no run
            self.tell("waiting")
        except OSError as error:
            raise _unwritable(self.path, error) from error

    def order(self) -> dict[str, Any]:
        """What `begin` was given. Raises TrainingError where there is no run."""
        found = read_json(self.path / "run.json")
        if not found:
            raise TrainingError(
                f"There is no training run in {self.path}. `crossfade train list` shows those there are."
            )
        return found

    @property
    def has_begun(self) -> bool:
        """Whether its rows are made."""
        return (self.path / "run.json").exists()

    def about(self) -> dict[str, Any]:
        """`name`, `method` and `data`, whether the run has begun or not."""
        return read_json(self.path / "run.json") or read_json(self.path / "ticket.json") or {}

    def ticket(self, name: str, method: str, data: str, *, arguments: Sequence[str], owner: str = "") -> None:
        """Write down what was ordered in the app; `owner` is empty where it is for all who open the page."""
        told = {"name": name, "method": method, "data": data, "arguments": list(arguments), "owner": owner}
        write_json(self.path / "ticket.json", told)
        self.tell("waiting")

    def arguments(self) -> list[str]:
        """The words of the command that was ordered in the app."""
        return [str(word) for word in (read_json(self.path / "ticket.json") or {}).get("arguments", [])]

    @property
    def owner(self) -> str:
        """Whose it is; empty for one of the command line, and for one that was ordered at one's own machine."""
        return str((read_json(self.path / "ticket.json") or {}).get("owner", ""))

    def rows(self) -> tuple[tuple[TrainingRow, ...], tuple[TrainingRow, ...]]:
        """The learned and the held-out rows. Raises TrainingError for a broken file."""
        parts: tuple[list[TrainingRow], list[TrainingRow]] = ([], [])
        try:
            for line in (self.path / "rows.jsonl").read_text(encoding="utf-8").splitlines():
                row = json.loads(line)
                messages = tuple(Message(role, text) for role, text in row["messages"])
                also = tuple(int(place) for place in row.get("also", ()))
                parts[bool(row["held_out"])].append(TrainingRow(messages, row["response"], also=also))
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise TrainingError(f"The rows of the run in {self.path} are broken: {error}. Start it anew.") from error
        return tuple(parts[0]), tuple(parts[1])

    def log(self, progress: TrainingProgress) -> None:
        """Add a line to the progress."""
        self._append("progress.jsonl", asdict(progress))

    def log_held_out(self, measurement: Measurement) -> None:
        """Add a measurement of the held-out rows."""
        self._append("held_out.jsonl", asdict(measurement))

    def measurements(self) -> list[Measurement]:
        """The measurements of the held-out rows so far, by step."""
        found = {
            int(line["step"]): Measurement(int(line["step"]), float(line["loss"]), tuple(line.get("rows", ())))
            for line in self._lines("held_out.jsonl")
        }
        return [found[step] for step in sorted(found)]

    def log_samples(self, samples: Sequence[Sample]) -> None:
        """Add lines to the samples."""
        for sample in samples:
            self._append("samples.jsonl", asdict(sample))

    def progress(self) -> list[TrainingProgress]:
        """The steps so far."""
        return [TrainingProgress(**line) for line in self._lines("progress.jsonl")]

    def samples(self) -> list[Sample]:
        """The samples so far."""
        return [Sample(**line) for line in self._lines("samples.jsonl")]

    def cut_back(self, step: int) -> None:
        """Forget what was logged after a step: a run goes on from there. At 0 all of it."""
        for name in ("progress.jsonl", "held_out.jsonl", "samples.jsonl"):
            kept = [line for line in self._lines(name) if 0 < step >= line["step"]]
            self.path.mkdir(parents=True, exist_ok=True)
            _replace(self.path / name, "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in kept))

    def mark_whole(self, step: int) -> None:
        """Say that the checkpoint of a step was written to its end."""
        folder = self.checkpoints / f"checkpoint-{step}"
        sizes = {file.name: file.stat().st_size for file in folder.iterdir() if file.is_file()}
        write_json(folder / _WHOLE, {"step": step, "bytes": sizes})

    def last_checkpoint(self) -> Path | None:
        """The last checkpoint that was written to its end, or None; half-written ones are passed over."""
        whole = [folder for folder in self.checkpoints.glob("checkpoint-*") if _is_whole(folder)]
        return max(whole, key=lambda folder: int(folder.name.rpartition("-")[2]), default=None)

    def drop_half_written(self) -> None:
        """Remove the checkpoints that a killed run did not end: of those there are two stay, and whole ones should."""
        for folder in self.checkpoints.glob("checkpoint-*"):
            if not _is_whole(folder):
                shutil.rmtree(folder, ignore_errors=True)

    def drop_checkpoints(self) -> None:
        """Free the disk of what only a run that goes on needs."""
        shutil.rmtree(self.checkpoints, ignore_errors=True)
        for file in self.path.glob(f"{self.best.name}*"):
            file.unlink(missing_ok=True)

    def state(self) -> dict[str, Any]:
        """`state`, `message`, `pid`, and what else was told at the end, such as the adapter's folder.

        The state is `interrupted` where the process that ran it is gone.
        """
        found = read_json(self.path / "state.json") or {"state": "waiting", "message": ""}
        if found["state"] == "running" and not self._held():
            found |= {"state": "interrupted", "message": "The process that ran it is gone; it can go on."}
        return found

    @property
    def can_go_on(self) -> bool:
        """Whether it was left, failed, or was cancelled while it waited to go on and what it has learned is here."""
        state = self.state()
        kept = state["state"] == "cancelled" and not state.get("made") and self.last_checkpoint() is not None
        return kept or state["state"] in ("interrupted", "failed", "waiting")

    def tell(self, state: str, message: str = "", **more: Any) -> None:
        """Set the state."""
        assert state in STATES, state
        write_json(self.path / "state.json", {"state": state, "message": message, "pid": os.getpid(), **more})

    @contextmanager
    def held(self) -> Iterator[None]:
        """The run belongs to this process until it leaves or dies. Raises TrainingError where it is another's."""
        lock = FileLock(self.path / "run.lock")
        try:
            lock.acquire(timeout=2)  # a page that looks holds it for a moment
        except Timeout:
            raise TrainingError(f"Another process is at the run in {self.path}. Wait for it, or cancel it.") from None
        try:
            yield
        finally:
            lock.release()

    def _held(self) -> bool:
        lock = FileLock(self.path / "run.lock")
        try:
            lock.acquire(timeout=0)
        except Timeout:
            return True
        lock.release()
        return False

    def _append(self, name: str, line: Mapping[str, Any]) -> None:
        self.path.mkdir(parents=True, exist_ok=True)
        with (self.path / name).open("a", encoding="utf-8") as file:
            file.write(json.dumps(line, ensure_ascii=False) + "\n")

    def _lines(self, name: str) -> Iterator[dict[str, Any]]:
        try:
            text = (self.path / name).read_text(encoding="utf-8", errors="replace")
        except FileNotFoundError:
            return
        for line in text.split("\n"):
            try:
                found = json.loads(line)
            except ValueError:
                continue  # the last line of a killed run
            if isinstance(found, dict) and "step" in found:
                yield found


def list_runs(root: Path) -> list[RunFolder]:
    """The runs in a folder, the newest first."""
    found = [RunFolder(file.parent) for file in root.glob("*/state.json")]
    return sorted(found, key=lambda run: (run.path.stat().st_ctime_ns, run.path.name), reverse=True)


def new_run(root: Path, name: str) -> RunFolder:
    """An empty folder that no run had: the name with a number, which follows the last one. Raises TrainingError."""
    try:
        root.mkdir(parents=True, exist_ok=True)
        return _new_run(root, name)
    except OSError as error:
        raise _unwritable(root, error) from error


def _new_run(root: Path, name: str) -> RunFolder:
    taken = [
        int(found[1]) for path in root.iterdir() if (found := re.fullmatch(rf"{re.escape(name)}-(\d+)", path.name))
    ]
    number = max(taken, default=0)
    while True:
        number += 1
        try:
            (root / f"{name}-{number}").mkdir()
        except FileExistsError:
            continue  # another process was faster
        return RunFolder(root / f"{name}-{number}")


def _unwritable(path: Path, error: OSError) -> TrainingError:
    why = error.strerror or error
    return TrainingError(f"A training cannot be kept in {path}: {why}. Free some space there, or set CROSSFADE_HOME.")


def write_json(path: Path, content: dict[str, Any]) -> None:
    """Write a JSON object, whole or not at all."""
    _replace(path, json.dumps(content, ensure_ascii=False, indent=1) + "\n")


def read_json(path: Path) -> dict[str, Any] | None:
    """A JSON object, or None where there is none that is whole."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) else None


def _replace(path: Path, text: str) -> None:
    part = path.with_name(f".{path.name}.part")
    part.write_text(text, encoding="utf-8")
    os.replace(part, path)


def _row_line(row: TrainingRow, *, held_out: bool) -> str:
    messages = [[message.role, message.content] for message in row.messages]
    told = {"messages": messages, "response": row.response, "held_out": held_out}
    return json.dumps({**told, "also": row.also} if row.also else told, ensure_ascii=False) + "\n"


def _is_whole(folder: Path) -> bool:
    told = read_json(folder / _WHOLE) or {}
    sizes = told.get("bytes")
    if not isinstance(sizes, dict) or not sizes:
        return False
    return all((folder / name).is_file() and (folder / name).stat().st_size == size for name, size in sizes.items())
