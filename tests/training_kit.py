"""A tiny random Llama with a byte-level tokenizer, two layers and 64 wide, and rows that it can learn."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from crossfade.training.data import TrainingRow
from crossfade.training.record import LoraSettings, RunSettings, TrainingRecord
from crossfade.training.train import train as train_rows
from crossfade.types import Message

TEMPLATE = (
    "{% for m in messages %}{{'<|im_start|>' + m['role'] + '\n' + m['content'] + '<|im_end|>\n'}}{% endfor %}"
    "{% if add_generation_prompt %}{{'<|im_start|>assistant\n'}}{% endif %}"
)
SETTINGS = LoraSettings(epochs=6, batch=4, micro_batch=2, learning_rate=1e-2, max_tokens=128, seed=3)


def make_base(folder: Path) -> Path:
    """Write the base into a folder."""
    import torch
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    control = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {token: index for index, token in enumerate([*control, *alphabet])}
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, eos_token="<|im_end|>", bos_token="<|im_start|>", pad_token="<|endoftext|>"
    )
    fast.chat_template = TEMPLATE
    fast.save_pretrained(folder)
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=len(vocabulary),
        hidden_size=64,
        intermediate_size=128,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=256,
        tie_word_embeddings=True,
        initializer_range=0.1,
    )
    LlamaForCausalLM(config).save_pretrained(folder)
    return folder


def rows(count: int = 8) -> tuple[TrainingRow, ...]:
    colours = ("red", "green", "blue", "grey")
    return tuple(
        TrainingRow((Message("user", f"What colour is item {n}?" + " Please." * (n % 3)),), f"It is {colours[n % 4]}.")
        for n in range(count)
    )


def tokenizer_of(base: Path) -> Any:
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(base)


def load(base: Path) -> Any:
    import torch
    from transformers import AutoModelForCausalLM

    return AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32)


def train(base: Path, out: Path, given: Sequence[TrainingRow] = rows(), **changes: Any) -> TrainingRecord:
    settings = replace(SETTINGS, **changes.pop("settings", {}))
    return train_by(settings, base, out, given, **changes)


def weights(folder: Path) -> dict[str, Any]:
    from safetensors.torch import load_file

    return load_file(folder / "adapter_model.safetensors")


def train_by(
    settings: RunSettings, base: Path, out: Path, given: Sequence[TrainingRow] = rows(), **changes: Any
) -> TrainingRecord:
    """Train on the base as the settings say."""
    return train_rows(
        given, base_folder=base, base="tiny", base_identity="0" * 64, out=out, settings=settings, **changes
    )
