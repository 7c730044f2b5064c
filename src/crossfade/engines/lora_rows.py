"""Give each row of a batch the update of its own LoRA blend, by hooks on the linear layers. Knows no request.

A model has no active adapter here: what is added belongs to the forward pass that runs, row by row. A layer's output
y (rows, tokens, outputs) becomes y + x A^T B^T, A (ranks, inputs) and B (outputs, ranks) being the row's own, scale and
weight already in B; rows of lower rank are padded with zeros, rows of the base are zeros.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor

Update = Mapping[str, "tuple[Tensor, Tensor]"]
"""The update of one blend: A and B by the name of the layer. Empty is the base."""


class LoraRows:
    """Hooks on every linear layer but the head, which add the update of the pass that runs."""

    def __init__(self, model: Any) -> None:
        from torch.nn import Linear

        head = model.get_output_embeddings()
        self.layers = {n: m for n, m in model.named_modules() if isinstance(m, Linear) and m is not head}
        self._running: Update = {}
        for name, layer in self.layers.items():
            layer.register_forward_hook(self._hook(name))

    @contextmanager
    def adding(self, update: Update) -> Iterator[None]:
        """A context in which every forward pass adds this update, which may be one for each row (`stack`)."""
        self._running = update
        try:
            yield
        finally:
            self._running = {}

    def _hook(self, name: str) -> Callable[..., Tensor | None]:
        def add(layer: Any, given: tuple[Tensor, ...], output: Tensor) -> Tensor | None:
            pair = self._running.get(name)
            if pair is None:
                return None
            a, b = pair
            # Of two dimensions where all rows share one update, of three where each has its own.
            return output + ((given[0].to(a.dtype) @ a.mT) @ b.mT).to(output.dtype)

        return add


def stack(updates: Sequence[Update]) -> Update:
    """One update for a batch: the shared one, or A (rows, ranks, inputs), B (rows, outputs, ranks)."""
    import torch
    from torch.nn.functional import pad

    if all(update is updates[0] for update in updates):
        return updates[0]
    stacked = {}
    for name in {name: None for update in updates for name in update}:
        pairs = [update.get(name) for update in updates]
        some_a, some_b = next(pair for pair in pairs if pair is not None)
        ranks = max(len(pair[0]) for pair in pairs if pair is not None)
        none = (some_a.new_zeros(ranks, some_a.shape[1]), some_b.new_zeros(some_b.shape[0], ranks))
        padded = [
            none if p is None else (pad(p[0], (0, 0, 0, ranks - len(p[0]))), pad(p[1], (0, ranks - len(p[0]))))
            for p in pairs
        ]
        stacked[name] = (torch.stack([a for a, _ in padded]), torch.stack([b for _, b in padded]))
    return stacked


def weighted_sum(parts: Sequence[tuple[Update, float]]) -> Update:
    """The update of a weighted blend: ranks side by side, weights in B, which is exact."""
    import torch

    if len(parts) == 1 and parts[0][1] == 1.0:
        return parts[0][0]
    sides: dict[str, list[tuple[Tensor, Tensor]]] = {}
    for update, weight in parts:
        for name, (a, b) in update.items():
            if weight:
                sides.setdefault(name, []).append((a, b * weight))
    return {name: (torch.cat([a for a, _ in ab]), torch.cat([b for _, b in ab], dim=1)) for name, ab in sides.items()}
