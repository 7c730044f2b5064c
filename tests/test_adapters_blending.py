"""A written blend is the weighted sum of its parts' updates, exactly, and an adapter like any other."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file

from crossfade.adapters.blending import sum_of_updates, write_blend
from crossfade.adapters.peft_files import CARD_FILE, AdapterFiles, read_adapter, read_weights
from crossfade.errors import AdapterError

Q, K = "model.layers.0.self_attn.q_proj", "model.layers.0.self_attn.k_proj"
SHAPES = {Q: (8, 8), K: (4, 8)}


def write(
    root: Path,
    name: str,
    *,
    rank: int,
    alpha: float,
    modules: tuple[str, ...] = (Q, K),
    base: str = "b" * 64,
    **more: Any,
) -> AdapterFiles:
    """A LoRA with random matrices on some layers of (outputs, inputs) = SHAPES."""
    folder = root / name
    folder.mkdir(parents=True)
    rolled = np.random.default_rng(rank)
    tensors = {}
    for module in modules:
        outputs, inputs = SHAPES[module]
        tensors[f"base_model.model.{module}.lora_A.weight"] = rolled.normal(size=(rank, inputs)).astype(np.float32)
        tensors[f"base_model.model.{module}.lora_B.weight"] = rolled.normal(size=(outputs, rank)).astype(np.float32)
    save_file(tensors, folder / "adapter_model.safetensors")
    names = [module.rpartition(".")[2] for module in modules]
    config = {"peft_type": "LORA", "r": rank, "lora_alpha": alpha, "target_modules": names, **more}
    (folder / "adapter_config.json").write_text(json.dumps(config))
    (folder / CARD_FILE).write_text(json.dumps({"base_sha256": base, "task": "answer"}))
    return read_adapter(folder)


def update(adapter: AdapterFiles, module: str) -> Any:
    """The adapter's update of a layer, computed by the definition: alpha / rank B A."""
    if module not in adapter.modules:
        return 0.0
    weights, scale = read_weights(adapter), adapter.modules[module][3]
    a, b = (weights[f"base_model.model.{module}.lora_{side}.weight"].astype(np.float64) for side in "AB")
    return scale * b @ a


def test_a_blend_is_the_weighted_sum_of_the_updates(tmp_path: Path) -> None:
    first = write(tmp_path, "first", rank=2, alpha=8)
    second = write(tmp_path, "second", rank=3, alpha=1, modules=(Q,), use_rslora=True)
    blend = write_blend(((first, 0.6), (second, 1.5)), tmp_path / "mix")
    assert blend == read_adapter(tmp_path / "mix")
    assert {module: rank for module, (_, _, rank, _) in blend.modules.items()} == {Q: 5, K: 2}
    for module in SHAPES:
        wanted = 0.6 * update(first, module) + 1.5 * update(second, module)
        np.testing.assert_allclose(update(blend, module), wanted, rtol=1e-5, atol=1e-5)


def test_one_adapter_at_weight_1_is_that_adapter(tmp_path: Path) -> None:
    one = write(tmp_path, "one", rank=2, alpha=8)
    made = write_blend(((one, 1.0),), tmp_path / "same")
    for module in SHAPES:
        np.testing.assert_allclose(update(made, module), update(one, module), rtol=1e-6, atol=1e-6)


def test_the_card_names_the_parts_and_their_base(tmp_path: Path) -> None:
    parts = ((write(tmp_path, "first", rank=2, alpha=8), 1.0), (write(tmp_path, "second", rank=3, alpha=1), 0.25))
    made = write_blend(parts, tmp_path / "mix")
    assert made.purpose == "Blend of first + second x 0.25"
    assert (made.base_sha256, made.card["task"]) == ("b" * 64, "answer")
    assert [(part["name"], part["weight"], part["sha256"]) for part in made.card["parts"]] == [
        (adapter.name, weight, adapter.sha256) for adapter, weight in parts
    ]
    assert {path.name for path in made.folder.iterdir()} == {
        "adapter_config.json",
        "adapter_model.safetensors",
        CARD_FILE,
    }


def test_what_cannot_be_blended_says_why_and_writes_nothing(tmp_path: Path) -> None:
    one = write(tmp_path, "one", rank=2, alpha=8)
    other = write(tmp_path, "other", rank=2, alpha=8, base="c" * 64)
    SHAPES_OF_ANOTHER = {Q: (6, 6)}
    wrong = [
        ((), "at least one"),
        (((one, 0.5), (one, 0.5)), "twice"),
        (((one, 0.0),), "Weight 0.0"),
        (((one, 1.6),), "Weight 1.6"),
        (((one, float("nan")),), "Weight nan"),
        (((one, 1.0), (other, 1.0)), "different bases"),
    ]
    for parts, why in wrong:
        with pytest.raises(AdapterError, match=why):
            write_blend(parts, tmp_path / "mix")
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(SHAPES, Q, SHAPES_OF_ANOTHER[Q])
        small = write(tmp_path, "small", rank=2, alpha=8, modules=(Q,))
    with pytest.raises(AdapterError, match="other shapes"):
        write_blend(((one, 1.0), (small, 1.0)), tmp_path / "mix")
    with pytest.raises(AdapterError, match="not allowed"):
        write_blend(((one, 1.0),), tmp_path / "Not a name")
    assert not (tmp_path / "mix").exists()


def test_a_rank_beyond_the_highest_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("crossfade.adapters.blending.MAX_RANK", 4)
    parts = ((write(tmp_path, "first", rank=2, alpha=8), 1.0), (write(tmp_path, "second", rank=3, alpha=1), 1.0))
    with pytest.raises(AdapterError, match="rank 5; at most 4"):
        sum_of_updates(parts)


def test_an_adapter_is_replaced_only_when_asked(tmp_path: Path) -> None:
    one = write(tmp_path, "one", rank=2, alpha=8)
    made = write_blend(((one, 1.0),), tmp_path / "mix")
    with pytest.raises(AdapterError, match="--replace"):
        write_blend(((one, 0.5),), tmp_path / "mix")
    assert read_adapter(made.folder) == made
    again = write_blend(((one, 0.5),), tmp_path / "mix", replace=True)
    assert again.sha256 != made.sha256


def test_a_part_that_changed_since_it_was_read_is_not_blended(tmp_path: Path) -> None:
    one = write(tmp_path, "one", rank=2, alpha=8)
    with pytest.raises(AdapterError, match="has changed on disk"):
        write_blend(((replace(one, sha256="0" * 64), 1.0),), tmp_path / "mix")
