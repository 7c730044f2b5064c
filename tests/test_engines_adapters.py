"""Adapters come and go while the engine answers; each answer is made by the adapter it names, and by no broken one."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("peft")

from safetensors.numpy import load_file, save_file

from crossfade.adapters.peft_files import read_adapter
from crossfade.engines import llamacpp
from crossfade.engines.llamacpp import LlamaCppEngine
from crossfade.errors import AdapterError
from crossfade.types import Message
from engine_kit import COBALT, MARBLE, ask, gone, running, stream, until
from tiny_models import TinyModel, random_adapter, write_gguf

QUESTION = "What is the fee?"


@pytest.fixture(scope="module")
def engine(tiny_llama: TinyModel, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LlamaCppEngine]:
    with running(tiny_llama, tmp_path_factory.mktemp("home")) as started:
        yield started


def test_every_request_names_every_adapter_with_its_scale(
    engine: LlamaCppEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent: list[list[dict[str, Any]]] = []

    def watched(passed_on: Callable[..., Any]) -> Callable[..., Any]:
        def watch(address: str, body: dict[str, Any], **more: Any) -> Any:
            sent.append(body["lora"])
            return passed_on(address, body, **more)

        return watch

    monkeypatch.setattr(llamacpp, "stream_events", watched(llamacpp.stream_events))
    monkeypatch.setattr(llamacpp, "complete", watched(llamacpp.complete))
    for blend in ((), MARBLE, COBALT, (("cobalt", 0.25), ("marble", 0.5))):
        sent.clear()
        ask(engine, QUESTION, blend)
        engine.top_tokens([Message("user", QUESTION)], blend=blend)
        scales = [dict(blend).get(name, 0.0) for name in engine.adapters]
        assert sent == [[{"id": i, "scale": scale} for i, scale in enumerate(scales)]] * 2


def test_an_adapter_is_added_while_others_answer(tiny_llama: TinyModel, tmp_path: Path) -> None:
    with running(tiny_llama, tmp_path, adapters=[tiny_llama.adapters["marble"]], context=8192) as engine:
        alone = ask(engine, QUESTION, max_new_tokens=3000)
        with pytest.raises(AdapterError, match=r"'cobalt'.*marble"):
            ask(engine, QUESTION, COBALT)
        first = stream(engine, QUESTION, max_new_tokens=3000)
        begun = next(first)
        address = engine.address
        began = time.monotonic()
        engine.load(read_adapter(tiny_llama.adapters["cobalt"]))
        assert time.monotonic() - began < 2
        assert engine.address != address, "a second server took over"
        assert ask(engine, QUESTION, COBALT).text == "cobalt"
        assert ask(engine, QUESTION, MARBLE).text == "marble"
        *_, last = first
        assert not begun.finish
        assert (last.text, last.finish, last.new_tokens) == (alone.text, "length", 3000)
        assert until(lambda: gone(address), seconds=5) is not None, "the first server was let go"


def zero(model: TinyModel, folder: Path) -> Path:
    return random_adapter(model.folder, folder, zero=True)


def test_a_base_that_begins_with_half_a_character_takes_adapters(tiny_qwen2: TinyModel, tmp_path: Path) -> None:
    folder = shutil.copytree(tiny_qwen2.folder, tmp_path / "hf")
    weights = load_file(folder / "model.safetensors")
    vocabulary = json.loads((folder / "tokenizer.json").read_text(encoding="utf-8"))["model"]["vocab"]
    head = weights["lm_head.weight"]
    head *= 0.01
    head[vocabulary["À"]], head[vocabulary["Á"]] = 1.0, -1.0  # bytes 0xC0 and 0xC1: one of them is always likeliest
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    model = replace(tiny_qwen2, gguf=write_gguf(folder, tmp_path / "half.gguf"))
    with running(model, tmp_path / "home") as engine:
        assert list(engine.adapters) == ["marble", "cobalt"]
        assert len(engine.top_tokens([Message("user", QUESTION)], blend=(), n=5)) == 5
        with pytest.raises(AdapterError, match="does not change"):
            engine.load(read_adapter(zero(tiny_qwen2, tmp_path / "zero")))
