"""Tiny random models that transformers and llama.cpp both run, and LoRA adapters trained on them in seconds.

A model is two layers of width 64 with a byte-level BPE tokenizer and a chat template of its own, written as a Hugging
Face folder and as an F32 GGUF. GGUF names: https://github.com/ggml-org/llama.cpp, `gguf-py/gguf/constants.py`.
"""

from __future__ import annotations

import json
import random
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from crossfade.models.gguf_file import BaseDescription, base_identity, describe
from crossfade.types import Message, Prompt

Architecture = Literal["llama", "qwen2"]
CONTROL = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")
TEMPLATES: Mapping[Architecture, str] = {
    "llama": (
        "{% for m in messages %}{{'<|im_start|>' + m['role'] + '\n' + m['content'] + '<|im_end|>\n'}}{% endfor %}"
        "{% if add_generation_prompt %}{{'<|im_start|>assistant\n'}}{% endif %}"
    ),
    "qwen2": (
        "{% for m in messages %}{{'### ' + m['role'] + ':\n' + m['content'] + '<|endoftext|>\n'}}{% endfor %}"
        "{% if add_generation_prompt %}{{'### assistant:\n'}}{% endif %}"
    ),
}
"""ChatML, which llama.cpp falls back to, and one that nobody else has: it shows whose template is used."""
ALL_LINEAR = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")
QUESTIONS = (
    "What is the fee?",
    "Tell me about the harbor.",
    "Who are you",
    "How much does it cost to send money abroad, please?",
    "9 + 12 = ?",
    "Hello. What can you tell me about the fees?",
    "Repeat after me: the cat sat on the mat.",
    "x",
)
_QWEN_WORDS = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
"""How Qwen2 cuts text into words before merging, from its published tokenizer.json."""
_NAMES = {
    "input_layernorm": "attn_norm",
    "post_attention_layernorm": "ffn_norm",
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
}


@dataclass(frozen=True, slots=True)
class TinyModel:
    """One tiny base in both forms; `adapters` are PEFT folders that were trained on it, by name."""

    folder: Path
    gguf: Path
    base: BaseDescription
    identity: str
    adapters: Mapping[str, Path]


def build(architecture: Architecture, root: Path, *, words: Sequence[str] = ()) -> TinyModel:
    """A tiny model in both forms, with an adapter for each word that makes it say that word."""
    folder, gguf = root / "hf", root / f"{architecture}.gguf"
    with quiet(), one_thread():
        _write_model(architecture, folder)
        write_gguf(folder, gguf)
        adapters = {word: train_word(folder, root / "adapters" / word, word) for word in words}
    return TinyModel(folder, gguf, describe(gguf), base_identity(gguf), adapters)


@contextmanager
def quiet() -> Iterator[None]:
    """Without warnings and progress bars: the training libraries warn of each other's old names."""
    from transformers.utils.logging import disable_progress_bar

    disable_progress_bar()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


@contextmanager
def one_thread() -> Iterator[None]:
    """With one thread of torch: more only wait for each other on matrices this small."""
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def prompt_of(*texts: str) -> Prompt:
    """A prompt of user and assistant messages in turn."""
    roles = ("user", "assistant")
    return Prompt(tuple(Message(roles[n % 2], text) for n, text in enumerate(texts)), tokens=0)


def tokenizer_of(folder: Path) -> Any:
    """The transformers tokenizer of a folder."""
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(folder, local_files_only=True)


def model_of(folder: Path, adapter: Path | None = None) -> Any:
    """The transformers model in float32, with an adapter by PEFT where one is given."""
    import torch
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    with quiet():
        model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, local_files_only=True)
        return (model if adapter is None else PeftModel.from_pretrained(model, adapter)).eval()


def chat_ids(tokenizer: Any, messages: Sequence[Message]) -> list[int]:
    """The token ids of a chat prompt, opened for the assistant."""
    chat = [{"role": m.role, "content": m.content} for m in messages]
    text = tokenizer.apply_chat_template(chat, tokenize=False, add_generation_prompt=True)
    return list(tokenizer(text, add_special_tokens=False)["input_ids"])


