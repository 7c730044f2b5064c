"""Ask every question in every mode, each once, and keep the answers. Knows no score.

Modes run one after the other, those of one blend together, so that an engine keeps its prefix and computes answers of
one adapter side by side. A question is retrieved for once, whatever the number of modes.
"""

from __future__ import annotations

import hashlib
import logging
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import suppress
from dataclasses import astuple, dataclass, replace
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from threading import Event, Lock

from crossfade.compare import query_in_mode
from crossfade.corpora.registry import Corpus
from crossfade.errors import CrossfadeError, EngineError
from crossfade.evaluation.questions import EvalQuestion
from crossfade.evaluation.results import Result, Store, key_of
from crossfade.pipeline import Pipeline
from crossfade.types import Blend, Passage, Query, Sampling, mode_switches

log = logging.getLogger(__name__)
RETRIES = 1
"""A question whose engine failed is asked once more before it counts as a failure."""


@dataclass(frozen=True, slots=True)
class Column:
    """A mode of a run with the adapters that it uses where fine-tuning is on. `name` is what reports call it."""

    name: str
    mode: str
    blend: Blend = ()

    @property
    def switches(self) -> tuple[bool, bool, bool]:
        """The mode's switches (fine_tune, rag, icl)."""
        return mode_switches(self.mode) or (False, False, False)


@dataclass(frozen=True, slots=True)
class RunProgress:
    """How far a run is. `done` of `total` answers are there, `asked` of them made just now, `failed` of them failed."""

    done: int
    total: int
    asked: int
    failed: int
    column: str
    seconds: float

    @property
    def seconds_left(self) -> float | None:
        """A guess from the answers made just now; None before there is one."""
        return self.seconds / self.asked * (self.total - self.done) if self.asked else None


@dataclass(frozen=True)
class Run:
    """What was asked and answered: a result for each column's name and each question, in the questions' order.

    A run that was cancelled has no result for some; they are None.
    """

    questions: tuple[EvalQuestion, ...]
    columns: tuple[Column, ...]
    results: Mapping[str, tuple[Result | None, ...]]
    asked: int
    seconds: float


def run(
    pipeline: Pipeline,
    query: Query,
    questions: Sequence[EvalQuestion],
    columns: Sequence[Column],
    *,
    store: Store,
    variant: str = "",
    at_once: int = 4,
    stop: Event | None = None,
    progress: Callable[[RunProgress], None] | None = None,
) -> Run:
    """Answer every question in every column; `query` has corpus, task and sampling.

    `variant` names what else the engine's answers hang on, such as the format of its weights.
    What is in the store is taken from there. A question that fails is a Result with its error, and is not stored, so
    that the next run asks it again. Setting `stop` ends the run after the answers under way. Raises QuestionError for
    an unknown mode, AdapterError for an unknown adapter, CorpusError, and SettingsError where nothing can be stored.
    """
    began, stop = time.perf_counter(), stop or Event()
    queries = {column.name: query_in_mode(query, column.mode, blend=column.blend) for column in columns}
    for asked in queries.values():
        pipeline.check(asked)
    about = key_of(**settings_of(pipeline, pipeline.corpus(query.corpus), query), variant=variant, code=_code())
    results: dict[str, list[Result | None]] = {column.name: [None] * len(questions) for column in columns}
    keys = {
        (column.name, number): key_of(
            question=question.text,
            mode=queries[column.name].mode,
            blend=_hashed(pipeline, column, queries),
            embedder=pipeline.embedder if queries[column.name].rag or queries[column.name].icl else "",
            about=about,
        )
        for column in columns
        for number, question in enumerate(questions)
    }
    for (name, number), key in keys.items():
        results[name][number] = store.get(key)
    todo = [
        (column, number)
        for column in sorted(columns, key=lambda c: (queries[c.name].blend, queries[c.name].rag, queries[c.name].icl))
        for number in range(len(questions))
        if results[column.name][number] is None
    ]
    shared = _Retrieval(pipeline)
    made = failed = 0
    kept = len(keys) - len(todo)

    def answer(column: Column, number: int) -> Result:
        asked = replace(queries[column.name], text=questions[number].text)
        return _answer(pipeline, asked, shared, at_once=at_once)

    for (column, number), result in _finished(todo, answer, at_once=at_once, stop=stop):
        results[column.name][number] = result
        made, failed = made + 1, failed + bool(result.error)
        if not result.error:
            store.put(keys[column.name, number], result)
        if progress:
            progress(RunProgress(kept + made, len(keys), made, failed, column.name, time.perf_counter() - began))
    return Run(
        questions=tuple(questions),
        columns=tuple(columns),
        results={name: tuple(found) for name, found in results.items()},
        asked=made,
        seconds=time.perf_counter() - began,
    )


