"""The engine for GPUs and for every kind of adapter: transformers in the process, one worker that owns the model.

Requests that wait together are written as rows of one batch, each with the update of its own blend, which is fixed when
the request comes: what is loaded or unloaded meanwhile changes no answer under way. A prompt is read in pieces between
the steps of the others, and whole: no prefix is kept, so no token is ever cached. The worker alone touches the model.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from queue import Empty, SimpleQueue
from threading import Event
from types import MappingProxyType
from typing import Any, TypeVar

from crossfade.adapters.peft_config import KINDS
from crossfade.adapters.peft_files import AdapterFiles
from crossfade.engines.choosing import Chooser, Schemas
from crossfade.engines.jobs import Job, told
from crossfade.engines.lora_rows import LoraRows
from crossfade.engines.protocol import Capabilities
from crossfade.engines.requests import check_blend
from crossfade.engines.rows import Reading, Rows
from crossfade.engines.self_test import PROBE, check_effect
from crossfade.engines.torch_adapters import Added, added_by, blended
from crossfade.engines.torch_base import TorchBase
from crossfade.errors import AdapterError, CrossfadeError, EngineError
from crossfade.types import Blend, Generation, Message, Prompt, Sampling

PIECE = 128
"""Tokens of a prompt that are read between two looks at the others and at whether the reader has gone."""
WAITING = 64
"""How many requests may wait for a row."""
PATIENCE = 120.0
"""Seconds that a request waits for a row at most."""
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class _Adapter:
    files: AdapterFiles
    added: Added


class TransformersEngine:
    """Serves one base with any number of LoRA adapters, mixed in one batch."""

    def __init__(self, base: TorchBase, *, identity: str, context: int = 4096, rows: int = 4) -> None:
        """Start with no adapter. `context` is what one row has; at most `rows` are written together."""
        self._base, self._identity = base, identity
        self._context, self._rows = min(context, base.context), rows
        self._lora = LoraRows(base.model)
        width = base.model.get_output_embeddings().out_features
        self._schemas = Schemas(base.tokenizer, vocabulary=width, stop_tokens=base.stop_tokens)
        self._adapters: Mapping[str, _Adapter] = {}
        self._loading = threading.Lock()
        self._changed = threading.Condition()
        self._waiting: deque[Job] = deque()
        self._calls: deque[Callable[[], None]] = deque()
        self._jobs: list[Job] = []
        self._reading: tuple[Job, Reading] | None = None
        self._closed = False
        self._worker = threading.Thread(target=self._work, daemon=True, name="transformers-engine")
        self._worker.start()

    @property
    def capabilities(self) -> Capabilities:
        """What this engine offers."""
        return Capabilities(
            context=self._context, schema_constrained=True, adapter_kinds=KINDS, mixed_adapter_batches=True
        )

    @property
    def base_sha256(self) -> str:
        """The identity of the base model."""
        return self._identity

    @property
    def adapters(self) -> Mapping[str, str]:
        """The loaded adapters: name to sha256."""
        return MappingProxyType({name: adapter.files.sha256 for name, adapter in self._adapters.items()})

    @property
    def working(self) -> int:
        """How many requests are read or written at this moment."""
        reading = self._reading
        return len(self._jobs) + bool(reading and reading[0] not in self._jobs)

    def load(self, *adapters: AdapterFiles) -> None:
        """Add adapters, or replace those of the same name, while other requests run; all or none.

        Raises AdapterError where one does not fit the base or does not change the logits.
        """
        with self._loading:
            if len({a.name for a in adapters}) < len(adapters):
                raise AdapterError(f"Two adapters of one name: {', '.join(a.name for a in adapters)}. Rename one.")
            try:
                new = {a.name: _Adapter(a, self._added_by(a)) for a in adapters}
            except (MemoryError, RuntimeError) as error:
                raise told(error) from error
            for name, adapter in new.items():
                check_effect(name, partial(self._probe, adapter.added))
            self._adapters = {**self._adapters, **new}

    def unload(self, name: str) -> None:
        """Take an adapter away; running requests keep it to their end. Raises AdapterError for an unknown one."""
        with self._loading:
            check_blend(((name, 1.0),), self._adapters)
            self._adapters = {other: adapter for other, adapter in self._adapters.items() if other != name}

    def count_tokens(self, messages: Sequence[Message]) -> int:
        """How many tokens the messages take, the chat template included."""
        return len(self._base.encode(messages))

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
        """Growing generations, the last one with `finish` set. Raises AdapterError and EngineError.

        With a `refusal` the answer does not begin as that text does, and has its `log_probability`.
        """
        try:
            job = self._job(prompt, blend, sampling=sampling, stop=stop, schema=schema, refusal=refusal)
        except (MemoryError, RuntimeError) as error:
            raise told(error) from error
        with self._changed:
            if self._closed:
                raise EngineError("The engine is closed.")
            if len(self._waiting) >= WAITING:
                raise EngineError(f"The model is busy: {WAITING} requests wait already. Try again in a minute.")
            self._waiting.append(job)
            self._changed.notify()
        try:
            while True:
                try:
                    news = job.out.get(timeout=0.5)
                except Empty:
                    self._look_after(job)
                    continue
                if isinstance(news, CrossfadeError):
                    raise news
                yield news
                if news.finish:
                    return
        finally:
            job.leave()  # whoever stops reading stops the writing

    def top_tokens(self, messages: Sequence[Message], *, blend: Blend, n: int = 20) -> dict[int, float]:
        """The n likeliest next tokens by id, with their log probabilities. Raises AdapterError and EngineError."""
        return self._likeliest(self._base.encode(messages), self._blended(blend, self._adapters), n=n)

    def close(self) -> None:
        """Stop once the requests under way have ended; what is asked from now on is an EngineError."""
        with self._changed:
            self._closed = True
            self._changed.notify()
        if threading.current_thread() is not self._worker:
            self._worker.join()

    def _job(
        self,
        prompt: Prompt,
        blend: Blend,
        *,
        sampling: Sampling,
        stop: Event,
        schema: dict[str, Any] | None,
        refusal: str,
    ) -> Job:
        began, loaded = time.perf_counter(), self._adapters
        added = self._blended(blend, loaded)
        ids = self._base.encode(prompt.messages)
        taken = len(ids) + (0 if added.virtual is None else len(added.virtual))
        if taken >= self._context:
            raise EngineError(
                f"The prompt takes {taken:,} tokens; the context has {self._context:,}. Shorten the question."
            )
        return Job(
            ids=ids,
            room=min(sampling.max_new_tokens, self._context - taken),
            added=added,
            used=tuple((name, weight, loaded[name].files.sha256) for name, weight in blend),
            chooser=Chooser(
                sampling,
                self._schemas.start(schema) if schema is not None else None,
                banned=self._base.first_token(refusal) if refusal else None,
            ),
            stop=stop,
            began=began,
            log_probability=0.0 if refusal else None,
        )

    def _added_by(self, adapter: AdapterFiles) -> Added:
        return added_by(adapter, self._base, self._lora, identity=self._identity)

    def _blended(self, blend: Blend, loaded: Mapping[str, _Adapter]) -> Added:
        check_blend(blend, loaded)
        return blended([(name, loaded[name].added, weight) for name, weight in blend])

    def _look_after(self, job: Job) -> None:
        """End a request that waits for a row and is stopped; one that waits for too long is an EngineError."""
        with self._changed:
            waited = time.perf_counter() - job.began
            if job in self._waiting and (job.stop.is_set() or waited > PATIENCE):
                self._waiting.remove(job)
                if not job.stop.is_set():
                    raise EngineError(f"The model was busy for {PATIENCE:.0f} s. Try again in a minute.")
                job.tell("cancelled")
        if not self._worker.is_alive() and job.out.empty():
            raise EngineError("The engine is closed.")

    def _probe(self, added: Added, blend: Blend) -> dict[int, float]:
        """The likeliest tokens after the self-test's prompt: the base's for no blend, else with what is added."""
        return self._likeliest(self._base.encode(PROBE), added if blend else Added(), n=20)

    def _likeliest(self, ids: Sequence[int], added: Added, *, n: int) -> dict[int, float]:
        def look() -> dict[int, float]:
            logits = Reading(self._base.model, self._lora, ids, added).advance(len(ids))
            assert logits is not None
            top = logits.log_softmax(-1).topk(min(n, len(logits)))
            return dict(zip(top.indices.tolist(), top.values.tolist(), strict=True))

        return self._on_worker(look)

    def _on_worker(self, call: Callable[[], T]) -> T:
        """Run something on the model between two steps. Raises EngineError, and whatever it raises."""
        out: SimpleQueue[tuple[T | None, BaseException | None]] = SimpleQueue()

        def run() -> None:
            try:
                out.put((call(), None))
            except BaseException as error:
                out.put((None, error))

        with self._changed:
            if self._closed:
                raise EngineError("The engine is closed.")
            self._calls.append(run)
            self._changed.notify()
        while True:
            try:
                result, error = out.get(timeout=0.5)
                break
            except Empty:
                if not self._worker.is_alive() and out.empty():
                    raise EngineError("The engine is closed.") from None
        if error is not None:
            raise told(error) from error
        return result  # type: ignore[return-value]

    def _work(self) -> None:
        """The worker's life: calls first, then a piece of the prompt that is read, then a step of all rows."""
        rows = Rows(self._base.model, self._lora)
        while True:
            with self._changed:
                while not (self._calls or self._waiting or self.working or self._closed):
                    self._changed.wait()
                calls, self._calls = self._calls, deque()
                if not (calls or self._waiting or self.working):
                    return  # closed, and all is done
                if self._waiting and not self._reading and len(rows) < self._rows:
                    job = self._waiting.popleft()
                    self._reading = (job, Reading(self._base.model, self._lora, job.ids, job.added))
            for call in calls:
                call()
            if self._reading:
                self._read(*self._reading, rows)
            if self._jobs:
                self._step(rows)

    def _read(self, job: Job, reading: Reading, rows: Rows) -> None:
        """Read a prompt on; at its end write the first token, and let the row join unless it has ended."""
        try:
            logits = None if job.stop.is_set() else reading.advance(PIECE)
            if logits is not None:
                if not job.write(logits, self._base):
                    rows.join(reading)
                    self._jobs = [*self._jobs, job]
            elif job.stop.is_set():
                job.tell("cancelled")
            else:
                return
        except Exception as error:
            job.out.put(told(error))
        self._reading = None

    def _ends(self, job: Job, logits: Any) -> bool:
        """Write a row's next token; whether the row has ended by that, or by an error of its own."""
        try:
            return job.write(logits, self._base)
        except Exception as error:
            job.out.put(told(error))
            return True

    def _step(self, rows: Rows) -> None:
        """One more token for every row; rows that have ended leave. An error ends all rows, and none but them."""
        jobs = self._jobs
        try:
            logits = rows.step([job.tokens[-1] for job in jobs])
            going_on = [n for n, job in enumerate(jobs) if not self._ends(job, logits[n])]
            rows.keep(going_on)
            self._jobs = [jobs[n] for n in going_on]
        except Exception as error:
            self._jobs = []
            rows.keep([])
            for job in jobs:
                job.out.put(told(error))
