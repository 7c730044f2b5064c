"""An adapter's matrices where a transformers model is, once it is known to fit. Knows no request."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from crossfade.adapters.blending import sum_of_updates
from crossfade.adapters.peft_files import AdapterFiles, check_base, read_weights
from crossfade.engines.lora_rows import LoraRows, Update, weighted_sum
from crossfade.engines.torch_base import TorchBase
from crossfade.errors import AdapterError

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True, slots=True)
class Added:
    """What one answer has on top of the base: an update of its layers, or virtual tokens (tokens, width) before it."""

    update: Update = field(default_factory=dict)
    virtual: Tensor | None = None


def added_by(adapter: AdapterFiles, base: TorchBase, lora: LoraRows, *, identity: str) -> Added:
    """What the adapter adds, in the model's precision and on its device, the scale in B.

    Raises AdapterError, with the reason, where it does not fit the base of that identity or holds no numbers.
    """
    import torch

    _check_fit(adapter, base, lora, identity=identity)
    dtype = next(p.dtype for p in base.model.parameters() if p.is_floating_point())

    def there(name: str, matrix: Any) -> Tensor:
        moved = torch.from_numpy(matrix).to(base.device, dtype)
        if not bool(moved.isfinite().all()):
            raise AdapterError(f"Adapter {adapter.name!r} is refused: {name} holds values that are not finite.")
        return moved

    if adapter.kind == "P_TUNING":
        return Added(virtual=there("prompt_embeddings", read_weights(adapter)["prompt_embeddings"]))
    update = sum_of_updates(((adapter, 1.0),))
    return Added({name: (there(name, a), there(name, b)) for name, (a, b) in update.items()})


def blended(parts: Sequence[tuple[str, Added, float]]) -> Added:
    """What a weighted blend adds. Raises AdapterError where P-Tuning is blended or weighted: its tokens have no sum."""
    virtual = [name for name, added, _ in parts if added.virtual is not None]
    if virtual and (len(parts) > 1 or parts[0][2] != 1.0):
        raise AdapterError(f"Adapter {virtual[0]!r} is of P-Tuning: it answers alone and with weight 1.")
    if virtual:
        return parts[0][1]
    return Added(weighted_sum([(added.update, weight) for _, added, weight in parts]))


def _check_fit(adapter: AdapterFiles, base: TorchBase, lora: LoraRows, *, identity: str) -> None:
    def refuse(why: str) -> AdapterError:
        return AdapterError(f"Adapter {adapter.name!r} is refused: {why}.")

    check_base(adapter, identity=identity)
    width = base.model.get_input_embeddings().embedding_dim
    if adapter.kind == "P_TUNING" and adapter.width != width:
        raise refuse(f"its virtual tokens are {adapter.width} wide; the base is {width} wide")
    for name, (inputs, outputs, _, _) in adapter.modules.items():
        layer = lora.layers.get(name)
        if layer is None:
            raise refuse(f"it changes {name}; the base has no such attention or feed-forward layer")
        if (layer.in_features, layer.out_features) != (inputs, outputs):
            raise refuse(
                f"its {name} is made for {outputs} x {inputs} weights; the base has {layer.out_features} x "
                f"{layer.in_features}"
            )
