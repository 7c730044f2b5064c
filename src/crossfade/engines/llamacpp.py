"""The embedded engine: llama.cpp started in the process by xllamacpp, spoken to over its loopback HTTP listener.

Each request names every loaded adapter with an explicit scale, base included, since the server's default is to apply
all of them; it is sent to a slot chosen by `SlotTable`, and the cached prefix is used only where that slot's last
request had the same blend. A server's adapters are fixed at its start: to add one, a second server is started and
tested, new requests go to it, and the first is dropped when its last request has ended.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Event
from types import MappingProxyType
from typing import Any

from crossfade.adapters.gguf_twin import gguf_twin
from crossfade.adapters.peft_files import AdapterFiles
from crossfade.engines.openai_stream import complete, post, stream_events
from crossfade.engines.protocol import Capabilities
from crossfade.engines.requests import check_blend, defuse
from crossfade.engines.self_test import PROBE, check_effect
from crossfade.engines.slots import BETWEEN, SlotTable
from crossfade.errors import AdapterError, EngineError, ModelError
from crossfade.models.gguf_file import BaseDescription
from crossfade.types import Blend, Generation, Message, Prompt, Sampling

PREFILL_STEP = 256
"""Tokens of a prompt that are computed between two looks at whether the reader has gone."""


@dataclass(slots=True)
class _Server:
    """A running llama.cpp server with its adapters in the order of their ids."""

    handle: Any
    address: str
    adapters: tuple[AdapterFiles, ...]
    slots: SlotTable
    requests: int = 0
    retired: bool = False


class LlamaCppEngine:
    """Serves one GGUF base with any number of LoRA adapters, chosen for each request."""

    def __init__(
        self,
        model: Path,
        base: BaseDescription,
        *,
        identity: str,
        home: Path,
        context: int = 4096,
        slots: int = 4,
        threads: int = 2,
        exact_cache: bool = False,
    ) -> None:
        """Start with no adapter. `context` is what one slot has; `exact_cache` keeps the KV cache in 32 bits.

        Raises ModelError where the model has no chat template, EngineError where it does not start.
        """
        if not base.chat_template:  # llama.cpp would silently take that of another family
            raise ModelError(
                f"{model.name} has no chat template, so it cannot be asked as it was taught. Choose the instruct "
                "version of the model, or a GGUF with the key tokenizer.chat_template."
            )
        self._model, self._base, self._identity, self._home = model, base, identity, home
        self._context = min(context, base.context)
        self._slots, self._threads, self._exact = slots, threads, exact_cache
        self._lock = threading.Lock()
        self._loading = threading.Lock()
        self._closed = False
        self._server = self._start(())

    @property
    def capabilities(self) -> Capabilities:
        """What this engine offers."""
        return Capabilities(
            context=self._context,
            schema_constrained=True,
            adapter_kinds=("LORA", "ADALORA"),
            mixed_adapter_batches=False,
        )

    @property
    def base_sha256(self) -> str:
        """The identity of the base model."""
        return self._identity

    @property
    def adapters(self) -> Mapping[str, str]:
        """The loaded adapters: name to sha256."""
        return MappingProxyType({a.name: a.sha256 for a in self._server.adapters})

    @property
    def address(self) -> str:
        """Where the running server listens; for measuring and tests. It has no key: never show it to the outside."""
        return self._server.address

    def load(self, *adapters: AdapterFiles) -> None:
        """Add adapters, or replace those of the same name, while other requests run; all or none.

        Raises AdapterError where one does not fit the base or does not change the logits, EngineError where the model
        does not start with them.
        """
        with self._loading:
            names = {a.name for a in adapters}
            if len(names) < len(adapters):
                raise AdapterError(f"Two adapters of one name: {', '.join(a.name for a in adapters)}. Rename one.")
            kept = tuple(a for a in self._server.adapters if a.name not in names)
            server = self._start((*kept, *adapters))
            try:
                for adapter in adapters:
                    check_effect(adapter.name, lambda blend: self._top_tokens(server, PROBE, blend=blend, n=20))
            except BaseException:
                self._retire(server)
                raise
            self._swap(server)

    def unload(self, name: str) -> None:
        """Take an adapter away; running requests with it end first. Raises AdapterError for an unknown one."""
        with self._loading:
            if name not in self.adapters:
                raise AdapterError(f"Unknown adapter {name!r}. Loaded: {', '.join(self.adapters) or 'none'}.")
            self._swap(self._start(tuple(a for a in self._server.adapters if a.name != name)))

    def count_tokens(self, messages: Sequence[Message]) -> int:
        """How many tokens the messages take, the chat template included."""
        with self._use() as server:
            text = post(server.address, "/apply-template", {"messages": self._safe(messages)})["prompt"]
            body = {"content": text, "parse_special": True, "add_special": True}
            return len(post(server.address, "/tokenize", body)["tokens"])

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
        began = time.perf_counter()
        with self._use() as server:
            hashes = {a.name: a.sha256 for a in server.adapters}
            check_blend(blend, hashes)
            used = tuple((name, weight, hashes[name]) for name, weight in blend)
            messages = self._safe(prompt.messages)
            text = BETWEEN.join(m["content"] for m in messages)
            with server.slots.lease(blend, text, stop) as lease:
                if lease is None:
                    yield Generation(finish="cancelled", adapters=used, seconds=time.perf_counter() - began)
                    return
                body = self._body(server, messages, blend=blend, sampling=sampling, schema=schema)
                body |= {"id_slot": lease.number, "cache_prompt": lease.reuse}
                if refusal:
                    body |= {"logit_bias": [[self._first_token(server, refusal), False]]}
                    body |= {"logprobs": True, "top_logprobs": 1}
                body |= {"return_progress": True, "timings_per_token": True}  # the counts of an answer that is stopped
                for generation in stream_events(server.address, body, stop=stop, began=began, adapters=used):
                    yield generation
                    if generation.finish == "cancelled":
                        if not generation.new_tokens:
                            server.slots.forget(lease)
                        return

    def top_tokens(self, messages: Sequence[Message], *, blend: Blend, n: int = 20) -> dict[int, float]:
        """The n likeliest next tokens by id, with their log probabilities, computed without any cached prefix.

        Raises AdapterError and EngineError.
        """
        with self._use() as server:
            check_blend(blend, {a.name: a.sha256 for a in server.adapters})
            return self._top_tokens(server, messages, blend=blend, n=n)

    def close(self) -> None:
        """Stop the server once its requests have ended; what is asked from now on is an EngineError."""
        with self._lock:
            self._closed = True
            server = self._server
        self._retire(server)

    def _start(self, adapters: tuple[AdapterFiles, ...]) -> _Server:
        import xllamacpp

        params = xllamacpp.CommonParams()
        params.model.path = str(self._model)
        params.n_ctx = self._context * self._slots
        params.n_parallel = self._slots
        params.n_batch = params.n_ubatch = PREFILL_STEP
        params.cpuparams.n_threads = params.cpuparams_batch.n_threads = self._threads
        params.cache_ram_mib = 0  # this cache does not look at adapters
        params.cache_idle_slots = False
        params.n_ctx_checkpoints = 0
        params.ui = False
        params.verbosity = 1
        if self._exact:
            # Flash attention rounds keys and values to 16 bits, whatever the cache holds.
            params.flash_attn_type = xllamacpp.llama_flash_attn_type.LLAMA_FLASH_ATTN_TYPE_DISABLED
            params.cache_type_k = params.cache_type_v = xllamacpp.ggml_type.GGML_TYPE_F32
        twins = [gguf_twin(a, self._base, identity=self._identity, home=self._home) for a in adapters]
        params.lora_adapters = [xllamacpp.CommonAdapterLoraInfo(str(path), 0.0) for path in twins]
        try:
            handle = xllamacpp.Server(params)
        except Exception as error:
            what = f"The model {self._model.name}"
            if adapters:
                names = ", ".join(a.name for a in adapters)
                raise EngineError(
                    f"{what} starts, but not with {names} ({error}). Take an adapter away or free memory."
                ) from error
            raise EngineError(f"{what} does not start ({error}). Check its file and memory.") from error
        return _Server(handle, handle.listening_address, adapters, SlotTable(self._slots))

    @contextmanager
    def _use(self) -> Iterator[_Server]:
        """The running server, kept alive until the request has ended."""
        with self._lock:
            server = self._server
            if self._closed:
                raise EngineError("The engine is closed.")
            server.requests += 1
        try:
            yield server
        finally:
            with self._lock:
                server.requests -= 1
            self._drop_if_done(server)

    def _swap(self, server: _Server) -> None:
        with self._lock:
            closed = self._closed
            retired = server if closed else self._server
            if not closed:
                self._server = server
        self._retire(retired)
        if closed:
            raise EngineError("The engine is closed.")

    def _retire(self, server: _Server) -> None:
        with self._lock:
            server.retired = True
        self._drop_if_done(server)

    def _drop_if_done(self, server: _Server) -> None:
        """Let go of a retired server after its last request; its end takes a moment, so the lock is not held."""
        with self._lock:
            handle = server.handle
            if not server.retired or server.requests:
                return
            server.handle = None
        del handle

    def _safe(self, messages: Sequence[Message]) -> list[dict[str, str]]:
        """The messages with the base's control tokens broken up, so that no text can end its own turn."""
        return [{"role": m.role, "content": defuse(m.content, self._base.control_tokens)} for m in messages]

    def _body(
        self,
        server: _Server,
        messages: list[dict[str, str]],
        *,
        blend: Blend,
        sampling: Sampling,
        schema: dict[str, Any] | None = None,
    ) -> dict[str, Any]:
        weights = dict(blend)
        body: dict[str, Any] = {
            "messages": messages,
            "max_tokens": sampling.max_new_tokens,
            "temperature": sampling.temperature,
            "top_p": sampling.top_p,
            "top_k": 0 if sampling.temperature > 0 else 1,  # without it the server sorts the vocabulary for each token
            "min_p": 0.0,
            "seed": sampling.seed,
            "lora": [{"id": i, "scale": weights.get(a.name, 0.0)} for i, a in enumerate(server.adapters)],
        }
        if schema is not None:
            body["response_format"] = {"type": "json_schema", "json_schema": {"schema": schema}}
        return body

    def _first_token(self, server: _Server, text: str) -> int:
        """The token that an answer beginning with the text begins with; no text begins with a control token."""
        body = {"content": defuse(text, self._base.control_tokens), "add_special": False}
        return int(post(server.address, "/tokenize", body)["tokens"][0])

    def _top_tokens(self, server: _Server, messages: Sequence[Message], *, blend: Blend, n: int) -> dict[int, float]:
        safe = self._safe(messages)
        body = self._body(server, safe, blend=blend, sampling=Sampling(max_new_tokens=1))
        # The server tells nothing of a token that is half a character. The bias makes it draw a whole one; the
        # probabilities it tells are those before the bias.
        body |= {"logprobs": True, "top_logprobs": n, "logit_bias": [["a", 100.0]]}
        with server.slots.lease(blend, BETWEEN.join(m["content"] for m in safe), Event()) as lease:
            assert lease is not None  # only a set event gives none
            reply = complete(server.address, body | {"id_slot": lease.number, "cache_prompt": False})
        top = reply["choices"][0]["logprobs"]["content"][0]["top_logprobs"]
        return {t["id"]: float("nan") if t["logprob"] is None else float(t["logprob"]) for t in top}
