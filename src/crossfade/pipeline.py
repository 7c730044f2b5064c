"""One question through one mode: retrieve, choose examples, build the prompt, generate. Nothing else may know how.

Engine, indexes and examples are passed in. The answer grows while it streams, and is the whole trace.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import replace
from threading import Event
from types import MappingProxyType
from typing import Any, Protocol

from crossfade import prompts
from crossfade.abstention import Abstention
from crossfade.corpora.own_schema import read_schema
from crossfade.corpora.registry import Corpus, Task
from crossfade.engines.protocol import Engine
from crossfade.errors import AdapterError, QuestionError
from crossfade.types import Answer, Example, Message, Passage, Query, Turn

EXAMPLE_TOKENS = 600
"""The token budget of the ICL examples of one prompt."""


class Retriever(Protocol):
    """Finds passages of one corpus."""

    def retrieve(self, question: str, *, history: Sequence[Turn] = (), k: int = 3) -> tuple[Passage, ...]:
        """The k passages that fit best, best first."""


class Chooser(Protocol):
    """Chooses ICL examples of one task."""

    def choose(self, question: str, *, k: int, budget: int, count: Callable[[Example], int]) -> tuple[Example, ...]:
        """At most k examples within a budget of tokens, the one most alike last."""


def enforced_schema(query: Query, task: Task) -> dict[str, Any] | None:
    """The schema that the engine is to hold the answer to: the query's own, else the task's. Raises QuestionError."""
    own = read_schema(query.schema) if query.schema else None
    return (task.enforceable if own is None else own) if query.enforce_schema else None


class Pipeline:
    """Answers queries. `corpus`, `retriever` and `chooser` are looked up by name for each query.

    `refused` has the reason for each adapter that is not served; `english_only` names which of "base model" and
    "embedder" are known to know no other language; `embedder` is the sha256 of what finds passages and examples.
    `abstention` tells of an adapter's name when its answers give way.
    """

    def __init__(
        self,
        engine: Engine,
        *,
        corpus: Callable[[str], Corpus],
        retriever: Callable[[Corpus], Retriever],
        chooser: Callable[[Corpus, Task], Chooser],
        refused: Mapping[str, str] = MappingProxyType({}),
        english_only: Sequence[str] = (),
        embedder: str = "",
        abstention: Callable[[str], Abstention | None] = lambda name: None,
    ) -> None:
        self.engine = engine
        self.corpus = corpus
        self._retriever = retriever
        self._chooser = chooser
        self._refused = refused
        self._english_only = tuple(english_only)
        self.embedder = embedder
        self.abstention = abstention
        self._counted: dict[Example, int] = {}

    def retrieve(self, query: Query) -> tuple[Passage, ...]:
        """The passages for a query, whatever its mode. Raises CorpusError, QuestionError."""
        corpus = self.corpus(query.corpus)
        question, _ = prompts.clean_question(query.text)
        history = prompts.other_turns(query.history, question)
        return self._retriever(corpus).retrieve(question, history=history, k=corpus.passages)

    def check(self, query: Query) -> None:
        """Whether a query could be asked, whatever its question. Raises CorpusError, AdapterError, QuestionError."""
        corpus = self.corpus(query.corpus)
        self._check_blend(query)
        self._check_request(query, corpus, corpus.task(query.task))

    def prepare(self, query: Query, *, passages: tuple[Passage, ...] | None = None) -> Answer:
        """The answer before its first token: checked question, passages, examples, prompt.

        `passages` are used instead of retrieving where given. Raises QuestionError, CorpusError, AdapterError.
        """
        corpus = self.corpus(query.corpus)
        task = corpus.task(query.task)
        embeds = query.rag or query.icl
        english_only = [what for what in self._english_only if what != "embedder" or embeds]
        question, notices = prompts.clean_question(query.text, english_only=english_only)
        self._check_blend(query)
        self._check_request(query, corpus, task)
        began = time.perf_counter()
        found: tuple[Passage, ...] = ()
        if query.rag:
            found = self.retrieve(query) if passages is None else passages
        chosen: tuple[Example, ...] = ()
        if query.icl:
            chooser = self._chooser(corpus, task)
            chosen = chooser.choose(question, k=task.examples, budget=EXAMPLE_TOKENS, count=self._example_tokens)
        seconds = time.perf_counter() - began
        prompt = prompts.build(
            task.put(question),
            instructions=prompts.with_own(task.instructions, query.instructions),
            history=prompts.other_turns(query.history, question),
            passages=found,
            examples=chosen,
            count=self.engine.count_tokens,
            limit=self.engine.capabilities.context - query.sampling.max_new_tokens,
        )
        return Answer(
            query=replace(query, text=question, task=task.name),
            passages=found[: prompt.passages],
            examples=chosen[len(chosen) - prompt.examples :],
            prompt=prompt,
            seconds_retrieving=seconds,
            notices=notices,
        )

    def stream(
        self, query: Query, *, stop: Event | None = None, passages: tuple[Passage, ...] | None = None
    ) -> Generator[Answer, None, None]:
        """Growing answers to a query; the first has no text yet, the last has `generation.finish`.

        Closing this generator closes the engine's. Raises QuestionError, CorpusError, AdapterError and EngineError.
        """
        began = time.perf_counter()
        answer = self.prepare(query, passages=passages)
        yield answer
        answer = replace(answer, seconds_before=time.perf_counter() - began)
        assert answer.prompt is not None
        schema = enforced_schema(query, self.corpus(query.corpus).task(query.task))
        rule = self._abstention(answer)
        generations = self.engine.stream(
            answer.prompt,
            blend=query.blend,
            sampling=query.sampling,
            stop=stop or Event(),
            schema=schema,
            refusal=rule.says if rule else "",
        )
        try:
            for generation in generations:
                yield replace(answer, generation=rule.judged(generation) if rule else generation)
        finally:
            # Closed at once, not when it is collected: an engine frees the slot then.
            if close := getattr(generations, "close", None):
                close()

    def ask(self, query: Query, *, passages: tuple[Passage, ...] | None = None) -> Answer:
        """The whole answer to a query. Raises like `stream`."""
        *_, answer = self.stream(query, passages=passages)
        return answer

    def _abstention(self, answer: Answer) -> Abstention | None:
        """When this answer gives way; a blend of several adapters, or one at another weight, was not measured."""
        blend = answer.query.blend
        rule = self.abstention(blend[0][0]) if len(blend) == 1 and blend[0][1] == 1 else None
        return rule if rule and rule.applies(answer) else None

    def _example_tokens(self, example: Example) -> int:
        """The tokens of an example as the two turns that it will be."""
        if example not in self._counted:
            turns = (Message("user", example.question), Message("assistant", example.answer))
            self._counted[example] = self.engine.count_tokens(turns)
        return self._counted[example]

    def _check_blend(self, query: Query) -> None:
        known = self.engine.adapters
        for name, _ in query.blend:
            if name not in known and name in self._refused:
                raise AdapterError(self._refused[name])
            if name not in known:
                raise AdapterError(f"Unknown adapter {name!r}. Known: {', '.join(sorted(known)) or 'none is loaded'}.")

    def _check_request(self, query: Query, corpus: Corpus, task: Task) -> None:
        context, wanted = self.engine.capabilities.context, query.sampling.max_new_tokens
        if not 1 <= wanted < context:
            raise QuestionError(
                f"{wanted:,} new tokens were asked for; prompt and answer share a context of {context:,} tokens. "
                f"Ask for 1 to {context // 2:,}."
            )
        if enforced_schema(query, task) is None and query.enforce_schema:
            able = ", ".join(t.name for t in corpus.tasks.values() if t.enforceable is not None)
            raise QuestionError(f"Task {task.name!r} has no JSON schema to enforce. Tasks with one: {able or 'none'}.")
