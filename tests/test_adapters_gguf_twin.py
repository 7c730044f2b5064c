"""The GGUF twin of an adapter: the same update in other names and order, kept by hash, whole or not there."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as some

import handmade_adapters as made
from crossfade.adapters.gguf_twin import check_fit, gguf_twin, permute_rotary
from crossfade.adapters.peft_files import AdapterFiles, read_adapter
from crossfade.errors import AdapterError
from damage import DAMAGES, Damage

GGUF_NAMES = {
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
}


def twin(adapter: AdapterFiles, home: Path, architecture: str = "llama", **changes: Any) -> Path:
    return gguf_twin(adapter, made.description(architecture, **changes), identity=made.IDENTITY, home=home)


def tensors(path: Path) -> dict[str, Any]:
    return {t.name: np.array(t.data) for t in gguf.GGUFReader(path).tensors}


@pytest.mark.parametrize("architecture", ["llama", "qwen2"])
@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_the_twin_holds_the_same_update_of_every_layer(tmp_path: Path, architecture: str, dtype: str) -> None:
    weights = made.matrices(dtype=dtype)
    adapter = read_adapter(made.write(tmp_path / "some", weights, settings=made.config(lora_alpha=6)))
    found = tensors(twin(adapter, tmp_path / "home", architecture))
    assert len(found) == 2 * len(made.SHAPES)
    for part, name in GGUF_NAMES.items():
        a, b = (weights[f"base_model.model.model.layers.0.{part}.lora_{s}.weight"].astype("float32") for s in "AB")
        update = 6 / 4 * b @ a
        if architecture == "llama" and part.endswith(("q_proj", "k_proj")):
            update = by_hand(update, 4 if part.endswith("q_proj") else 2)
        ours = found[f"blk.0.{name}.weight.lora_b"] @ found[f"blk.0.{name}.weight.lora_a"] / 4
        np.testing.assert_allclose(ours, update, rtol=1e-4, atol=1e-5)


def by_hand(rows: Any, heads: int) -> Any:
    """Row by row: pair i of a head is row i of its first half and row i of its second."""
    width = len(rows) // heads
    return np.stack(
        [rows[h * width + i + s * width // 2] for h in range(heads) for i in range(width // 2) for s in (0, 1)]
    )


@given(some.integers(1, 6), some.integers(1, 8), some.integers(1, 5))
def test_transformers_reading_undoes_the_permutation(heads: int, half: int, columns: int) -> None:
    rows = np.arange(heads * 2 * half * columns, dtype=np.float32).reshape(-1, columns)
    permuted = permute_rotary(rows, heads)
    np.testing.assert_array_equal(permuted, by_hand(rows, heads))
    undone = permuted.reshape(heads, half, 2, columns).swapaxes(2, 1).reshape(rows.shape)  # as transformers reads GGUF
    np.testing.assert_array_equal(undone, rows)


def test_a_twin_is_made_once_for_one_content(tmp_path: Path) -> None:
    home = tmp_path / "home"
    one = read_adapter(made.write(tmp_path / "one"))
    path = twin(one, home)
    before = path.stat().st_mtime_ns
    assert twin(read_adapter(made.write(tmp_path / "copy")), home) == path
    assert path.stat().st_mtime_ns == before
    assert twin(read_adapter(made.write(tmp_path / "two", made.matrices(seed=1))), home) != path
    assert twin(read_adapter(made.write(tmp_path / "three", settings=made.config(lora_alpha=9))), home) != path
    assert twin(one, home, "qwen2") != path
    assert not list(home.rglob("*.part-*"))


@pytest.mark.parametrize("moment", ["gguf.GGUFWriter.write_tensors_to_file", "os.replace"])
def test_a_killed_conversion_leaves_nothing_that_is_taken_for_whole(tmp_path: Path, moment: str) -> None:
    folder, home = made.write(tmp_path / "some"), tmp_path / "home"
    code = (
        "import gguf, os, signal, handmade_adapters as made\n"
        "from pathlib import Path\n"
        "from crossfade.adapters.gguf_twin import gguf_twin\n"
        "from crossfade.adapters.peft_files import read_adapter\n"
        f"{moment} = lambda *_: os.kill(os.getpid(), signal.SIGKILL)\n"
        f"adapter, home = read_adapter(Path({str(folder)!r})), Path({str(home)!r})\n"
        "gguf_twin(adapter, made.description(), identity=made.IDENTITY, home=home)\n"
    )
    killed = subprocess.run([sys.executable, "-c", code], env={"PYTHONPATH": ":".join(sys.path)}, check=False)
    assert killed.returncode == -signal.SIGKILL
    assert not list(home.glob("adapters/*.gguf"))
    assert len(tensors(twin(read_adapter(folder), home))) == 14
    assert not list(home.rglob("*.part-*"))


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_twin_that_was_cut_or_altered_is_made_again(tmp_path: Path, damage: Damage) -> None:
    adapter, home = read_adapter(made.write(tmp_path / "some")), tmp_path / "home"
    path = twin(adapter, home)
    whole = path.read_bytes()
    damage(path)
    assert path.read_bytes() != whole
    assert twin(adapter, home) == path
    assert path.read_bytes() == whole


def test_values_that_are_not_finite_are_refused_and_leave_nothing(tmp_path: Path) -> None:
    for number, (side, value) in enumerate([("A", np.nan), ("B", np.inf), ("B", -np.inf)]):
        weights = made.matrices()
        weights[f"base_model.model.model.layers.0.mlp.up_proj.lora_{side}.weight"][1, 2] = value
        adapter = read_adapter(made.write(tmp_path / f"bad{number}", weights))
        with pytest.raises(AdapterError, match=r"up_proj.*finite"):
            twin(adapter, tmp_path / "home")
    weights = {name: np.full_like(values, 1e38) for name, values in made.matrices().items()}
    adapter = read_adapter(made.write(tmp_path / "huge", weights, settings=made.config(lora_alpha=1000)))
    with pytest.raises(AdapterError, match="finite"):
        twin(adapter, tmp_path / "home")
    assert not [p for p in tmp_path.rglob("*") if p.suffix == ".gguf" or ".part-" in p.name]


def test_an_adapter_that_changed_on_disk_is_not_converted_under_its_old_hash(tmp_path: Path) -> None:
    adapter = read_adapter(made.write(tmp_path / "some"))
    made.write(tmp_path / "some", made.matrices(seed=1))
    with pytest.raises(AdapterError, match="changed"):
        twin(adapter, tmp_path / "home")
    (tmp_path / "some" / "adapter_config.json").unlink()
    with pytest.raises(AdapterError):
        twin(adapter, tmp_path / "home")


def test_a_cache_that_cannot_be_written_is_a_clear_error(tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.write_text("in the way")
    with pytest.raises(AdapterError, match="home"):
        twin(read_adapter(made.write(tmp_path / "some")), home)


def test_only_the_recorded_base_is_accepted_where_one_is_recorded(tmp_path: Path) -> None:
    other = read_adapter(made.write(tmp_path / "other", card={"base_sha256": "b" * 64}))
    with pytest.raises(AdapterError, match=r"bbbbbbbbbbbb.*aaaaaaaaaaaa"):
        twin(other, tmp_path / "home")
    for number, card in enumerate([{"base_sha256": made.IDENTITY}, {"base_sha256": None}, {}, None]):
        check_fit(
            read_adapter(made.write(tmp_path / f"fits{number}", card=card)), made.description(), identity=made.IDENTITY
        )


@pytest.mark.parametrize(
    ("module", "changes", "named"),
    [
        ("model.layers.2.self_attn.q_proj", {}, "layers.2"),
        ("model.layers.0.self_attn.z_proj", {}, "z_proj"),
        ("lm_head", {}, "lm_head"),
        ("model.layers.0.self_attn.q_proj", {"width": 96}, "64 x 64"),
        ("model.layers.0.self_attn.q_proj", {"architecture": "gpt2"}, "gpt2"),
    ],
)
def test_layers_that_the_base_does_not_have_are_refused(
    tmp_path: Path, module: str, changes: dict[str, Any], named: str
) -> None:
    adapter = read_adapter(made.write(tmp_path / "some", made.matrices(module)))
    with pytest.raises(AdapterError, match=named):
        twin(adapter, tmp_path / "home", **changes)


def test_real_peft_configurations_pass(tmp_path: Path) -> None:
    peft = pytest.importorskip("peft")
    kinds: list[dict[str, Any]] = [
        {},
        {"use_rslora": True, "init_lora_weights": "gaussian", "lora_dropout": 0.1},
        {"task_type": "CAUSAL_LM", "base_model_name_or_path": "someone/some-model", "inference_mode": True},
        {"rank_pattern": {"model.layers.0.self_attn.q_proj": 4}, "alpha_pattern": {"down_proj": 32}},
        {"layers_to_transform": [0], "exclude_modules": ["lm_head"], "revision": "main"},
    ]
    for number, kind in enumerate(kinds):
        folder = made.write(tmp_path / f"real{number}")
        settings = {"r": 4, "lora_alpha": 8, "target_modules": ["q_proj", "down_proj"]} | kind
        peft.LoraConfig(**settings).save_pretrained(folder)
        saved = json.loads((folder / "adapter_config.json").read_text())
        assert saved["peft_type"] == "LORA"
        assert len(read_adapter(folder).modules) == 7
