"""One question through several modes, sharing one retrieval. Knows nothing of how an answer is made.

Where the engine mixes adapters in a batch the modes run at once. Elsewhere they run one after the other: llama.cpp does
not batch slots of different adapters, and taking turns ends sooner there (measured in `benchmarks/`).

Whoever starts first is read first, and pays for a prefix that the later ones find in the engine's cache. So the place
of a column must not decide when it starts: `fair_order` draws the order anew for each comparison.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from queue import SimpleQueue
from random import Random
from threading import Event, Thread

from crossfade.errors import CorpusError, CrossfadeError, ModelError, QuestionError
from crossfade.pipeline import Pipeline
from crossfade.types import MODE_SWITCHES, Answer, Blend, Passage, Query, mode_switches

MAX_COLUMNS = 6
Results = Generator[Answer | CrossfadeError, None, None]
Numbered = Generator[tuple[int, Answer | CrossfadeError], None, None]


def query_in_mode(query: Query, mode: str, *, blend: Blend) -> Query:
    """The same query in a named mode; `blend` is used where the mode has fine-tuning on.

    Raises QuestionError for an unknown mode or for fine-tuning without an adapter.
    """
    switches = mode_switches(mode)
    if switches is None:
        raise QuestionError(f"Unknown mode {mode!r}. Known: {', '.join(MODE_SWITCHES)}.")
    fine_tune, rag, icl = switches
    if fine_tune and not blend:
        raise QuestionError(f"Mode {mode!r} needs an adapter. Name one, or choose base, icl, rag or rag+icl.")
    return replace(query, blend=blend if fine_tune else (), rag=rag, icl=icl)


def fair_order(columns: int, *, seed: str | int) -> tuple[int, ...]:
    """The order in which columns start: a permutation of their numbers, the same for the same seed.

    Fair because every permutation is as likely as any other over seeds, whatever stands in the columns: over many
    comparisons no mode is the first, with a cold cache, more often than another.
    """
    return tuple(Random(seed).sample(range(columns), columns))


def compare(
    pipeline: Pipeline, queries: Sequence[Query], *, stop: Event | None = None, order: Sequence[int] | None = None
) -> Generator[tuple[int, Answer | CrossfadeError], None, None]:
    """Growing answers as (column, answer); a column that fails yields its error and the rest go on.

    Passages are retrieved once and given to every query with RAG on. Columns start in `order`, a permutation of their
    numbers; without one as they stand. Raises QuestionError unless there are two to six queries that ask the same of
    the same corpus.
    """
    if not 2 <= len(queries) <= MAX_COLUMNS:
        raise QuestionError(f"{len(queries)} modes were chosen; a comparison takes 2 to {MAX_COLUMNS}.")
    first = queries[0]
    if any((q.text, q.corpus, q.history) != (first.text, first.corpus, first.history) for q in queries):
        raise QuestionError("A comparison asks one question of one corpus.")
    stop = _Either(stop or Event())
    passages: tuple[Passage, ...] = ()
    no_documents: CrossfadeError | None = None
    if any(q.rag for q in queries):
        try:
            passages = pipeline.retrieve(first)
        except (ModelError, CorpusError) as error:  # the modes without RAG need neither embedder nor documents
            no_documents = error

    def column(query: Query) -> Results:
        try:
            if query.rag and no_documents:
                raise no_documents
            with closing(pipeline.stream(query, stop=stop, passages=passages)) as answers:
                yield from answers
        except CrossfadeError as error:
            yield error

    starts = range(len(queries)) if order is None else order
    columns = {number: column(queries[number]) for number in starts}
    run = _together if pipeline.engine.capabilities.mixed_adapter_batches else _in_turn
    with closing(run(columns)) as results:
        try:
            yield from results
        finally:
            stop.set()


class _Either(Event):
    """An event that is set where another one is, too: whoever leaves stops the columns, and nobody else's."""

    def __init__(self, other: Event) -> None:
        super().__init__()
        self._other = other

    def is_set(self) -> bool:
        return super().is_set() or self._other.is_set()


def _in_turn(columns: Mapping[int, Results]) -> Numbered:
    for number, column in columns.items():
        with closing(column):
            for result in column:
                yield number, result


def _together(columns: Mapping[int, Results]) -> Numbered:
    """The results of all columns as they come, each column in a thread of its own."""
    out: SimpleQueue[tuple[int, Answer | CrossfadeError] | BaseException | None] = SimpleQueue()

    def run(number: int, column: Results) -> None:
        try:
            with closing(column):
                for result in column:
                    out.put((number, result))
            out.put(None)
        except BaseException as error:
            out.put(error)

    for number, column in columns.items():
        Thread(target=run, args=(number, column), daemon=True, name=f"column-{number}").start()
    going_on = len(columns)
    while going_on:
        item = out.get()
        if isinstance(item, BaseException):
            raise item
        if item is None:
            going_on -= 1
        else:
            yield item
