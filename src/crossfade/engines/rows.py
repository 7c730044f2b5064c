"""Rows of a batch that grow together: their keys and values in one cache, joined, stepped and dropped. No requests.

Rows have different lengths. The cache is padded on the left, `mask` (rows, length) is 1 where a row has a token, and a
row's next position is how many it has.
"""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from crossfade.engines.lora_rows import LoraRows, Update, stack
from crossfade.engines.torch_adapters import Added

if TYPE_CHECKING:
    from torch import Tensor


def cache_argument(model: Any) -> str:
    """What a model's `forward` calls its cache; transformers renames it from `past_key_values` to `cache`."""
    return "cache" if "cache" in inspect.signature(model.forward).parameters else "past_key_values"


class Reading:
    """One prompt that is read piece by piece, so that a long one can be stopped and does not hold up others."""

    def __init__(self, model: Any, lora: LoraRows, ids: Sequence[int], added: Added) -> None:
        from transformers import DynamicCache

        self.update, self.cache = added.update, DynamicCache()
        self.length = len(ids) + (0 if added.virtual is None else len(added.virtual))
        self._ids, self._virtual = list(ids), added.virtual
        self._model, self._lora, self._read = model, lora, 0

    def advance(self, tokens: int) -> Tensor | None:
        """Read on by so many tokens; the logits (vocabulary,) after the last one of the prompt, else None."""
        import torch

        piece = self._ids[self._read : self._read + tokens]
        ids = torch.tensor([piece], device=self._model.device)
        inputs: dict[str, Any] = {"input_ids": ids}
        with torch.inference_mode(), self._lora.adding(self.update):
            if self._virtual is not None and not self._read:
                before = self._virtual.unsqueeze(0)
                inputs = {"inputs_embeds": torch.cat([before, self._model.get_input_embeddings()(ids)], dim=1)}
            inputs |= {cache_argument(self._model): self.cache}
            logits = self._model(**inputs, use_cache=True, logits_to_keep=1).logits
        self._read += len(piece)
        return logits[0, -1].float() if self._read == len(self._ids) else None


class Rows:
    """The rows that are written together, each with its own update."""

    def __init__(self, model: Any, lora: LoraRows) -> None:
        self._model, self._lora = model, lora
        self._updates: list[Update] = []
        self._stacked: Update = {}
        self._cache: Any = None
        self._mask: Any = None

    def __len__(self) -> int:
        return len(self._updates)

    def join(self, reading: Reading) -> None:
        """Add a prompt that was read to its end as the last row."""
        import torch
        from torch.nn.functional import pad

        ones = torch.ones((1, reading.length), dtype=torch.long, device=self._model.device)
        updates = [*self._updates, reading.update]
        stacked = stack(updates)
        if self._cache is None:
            self._cache, self._mask = reading.cache, ones
        else:
            longest = max(self._mask.shape[1], ones.shape[1])

            def both(mine: Tensor, new: Tensor, *behind: int) -> Tensor:
                """Padded on the left of the dimension that counts tokens, one below the other."""
                at = -1 - len(behind) // 2
                return torch.cat([pad(x, (*behind, longest - x.shape[at], 0)) for x in (mine, new)])

            pairs = list(zip(self._cache.layers, reading.cache.layers, strict=True))
            joined = [(both(a.keys, b.keys, 0, 0), both(a.values, b.values, 0, 0)) for a, b in pairs]
            mask = both(self._mask, ones)
            # From here on nothing takes memory: all of it is joined, or none where memory ended before.
            self._mask = mask
            for (mine, _), (keys, values) in zip(pairs, joined, strict=True):
                mine.keys, mine.values = keys, values
        self._updates, self._stacked = updates, stacked

    def step(self, tokens: Sequence[int]) -> Tensor:
        """Give every row its next token; the logits (rows, vocabulary) of the one after it."""
        import torch

        inputs = torch.tensor(tokens, device=self._model.device).unsqueeze(1)
        positions = self._mask.sum(1, keepdim=True)
        self._mask = torch.cat([self._mask, self._mask.new_ones(len(tokens), 1)], dim=1)
        padded = not bool(self._mask.all())
        with torch.inference_mode(), self._lora.adding(self._stacked):
            output = self._model(
                input_ids=inputs,
                attention_mask=self._mask if padded else None,
                position_ids=positions,
                use_cache=True,
                logits_to_keep=1,
                **{cache_argument(self._model): self._cache},
            )
        return output.logits[:, -1].float()

    def keep(self, rows: Sequence[int]) -> None:
        """Drop all rows but these, and the padding that nobody needs any more."""
        import torch

        if not rows:
            self._cache = self._mask = None
        elif len(rows) < len(self):
            chosen = torch.tensor(rows, device=self._model.device)
            self._mask = self._mask[chosen]
            first = int(self._mask.argmax(1).min())
            self._mask = self._mask[:, first:]
            for layer in self._cache.layers:
                layer.keys, layer.values = (x[chosen, :, first:].contiguous() for x in (layer.keys, layer.values))
        if len(rows) < len(self):
            self._updates = [self._updates[row] for row in rows]
            self._stacked = stack(self._updates) if rows else {}
