"""What the engine tests share: an engine on a tiny model, one question to it, and looks behind its back."""

from __future__ import annotations

import json
import time
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from threading import Event
from typing import Any, Literal

from crossfade.adapters.peft_files import read_adapter
from crossfade.engines.llamacpp import LlamaCppEngine
from crossfade.engines.openai_stream import post
from crossfade.engines.torch_base import load_base
from crossfade.engines.transformers_engine import TransformersEngine
from crossfade.errors import EngineError
from crossfade.types import Blend, Generation, Prompt, Sampling
from tiny_models import TinyModel, one_thread, prompt_of, quiet

MARBLE: Blend = (("marble", 1.0),)
COBALT: Blend = (("cobalt", 1.0),)


KINDS = ("llama.cpp", "transformers")
Kind = Literal["llama.cpp", "transformers"]
AnyEngine = LlamaCppEngine | TransformersEngine


@contextmanager
def running(
    model: TinyModel,
    home: Path,
    *,
    adapters: Sequence[Path] | None = None,
    slots: int = 2,
    context: int = 2048,
    exact: bool = True,
) -> Iterator[LlamaCppEngine]:
    """A llama.cpp engine with the model's adapters, or those of the given folders; closed at the end.

    Its cache is exact, or as it ships.
    """
    engine = LlamaCppEngine(
        model.gguf,
        model.base,
        identity=model.identity,
        home=home,
        context=context,
        slots=slots,
        threads=1,
        exact_cache=exact,
    )
    with _loaded(engine, model, adapters):
        yield engine


@contextmanager
def running_kind(
    kind: Kind,
    model: TinyModel,
    home: Path,
    *,
    adapters: Sequence[Path] | None = None,
    slots: int = 2,
    context: int = 2048,
) -> Iterator[AnyEngine]:
    """An engine of that kind with the model's adapters, or those of the given folders; closed at the end."""
    if kind == "llama.cpp":
        with running(model, home, adapters=adapters, slots=slots, context=context) as engine:
            yield engine
        return
    with quiet():
        base = load_base(model.folder, precision="float32", device="cpu")
    other = TransformersEngine(base, identity=model.identity, context=context, rows=slots)
    with one_thread(), _loaded(other, model, adapters):
        yield other


@contextmanager
def _loaded(engine: AnyEngine, model: TinyModel, adapters: Sequence[Path] | None) -> Iterator[None]:
    try:
        engine.load(*map(read_adapter, model.adapters.values() if adapters is None else adapters))
        yield
    finally:
        engine.close()


def stream(
    engine: AnyEngine,
    prompt: Prompt | str,
    blend: Blend = (),
    *,
    max_new_tokens: int = 16,
    stop: Event | None = None,
    **more: Any,
) -> Iterator[Generation]:
    """The growing answers to one greedy request."""
    return engine.stream(
        prompt_of(prompt) if isinstance(prompt, str) else prompt,
        blend=blend,
        sampling=Sampling(max_new_tokens=max_new_tokens),
        stop=stop or Event(),
        **more,
    )


def ask(engine: AnyEngine, prompt: Prompt | str, blend: Blend = (), **more: Any) -> Generation:
    """The last of the growing answers."""
    *_, last = stream(engine, prompt, blend, **more)
    return last


def next_tokens(engine: AnyEngine, ids: Sequence[int], blend: Blend = (), *, n: int = 20) -> dict[int, float]:
    """The n likeliest next tokens after bare token ids, with log probabilities, uncached; without the chat template."""
    if isinstance(engine, TransformersEngine):
        return engine._likeliest(ids, engine._blended(blend, engine._adapters), n=n)
    weights = dict(blend)
    body = {
        "prompt": list(ids),
        "n_predict": 1,
        "n_probs": n,
        "temperature": 0.0,
        "cache_prompt": False,
        "logit_bias": [["a", 100.0]],  # half a character would have no probabilities
        "lora": [{"id": i, "scale": weights.get(name, 0.0)} for i, name in enumerate(engine.adapters)],
    }
    top = post(engine.address, "/completion", body)["completion_probabilities"][0]["top_logprobs"]
    return {t["id"]: t["logprob"] for t in top}


def busy(engine: AnyEngine) -> int:
    """How many requests the engine is working on; llama.cpp's server is asked itself."""
    if isinstance(engine, TransformersEngine):
        return engine.working
    with urllib.request.urlopen(f"{engine.address}/slots", timeout=10) as reply:
        return sum(slot["is_processing"] for slot in json.load(reply))


def until(condition: Callable[[], bool], *, seconds: float) -> float | None:
    """The seconds until the condition held, or None where it did not in time."""
    began = time.monotonic()
    while (passed := time.monotonic() - began) < seconds:
        if condition():
            return passed
        time.sleep(0.01)
    return None


def gone(address: str) -> bool:
    """Whether nothing answers at an address any more."""
    try:
        post(address, "/tokenize", {"content": ""}, timeout=1)
    except EngineError:
        return True
    return False
