"""Serve the real page on a stand-in: a real Pipeline whose engine and retriever say what a test needs to see.

    python tests/browser/standin.py --port 7861 --delay 0.05 --until FILE --adapters domain,json --answer "..."

The engine writes its answer one word at a time and remembers how each generation ended, in the file given by --log.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from threading import Event
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "src"))

from crossfade.adapters.registry import adapters_of  # noqa: E402
from crossfade.corpora.registry import Corpus, Task, read_corpus  # noqa: E402
from crossfade.engines.protocol import Capabilities  # noqa: E402
from crossfade.errors import EngineError  # noqa: E402
from crossfade.pipeline import Pipeline  # noqa: E402
from crossfade.settings import DEFAULT_BASE, Settings  # noqa: E402
from crossfade.types import Blend, Example, Generation, Message, Passage, Prompt, Sampling, Turn  # noqa: E402

TICKET = (
    '{"product": "checking", "issue": "fraud", "amount": 240, "currency": "USD", "date": "2026-03-03", '
    '"urgency": "high", "customer": "Nora Quill", "reference": "TB-40719"}'
)


@dataclass(frozen=True, slots=True)
class Card:
    """What the page reads of `crossfade.startup.AdapterCard`, without loading the libraries behind that."""

    name: str
    purpose: str
    task: str
    sha256: str
    refused: str = ""
    base: str = ""
    minutes: float = 0.0


class WordEngine:
    """Writes a fixed answer word by word; obeys stop; a question with `FAIL` in it fails after two words.

    One with `ONCE` or `HANG` in it is answered once; from then on it fails before a word, or waits to be stopped.
    """

    base_sha256 = "0" * 64

    def __init__(self, answer: str, *, adapters: Mapping[str, str], delay: float, log: Path | None = None) -> None:
        self.capabilities = Capabilities(4096, True, ("LORA", "ADALORA"), False)
        self.adapters = dict(adapters)
        self._answer, self._delay, self._log = answer, delay, log
        self._seen: set[str] = set()

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
        began, finish, text = time.monotonic(), "", ""
        last = prompt.messages[-1].content
        answer = TICKET if schema or any(name == "json" for name, _ in blend) else self._answer
        again = last in self._seen
        self._seen.add(last)
        used = tuple((name, weight, self.adapters[name]) for name, weight in blend)
        try:
            words = answer.split(" ")[: sampling.max_new_tokens]
            if again and "ONCE" in last:
                raise EngineError("The engine fell over on purpose.")
            if again and "HANG" in last:
                stop.wait(60)
            for number, word in enumerate(words, start=1):
                if "FAIL" in last and number == 3:
                    raise EngineError("The engine fell over on purpose.")
                if "BUG" in last and number == 3:
                    raise ZeroDivisionError("secret detail")
                ended = stop.wait(self._delay)
                text = text if ended else f"{text} {word}".strip()
                finish = "cancelled" if ended else "stop" if number == len(words) else ""
                seconds = time.monotonic() - began
                yield Generation(text, prompt.tokens, 7, number, self._delay, seconds, finish, used)
                if finish:
                    return
        finally:
            if self._log:
                with self._log.open("a") as file:
                    file.write(f"{finish or 'closed'} {time.time():.3f}\n")

    def count_tokens(self, messages: Sequence[Message]) -> int:
        return sum(len(message.content) // 4 for message in messages)

    def load(self, *adapters: Any) -> None: ...

    def unload(self, name: str) -> None: ...

    def close(self) -> None: ...


class FixedRetriever:
    """Finds the same passages for every question."""

    def __init__(self, text: str, *, title: str = "Harbor Checking") -> None:
        self._found = tuple(
            Passage(text or f"The monthly fee is ${n}.", "harbor-checking", title, f"Fees {n}", 0, 9, 0.9 / n)
            for n in (1, 2, 3)
        )

    def retrieve(
        self, question: str, *, history: Sequence[Turn] = (), k: int = 3, only: Any = None, without: Any = ()
    ) -> tuple[Passage, ...]:
        return tuple(p for p in self._found if (only is None or p.document in only) and p.document not in without)[:k]


class DocumentRetriever:
    """Finds the second passage of each of these documents, as a real index would tell of it."""

    def __init__(self, corpus: Corpus, names: Sequence[str]) -> None:
        from crossfade.retrieval import split

        chosen = [next(d for d in corpus.documents if d.name == name) for name in names]
        pairs = [(split(document, size=160) * 2)[:2] for document in chosen]
        self._found = tuple(
            replace(second, score=0.9 / n, dense=0.8 - n / 10, dense_rank=n + 1, bm25=9.0 / n, bm25_rank=n)
            for n, (_, second) in enumerate(pairs, start=1)
        )

    def retrieve(self, question: str, *, history: Sequence[Turn] = (), k: int = 3) -> tuple[Passage, ...]:
        return self._found[:k]


class FixedChooser:
    """Chooses the same example for every question."""

    def choose(self, question: str, *, k: int, budget: int, count: Any) -> tuple[Example, ...]:
        return (Example("What is the fee of Anchor Savings?", "Nothing."),)


class StandIn:
    """What the page needs of a Startup, loading until the file `until` is there; with `error` it is never ready."""

    def __init__(
        self,
        *,
        answer: str = "The monthly fee is seven dollars , waived at 1,500 dollars .",
        adapters: Sequence[str] = ("domain", "json", "style"),
        passage: str = "",
        documents: Sequence[str] = (),
        delay: float = 0.02,
        until: Path | None = None,
        error: str = "",
        refused: str = "",
        broken: str = "",
        log: Path | None = None,
        settings: Settings | None = None,
    ) -> None:
        self.settings = settings or Settings(
            home=ROOT, corpora=ROOT / "corpora", adapters=ROOT / "adapters", slots=4, port=0
        )
        self.corpora: tuple[Corpus, ...] = (read_corpus(self.settings.corpora, "tidewell"),)
        self.broken_corpora = tuple(filter(None, [broken]))
        self.without_documents = ""
        tasks = {"domain": "answer", "json": "ticket", "style": "voice"}
        hashes = {name: f"{number:x}" * 64 for number, name in enumerate(adapters, start=10)}
        self.adapters = tuple(
            Card(name, f"adapter for {tasks[name]}", tasks[name], hashes[name], refused) for name in adapters
        )
        self.registry = adapters_of(self.settings)
        self.pipeline: Pipeline | None = None
        self.error = ""
        self.status: tuple[str, ...] = ("Model: starting",)
        self._until, self._fail = until, error
        engine = self._engine = WordEngine(answer, adapters=hashes, delay=delay, log=log)
        self.index = lambda corpus: retriever
        retriever: Any = FixedRetriever(passage, title=passage or "Harbor Checking")
        if documents:
            retriever = DocumentRetriever(self.corpora[0], documents)
        chooser = FixedChooser()

        def chosen(corpus: Corpus, task: Task) -> FixedChooser:
            return chooser

        self._made = Pipeline(engine, corpus=lambda n: self.corpora[0], retriever=lambda c: retriever, chooser=chosen)
        if not until:
            self._finish()

    def refresh_adapters(self) -> None:
        """What is there now, each with the card of the start, or one of its own."""
        self.registry = adapters_of(self.settings)
        made = [Card(a.name, a.purpose, str(a.card.get("task", "")), a.sha256) for a in self.registry.adapters.values()]
        self.adapters = tuple(made)
        self._engine.adapters = {card.name: card.sha256 for card in made}

    def start(self) -> None:
        if self._until:
            threading.Thread(target=self._run, daemon=True).start()

    def _run(self) -> None:
        part = 0
        while self._until and not self._until.exists():
            part += 1
            self.status = (f"Index of tidewell: {min(part, 299)} of 300 passages",)
            time.sleep(0.1)
        self._finish()

    def _finish(self) -> None:
        if self._fail:
            self.error = self._fail
        else:
            self.status, self.pipeline = ("Model: ready", "Index of tidewell: ready"), self._made


def slow_look(*_: Any, progress: Callable[[str, int, int], None], **__: Any) -> None:
    """A look at rows that tells how far it is for ten minutes, and ends where what it tells with raises."""
    for done in range(6000):
        progress("Comparing the rows with each other", done, 6000)
        time.sleep(0.1)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--delay", type=float, default=0.02)
    parser.add_argument("--until", type=Path)
    parser.add_argument("--slots", type=int, default=4)
    parser.add_argument("--error", default="")
    parser.add_argument("--answer", default="The monthly fee is seven dollars , waived at 1,500 dollars .")
    parser.add_argument("--passage", default="")
    parser.add_argument("--documents", default="", help="documents whose passages are found, joined by commas")
    parser.add_argument("--corpora", type=Path, default=ROOT / "corpora", help="where the corpus tidewell is")
    parser.add_argument("--adapters", default="domain,json,style")
    parser.add_argument("--refused", default="", help="why every adapter is refused")
    parser.add_argument("--broken", default="", help="what is wrong with another corpus")
    parser.add_argument("--log", type=Path)
    parser.add_argument("--public", action="store_true", help="as if others opened the page")
    parser.add_argument("--base", default=DEFAULT_BASE, help="what the page trains on")
    parser.add_argument("--slow-looks", action="store_true", help="a look at rows goes on until it is stopped")
    parser.add_argument("--home", type=Path, help="where what people did is kept; by default a new folder")
    args = parser.parse_args()

    from crossfade.ui import training
    from crossfade.ui.app import serve

    if args.slow_looks:
        training.report_on = slow_look  # type: ignore[assignment]
    settings = Settings(
        home=args.home or Path(tempfile.mkdtemp(prefix="standin-")),
        corpora=args.corpora,
        adapters=ROOT / "adapters",
        slots=args.slots,
        port=args.port,
        public=args.public,
        base=args.base,
    )
    startup = StandIn(
        answer=args.answer,
        adapters=tuple(filter(None, args.adapters.split(","))),
        passage=args.passage,
        documents=tuple(filter(None, args.documents.split(","))),
        delay=args.delay,
        until=args.until,
        error=args.error,
        refused=args.refused,
        broken=args.broken,
        log=args.log,
        settings=settings,
    )
    startup.start()
    serve(startup, settings)  # type: ignore[arg-type]


if __name__ == "__main__":
    main()
