"""A small deterministic engine, retriever and chooser for tests of the rooms above them, and a corpus to go with them.

The engine answers with the blend and a hash of the prompt, word by word: another prompt or blend gives another answer,
the same ones the same. It notes what it was asked and how each stream ended.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from threading import Event
from typing import Any

import pytest

from crossfade.adapters.peft_files import AdapterFiles
from crossfade.corpora.registry import Corpus, Task, read_corpus
from crossfade.engines.protocol import Capabilities
from crossfade.errors import AdapterError, EngineError
from crossfade.pipeline import Pipeline
from crossfade.types import Blend, Example, Generation, Message, Passage, Prompt, Sampling, Turn
from hashing_embedder import HashingEmbedder

COUNT_PER_MESSAGE = 4
TOML = """
title = "Bank"
default_task = "answer"

[retrieval]
passages = 2

[tasks.answer]
adapter = "domain"
instructions = "Answer in few words."
max_new_tokens = 20
examples = 2

[tasks.ticket]
adapter = "json"
instructions = "Write a ticket."
schema = "ticket.schema.json"
"""


@dataclass(frozen=True, slots=True)
class Asked:
    """One request to the engine."""

    prompt: Prompt
    blend: Blend
    sampling: Sampling
    schema: dict[str, Any] | None
    refusal: str


def count_words(messages: Sequence[Message]) -> int:
    """Tokens of messages for tests: words, and `COUNT_PER_MESSAGE` for each message."""
    return sum(len(message.content.split()) + COUNT_PER_MESSAGE for message in messages)


class FakeEngine:
    """Implements `crossfade.engines.protocol.Engine`. `refuses` names adapters that do not fit, `fails_on` a word of
    the question at which it breaks after the first word of its answer, `mixes` says that it batches rows of different
    adapters; `says` is answered to everything where set; `held` is how likely answers to a question with a word are."""

    base_sha256 = "b" * 64

    def __init__(
        self,
        *,
        adapters: Collection[str] = ("domain", "json"),
        context: int = 1000,
        refuses: Collection[str] = (),
        fails_on: str = "EXPLODE",
        mixes: bool = False,
    ) -> None:
        self.capabilities = Capabilities(context, True, ("LORA",), mixes)
        self._adapters = {name: hashlib.sha256(name.encode()).hexdigest() for name in adapters}
        self._refuses, self._fails_on = refuses, fails_on
        self.says = ""
        self.held: dict[str, float] = {}
        self.asked: list[Asked] = []
        self.ended: list[str] = []
        self.closed = False

    @property
    def adapters(self) -> Mapping[str, str]:
        return dict(self._adapters)

    def stream(
        self,
        prompt: Prompt,
        *,
        blend: Blend,
        sampling: Sampling,
        stop: Event,
        schema: dict[str, Any] | None = None,
        refusal: str = "",
    ) -> Iterator[Generation]:
        self.asked.append(Asked(prompt, blend, sampling, schema, refusal))
        digest = hashlib.sha256(repr((prompt.messages, blend, sampling.seed)).encode()).hexdigest()
        words = [*(name for name, _ in blend), *(digest[i : i + 4] for i in range(0, 16, 4))][: sampling.max_new_tokens]
        if self.says:
            words = [self.says]
        held = next((p for word, p in self.held.items() if word in prompt.messages[-1].content), 0.5)
        likely = math.log(held) if refusal else None
        used = tuple((name, weight, self._adapters[name]) for name, weight in blend)
        finish = "closed"
        try:
            for number in range(1, len(words) + 1):
                if number == 2 and self._fails_on in prompt.messages[-1].content:
                    finish = "failed"
                    raise EngineError("The engine fell over. Ask again.")
                finish = "cancelled" if stop.is_set() else "stop" if number == len(words) else ""
                text = " ".join(words[:number])
                yield Generation(text, prompt.tokens, 0, number, 0.1, 0.1 * number, finish, used, likely)
                if finish:
                    return
        finally:
            self.ended.append(finish or "closed")

    def load(self, *adapters: AdapterFiles) -> None:
        for adapter in adapters:
            if adapter.name in self._refuses:
                raise AdapterError(f"Adapter {adapter.name!r} is refused: it does not change what the base says.")
        self._adapters |= {adapter.name: adapter.sha256 for adapter in adapters}

    def unload(self, name: str) -> None:
        del self._adapters[name]

    def count_tokens(self, messages: Sequence[Message]) -> int:
        return count_words(messages)

    def close(self) -> None:
        self.closed = True


def passage(number: int, text: str = "", *, document: str = "") -> Passage:
    """A passage that can be told from the others by its number."""
    return Passage(
        text or f"Fact {number} is ${number}.", document or f"doc{number}", f"Title {number}", "", 0, 9, 1 / number
    )


PASSAGES = (passage(1), passage(2), passage(3))


class FakeRetriever:
    """Finds the passages of a list that share most words with a question; notes what it was asked.

    It stands in for an `Index` too.
    """

    rebuilt, embedded, unsaved = "", 0, ""

    def __init__(self, passages: Sequence[Passage] = PASSAGES) -> None:
        self.passages = tuple(passages)
        self.asked: list[tuple[str, tuple[Turn, ...], int]] = []

    def retrieve(
        self,
        question: str,
        *,
        history: Sequence[Turn] = (),
        k: int = 3,
        only: Collection[str] | None = None,
        without: Collection[str] = (),
    ) -> tuple[Passage, ...]:
        self.asked.append((question, tuple(history), k))
        allowed = [p for p in self.passages if (only is None or p.document in only) and p.document not in without]
        words = set(question.lower().strip("?").split())
        return tuple(sorted(allowed, key=lambda p: -len(words & set(p.text.lower().split())))[:k])


class FakeChooser:
    """Chooses the first examples of a list."""

    def __init__(self, examples: Sequence[Example]) -> None:
        self.examples = tuple(examples)

    def choose(self, question: str, *, k: int, budget: int, count: Callable[[Example], int]) -> tuple[Example, ...]:
        return self.examples[:k]


def write_corpus(root: Path, name: str = "bank", toml: str = TOML) -> Path:
    """The folder of a small corpus that can be read."""
    folder = root / name
    (folder / "docs").mkdir(parents=True)
    (folder / "corpus.toml").write_text(toml, encoding="utf-8")
    (folder / "docs" / "fees.md").write_text("# Fees\n\nThe monthly fee is $7.\n", encoding="utf-8")
    (folder / "ticket.schema.json").write_text('{"type": "object"}', encoding="utf-8")
    (folder / "examples.jsonl").write_text(
        '{"task": "answer", "question": "Is there a fee?", "answer": "Yes, $7"}\n', encoding="utf-8"
    )
    return folder


def patch_startup(monkeypatch: pytest.MonkeyPatch, *, engine: Callable[[], FakeEngine]) -> None:
    """Let `crossfade.startup` open an engine, an embedder and indexes that need no model; the rest of it is real."""

    def index(corpus: Corpus, *_: Any) -> FakeRetriever:
        assert corpus.documents  # read, so that a broken document is met as in real life
        return FakeRetriever()

    fakes: dict[str, Any] = {
        "open_engine": lambda *_, **__: engine(),
        "fetch": lambda *_, **__: Path("embedder"),
        "embedder_gguf": lambda *_: Path("embedder.gguf"),
        "LlamaCppEmbedder": lambda *_: HashingEmbedder(),
        "load_index": index,
    }
    for name, fake in fakes.items():
        monkeypatch.setattr(f"crossfade.startup.{name}", fake)


EXAMPLES = (Example("Sample one?", "Reply one"), Example("Sample two?", "Reply two"))


def fake_pipeline(
    root: Path, *, engine: FakeEngine | None = None, retriever: FakeRetriever | None = None, **more: Any
) -> Pipeline:
    """A real pipeline over the fakes and a corpus `bank` under `root`."""
    if not (root / "bank").exists():
        write_corpus(root)
    found = retriever or FakeRetriever()

    def chooser(corpus: Corpus, task: Task) -> FakeChooser:
        return FakeChooser(EXAMPLES)

    return Pipeline(
        engine or FakeEngine(),
        corpus=lambda name: read_corpus(root, name),
        retriever=lambda _: found,
        chooser=chooser,
        **more,
    )
