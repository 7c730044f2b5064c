"""What a training run is asked for and what it tells afterwards. Plain values; knows nothing of torch."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from typing import Any, ClassVar, Literal

from crossfade.errors import TrainingError

CHECKPOINT_SECONDS = 60.0
"""A checkpoint is written at the first step after so many seconds; a kill costs at most that, and a step."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunSettings:
    """How to train, whatever the method. Defaults were measured on SmolLM2-135M with two CPU cores."""

    method: ClassVar[str] = ""
    learning_rate: float = 5e-4
    epochs: int = 1
    batch: int = 16
    """Rows of one optimizer step."""
    micro_batch: int = 32
    """Rows that go through the model together; decides memory and speed, not the result."""
    micro_tokens: int = 1024
    """Tokens, padding included, that go through the model together; more do not stay in a processor's caches."""
    max_tokens: int = 1024
    """A row with more tokens is left out and listed in the record."""
    warm_up: float = 0.05
    """The share of the steps in which the learning rate rises; then it falls as a cosine."""
    evaluations: int = 4
    """How often the held-out rows are measured in a run, beside the measurement before its first step."""
    measured: int = 48
    """So many of the held-out rows are measured: more would take too much of the training's time."""
    patience: int = 0
    """The run ends after so many measurements clearly worse than the best (see `best`), for 0 never early."""
    seed: int = 0

    def __post_init__(self) -> None:
        between("learning_rate", self.learning_rate, 1e-7, 1e-1)
        between("epochs", self.epochs, 1, 1000)
        between("batch", self.batch, 1, 4096)
        between("micro_batch", self.micro_batch, 1, 4096)
        between("micro_tokens", self.micro_tokens, 1, 10_000_000)
        between("max_tokens", self.max_tokens, 8, 1_048_576)
        between("warm_up", self.warm_up, 0, 0.9)
        between("evaluations", self.evaluations, 1, 1000)
        between("measured", self.measured, 1, 1_000_000)
        between("patience", self.patience, 0, 1000)
        between("seed", self.seed, 0, 2**31 - 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class LoraSettings(RunSettings):
    """LoRA on all linear layers but the head: update = alpha / rank * B A (Hu et al., https://arxiv.org/abs/2106.09685)."""

    method: ClassVar[str] = "lora"
    rank: int = 8
    alpha: int = 16
    dropout: float = 0.0
    """Drawing the dropped values costs a fifth of the speed on a CPU; rows seen once or twice need none."""
    target: Literal["all-linear"] | tuple[str, ...] = "all-linear"
    """`all-linear`, or the names of the layers to adapt, such as ("q_proj", "v_proj")."""

    def __post_init__(self) -> None:
        RunSettings.__post_init__(self)
        between("rank", self.rank, 1, 512)
        between("alpha", self.alpha, 1, 4096)
        between("dropout", self.dropout, 0, 0.9)


@dataclass(frozen=True, slots=True, kw_only=True)
class QloraSettings(LoraSettings):
    """LoRA on a base in 4 bits, NF4 (Dettmers et al., https://arxiv.org/abs/2305.14314)."""

    method: ClassVar[str] = "qlora"


@dataclass(frozen=True, slots=True, kw_only=True)
class AdaLoraSettings(LoraSettings):
    """LoRA whose ranks go where they matter: update = alpha / first_rank * B diag(E) A (https://arxiv.org/abs/2303.10512).

    `rank` is the mean that is left at the end, `first_rank` what each layer begins with.
    """

    method: ClassVar[str] = "adalora"
    learning_rate: float = 2e-3
    first_rank: int = 12
    alpha: int = 24
    orthogonality: float = 0.1
    """The weight of the penalty that keeps the rows of A and the columns of B orthogonal."""

    def __post_init__(self) -> None:
        LoraSettings.__post_init__(self)
        between("first_rank", self.first_rank, self.rank + 1, 768)
        between("orthogonality", self.orthogonality, 0, 10)


@dataclass(frozen=True, slots=True, kw_only=True)
class PTuningSettings(RunSettings):
    """Virtual tokens before the prompt, made by a small network (Liu et al., https://arxiv.org/abs/2103.10385)."""

    method: ClassVar[str] = "p-tuning"
    learning_rate: float = 3e-3
    virtual_tokens: int = 20
    encoder_width: int = 256

    def __post_init__(self) -> None:
        RunSettings.__post_init__(self)
        between("virtual_tokens", self.virtual_tokens, 1, 1024)
        between("encoder_width", self.encoder_width, 8, 8192)


@dataclass(frozen=True, slots=True, kw_only=True)
class FreezeSettings(RunSettings):
    """The linear layers of some decoder blocks are trained whole, and the rest of the base stays frozen."""

    method: ClassVar[str] = "freeze"
    learning_rate: float = 2e-4
    layers: tuple[int, ...] = ()
    """Which decoder blocks are trained; negative numbers count from the last, none are the last four."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FullSettings(RunSettings):
    """Every parameter of the base is trained."""

    method: ClassVar[str] = "full"
    learning_rate: float = 5e-5


SETTINGS: dict[str, type[RunSettings]] = {
    kind.method: kind
    for kind in (LoraSettings, QloraSettings, AdaLoraSettings, PTuningSettings, FreezeSettings, FullSettings)
}
"""The settings of each method, by its name."""


def settings_from(method: str, values: Mapping[str, Any]) -> RunSettings:
    """Settings from what JSON keeps of them; what is not known (any more) is passed over. Raises TrainingError."""
    if method not in SETTINGS:
        raise TrainingError(f"Unknown method {method!r}. Known: {', '.join(SETTINGS)}.")
    kind = SETTINGS[method]
    known = {f.name for f in fields(kind)}
    given: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in values.items() if k in known}
    return kind(**given)


PRESETS: dict[str, dict[str, Any]] = {
    "quick": {"epochs": 1, "evaluations": 4},
    "balanced": {"epochs": 3, "evaluations": 9, "patience": 3},
    "thorough": {"epochs": 8, "evaluations": 24, "patience": 5},
}
"""What the presets change in the settings of a method."""


def settings_of(method: str, preset: str, changes: Mapping[str, Any]) -> RunSettings:
    """A method's settings with a preset, "" for none, and what was given beside it; None in `changes` is not given.

    With a rank alpha is twice of it, and AdaLoRA begins with half as much again. Raises TrainingError for an unknown
    name and for what the method has not.
    """
    if method not in SETTINGS:
        raise TrainingError(f"Unknown method {method!r}. Known: {', '.join(SETTINGS)}.")
    if preset and preset not in PRESETS:
        raise TrainingError(f"Unknown preset {preset!r}. Known: {', '.join(PRESETS)}.")
    kind, given = SETTINGS[method], {name: value for name, value in changes.items() if value is not None}
    known = {f.name for f in fields(kind)}
    if wrong := [name for name in given if name not in known]:
        raise TrainingError(f"{method} has no --{wrong[0].replace('_', '-')}. Leave it out, or choose another method.")
    if "rank" in given:
        given["alpha"] = 2 * given["rank"]
        if "first_rank" in known:
            given["first_rank"] = given["rank"] + max(1, given["rank"] // 2)
            given["alpha"] = 2 * given["first_rank"]
    return kind(**{**PRESETS.get(preset, {}), **given})


def layers_of(text: str) -> tuple[int, ...] | None:
    """The blocks that Freeze trains, written such as `-1,-2`; None where nothing is. Raises TrainingError."""
    if not text.strip():
        return None
    if not re.fullmatch(r"\s*-?\d{1,4}\s*(,\s*-?\d{1,4}\s*)*", text):
        raise TrainingError(f"--layers is {text[:60]!r}; give numbers of blocks, such as -1,-2.")
    return tuple(int(part) for part in text.split(","))


@dataclass(frozen=True, slots=True)
class TrainingProgress:
    """Where a run stands after a step. Losses are nats a learned token; `held_out` is None between its measurements.

    `seconds` count from the run's start, those of an interrupted part included.
    """

    step: int
    steps: int
    loss: float
    held_out: float | None
    tokens_per_second: float
    seconds: float
    seconds_left: float


Progress = Callable[[TrainingProgress], None]
"""Called after each step. An exception raised by it ends the training, writes nothing and reaches the caller."""


@dataclass(frozen=True, slots=True)
class Sample:
    """What the model answers to a held-out row at a measurement, and what it should. Texts without control tokens."""

    step: int
    prompt: str
    wanted: str
    answer: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingRecord:
    """What became of a run: everything an adapter's card says about its making.

    `train_loss` and `held_out_loss` hold (step, nats a learned token); the held-out one begins before the first step.
    `kept_step` is the step whose weights were kept, as `best` says, and the last where no rows were held out.
    `peak_memory` is the most that the process held, in bytes. `left_out` and `held_out_left_out` list (row number from
    1, its tokens) of rows longer than max_tokens. Tokens are counted without padding and over all epochs. `data_sha256`
    is of all rows given.
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
    kept_step: int
    tokens: int
    learned_tokens: int
    trainable_parameters: int
    minutes: float
    tokens_per_second: float
    train_loss: tuple[tuple[int, float], ...]
    held_out_loss: tuple[tuple[int, float], ...]
    precision: str
    device: str
    peak_memory: int
    more: dict[str, float] = field(default_factory=dict)
    """What only this method measures, such as QLoRA's held-out loss on the base that is not quantised."""


def between(name: str, value: float, low: float, high: float) -> None:
    """Raises TrainingError with the name where a value is not from `low` to `high`."""
    if not low <= value <= high:
        raise TrainingError(f"{name} is {value}; it must be from {low} to {high}.")
