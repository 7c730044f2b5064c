"""Cut a batch into micro-batches of like length and make tensors of them. Knows torch, and no model or trainer."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from crossfade.training.data import EncodedRow

if TYPE_CHECKING:
    import torch

IGNORED = -100
"""The label that `torch.nn.functional.cross_entropy` passes over."""
ROUNDED, ROUNDED_SHORT, SHORT = 64, 16, 256
"""A CPU's kernels are made anew for each new shape, so there should be few. Two cores with AMX: 485 tokens/s with
lengths rounded up and 395 without, over the first 24 steps of mixed rows, and the latter falling. Lengths up to
`SHORT` are rounded less: padding a row of 70 tokens to 128 costs more than it saves."""


def cut(rows: Sequence[EncodedRow], *, micro_batch: int, micro_tokens: int) -> list[list[EncodedRow]]:
    """Micro-batches of at most `micro_batch` rows and, padded, `micro_tokens` tokens; a longer row goes alone.

    Rows are sorted by length first, so that little is padded.
    """
    micro: list[list[EncodedRow]] = []
    for row in sorted(rows, key=len):
        full = not micro or len(micro[-1]) == micro_batch or (len(micro[-1]) + 1) * len(row) > micro_tokens
        if full:
            micro.append([])
        micro[-1].append(row)
    return micro


def learned_tokens(rows: Sequence[EncodedRow]) -> int:
    """How many tokens of the rows count for the loss."""
    return sum(end - start for row in rows for start, end in row.learned)


def to_tensors(rows: Sequence[EncodedRow], *, padding: int, device: str) -> dict[str, torch.Tensor]:
    """The arguments of a causal language model's `forward` for rows padded on the right.

    `input_ids` is (rows, length), the length rounded up. There is no attention mask: padding stands on the
    right, where causal attention never looks, and without a mask torch takes its faster path. The head is computed at
    `logits_to_keep` (kept,) alone: the positions at which some row's next token is learned, counted from the end, so
    that virtual tokens which a method puts before the prompt do not shift them. `labels` and `shift_labels`
    (rows, kept) are those next tokens, aligned.
    """
    import torch

    longest = max(map(len, rows))
    step = ROUNDED_SHORT if longest <= SHORT else ROUNDED
    length = math.ceil(longest / step) * step
    tokens = torch.full((len(rows), length), padding)
    following = torch.full((len(rows), length), IGNORED)
    for index, row in enumerate(rows):
        tokens[index, : len(row)] = torch.tensor(row.tokens)
        for start, end in row.learned:
            following[index, start - 1 : end - 1] = torch.tensor(row.tokens[start:end])
    kept = (following != IGNORED).any(dim=0).nonzero().squeeze(1)
    labels = following[:, kept]
    tensors = {
        "input_ids": tokens,
        "logits_to_keep": kept - length,
        "labels": labels,
        "shift_labels": labels,
    }
    return {name: tensor.to(device) for name, tensor in tensors.items()}
