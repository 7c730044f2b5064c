"""Let a teacher answer prompts, and write the answers as rows to train on. Knows no server.

    {"prompt": "How much is a wire?", "response": "$25.", "teacher": "big-model", "request": "3f1c..."}

`request` is the hash of all that the answer depends on: by it a row that is there is not asked for again. Each answer
is kept before its row is written, so that a run that is killed asks again at most for those that were on their way.
(Kim and Rush, Sequence-level knowledge distillation, arXiv 1606.07947.)
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from queue import Empty, SimpleQueue
from threading import Event, Thread

from crossfade.chat_server import Completion
from crossfade.errors import EngineError, TrainingError
from crossfade.training.prompt_file import Asked
from crossfade.training.table import Broken
from crossfade.training.teacher import Answers, Teacher

DIGITS = 16
"""So many of a request's hash are written into its row."""
MOST_FAILURES = 3
"""After so many prompts without an answer, one after the other, no more are asked: the server is down, or says no."""
_Item = tuple[str, Asked]
"""A request and its prompt."""


@dataclass(frozen=True, slots=True)
class Distilling:
    """How far a run is: prompts done of all, and seconds left."""

    done: int
    total: int
    seconds_left: float


@dataclass(frozen=True, slots=True)
class Distilled:
    """What became of the distinct prompts, `total` in number.

    `there` had their row already, `written` have one now, `kept` of these with an answer from an earlier run;
    `rejected` have an answer that is not to be learned, `failed` none.
    """

    total: int
    there: int
    written: int
    kept: int
    rejected: tuple[Broken, ...]
    failed: tuple[Broken, ...]

    @property
    def left(self) -> int:
        """Prompts that have no answer: the teacher failed, or the run was ended."""
        return self.total - self.there - self.written - len(self.rejected)


def distil(
    prompts: Sequence[Asked],
    teacher: Teacher,
    out: Path,
    *,
    answers: Answers,
    at_once: int = 4,
    stop: Event | None = None,
    progress: Callable[[Distilling], None] | None = None,
) -> Distilled:
    """Ask the teacher for what `out` does not have, `at_once` prompts at a time, and add rows as the answers come.

    A prompt that stands twice is asked once. `stop` ends the run after the answers that are on their way. Raises
    TrainingError where `out` is no .jsonl, has broken rows, or cannot be written.
    """
    requests: dict[str, Asked] = {}
    for asked in prompts:
        requests.setdefault(teacher.request(asked), asked)
    there = _requests_in(out)
    wanted = [item for item in requests.items() if item[0][:DIGITS] not in there]
    written = kept = 0
    rejected: list[Broken] = []
    failed: list[Broken] = []
    ending = Event()
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        with out.open("ab", buffering=0) as file:  # a row is one write: it is in the file, or it is not

            def take(request: str, asked: Asked, said: Completion) -> bool:
                if why := teacher.why_not(said):
                    rejected.append(Broken(asked.line, why))
                else:
                    line = _line(request, asked, said, teacher.server.model)
                    if file.write(line) != len(line):
                        raise OSError("a row was cut off")  # it is removed at the next start
                return not why

            known = {request: said for request, _ in wanted if (said := answers.get(request))}
            for request, asked in wanted:
                if request in known:
                    kept += take(request, asked, known[request])
            asking = [item for item in wanted if item[0] not in known]
            began, before, in_a_row = time.monotonic(), len(requests) - len(asking), 0
            coming = _answered(
                asking, teacher, at_once, ended=lambda: ending.is_set() or (stop is not None and stop.is_set())
            )
            for asked_now, ((request, asked), found) in enumerate(coming, start=1):
                if isinstance(found, EngineError):
                    failed.append(Broken(asked.line, str(found)))
                    in_a_row += 1
                    if in_a_row >= MOST_FAILURES:
                        ending.set()
                else:
                    in_a_row = 0
                    answers.put(request, found)
                    written += take(request, asked, found)
                if progress:
                    pace = (time.monotonic() - began) / asked_now
                    progress(Distilling(before + asked_now, len(requests), pace * (len(asking) - asked_now)))
    except OSError as error:
        raise TrainingError(
            f"Rows cannot be written to {out}, or answers kept in {answers.folder}: {error}. Free some space, or give "
            "another --out."
        ) from error
    finally:
        ending.set()
    return Distilled(
        total=len(requests),
        there=len(requests) - len(wanted),
        written=written + kept,
        kept=kept,
        rejected=tuple(sorted(rejected, key=lambda row: row.line)),
        failed=tuple(sorted(failed, key=lambda row: row.line)),
    )


def _answered(
    asking: Sequence[_Item], teacher: Teacher, at_once: int, *, ended: Callable[[], bool]
) -> Iterator[tuple[_Item, Completion | EngineError]]:
    """Each prompt with its answer, or with why there is none, as they come.

    The threads are daemons, so that a second Ctrl-C need not wait for a teacher that thinks.
    """
    waiting: SimpleQueue[_Item] = SimpleQueue()
    answered: SimpleQueue[tuple[_Item, Completion | EngineError] | None] = SimpleQueue()
    for item in asking:
        waiting.put(item)

    def work() -> None:
        try:
            while not ended():
                item = waiting.get_nowait()
                try:
                    answered.put((item, teacher.answer(item[1])))
                except EngineError as error:
                    answered.put((item, error))
        except Empty:
            pass
        finally:
            answered.put(None)

    threads = [Thread(target=work, daemon=True) for _ in range(min(at_once, len(asking)))]
    for thread in threads:
        thread.start()
    for _ in threads:
        while (found := answered.get()) is not None:
            yield found


def _line(request: str, asked: Asked, said: Completion, model: str) -> bytes:
    row = {"system": asked.system} if asked.system else {}
    row |= {"prompt": asked.text, "response": said.text, "teacher": model, "request": request[:DIGITS]}
    return json.dumps(row, ensure_ascii=False).encode() + b"\n"


def _requests_in(out: Path) -> set[str]:
    """The requests whose rows a file has. A last line that a kill cut off is removed. Raises TrainingError."""
    if out.suffix.lower() != ".jsonl":
        raise TrainingError(f"{out} is not allowed: rows are added to a .jsonl file.")
    try:
        lines = out.read_bytes().split(b"\n") if out.exists() else [b""]
        if last := lines.pop():
            whole = _row(last) is not None
            with out.open("r+b") as file:
                file.seek(0 if whole else -len(last), 2)
                file.write(b"\n") if whole else file.truncate()
            lines += [last] if whole else []
    except OSError as error:
        raise TrainingError(f"{out} cannot be read: {error}. Give another --out.") from error
    found = set[str]()
    for number, line in enumerate(lines, start=1):
        row = _row(line)
        if row is None:
            raise TrainingError(f"{out}, line {number}: no JSON object. Mend it, or give another --out.")
        found.add(str(row.get("request")))
    return found


def _row(line: bytes) -> dict[str, object] | None:
    try:
        row = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return row if isinstance(row, dict) else None