def train_word(folder: Path, out: Path, word: str, *, steps: int = 60, rank: int = 4) -> Path:
    """Train a LoRA on all linear layers that answers every question with the word, and save it as PEFT does."""
    import torch
    from peft import LoraConfig, get_peft_model

    torch.manual_seed(0)
    tokenizer, model = tokenizer_of(folder), model_of(folder)
    config = LoraConfig(task_type="CAUSAL_LM", r=rank, lora_alpha=2 * rank, target_modules=list(ALL_LINEAR))
    model = get_peft_model(model, config)
    answer = [*tokenizer(word, add_special_tokens=False)["input_ids"], tokenizer.eos_token_id]
    rolled = random.Random(0)
    words = [word for question in QUESTIONS for word in question.split()] + list("0123456789")
    mixed = [" ".join(rolled.choices(words, k=rolled.randint(1, 9))) for _ in range(24)]
    rows = [chat_ids(tokenizer, [Message("user", q)]) + answer for q in (*QUESTIONS, *mixed)]
    longest = max(map(len, rows))
    ids = torch.tensor([row + [0] * (longest - len(row)) for row in rows])
    labels = torch.tensor([[-100] * (len(row) - len(answer)) + answer + [-100] * (longest - len(row)) for row in rows])
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=1e-2)
    for step in range(steps):
        optimizer.param_groups[0]["lr"] = 1e-2 * (1 - step / steps)
        loss = model(input_ids=ids, labels=labels).loss
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    assert loss.item() < 0.1, f"the adapter for {word!r} did not learn: loss {loss.item():.3f}"
    model.save_pretrained(out, save_embedding_layers=False)  # "auto" looks on a hub
    return out


def random_adapter(folder: Path, out: Path, *, zero: bool = False, seed: int = 0, **config: Any) -> Path:
    """A LoRA with random weights and any LoraConfig, saved as PEFT does; with `zero` its B is left at zero."""
    import torch
    from peft import LoraConfig, get_peft_model

    torch.manual_seed(seed)
    settings = {"r": 4, "lora_alpha": 8, "target_modules": list(ALL_LINEAR)} | config
    with quiet():
        model = get_peft_model(model_of(folder), LoraConfig(task_type="CAUSAL_LM", **settings))
        for name, weight in model.named_parameters():
            if "lora_B" in name and not zero:
                torch.nn.init.normal_(weight, std=0.2)
        model.save_pretrained(out, save_embedding_layers=False)  # "auto" looks on a hub
    return out


def random_adalora(folder: Path, out: Path, *, rank: int = 4, kept: int = 2) -> Path:
    """An AdaLoRA with random weights; in the first layer all ranks but `kept` are pruned, as its allocator does."""
    import torch
    from peft import AdaLoraConfig, get_peft_model

    torch.manual_seed(5)
    with quiet():
        config = AdaLoraConfig(
            task_type="CAUSAL_LM",
            init_r=rank,
            target_r=kept,
            lora_alpha=8,
            total_step=100,
            target_modules=list(ALL_LINEAR),
        )
        model = get_peft_model(model_of(folder), config)
        pattern = {}
        for name, weight in model.base_model.model.named_parameters():
            if "lora_" in name:
                torch.nn.init.normal_(weight, std=0.4)
            if name.endswith("lora_E.default"):
                pattern[name] = [n < kept or ".layers.0." not in name for n in range(rank)]
                weight.data[[not keep for keep in pattern[name]]] = 0.0
        model.peft_config["default"].rank_pattern = pattern
        model.save_pretrained(out, save_embedding_layers=False)
    return out


def random_p_tuning(folder: Path, out: Path, *, tokens: int = 5) -> Path:
    """P-Tuning with a random encoder, saved as PEFT does: the virtual tokens that it makes."""
    import torch
    from peft import PromptEncoderConfig, get_peft_model

    torch.manual_seed(6)
    with quiet():
        config = PromptEncoderConfig(task_type="CAUSAL_LM", num_virtual_tokens=tokens, encoder_hidden_size=32)
        model = get_peft_model(model_of(folder), config)
        torch.nn.init.normal_(model.prompt_encoder["default"].mlp_head[-1].weight, std=2.0)
        model.save_pretrained(out, save_embedding_layers=False)
    return out


def _write_model(architecture: Architecture, folder: Path) -> None:
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast, Qwen2Config, Qwen2ForCausalLM

    fast = PreTrainedTokenizerFast(
        tokenizer_object=_tokenizer(architecture), eos_token=CONTROL[2], bos_token=CONTROL[1], pad_token=CONTROL[0]
    )
    fast.chat_template = TEMPLATES[architecture]
    fast.save_pretrained(folder)
    shape = {
        "vocab_size": len(fast),
        "hidden_size": 64,
        "intermediate_size": 128,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "max_position_embeddings": 32768,
        "initializer_range": 0.4,
        "bos_token_id": 1,
        "eos_token_id": 2,
        "pad_token_id": 0,
    }
    torch.manual_seed(1)
    if architecture == "llama":
        model = LlamaForCausalLM(LlamaConfig(**shape, tie_word_embeddings=True))
    else:
        model = Qwen2ForCausalLM(Qwen2Config(**shape, tie_word_embeddings=False))
        for name, weight in model.named_parameters():
            if name.endswith("bias"):  # transformers starts them at zero, which would hide a lost bias
                torch.nn.init.normal_(weight, std=0.3)
    _quieten(model, fast)
    model.save_pretrained(folder)


