"""Bring everything up: models, engine, adapters, indexes; in the background for the page, or blocking for a command.

Corpora and adapters are known at once, since reading them is cheap; what takes long reports its progress line by line.
"""

from __future__ import annotations

import logging
import threading
from collections import ChainMap
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from crossfade.abstention import Abstention, abstention_of
from crossfade.adapters.registry import Registry, adapters_of
from crossfade.corpora.own_tasks import with_own_tasks
from crossfade.corpora.registry import Corpus, Task, list_corpora, read_corpus
from crossfade.engines.opening import open_engine
from crossfade.engines.protocol import Engine
from crossfade.errors import AdapterError, CorpusError, CrossfadeError, EngineError, ModelError
from crossfade.examples import ExampleStore
from crossfade.models.catalogue import knows_english_only
from crossfade.models.embedder_gguf import embedder_gguf
from crossfade.models.fetch import fetch
from crossfade.pipeline import Pipeline
from crossfade.retrieval import Index, LlamaCppEmbedder, load_index
from crossfade.settings import Settings

EMBEDDER = "minilm"

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class AdapterCard:
    """What a person is told of an adapter; `base` is its base's name, `minutes` those of its training.

    `refused` is the reason why it is not served, or empty.
    """

    name: str
    purpose: str
    task: str
    sha256: str
    refused: str = ""
    base: str = ""
    minutes: float = 0.0


