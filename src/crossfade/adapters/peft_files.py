"""Read and check a PEFT folder. Knows no engine and no torch; opens two named files and the card, nothing else.

An adapter folder holds `adapter_config.json`, `adapter_model.safetensors` and, when we made it, `card.json`. It may
come from anybody, so the configuration is checked against a schema of our own, weights are read as safetensors only,
and code, templates, pickles and paths in it are never followed.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from crossfade.adapters.peft_config import CONFIG_FILE, MAX_RANK, PeftConfig, check_config
from crossfade.errors import AdapterError

NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")
WEIGHTS_FILE, CARD_FILE = "adapter_model.safetensors", "card.json"
MAX_CONFIG_BYTES = 1_000_000
_BASE_NAME = re.compile(r"[A-Za-z0-9][\w.-]{0,95}(/[A-Za-z0-9][\w.-]{0,95})?", re.ASCII)
_TENSORS = {
    "LORA": re.compile(r"base_model\.model\.(?P<module>[A-Za-z0-9_.]+)\.lora_(?P<side>[AB])\.weight"),
    "ADALORA": re.compile(r"base_model\.model\.(?P<module>[A-Za-z0-9_.]+)\.lora_(?P<side>[ABE])"),
    "P_TUNING": re.compile("prompt_embeddings"),
}
_TYPES = ("F16", "F32")


@dataclass(frozen=True, slots=True)
class AdapterFiles:
    """One checked adapter on disk.

    `sha256` covers weights and configuration together. `kind` is PEFT's name of it: LORA, ADALORA, P_TUNING. `modules`
    maps the name of each changed linear layer, as in transformers (`model.layers.0.self_attn.q_proj`), to (inputs,
    outputs, rank, scale), scale being alpha / rank. `virtual_tokens` and their `width` are those of P-Tuning, else 0.
    `base_sha256` is what the card records, or "" where nothing is recorded. `base_name` is what PEFT recorded, a text
    that is shown and never followed, or "" where it is no plain name.
    """

    name: str
    folder: Path
    sha256: str
    modules: dict[str, tuple[int, int, int, float]] = field(repr=False)
    card: dict[str, Any] = field(repr=False)
    base_name: str = ""
    kind: str = "LORA"
    virtual_tokens: int = 0
    width: int = 0

    @property
    def base_sha256(self) -> str:
        """The identity of the base that the adapter was trained for."""
        return str(self.card.get("base_sha256") or "")

    def serves_like(self, other: AdapterFiles | None) -> bool:
        """Whether it is that one but for what was measured of it since: an engine that has the one has the other."""
        since = {"scores": None, "abstention": None}
        return other is not None and replace(self, card=self.card | since) == replace(other, card=other.card | since)

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
        return purpose_of(self.card)


def purpose_of(card: Mapping[str, Any]) -> str:
    """The purpose that a card tells, on one line."""
    text = " ".join(str(card.get("purpose") or "").split())[:300]
    return text.encode("utf-8", "replace").decode("utf-8")  # JSON may hold half a surrogate pair


def read_adapter(folder: Path) -> AdapterFiles:
    """Read and check the adapter in a folder; its name is the folder's.

    Raises AdapterError with the reason: a kind that is not served, pickled weights, a configuration that is not
    allowed, tensors that are broken or belong to no pair.
    """
    name = folder.name
    if not NAME.fullmatch(name):
        raise AdapterError(f"Adapter name {name!r} is not allowed: use up to 64 of a-z, 0-9, - and _.")
    if not (folder / WEIGHTS_FILE).is_file():
        pickles = [p.name for pattern in ("*.bin", "*.pt", "*.pth", "*.pkl") for p in folder.glob(pattern)]
        why = f"it holds {pickles[0]}, a pickle, which is never opened" if pickles else f"{WEIGHTS_FILE} is missing"
        raise AdapterError(f"Adapter {name!r} is refused: {why}. Save it with PEFT as safetensors.")
    config = _read_json(folder / CONFIG_FILE, name)
    checked = check_config(config, name)
    card = read_card(folder)
    shapes = _read_shapes(folder / WEIGHTS_FILE, name, checked.kind)
    modules = _modules(shapes, name, checked) if checked.kind != "P_TUNING" else {}
    tokens, width = (checked.rank, _width(shapes, name, checked)) if checked.kind == "P_TUNING" else (0, 0)
    sha256 = _sha256(*_contents(folder))
    base = str(config.get("base_model_name_or_path") or "")
    base = base if _BASE_NAME.fullmatch(base) else ""
    return AdapterFiles(
        name=name,
        folder=folder,
        sha256=sha256,
        modules=modules,
        card=card,
        base_name=base,
        kind=checked.kind,
        virtual_tokens=tokens,
        width=width,
    )


def read_card(folder: Path) -> dict[str, Any]:
    """The card beside what was trained, empty where there is none. Raises AdapterError for one that cannot be read."""
    return _read_json(folder / CARD_FILE, folder.name) if (folder / CARD_FILE).exists() else {}


def read_weights(adapter: AdapterFiles) -> dict[str, Any]:
    """The tensors of a checked adapter as numpy arrays, by their names in the file; AdaLoRA as the LoRA that it is.

    Its update is scale * B diag(E) A (Zhang et al., https://arxiv.org/abs/2303.10512), so E folds into A exactly.
    Raises AdapterError where the folder no longer holds what was checked and hashed.
    """
    import numpy as np
    from safetensors.numpy import load

    config, weights = _contents(adapter.folder)
    if _sha256(config, weights) != adapter.sha256:
        raise AdapterError(f"Adapter {adapter.name!r} has changed on disk since it was read. Read it again.")
    tensors = dict(load(weights))
    if adapter.kind != "ADALORA":
        return tensors
    folded = {}
    for module in adapter.modules:
        a, b, e = (tensors[f"base_model.model.{module}.lora_{side}"].astype(np.float32) for side in "ABE")
        folded[f"base_model.model.{module}.lora_A.weight"] = a * e
        folded[f"base_model.model.{module}.lora_B.weight"] = b
    return folded


def check_base(adapter: AdapterFiles, *, identity: str) -> None:
    """Raises AdapterError where the adapter records another base than the one of that identity."""
    if adapter.base_sha256 and adapter.base_sha256 != identity:
        raise AdapterError(
            f"Adapter {adapter.name!r} is refused: it was trained for the base {adapter.base_sha256[:12]}, and "
            f"{identity[:12]} is running; run that base, or train the adapter again for this one."
        )


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


Shapes = dict[str, dict[str, tuple[int, ...]]]
"""By module, and in it by side: A, B, and with AdaLoRA E. P-Tuning has one module and one side, both unnamed."""


def _read_shapes(path: Path, name: str, kind: str) -> Shapes:
    """The shapes of the tensors, from the header of the weights. Raises AdapterError for one that does not belong."""
    from safetensors import SafetensorError, safe_open

    shapes: Shapes = {}
    try:
        with safe_open(path, framework="numpy") as file:
            for key in file.keys():  # noqa: SIM118 - safe_open is no mapping
                match = _TENSORS[kind].fullmatch(key)
                if match is None:
                    what = "LoRA matrix" if kind == "LORA" else f"part of an adapter of kind {kind}"
                    raise AdapterError(f"Adapter {name!r} is refused: tensor {key[:120]!r} is no {what}.")
                matrix = file.get_slice(key)
                if matrix.get_dtype() not in _TYPES:
                    raise AdapterError(
                        f"Adapter {name!r} is refused: its weights are {matrix.get_dtype()}; store them as float32 or "
                        "float16."
                    )
                named = match.groupdict()
                shapes.setdefault(named.get("module", ""), {})[named.get("side", "")] = tuple(matrix.get_shape())
    except (SafetensorError, OSError) as error:
        raise AdapterError(f"Adapter {name!r} is refused: {WEIGHTS_FILE} is broken ({error}).") from error
    if not shapes:
        raise AdapterError(f"Adapter {name!r} is refused: {WEIGHTS_FILE} holds no LoRA matrix.")
    return shapes


def _modules(shapes: Shapes, name: str, config: PeftConfig) -> dict[str, tuple[int, int, int, float]]:
    """The changed layers with their shapes and scales. AdaLoRA may have left a layer without any rank."""
    modules = {}
    for module, sides in shapes.items():
        a, b, e = sides.get("A", ()), sides.get("B", ()), sides.get("E", ())
        ada = config.kind == "ADALORA"
        pair = len(a) == 2 and len(b) == 2 and a[0] == b[1] and (not ada) <= a[0] <= MAX_RANK
        if not pair or (ada and e != (a[0], 1)):
            and_e = f" and E {e}" if ada else ""
            raise AdapterError(
                f"Adapter {name!r} is refused: the matrices of {module} have shapes A {a} and B {b}{and_e}."
            )
        wanted = config.rank_of(module)
        if a[0] > wanted or (not ada and a[0] != wanted):
            raise AdapterError(
                f"Adapter {name!r} is refused: {module} has rank {a[0]}; the configuration says {wanted}."
            )
        if a[0]:
            modules[module] = (a[1], b[0], a[0], config.scale_of(module))
    if not modules:
        raise AdapterError(f"Adapter {name!r} is refused: no layer has any rank left. Train it anew.")
    return modules


def _width(shapes: Shapes, name: str, config: PeftConfig) -> int:
    """The width of the virtual tokens of P-Tuning."""
    shape = shapes[""][""]
    if len(shape) != 2 or shape[0] != config.rank or shape[1] < 1:
        raise AdapterError(
            f"Adapter {name!r} is refused: its prompt_embeddings have shape {shape}; the configuration says "
            f"{config.rank} virtual tokens."
        )
    return shape[1]