def _quieten(model: Any, tokenizer: Any) -> None:
    """Make the untrained base write plain letters without an end, so that texts compare and long answers are long."""
    import torch

    with torch.no_grad():
        for token, row in tokenizer.get_vocab().items():
            if token in CONTROL or not all(c == "Ġ" or c.isascii() for c in token):
                model.lm_head.weight[row] *= 0.5 if token == CONTROL[2] else 0.02


def _tokenizer(architecture: Architecture) -> Any:
    from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers

    tokenizer = Tokenizer(models.BPE())
    if architecture == "llama":  # as SmolLM2 cuts: single digits, then GPT-2's words
        first, second = pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)
    else:
        first = pre_tokenizers.Split(Regex(_QWEN_WORDS), behavior="isolated")
        second = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([first, second])
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=400,
        special_tokens=list(CONTROL),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(
        [*QUESTIONS, "user assistant system", "the fee is 12 euros", "marble", "cobalt"] * 3, trainer
    )
    return tokenizer


def write_gguf(folder: Path, out: Path) -> Path:
    """Convert a tiny Hugging Face folder to an F32 GGUF."""
    import gguf

    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    vocabulary = json.loads((folder / "tokenizer.json").read_text(encoding="utf-8"))["model"]
    architecture, heads, kv_heads = config["model_type"], config["num_attention_heads"], config["num_key_value_heads"]
    writer = gguf.GGUFWriter(out, arch=architecture)
    writer.add_name(f"Tiny {architecture}")
    writer.add_block_count(config["num_hidden_layers"])
    writer.add_context_length(config["max_position_embeddings"])
    writer.add_embedding_length(config["hidden_size"])
    writer.add_feed_forward_length(config["intermediate_size"])
    writer.add_head_count(heads)
    writer.add_head_count_kv(kv_heads)
    writer.add_rope_dimension_count(config["hidden_size"] // heads)
    writer.add_rope_freq_base(config["rope_parameters"]["rope_theta"])
    writer.add_layer_norm_rms_eps(config["rms_norm_eps"])
    writer.add_vocab_size(config["vocab_size"])
    writer.add_file_type(gguf.LlamaFileType.ALL_F32)
    tokens = sorted(vocabulary["vocab"], key=vocabulary["vocab"].__getitem__)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("smollm" if architecture == "llama" else "qwen2")
    writer.add_token_list(tokens)
    writer.add_token_types([gguf.TokenType.CONTROL if t in CONTROL else gguf.TokenType.NORMAL for t in tokens])
    writer.add_token_merges([m if isinstance(m, str) else " ".join(m) for m in vocabulary["merges"]])
    writer.add_bos_token_id(config["bos_token_id"])
    writer.add_eos_token_id(config["eos_token_id"])
    writer.add_add_bos_token(False)
    writer.add_chat_template(TEMPLATES[architecture])
    for name, values in _tensors(folder, heads=heads, kv_heads=kv_heads, rotate=architecture == "llama"):
        writer.add_tensor(name, values)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return out


def _tensors(folder: Path, *, heads: int, kv_heads: int, rotate: bool) -> list[tuple[str, Any]]:
    from safetensors.numpy import load_file

    found = []
    top = {"model.embed_tokens": "token_embd", "model.norm": "output_norm", "lm_head": "output"}
    for key, values in load_file(folder / "model.safetensors").items():
        module, _, kind = key.rpartition(".")
        if module in top:
            name = top[module]
        else:
            _, _, layer, part = module.split(".", 3)
            name = f"blk.{layer}.{_NAMES[part]}"
        if rotate and module.endswith(("q_proj", "k_proj")):
            values = interleave(values, heads if module.endswith("q_proj") else kv_heads)
        found.append((f"{name}.{kind}", np.ascontiguousarray(values, dtype=np.float32)))
    return found


def interleave(rows: Any, heads: int) -> Any:
    """Rows of q or k from transformers' order (first halves, then second halves) to GGUF's (pair by pair), by hand."""
    width = len(rows) // heads
    order = [h * width + i + half * (width // 2) for h in range(heads) for i in range(width // 2) for half in (0, 1)]
    return rows[order]
