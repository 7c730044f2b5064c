"""What a training will need, by the base's configuration and by how fast trainings were before on this machine.

Knows Llama-like configurations (Llama, Qwen2, SmolLM); of another base nothing is said.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from crossfade.training.estimate import Machine, Plan, Size, estimate
from crossfade.training.methods import LAST_BLOCKS
from crossfade.training.record import (
    AdaLoraSettings,
    FreezeSettings,
    FullSettings,
    LoraSettings,
    PTuningSettings,
    QloraSettings,
    RunSettings,
)
from crossfade.training.run_folder import RunFolder, read_json

UNSEEN_SPEED, UNSEEN_PARAMETERS = 325.0, 134_515_008
"""Tokens a second of LoRA on a base of so many parameters with two cores, of the slowest set of benchmarks/README.md;
where no training has run on this machine yet it is taken in proportion to the base's size."""

MOST_ON_CPU, MOST_ON_GPU = 1024, 16_384
"""The tokens that go through a model together, at most: more do not stay in a processor's caches, while a GPU is busy
only with many. Measured on two cores with SmolLM2-135M; see benchmarks/README.md."""
FEWEST_TOGETHER = 128
CONTAINER_LIMITS = (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"))
"""Where Linux says how much memory a container may have."""
SHARE = 0.5
"""The share of the memory beside weights, gradients and optimizer that activations may take; the rest is for libraries,
for the chat, and for what the estimate leaves out."""


def micro_tokens_for(size: Size, memory: int, *, gpu: bool) -> int:
    """How many tokens may go through a model together on a machine, a power of two.

    `memory` is in bytes, of the GPU where there is one, 0 where it is not known. It goes by all memory and not by what
    is free now, so that the same command on the same machine gives the same weights.
    """
    if not memory:
        return MOST_ON_CPU
    tokens = MOST_ON_GPU if gpu else MOST_ON_CPU
    fixed = estimate(0, Plan(Machine(1.0), size, micro_tokens=0)).memory
    one = estimate(0, Plan(Machine(1.0), size, micro_tokens=1)).activations
    while tokens > FEWEST_TOGETHER and tokens * one > SHARE * (memory - fixed):
        tokens //= 2
    return tokens


def plan_of(
    settings: RunSettings, base_folder: Path, runs: Iterable[RunFolder], *, memory: int | None = None
) -> Plan | None:
    """The plan of a training, or None for a base whose configuration is not known.

    The speed is that of the last one of `runs` with this method and base. `memory` is the machine's, in bytes.
    """
    size = size_of(settings, read_json(base_folder / "config.json") or {})
    if size is None:
        return None
    speed = next((s for run in runs if (s := _speed(run, settings.method, base_folder))), 0.0)
    speed = speed or UNSEEN_SPEED * UNSEEN_PARAMETERS / size.parameters
    there = memory_of_machine() if memory is None else memory
    together = min(settings.micro_tokens, micro_tokens_for(size, there, gpu=False))
    return Plan(Machine(speed, there), size, epochs=settings.epochs, micro_tokens=together)


def size_of(settings: RunSettings, config: Mapping[str, Any]) -> Size | None:
    """The parameters of a base and of what a method trains of it."""
    try:
        hidden, layers = int(config["hidden_size"]), int(config["num_hidden_layers"])
        inner, heads, vocabulary = (
            int(config[name]) for name in ("intermediate_size", "num_attention_heads", "vocab_size")
        )
    except (KeyError, TypeError, ValueError):
        return None
    head = int(config.get("head_dim") or hidden // heads)
    keys = head * int(config.get("num_key_value_heads") or heads)
    wide = head * heads
    shapes = [(hidden, wide), (hidden, keys), (hidden, keys), (wide, hidden)]
    shapes += [(hidden, inner), (hidden, inner), (inner, hidden)]
    block = sum(a * b for a, b in shapes)
    tied = 1 if config.get("tie_word_embeddings") else 2
    parameters = tied * vocabulary * hidden + layers * (block + 2 * hidden) + hidden
    added = 0
    if isinstance(settings, LoraSettings):
        rank = settings.first_rank if isinstance(settings, AdaLoraSettings) else settings.rank
        added = layers * sum(rank * (a + b + isinstance(settings, AdaLoraSettings)) for a, b in shapes)
    elif isinstance(settings, PTuningSettings):
        width = settings.encoder_width
        added = settings.virtual_tokens * hidden + width * (2 * hidden + width + 2) + hidden
    trainable = added
    if isinstance(settings, FreezeSettings):
        trainable = block * (len(settings.layers) or min(LAST_BLOCKS, layers))
    elif isinstance(settings, FullSettings):
        trainable = parameters
    quantised = isinstance(settings, QloraSettings)
    kept = tied * vocabulary * hidden  # embeddings stay as they are when linear layers are quantised
    bytes_a_weight = (4 * kept + 0.5 * (parameters - kept)) / parameters if quantised else 4.0
    return Size(
        parameters=parameters,
        layers=layers,
        hidden=hidden,
        trainable=trainable,
        added=added,
        weight_bytes=bytes_a_weight,
    )


def within_context(tokens: int, base_folder: Path, *, virtual: int = 0) -> int:
    """So many tokens, or what a base's context has room for beside the virtual ones; a longer row was never seen whole.

    Where the base does not tell its context, all of them.
    """
    told = (read_json(base_folder / "config.json") or {}).get("max_position_embeddings")
    return min(tokens, told - virtual) if isinstance(told, int) and told > virtual else tokens


def memory_of_machine(limits: Iterable[Path] = CONTAINER_LIMITS) -> int:
    """The memory in bytes that a process may have here, the machine's or its container's; 0 where it is not told."""
    try:
        there = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (ValueError, OSError, AttributeError):
        there = 0
    for path in limits:
        with suppress(OSError, ValueError):  # "max" where there is no limit
            there = min(there or sys.maxsize, int(path.read_text()))
    return there


def _speed(run: RunFolder, method: str, base_folder: Path) -> float:
    about = run.about()
    if about.get("method") != method or about.get("base_folder") != str(base_folder):
        return 0.0
    progress = run.progress()
    return progress[-1].tokens_per_second if len(progress) > 4 else 0.0
