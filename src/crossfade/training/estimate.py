"""Estimate how long a training takes and how much memory it needs, before it is started. Pure."""

from __future__ import annotations

from dataclasses import dataclass, replace

from crossfade.errors import TrainingError

ADAM_BYTES = 8
"""AdamW keeps two float32 numbers for each parameter that is trained."""
GRADIENT_BYTES = 4
ACTIVATIONS = 34
"""Bytes of activations in 16 bits for each token, layer and unit of the hidden size, where attention keeps no scores
(Korthikanti et al., "Reducing Activation Recomputation in Large Transformer Models", arXiv 2205.05198, equation 2,
without 5as/h); twice that in 32 bits."""


@dataclass(frozen=True, slots=True)
class Machine:
    """How fast a machine trains the method on the base, in tokens per second, and its memory in bytes, 0 if unknown."""

    tokens_per_second: float
    memory: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    """The base and what a method trains of it. `weight_bytes` is of one parameter of the base: 4, 2, or 0.5 in NF4.

    `added` are trained parameters that are not the base's own, as an adapter's; `trainable` counts all trained.
    """

    parameters: int
    layers: int
    hidden: int
    trainable: int
    added: int = 0
    weight_bytes: float = 4.0
    compute_bytes: int = 4


@dataclass(frozen=True, slots=True)
class Plan:
    """What is trained where, how often each row is seen, and how many tokens go through the model together."""

    machine: Machine
    size: Size
    epochs: int = 1
    micro_tokens: int = 1024


@dataclass(frozen=True, slots=True)
class Estimate:
    """Minutes, and bytes of memory by what holds them. `fits` is None where the machine's memory is not known."""

    minutes: float
    weights: int
    gradients: int
    optimizer: int
    activations: int
    fits: bool | None

    @property
    def memory(self) -> int:
        """Bytes in all, without the process and its libraries."""
        return self.weights + self.gradients + self.optimizer + self.activations


def estimate(tokens: int, plan: Plan) -> Estimate:
    """The time and memory of training on so many tokens, prompts included.

    minutes = tokens * epochs / tokens_per_second / 60. memory = weights (parameters * weight_bytes + added * 4)
    + gradients (trainable * 4) + optimizer (trainable * 8) + activations (micro_tokens * layers * hidden * 34, times 2
    when computing in 32 bits). Logits are left out: the head is computed at learned positions alone. Raises
    TrainingError for a speed that is not above 0.
    """
    size, machine = plan.size, plan.machine
    if not machine.tokens_per_second > 0:
        raise TrainingError(f"The speed is {machine.tokens_per_second} tokens per second; it must be above 0.")
    made = Estimate(
        minutes=tokens * plan.epochs / machine.tokens_per_second / 60,
        weights=int(size.parameters * size.weight_bytes) + 4 * size.added,
        gradients=GRADIENT_BYTES * size.trainable,
        optimizer=ADAM_BYTES * size.trainable,
        activations=plan.micro_tokens * size.layers * size.hidden * ACTIVATIONS * size.compute_bytes // 2,
        fits=None,
    )
    return replace(made, fits=made.memory <= machine.memory) if machine.memory else made
