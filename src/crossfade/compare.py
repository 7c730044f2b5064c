"""One question through several modes, sharing one retrieval. Knows nothing of how an answer is made.

The modes run one after the other: on a CPU, slots with different adapters are not batched, and taking turns ends
sooner than running at once (measured in `benchmarks/`).
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from contextlib import closing
from dataclasses import replace
from threading import Event

from crossfade.errors import CorpusError, CrossfadeError, ModelError, QuestionError
from crossfade.pipeline import Pipeline
from crossfade.types import MODE_SWITCHES, Answer, Blend, Passage, Query, mode_switches

MAX_COLUMNS = 6


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


def compare(
    pipeline: Pipeline, queries: Sequence[Query], *, stop: Event | None = None
) -> Generator[tuple[int, Answer | CrossfadeError], None, None]:
    """Growing answers as (column, answer), column by column; a column that fails yields its error and the rest go on.

    Passages are retrieved once and given to every query with RAG on. Raises QuestionError unless there are two to six
    queries that ask the same of the same corpus.
    """
    if not 2 <= len(queries) <= MAX_COLUMNS:
        raise QuestionError(f"{len(queries)} modes were chosen; a comparison takes 2 to {MAX_COLUMNS}.")
    first = queries[0]
    if any((q.text, q.corpus, q.history) != (first.text, first.corpus, first.history) for q in queries):
        raise QuestionError("A comparison asks one question of one corpus.")
    stop = stop or Event()
    passages: tuple[Passage, ...] = ()
    no_documents: CrossfadeError | None = None
    if any(q.rag for q in queries):
        try:
            passages = pipeline.retrieve(first)
        except (ModelError, CorpusError) as error:  # the modes without RAG need neither embedder nor documents
            no_documents = error
    for column, query in enumerate(queries):
        try:
            if query.rag and no_documents:
                raise no_documents
            with closing(pipeline.stream(query, stop=stop, passages=passages)) as answers:
                for answer in answers:
                    yield column, answer
        except CrossfadeError as error:
            yield column, error
