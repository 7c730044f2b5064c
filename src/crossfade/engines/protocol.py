"""What every engine can do. The pipeline knows this protocol and no engine."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from threading import Event
from typing import Any, Protocol

from crossfade.adapters.peft_files import AdapterFiles
from crossfade.types import Blend, Generation, Message, Prompt, Sampling


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What an engine offers. `context` is in tokens, for one request: prompt and answer together."""

    context: int
    schema_constrained: bool
    adapter_kinds: tuple[str, ...]
    mixed_adapter_batches: bool


class Engine(Protocol):
    """Streams generations; adapters come and go while it runs."""

    @property
    def capabilities(self) -> Capabilities:
        """What this engine offers."""

    @property
    def base_sha256(self) -> str:
        """The identity of the base model: the hash of its source weights."""

    @property
    def adapters(self) -> Mapping[str, str]:
        """The loaded adapters: name to sha256."""

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
        """Growing generations, the last one with `finish` set. Raises AdapterError, EngineError.

        With a `refusal` the answer does not begin as that text does, and has its `log_probability`.
        """

    def load(self, *adapters: AdapterFiles) -> None:
        """Add adapters while other requests run. Raises AdapterError with the reason where one does not fit."""

    def unload(self, name: str) -> None:
        """Take an adapter away; running requests with it end first."""

    def count_tokens(self, messages: Sequence[Message]) -> int:
        """How many tokens the messages take, the chat template included."""

    def close(self) -> None:
        """Stop and free everything."""
