"""The schema of our own for a PEFT `adapter_config.json`, which may come from anybody. Knows no file and no tensor."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field
from typing import Any, TypeGuard

from crossfade.errors import AdapterError

CONFIG_FILE = "adapter_config.json"
KINDS = ("LORA", "ADALORA", "P_TUNING")
MAX_RANK = 1024
_MODULE = re.compile(r"[A-Za-z0-9_.]{1,128}")
_MUST_BE_EMPTY = (
    "auto_mapping",
    "modules_to_save",
    "layer_replication",
    "megatron_config",
    "trainable_token_indices",
    "target_parameters",
    "alora_invocation_tokens",
    "use_dora",
    "lora_bias",
    "eva_config",
    "corda_config",
    "lora_ga_config",
    "velora_config",
    "monteclora_config",
    "use_qalora",
    "use_bdlora",
    "arrow_config",
    "kasa_config",
)
_PLAIN_STARTS = (True, False, None, "gaussian", "eva", "orthogonal")
"""Values of `init_lora_weights` that leave the base as it is; PiSSA, OLoRA and their like change its weights."""


@dataclass(frozen=True, slots=True)
class PeftConfig:
    """What a checked configuration says. `rank` is the highest of AdaLoRA, and of P-Tuning the virtual tokens."""

    kind: str
    rank: int
    alpha: float
    raw: dict[str, Any] = field(repr=False)

    def rank_of(self, module: str) -> int:
        """The rank of a layer, the highest that it may have with AdaLoRA."""
        return self.rank if self.kind == "ADALORA" else int(_pattern(self.raw.get("rank_pattern"), module, self.rank))

    def scale_of(self, module: str) -> float:
        """What multiplies B A. AdaLoRA divides by its first rank, whatever was left of it (PEFT's `SVDLinear`)."""
        if self.kind == "ADALORA":
            return self.alpha / (self.rank + 1e-5)
        alpha, rank = _pattern(self.raw.get("alpha_pattern"), module, self.alpha), self.rank_of(module)
        return alpha / math.sqrt(rank) if self.raw.get("use_rslora") else alpha / rank


def check_config(config: dict[str, Any], name: str) -> PeftConfig:
    """What a configuration says, if it is allowed. Raises AdapterError with what it says and what is allowed."""

    def refuse(what: str) -> AdapterError:
        return AdapterError(f"Adapter {name!r} is refused: its {CONFIG_FILE} {what}.")

    kind = config.get("peft_type")
    if kind not in KINDS:
        raise refuse(f"says peft_type {_short(kind)}; served are {', '.join(KINDS)}")
    for key in _MUST_BE_EMPTY:
        if config.get(key):
            raise refuse(f"sets {key}, which is not served")
    if kind == "P_TUNING":
        tokens = config.get("num_virtual_tokens")
        if not _whole(tokens):
            raise refuse(f"says num_virtual_tokens {_short(tokens)}; allowed is a whole number from 1 to {MAX_RANK}")
        if config.get("num_transformer_submodules") not in (None, 1):
            raise refuse("sets num_transformer_submodules; only decoders are served")
        return PeftConfig(kind, tokens, 0.0, config)
    if config.get("bias", "none") != "none":
        raise refuse(f"says bias {_short(config['bias'])}; only 'none' is served")
    if config.get("fan_in_fan_out"):
        raise refuse("sets fan_in_fan_out, which is not served")
    if config.get("init_lora_weights") not in _PLAIN_STARTS:
        raise refuse(
            f"says init_lora_weights {_short(config['init_lora_weights'])}, which changes the base too; save it with "
            "PEFT's path_initial_model_for_weight_conversion"
        )
    key = "init_r" if kind == "ADALORA" else "r"
    rank, alpha = config.get(key), config.get("lora_alpha")
    if not _whole(rank):
        raise refuse(f"says {key} {_short(rank)}; allowed is a whole number from 1 to {MAX_RANK}")
    if not _finite(alpha):
        raise refuse(f"says lora_alpha {_short(alpha)}; allowed is a finite number above 0, at most 1e6")
    targets = config.get("target_modules")
    if not isinstance(targets, list) or not all(isinstance(t, str) and _MODULE.fullmatch(t) for t in targets):
        raise refuse("must list target_modules as plain names")
    if kind == "ADALORA":  # its rank_pattern tells which ranks were kept; the tensors have no others
        return PeftConfig(kind, rank, float(alpha), config)
    for key in ("rank_pattern", "alpha_pattern"):
        pattern = config.get(key) or {}
        if not isinstance(pattern, dict) or not all(
            _MODULE.fullmatch(str(k)) and _finite(v) for k, v in pattern.items()
        ):
            raise refuse(f"must give {key} as plain module names with numbers")
    if not all(isinstance(v, int) for v in (config.get("rank_pattern") or {}).values()):
        raise refuse("must give rank_pattern in whole numbers")
    return PeftConfig(kind, rank, float(alpha), config)


def _whole(value: Any) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= MAX_RANK


def _finite(value: object) -> TypeGuard[float]:
    """Whether it is a number above 0, at most 1e6; NaN and infinity fail the comparison."""
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 < value <= 1e6


def _short(value: object) -> str:
    """A value from a hostile file as it may stand in a message."""
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:80]}..."


def _pattern(pattern: dict[str, float] | None, module: str, default: float) -> float:
    """The value of the first key that is the module's name or its end, as PEFT matches it (`get_pattern_key`)."""
    return next((v for k, v in (pattern or {}).items() if module == k or module.endswith("." + k)), default)
