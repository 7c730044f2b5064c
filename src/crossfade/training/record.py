"""What a training run is asked for and what it tells afterwards. Plain values; knows nothing of torch."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from crossfade.errors import TrainingError


@dataclass(frozen=True, slots=True, kw_only=True)
class RunSettings:
    """How to train, whatever the method. Defaults were measured on SmolLM2-135M with two CPU cores."""

    learning_rate: float = 5e-4
    epochs: int = 1
    batch: int = 16
    """Rows of one optimizer step."""
    micro_batch: int = 8
    """Rows that go through the model together; decides memory and speed, not the result."""
    micro_tokens: int = 1024
    """Tokens, padding included, that go through the model together; more do not stay in a processor's caches."""
    max_tokens: int = 1024
    """A row with more tokens is left out and listed in the record."""
    warm_up: float = 0.05
    """The share of the steps in which the learning rate rises; then it falls as a cosine."""
    seed: int = 0

    def __post_init__(self) -> None:
        _between("learning_rate", self.learning_rate, 1e-7, 1e-1)
        _between("epochs", self.epochs, 1, 1000)
        _between("batch", self.batch, 1, 4096)
        _between("micro_batch", self.micro_batch, 1, 4096)
        _between("micro_tokens", self.micro_tokens, 1, 10_000_000)
        _between("max_tokens", self.max_tokens, 8, 1_048_576)
        _between("warm_up", self.warm_up, 0, 0.9)
        _between("seed", self.seed, 0, 2**31 - 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class LoraSettings(RunSettings):
    """LoRA on all linear layers but the head: update = alpha / rank * B A (Hu et al., https://arxiv.org/abs/2106.09685)."""

    rank: int = 8
    alpha: int = 16
    dropout: float = 0.0
    """Drawing the dropped values costs a fifth of the speed on a CPU; rows seen once or twice need none."""
    target: Literal["all-linear"] | tuple[str, ...] = "all-linear"
    """`all-linear`, or the names of the layers to adapt, such as ("q_proj", "v_proj")."""

    def __post_init__(self) -> None:
        RunSettings.__post_init__(self)
        _between("rank", self.rank, 1, 512)
        _between("alpha", self.alpha, 1, 4096)
        _between("dropout", self.dropout, 0, 0.9)


@dataclass(frozen=True, slots=True)
class TrainingProgress:
    """Where a run stands after a step. Losses are nats a learned token; `held_out` is None between its measurements."""

    step: int
    steps: int
    loss: float
    held_out: float | None
    tokens_per_second: float
    seconds: float
    seconds_left: float


Progress = Callable[[TrainingProgress], None]
"""Called after each step. An exception raised by it ends the training, writes nothing and reaches the caller."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingRecord:
    """What became of a run: everything an adapter's card says about its making.

    `train_loss` and `held_out_loss` hold (step, nats a learned token); the held-out one begins before the first step.
    `left_out` and `held_out_left_out` list (row number from 1, its tokens) of rows longer than max_tokens. Tokens are
    counted without padding and over all epochs. `data_sha256` is of all rows given.
    """

    method: str
    base: str
    base_identity: str
    settings: RunSettings
    rows: int
    left_out: tuple[tuple[int, int], ...]
    held_out_rows: int
    held_out_left_out: tuple[tuple[int, int], ...]
    data_sha256: str
    steps: int
    tokens: int
    learned_tokens: int
    trainable_parameters: int
    minutes: float
    tokens_per_second: float
    train_loss: tuple[tuple[int, float], ...]
    held_out_loss: tuple[tuple[int, float], ...]
    precision: str
    device: str


def _between(name: str, value: float, low: float, high: float) -> None:
    if not low <= value <= high:
        raise TrainingError(f"{name} is {value}; it must be from {low} to {high}.")
