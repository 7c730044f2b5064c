"""Read and check a PEFT LoRA folder. Knows no engine and no torch; opens two named files and the card, nothing else.

An adapter folder holds `adapter_config.json`, `adapter_model.safetensors` and, when we made it, `card.json`. It may
come from anybody, so the configuration is checked against a schema of our own, weights are read as safetensors only,
and code, templates, pickles and paths in it are never followed.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from crossfade.errors import AdapterError

NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")
CONFIG_FILE, WEIGHTS_FILE, CARD_FILE = "adapter_config.json", "adapter_model.safetensors", "card.json"
MAX_RANK = 1024
MAX_CONFIG_BYTES = 1_000_000
_MODULE = re.compile(r"[A-Za-z0-9_.]{1,128}")
_BASE_NAME = re.compile(r"[A-Za-z0-9][\w.-]{0,95}(/[A-Za-z0-9][\w.-]{0,95})?", re.ASCII)
_TENSOR = re.compile(r"base_model\.model\.(?P<module>[A-Za-z0-9_.]+)\.lora_(?P<side>[AB])\.weight")
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
_TYPES = ("F16", "F32")


@dataclass(frozen=True, slots=True)
class AdapterFiles:
    """One checked adapter on disk.

    `sha256` covers weights and configuration together. `modules` maps the name of each changed linear layer, as in
    transformers (`model.layers.0.self_attn.q_proj`), to (inputs, outputs, rank, scale), scale being alpha / rank.
    `base_sha256` is what the card records, or "" where nothing is recorded. `base_name` is what PEFT recorded, a text
    that is shown and never followed, or "" where it is no plain name.
    """

    name: str
    folder: Path
    sha256: str
    modules: dict[str, tuple[int, int, int, float]] = field(repr=False)
    card: dict[str, Any] = field(repr=False)
    base_name: str = ""

    @property
    def base_sha256(self) -> str:
        """The identity of the base that the adapter was trained for."""
        return str(self.card.get("base_sha256") or "")

    @property
    def doubt(self) -> str:
        """Why it may belong to another base although it fits: what is to be told at load, or "" where all is known.

        Names are not compared: one base has many, and one name may stand for a base and for what was tuned from it.
        """
        if self.base_sha256:
            return ""
        named = f", only its name {self.base_name!r}" if self.base_name else ""
        return (
            f"Adapter {self.name!r} does not record the hash of its base{named}: it fits by the shape of its layers "
            f"alone. Make sure that it was trained for this base, and say so by base_sha256 in its {CARD_FILE}."
        )

    @property
    def purpose(self) -> str:
        """One line for people: what the adapter is for."""
        text = " ".join(str(self.card.get("purpose") or "").split())[:300]
        return text.encode("utf-8", "replace").decode("utf-8")  # JSON may hold half a surrogate pair


def read_adapter(folder: Path) -> AdapterFiles:
    """Read and check the adapter in a folder; its name is the folder's.

    Raises AdapterError with the reason: not a LoRA, pickled weights, a configuration that is not allowed, tensors that
    are broken or belong to no pair.
    """
    name = folder.name
    if not NAME.fullmatch(name):
        raise AdapterError(f"Adapter name {name!r} is not allowed: use up to 64 of a-z, 0-9, - and _.")
    if not (folder / WEIGHTS_FILE).is_file():
        pickles = [p.name for pattern in ("*.bin", "*.pt", "*.pth", "*.pkl") for p in folder.glob(pattern)]
        why = f"it holds {pickles[0]}, a pickle, which is never opened" if pickles else f"{WEIGHTS_FILE} is missing"
        raise AdapterError(f"Adapter {name!r} is refused: {why}. Save it with PEFT as safetensors.")
    config = _read_json(folder / CONFIG_FILE, name)
    alpha, rank = _check_config(config, name)
    card = _read_json(folder / CARD_FILE, name) if (folder / CARD_FILE).exists() else {}
    modules = _read_modules(folder / WEIGHTS_FILE, name, config, alpha=alpha, rank=rank)
    sha256 = _sha256(*_contents(folder))
    base = str(config.get("base_model_name_or_path") or "")
    base = base if _BASE_NAME.fullmatch(base) else ""
    return AdapterFiles(name=name, folder=folder, sha256=sha256, modules=modules, card=card, base_name=base)


def read_weights(adapter: AdapterFiles) -> dict[str, Any]:
    """The tensors of a checked adapter as numpy arrays, by their names in the file.

    Raises AdapterError where the folder no longer holds what was checked and hashed.
    """
    from safetensors.numpy import load

    config, weights = _contents(adapter.folder)
    if _sha256(config, weights) != adapter.sha256:
        raise AdapterError(f"Adapter {adapter.name!r} has changed on disk since it was read. Read it again.")
    return dict(load(weights))


def _contents(folder: Path) -> tuple[bytes, bytes]:
    try:
        return (folder / CONFIG_FILE).read_bytes(), (folder / WEIGHTS_FILE).read_bytes()
    except OSError as error:
        raise AdapterError(f"Adapter {folder.name!r} is refused: it cannot be read ({error}).") from error


def _sha256(*parts: bytes) -> str:
    digest = hashlib.sha256()
    for part in parts:
        digest.update(len(part).to_bytes(8, "little") + part)
    return digest.hexdigest()


def _read_json(path: Path, name: str) -> dict[str, Any]:
    try:
        if path.exists() and not path.is_file():  # reading a pipe or a device may never end
            raise AdapterError(f"Adapter {name!r} is refused: {path.name} is no plain file.")
        if path.stat().st_size > MAX_CONFIG_BYTES:
            raise AdapterError(f"Adapter {name!r} is refused: {path.name} has more than {MAX_CONFIG_BYTES:,} bytes.")
        data = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise AdapterError(f"Adapter {name!r} is refused: {path.name} cannot be read ({error}).") from error
    if not isinstance(data, dict):
        raise AdapterError(f"Adapter {name!r} is refused: {path.name} is not a JSON object.")
    return data


def _check_config(config: dict[str, Any], name: str) -> tuple[float, int]:
    """Alpha and rank of a configuration that is allowed."""

    def refuse(what: str) -> AdapterError:
        return AdapterError(f"Adapter {name!r} is refused: its {CONFIG_FILE} {what}.")

    if config.get("peft_type") != "LORA":
        raise refuse(f"says peft_type {_short(config.get('peft_type'))}; this engine serves LORA")
    for key in _MUST_BE_EMPTY:
        if config.get(key):
            raise refuse(f"sets {key}, which is not served")
    if config.get("bias", "none") != "none":
        raise refuse(f"says bias {_short(config['bias'])}; only 'none' is served")
    if config.get("fan_in_fan_out"):
        raise refuse("sets fan_in_fan_out, which is not served")
    if config.get("init_lora_weights") not in _PLAIN_STARTS:
        raise refuse(
            f"says init_lora_weights {_short(config['init_lora_weights'])}, which changes the base too; save it with "
            "PEFT's path_initial_model_for_weight_conversion"
        )
    rank, alpha = config.get("r"), config.get("lora_alpha")
    if not isinstance(rank, int) or isinstance(rank, bool) or not 1 <= rank <= MAX_RANK:
        raise refuse(f"says r {_short(rank)}; allowed is a whole number from 1 to {MAX_RANK}")
    if not _finite(alpha):
        raise refuse(f"says lora_alpha {_short(alpha)}; allowed is a finite number above 0, at most 1e6")
    targets = config.get("target_modules")
    if not isinstance(targets, list) or not all(isinstance(t, str) and _MODULE.fullmatch(t) for t in targets):
        raise refuse("must list target_modules as plain names")
    for key in ("rank_pattern", "alpha_pattern"):
        pattern = config.get(key) or {}
        if not isinstance(pattern, dict) or not all(
            _MODULE.fullmatch(str(k)) and _finite(v) for k, v in pattern.items()
        ):
            raise refuse(f"must give {key} as plain module names with numbers")
    if not all(isinstance(v, int) for v in (config.get("rank_pattern") or {}).values()):
        raise refuse("must give rank_pattern in whole numbers")
    assert isinstance(alpha, int | float)
    return float(alpha), rank


def _finite(value: object) -> bool:
    """Whether it is a number above 0, at most 1e6; NaN and infinity fail the comparison."""
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 < value <= 1e6


def _short(value: object) -> str:
    """A value from a hostile file as it may stand in a message."""
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:80]}..."


def _read_modules(
    path: Path, name: str, config: dict[str, Any], *, alpha: float, rank: int
) -> dict[str, tuple[int, int, int, float]]:
    """The changed layers with their shapes and scales, from the header of the weights."""
    from safetensors import SafetensorError, safe_open

    shapes: dict[str, dict[str, tuple[int, ...]]] = {}
    try:
        with safe_open(path, framework="numpy") as file:
            for key in file.keys():  # noqa: SIM118 - safe_open is no mapping
                match = _TENSOR.fullmatch(key)
                if match is None:
                    raise AdapterError(f"Adapter {name!r} is refused: tensor {key[:120]!r} is no LoRA matrix.")
                matrix = file.get_slice(key)
                if matrix.get_dtype() not in _TYPES:
                    raise AdapterError(
                        f"Adapter {name!r} is refused: its weights are {matrix.get_dtype()}; store them as float32 or "
                        "float16."
                    )
                shapes.setdefault(match["module"], {})[match["side"]] = tuple(matrix.get_shape())
    except (SafetensorError, OSError) as error:
        raise AdapterError(f"Adapter {name!r} is refused: {WEIGHTS_FILE} is broken ({error}).") from error
    if not shapes:
        raise AdapterError(f"Adapter {name!r} is refused: {WEIGHTS_FILE} holds no LoRA matrix.")
    modules = {}
    for module, pair in shapes.items():
        a, b = pair.get("A", ()), pair.get("B", ())
        if len(a) != 2 or len(b) != 2 or a[0] != b[1] or not 1 <= a[0] <= MAX_RANK:
            raise AdapterError(f"Adapter {name!r} is refused: the matrices of {module} have shapes A {a} and B {b}.")
        own_alpha = _pattern(config.get("alpha_pattern"), module, alpha)
        own_rank = int(_pattern(config.get("rank_pattern"), module, rank))
        if own_rank != a[0]:
            raise AdapterError(
                f"Adapter {name!r} is refused: {module} has rank {a[0]}; the configuration says {own_rank}."
            )
        scale = own_alpha / math.sqrt(own_rank) if config.get("use_rslora") else own_alpha / own_rank
        modules[module] = (a[1], b[0], a[0], scale)
    return modules


def _pattern(pattern: dict[str, float] | None, module: str, default: float) -> float:
    """The value of the first key that is the module's name or its end, as PEFT matches it (`get_pattern_key`)."""
    return next((v for k, v in (pattern or {}).items() if module == k or module.endswith("." + k)), default)