class Startup:
    """Everything of one process. `pipeline` is None until it is ready; `error` says why it never will be.

    `without_documents` says why only the modes without RAG and ICL are served, or is empty. A corpus whose index cannot
    be made stays, and the modes without RAG with it; `broken_corpora` tells.
    """

    def __init__(self, settings: Settings, *, report: Callable[[str], None] | None = None) -> None:
        """Read corpora and adapters. `report` is called with each new line of the status."""
        self.settings = settings
        self.registry: Registry = adapters_of(settings)
        read, self.broken_corpora = _read_corpora(settings.corpora)
        self.corpora = tuple(with_own_tasks(corpus, self.registry, base=settings.base) for corpus in read)
        self.pipeline: Pipeline | None = None
        self.embedder: LlamaCppEmbedder | None = None
        self.without_documents = ""
        self.error = " ".join(self.broken_corpora) if not self.corpora else ""
        self._report = report or (lambda line: None)
        self._status: dict[str, str] = {}
        self._refused: dict[str, str] = dict(self.registry.refused)
        self._disabled: dict[str, str] = self.registry.why_disabled
        self._indexes: dict[str, Index] = {}
        self._stores: dict[tuple[str, str], ExampleStore] = {}
        self._lock, self._refreshing = threading.Lock(), threading.Lock()

    @property
    def status(self) -> tuple[str, ...]:
        """One line for each thing that is loading or loaded, newest last."""
        return tuple(f"{what}: {state}" for what, state in list(self._status.items()))

    @property
    def adapters(self) -> tuple[AdapterCard, ...]:
        """The adapters that were found, the refused ones included, those that are disabled not."""
        cards = [
            AdapterCard(
                a.name,
                a.purpose or "no purpose recorded",
                str(a.card.get("task", "")),
                a.sha256,
                base=str(a.card.get("base", "")),
                minutes=_minutes(a.card),
            )
            for a in self.registry.adapters.values()
        ]
        cards = [replace(card, refused=self._refused.get(card.name, "")) for card in cards]
        known = {card.name for card in cards}
        return (*cards, *(AdapterCard(n, "", "", "", why) for n, why in dict(self._refused).items() if n not in known))

    def start(self) -> None:
        """Load in the background and return at once."""
        threading.Thread(target=self._run_safely, daemon=True, name="startup").start()

    def run(self) -> Pipeline:
        """Load and wait. Raises CrossfadeError where something that is needed cannot be had."""
        if not self.corpora:
            raise CorpusError(self.error or f"There is no corpus in {self.settings.corpora}.")
        for line in self.broken_corpora:
            logger.warning("%s", line)
        self._note("Model", "getting it")
        engine = self.open_engine()
        try:
            self._note("Documents", "getting the embedder")
            self.open_embedder()
            self._index_all()
        except ModelError as error:  # base and fine-tune need no embedder
            self.without_documents = f"{error} Until then answers come without RAG and ICL; start again to have them."
            logger.info("%s", self.without_documents)
        except BaseException:
            engine.close()
            raise
        models = {"base model": self.settings.base, "embedder": EMBEDDER}
        self.pipeline = Pipeline(
            engine,
            corpus=self.corpus,
            retriever=self.index,
            chooser=self._chooser,
            refused=ChainMap(self._refused, self._disabled),
            english_only=[what for what, name in models.items() if knows_english_only(name)],
            embedder=self.embedder.identity if self.embedder else "",
            abstention=self._abstention,
        )
        self._note("Documents", "left out" if self.without_documents else "ready")
        return self.pipeline

    def open_engine(self) -> Engine:
        """The engine with every adapter that fits. Raises ModelError, EngineError."""
        progress = partial(self._progress, "Model")
        starting = partial(self._note, "Model")
        engine = open_engine(self.settings, progress=progress, report=starting)
        try:
            self._load_adapters(engine, self.registry)
        except BaseException:
            engine.close()
            raise
        self._tell_served(engine)
        return engine

    def open_embedder(self) -> LlamaCppEmbedder:
        """The embedder, opened once. Raises ModelError."""
        with self._lock:
            if self.without_documents:
                raise ModelError(self.without_documents)
            if self.embedder is None:
                folder = fetch(EMBEDDER, self.settings.home, progress=partial(self._progress, "Documents"))
                gguf = embedder_gguf(folder, self.settings.home)
                self.embedder = LlamaCppEmbedder(gguf)  # one thread: two wait for each other when the machine is busy
            return self.embedder

    def corpus(self, name: str) -> Corpus:
        """The corpus of that name. Raises CorpusError for an unknown or broken one."""
        for corpus in self.corpora:
            if corpus.name == name:
                return corpus
        return with_own_tasks(read_corpus(self.settings.corpora, name), self.registry, base=self.settings.base)

    def index(self, corpus: Corpus) -> Index:
        """The index of a corpus, opened or built on first use. Raises CorpusError, ModelError."""
        embedder = self.open_embedder()
        with self._lock:
            if corpus.name not in self._indexes:
                folder = self.settings.home / "indexes" / corpus.name

                def progress(done: int, of: int) -> None:
                    self._note(f"Index of {corpus.name}", f"{done} of {of} passages")

                index = load_index(corpus, embedder, folder, progress)
                told = ", ".join(filter(None, [index.rebuilt, "kept in memory alone" if index.unsaved else ""]))
                self._note(f"Index of {corpus.name}", f"ready ({told})" if told else "ready")
                self._indexes[corpus.name] = index
            return self._indexes[corpus.name]

    def refresh_adapters(self) -> None:
        """Look for adapters again: load those that are new or were replaced, while answers stream, and drop lost ones.

        A refused one keeps its reason, as at the start.
        """
        if self.pipeline is None:
            return
        with self._refreshing:
            before, engine = self.registry, self.pipeline.engine
            found = adapters_of(self.settings)
            for name in [name for name in engine.adapters if name not in found.adapters]:
                engine.unload(name)
            same = {name for name, a in found.adapters.items() if a.serves_like(before.adapters.get(name))}
            kept = {name: why for name, why in self._refused.items() if name in same}
            self._refused.clear()  # the pipeline has the same ones
            self._refused.update({**kept, **found.refused})
            self._disabled.clear()
            self._disabled.update(found.why_disabled)
            self._load_adapters(engine, found, loaded=same & set(engine.adapters))
            self.registry = found  # last: what is listed is served
            self._tell_served(engine)
            self.corpora = tuple(with_own_tasks(corpus, found, base=self.settings.base) for corpus in self.corpora)

    def _index_all(self) -> None:
        """Index every corpus; one whose documents are broken is told, and asked again when a question needs them."""
        for corpus in self.corpora:
            try:
                if unsaved := self.index(corpus).unsaved:
                    logger.warning("%s Until then it is made again at each start.", unsaved)
            except CorpusError as error:
                self.broken_corpora = (*self.broken_corpora, f"{error} Until then {corpus.name} answers without RAG.")
                self._note(f"Index of {corpus.name}", "not made")
                logger.warning("%s", error)

    def _chooser(self, corpus: Corpus, task: Task) -> ExampleStore:
        embedder = self.open_embedder()
        with self._lock:
            key = (corpus.name, task.name)
            if key not in self._stores:
                self._stores[key] = ExampleStore(corpus.examples.get(task.name, ()), embedder)
            return self._stores[key]

    def _abstention(self, adapter: str) -> Abstention | None:
        found = self.registry.adapters.get(adapter)
        return abstention_of(found.card) if found else None

    def _load_adapters(self, engine: Engine, registry: Registry, *, loaded: Collection[str] = ()) -> None:
        """Load all but those loaded at once; where one is refused or breaks the engine, keep why, load the others."""
        wanted = [a for name, a in registry.adapters.items() if name not in self._refused and name not in loaded]
        try:
            if wanted:
                engine.load(*wanted)
        except (AdapterError, EngineError):
            for adapter in wanted:
                try:
                    engine.load(adapter)
                except (AdapterError, EngineError) as error:
                    refused = isinstance(error, AdapterError)
                    why = str(error) if refused else f"Adapter {adapter.name!r} cannot be loaded. {error}"
                    self._refused[adapter.name] = why
                    logger.warning("%s", self._refused[adapter.name])
                    if adapter.name in engine.adapters:
                        engine.unload(adapter.name)  # what had its name before is no longer what is there

    def _tell_served(self, engine: Engine) -> None:
        """Say how many adapters are served, what context one answer has, and which adapters are refused or doubtful."""
        refused = f"; refused: {', '.join(sorted(self._refused))}" if self._refused else ""
        doubtful = [a for a in self.registry.adapters.values() if a.doubt and a.name in engine.adapters]
        for adapter in doubtful:
            logger.warning("%s", adapter.doubt)
        unknown = f"; made for an unknown base: {', '.join(a.name for a in doubtful)}" if doubtful else ""
        context = f"context {engine.capabilities.context:,} tokens"
        self._note("Model", f"ready, {len(engine.adapters)} adapters; {context}{refused}{unknown}")

    def _run_safely(self) -> None:
        try:
            self.run()
        except CrossfadeError as error:
            self.error = str(error)
        except Exception:
            logger.exception("loading failed")
            self.error = "Loading failed for a reason that nobody foresaw; the terminal shows it. Start again."

    def _note(self, what: str, state: str) -> None:
        self._status.pop(what, None)
        self._status[what] = state
        self._report(f"{what}: {state}")

    def _progress(self, what: str, stage: str, done: int, total: int) -> None:
        size = f"{done / 1e6:.0f} of {total / 1e6:.0f} MB" if total else f"{done / 1e6:.0f} MB"
        self._note(what, f"{stage} {size}")


def _minutes(card: Mapping[str, Any]) -> float:
    """How long an adapter was trained, what it was started from included; 0 where its card does not tell."""
    told, start = card.get("minutes"), card.get("start")
    own = float(told) if isinstance(told, int | float) and not isinstance(told, bool) and 0 <= told < 1e6 else 0.0
    return own + (_minutes(start) if isinstance(start, dict) else 0.0)


def _read_corpora(root: Path) -> tuple[tuple[Corpus, ...], tuple[str, ...]]:
    """The corpora that can be read, and for the others what is wrong with them."""
    found, broken = [], []
    for name in list_corpora(root):
        try:
            found.append(read_corpus(root, name))
        except CorpusError as error:
            broken.append(str(error))
    return tuple(found), tuple(broken)
