"""Let a model in torch answer rows, many at once: what a training is worth, whatever engine will serve it later."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from crossfade.adapters.peft_config import CONFIG_FILE
from crossfade.models.torch_libraries import autocast, device_name
from crossfade.training.base_model import load_whole
from crossfade.types import Message

Prompt = Sequence[Message]
AT_ONCE = 2048
"""So many tokens, padding included, are read together."""


def load_made(made: Path | None, base_folder: Path) -> Any:
    """The base with what a training made: a PEFT adapter on it, or a base of its own; without `made` the base alone."""
    if made is not None and (made / CONFIG_FILE).exists():
        from peft import PeftModel

        return PeftModel.from_pretrained(load_whole(base_folder), str(made)).to(device_name()).eval()
    return load_whole(made or base_folder).to(device_name()).eval()


def answer_all(
    model: Any, tokenizer: Any, prompts: Sequence[Prompt], *, max_new_tokens: int = 128, at_once: int = AT_ONCE
) -> list[str]:
    """The greedy answers to prompts, in their order."""
    encoded = [_encode(tokenizer, prompt) for prompt in prompts]
    return generate(model, tokenizer, encoded, max_new_tokens=max_new_tokens, at_once=at_once)


def generate(
    model: Any,
    tokenizer: Any,
    encoded: Sequence[Sequence[int]],
    *,
    max_new_tokens: int,
    at_once: int = AT_ONCE,
) -> list[str]:
    """The greedy answers to prompts given as token ids; leaves the model in the mode, training or not, it was in."""
    import torch

    padding = tokenizer.eos_token_id if tokenizer.pad_token_id is None else tokenizer.pad_token_id
    answers, training = [""] * len(encoded), model.training
    model.eval()
    with torch.no_grad(), autocast(str(model.device.type)):
        for group in _groups(encoded, at_once):
            longest = max(len(encoded[n]) for n in group)
            ids = torch.tensor([[padding] * (longest - len(encoded[n])) + list(encoded[n]) for n in group])
            mask = torch.tensor([[0] * (longest - len(encoded[n])) + [1] * len(encoded[n]) for n in group])
            made = model.generate(
                input_ids=ids.to(model.device),
                attention_mask=mask.to(model.device),
                max_new_tokens=max_new_tokens,
                do_sample=False,
                use_cache=True,
                pad_token_id=padding,
                eos_token_id=tokenizer.eos_token_id,
            )
            for n, tokens in zip(group, made, strict=True):
                # Virtual tokens are no ids: with P-Tuning only what is new comes back.
                new = tokens[longest:] if len(tokens) > longest else tokens
                answers[n] = str(tokenizer.decode(new, skip_special_tokens=True)).strip()
    model.train(training)
    return answers


def likeliest(model: Any, tokenizer: Any, prompts: Sequence[Prompt], labels: Sequence[str]) -> list[str]:
    """For each prompt the label whose text, with the token that ends a turn, is the likeliest answer."""
    import torch

    told = [(*tokenizer(label, add_special_tokens=False)["input_ids"], tokenizer.eos_token_id) for label in labels]
    chosen = []
    with torch.no_grad(), autocast(str(model.device.type)):
        for prompt in prompts:
            asked, scores = _encode(tokenizer, prompt), []
            for label in told:
                ids = torch.tensor([[*asked, *label]], device=model.device)
                logits = model(ids, logits_to_keep=len(label) + 1).logits[0, :-1].float().log_softmax(-1)
                scores.append(sum(float(logits[place, token]) for place, token in enumerate(label)))
            chosen.append(labels[scores.index(max(scores))])
    return chosen


def _encode(tokenizer: Any, prompt: Prompt) -> list[int]:
    chat = [{"role": message.role, "content": message.content} for message in prompt]
    text = tokenizer.apply_chat_template(chat, tokenize=False, add_generation_prompt=True)
    ids: list[int] = tokenizer(text, add_special_tokens=False)["input_ids"]
    return ids


def _groups(encoded: Sequence[Sequence[int]], at_once: int) -> Iterator[list[int]]:
    """Numbers of prompts of like length that are read together."""
    group: list[int] = []
    for n in sorted(range(len(encoded)), key=lambda n: len(encoded[n])):
        if group and (len(group) + 1) * len(encoded[n]) > at_once:
            yield group
            group = []
        group.append(n)
    if group:
        yield group
