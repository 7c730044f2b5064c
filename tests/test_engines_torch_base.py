"""A base that is loaded for torch: in the precision that the hardware is fast in, or with a sentence on why not."""

from __future__ import annotations

import importlib.util
from typing import Any

import pytest

pytest.importorskip("peft")

from crossfade.engines import torch_base
from crossfade.engines.torch_base import load_base
from crossfade.errors import ModelError
from tiny_models import TinyModel

pytestmark = pytest.mark.filterwarnings("ignore")  # the training libraries warn of each other's old names


@pytest.mark.parametrize(
    ("asked", "fast", "chosen"),
    [
        ("auto", False, "float32"),
        ("auto", True, "bfloat16"),
        ("float32", True, "float32"),
        ("bfloat16", False, "bfloat16"),
    ],
)
def test_the_precision_is_what_the_hardware_is_fast_in_or_what_is_asked_for(
    asked: str, fast: bool, chosen: str, tiny_llama: TinyModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch_base, "has_fast_bfloat16", lambda device: fast)
    base = load_base(tiny_llama.folder, precision=asked, device="cpu")
    assert base.precision == chosen
    assert {str(weights.dtype) for weights in base.model.parameters()} == {f"torch.{chosen}"}


def test_a_gpu_without_bfloat16_is_given_float16(monkeypatch: pytest.MonkeyPatch) -> None:
    for fast, chosen in ((True, "bfloat16"), (False, "float16")):
        monkeypatch.setattr(torch_base, "has_fast_bfloat16", lambda device, fast=fast: fast)
        assert torch_base._auto_precision("cuda") == chosen


def test_a_base_beyond_the_memory_says_what_to_change(tiny_llama: TinyModel, monkeypatch: pytest.MonkeyPatch) -> None:
    from transformers import AutoModelForCausalLM

    def full(*_: Any, **__: Any) -> None:
        raise RuntimeError("CUDA out of memory. Tried to allocate 2.00 GiB.")

    monkeypatch.setattr(AutoModelForCausalLM, "from_pretrained", full)
    with pytest.raises(ModelError, match=r"does not fit into memory\. .*smaller base"):
        load_base(tiny_llama.folder, precision="float32", device="cpu")


def test_bits_without_their_library_say_what_to_install(tiny_llama: TinyModel, monkeypatch: pytest.MonkeyPatch) -> None:
    found = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "bitsandbytes" else found(name))
    with pytest.raises(ModelError, match=r"CROSSFADE_BITS=4 needs bitsandbytes: .*pip install"):
        load_base(tiny_llama.folder, precision="float32", bits=4, device="cpu")