def _answer(pipeline: Pipeline, query: Query, shared: _Retrieval, *, at_once: int) -> Result:
    """Ask one question; what fails is a result with its reason."""
    for attempt in range(RETRIES + 1):
        try:
            passages, seconds = shared.passages(query) if query.rag else ((), 0.0)
            found = pipeline.ask(query, passages=passages)
            return Result.of(found, seconds_retrieving=seconds, at_once=at_once)
        except EngineError as error:
            if attempt == RETRIES:
                return Result(error=str(error))
        except CrossfadeError as error:
            return Result(error=str(error))
        except Exception as error:  # one question must not cost the others
            log.error("a question failed", exc_info=error)
            return Result(error="Something went wrong inside Crossfade; its log says what.")
    raise AssertionError


def _finished(
    todo: Sequence[tuple[Column, int]], answer: Callable[[Column, int], Result], *, at_once: int, stop: Event
) -> Iterator[tuple[tuple[Column, int], Result]]:
    """The results as they come, so many asked at once, in the order of `todo`.

    After `stop` no more are asked, and those under way still come. An interrupt is a stop; a second one ends it.
    """
    waiting = iter(todo)
    running: dict[Future[Result], tuple[Column, int]] = {}
    with ThreadPoolExecutor(at_once) as pool:
        while True:
            while len(running) < at_once and not stop.is_set() and (item := next(waiting, None)):
                running[pool.submit(answer, *item)] = item
            if not running:
                return
            try:
                ended = wait(running, return_when=FIRST_COMPLETED).done
            except KeyboardInterrupt:
                if stop.is_set():
                    raise
                stop.set()
                continue
            for future in ended:
                yield running.pop(future), future.result()


def settings_of(pipeline: Pipeline, corpus: Corpus, query: Query) -> dict[str, object]:
    """What an answer depends on besides question and mode: models, engine, documents, examples, settings."""
    task = corpus.task(query.task)
    sampling: Sampling = query.sampling
    return {
        "base": pipeline.engine.base_sha256,
        "engine": type(pipeline.engine).__name__,
        "context": pipeline.engine.capabilities.context,
        "documents": [[document.name, document.sha256] for document in corpus.documents],
        "examples": [[e.question, e.answer] for e in corpus.examples.get(task.name, ())],
        "instructions": task.instructions,
        "shown": [corpus.passages, task.examples],
        "sampling": [sampling.max_new_tokens, sampling.temperature, sampling.top_p, sampling.seed],
        "schema": task.enforceable if query.enforce_schema else None,
    }


@cache
def _code() -> str:
    """What of this package and of the engines' libraries an answer depends on, as a hash.

    Who changes how a prompt is built or a document is split wants other answers, not those that were kept.
    """
    digest = hashlib.sha256()
    package = Path(__file__).resolve().parents[1]
    for part in ("prompts.py", "examples.py", "abstention.py", "pipeline.py", "compare.py", "retrieval", "engines"):
        for path in sorted((package / part).rglob("*.py")) if (package / part).is_dir() else [package / part]:
            digest.update(path.read_bytes())
    for library in ("xllamacpp", "transformers", "torch", "llama-index-core", "bm25s"):
        with suppress(PackageNotFoundError):
            digest.update(f"{library} {version(library)}".encode())
    return digest.hexdigest()


def _hashed(pipeline: Pipeline, column: Column, queries: Mapping[str, Query]) -> list[list[object]]:
    return [
        [pipeline.engine.adapters[name], weight, *(astuple(rule) if (rule := pipeline.abstention(name)) else ())]
        for name, weight in queries[column.name].blend
    ]


class _Retrieval:
    """The passages of each question, found once and shared by the modes, with the seconds that it took."""

    def __init__(self, pipeline: Pipeline) -> None:
        self._pipeline = pipeline
        self._found: dict[str, tuple[tuple[Passage, ...], float]] = {}
        self._locks: dict[str, Lock] = {}
        self._lock = Lock()

    def passages(self, query: Query) -> tuple[tuple[Passage, ...], float]:
        with self._lock:
            mine = self._locks.setdefault(query.text, Lock())
        with mine:
            if query.text not in self._found:
                began = time.perf_counter()
                found = self._pipeline.retrieve(query)
                self._found[query.text] = (found, time.perf_counter() - began)
            return self._found[query.text]
