"""A base model in transformers, ready to be served: weights, tokenizer, precision. Knows no request and no adapter."""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jinja2 import TemplateError

from crossfade.engines.requests import defuse
from crossfade.errors import EngineError, ModelError
from crossfade.models.torch_libraries import device_name, has_fast_bfloat16, how_to_install, quiet_libraries
from crossfade.types import Message


@dataclass(frozen=True, slots=True)
class TorchBase:
    """A loaded model with its tokenizer. `context` is in tokens; `stop_tokens` end an answer."""

    model: Any
    tokenizer: Any
    device: str
    precision: str
    context: int
    stop_tokens: frozenset[int]
    control_tokens: tuple[str, ...]

    def encode(self, messages: Sequence[Message]) -> list[int]:
        """The token ids of a chat prompt, opened for the assistant; no text can end its own turn."""
        chat = [{"role": m.role, "content": defuse(m.content, self.control_tokens)} for m in messages]
        try:
            text = self.tokenizer.apply_chat_template(chat, tokenize=False, add_generation_prompt=True)
        except TemplateError as error:
            raise EngineError(
                f"The base's chat template refuses the conversation: {error}. Choose a base whose template takes a "
                "system message and earlier turns."
            ) from error
        ids: list[int] = self.tokenizer(text, add_special_tokens=False)["input_ids"]
        return ids

    def first_token(self, text: str) -> int:
        """The token that an answer beginning with the text begins with; no text begins with a control token."""
        return int(self.tokenizer(defuse(text, self.control_tokens), add_special_tokens=False)["input_ids"][0])

    def decode(self, tokens: Sequence[int]) -> str:
        """The text of an answer's tokens so far, without half of a character at its end."""
        text: str = self.tokenizer.decode(tokens, skip_special_tokens=True, clean_up_tokenization_spaces=False)
        return text.rstrip("\ufffd")


def load_base(folder: Path, *, precision: str = "auto", bits: int = 0, device: str = "") -> TorchBase:
    """Load a Hugging Face folder; code in it never runs.

    `precision` is `float32`, `bfloat16`, `float16`, or `auto`: what the hardware is fast in. On a CPU without bfloat16
    products that is float32: bfloat16 reads prompts five times slower there. `bits` of 4 or 8 quantise the weights by
    bitsandbytes, 0 does not. Raises ModelError.
    """
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    quiet_libraries()
    device = device or device_name()
    chosen = _auto_precision(device) if precision == "auto" else precision
    local = {"local_files_only": True, "trust_remote_code": False}
    options: dict[str, Any] = {"dtype": getattr(torch, chosen), "use_safetensors": True, **local}
    if bits:
        options["quantization_config"] = _quantised(bits, options["dtype"])
        options["device_map"] = {"": device}
    try:
        tokenizer = AutoTokenizer.from_pretrained(folder, **local)
        model = AutoModelForCausalLM.from_pretrained(folder, **options).eval()
        model = model if bits else model.to(device)
    except Exception as error:  # each file of a folder has errors of its own kind
        if is_out_of_memory(error):
            raise ModelError(
                f"The model in {folder} does not fit into memory. Set CROSSFADE_BITS=4, free memory, or choose a "
                "smaller base."
            ) from error
        why = " ".join(str(error).split())[:300]
        raise ModelError(
            f"The model in {folder} cannot be loaded: {why}. Give a folder with config.json, tokenizer and safetensors."
        ) from error
    if not tokenizer.chat_template:
        raise ModelError(
            f"{folder} has no chat template, so it cannot be asked as it was taught. Choose the instruct version."
        )
    model.requires_grad_(False)
    return TorchBase(
        model=model,
        tokenizer=tokenizer,
        device=device,
        precision=f"{bits} bits" if bits else chosen,
        context=int(getattr(model.config, "max_position_embeddings", 4096)),
        stop_tokens=_stop_tokens(model, tokenizer),
        control_tokens=tuple(str(token) for token in tokenizer.added_tokens_decoder.values() if token.special),
    )


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error says that memory ended, that of a GPU or of the machine."""
    return isinstance(error, MemoryError) or "out of memory" in str(error).lower() or "can't allocate" in str(error)


def _auto_precision(device: str) -> str:
    if has_fast_bfloat16(device):
        return "bfloat16"
    return "float16" if device == "cuda" else "float32"


def _quantised(bits: int, dtype: Any) -> Any:
    from transformers import BitsAndBytesConfig

    if importlib.util.find_spec("bitsandbytes") is None:
        raise ModelError(f"CROSSFADE_BITS={bits} needs bitsandbytes: {how_to_install('transformers')}")
    if bits == 8:
        return BitsAndBytesConfig(load_in_8bit=True)
    return BitsAndBytesConfig(load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_compute_dtype=dtype)


def _stop_tokens(model: Any, tokenizer: Any) -> frozenset[int]:
    told = [tokenizer.eos_token_id, getattr(model.generation_config, "eos_token_id", None)]
    flat = [token for one in told for token in (one if isinstance(one, list) else [one])]
    return frozenset(token for token in flat if token is not None)
