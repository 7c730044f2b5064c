"""What is accepted as an adapter folder and what is refused: nothing in it is run, followed or believed."""

from __future__ import annotations

import json
import os
import pickle
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

import handmade_adapters as made
from crossfade.adapters.peft_config import CONFIG_FILE, KINDS, MAX_RANK
from crossfade.adapters.peft_files import CARD_FILE, WEIGHTS_FILE, AdapterFiles, read_adapter, read_weights
from crossfade.errors import AdapterError

JSON = some.recursive(
    some.none() | some.booleans() | some.integers() | some.floats() | some.text(max_size=20) | some.just(10**400),
    lambda inner: some.lists(inner, max_size=4) | some.dictionaries(some.text(max_size=12), inner, max_size=4),
    max_leaves=8,
)
KEYS = ["peft_type", "r", "lora_alpha", "target_modules", "rank_pattern", "alpha_pattern", "bias", "use_rslora"]
KEYS += ["use_dora", "fan_in_fan_out", "auto_mapping", "modules_to_save", "init_lora_weights", "layer_replication"]
KEYS += ["base_model_name_or_path", "trainable_token_indices", "revision"]
KEYS += ["init_r", "num_virtual_tokens", "num_transformer_submodules", "token_dim"]
ADALORA = {"peft_type": "ADALORA", "init_r": 4, "lora_alpha": 8, "target_modules": ["q_proj"]}
P_TUNING = {"peft_type": "P_TUNING", "num_virtual_tokens": 3}
Q = "base_model.model.model.layers.0.self_attn.q_proj"


class Canary:
    """Unpickling it creates a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.path),)


_opened: list[str] | None = None


def _audit(event: str, arguments: tuple[Any, ...]) -> None:
    if event == "open" and _opened is not None and isinstance(arguments[0], str | os.PathLike):
        _opened.append(os.path.basename(os.fspath(arguments[0])))


sys.addaudithook(_audit)


@contextmanager
def opened() -> Iterator[list[str]]:
    """The names of the files that Python opens meanwhile."""
    global _opened
    _opened = found = []
    try:
        yield found
    finally:
        _opened = None


def refusal(folder: Path) -> str:
    with pytest.raises(AdapterError) as caught:
        read_adapter(folder)
    return str(caught.value)


def test_a_pickled_adapter_is_refused_and_never_opened(tmp_path: Path) -> None:
    folder, canary = made.write(tmp_path / "bad"), tmp_path / "canary"
    (folder / WEIGHTS_FILE).unlink()
    (folder / "adapter_model.bin").write_bytes(pickle.dumps(Canary(canary)))
    with opened() as files:
        assert "adapter_model.bin" in refusal(folder)
    assert "adapter_model.bin" not in files
    assert not canary.exists()
    pickle.loads((folder / "adapter_model.bin").read_bytes())
    assert canary.exists(), "the canary would have shown it"


def test_what_lies_beside_a_good_adapter_is_not_read(tmp_path: Path) -> None:
    folder, canary = made.write(tmp_path / "good", card={"purpose": "to be read"}), tmp_path / "canary"
    plain = read_adapter(folder)
    (folder / "adapter_model.bin").write_bytes(pickle.dumps(Canary(canary)))
    (folder / "chat_template.jinja").write_text("{{ evil }}")
    (folder / "evil.py").write_text(f"import os; os.mkdir({str(canary)!r})")
    (folder / "tokenizer_config.json").write_text('{"auto_map": {"AutoTokenizer": "evil.Evil"}}')
    with opened() as files:
        assert read_adapter(folder) == plain
        read_weights(plain)
    assert CONFIG_FILE in files, "the watch sees what is opened"
    assert set(files) <= {CONFIG_FILE, WEIGHTS_FILE, CARD_FILE}
    assert not canary.exists()


@settings(max_examples=120, deadline=None)
@given(
    some.dictionaries(some.sampled_from(KEYS) | some.text(max_size=12), JSON, max_size=8),
    some.booleans(),
    some.sampled_from(KINDS),
)
def test_any_configuration_is_accepted_or_refused_with_a_reason(
    changes: dict[str, Any], from_good: bool, kind: str
) -> None:
    good = {"LORA": made.config(), "ADALORA": ADALORA, "P_TUNING": P_TUNING}[kind]
    with one_folder() as folder:
        (folder / CONFIG_FILE).write_text(json.dumps((good if from_good else {}) | changes))
        accepted_or_refused(folder)


@settings(max_examples=60, deadline=None)
@given(
    some.sampled_from([CONFIG_FILE, CARD_FILE]), some.binary(max_size=60) | JSON.map(lambda j: json.dumps(j).encode())
)
def test_any_bytes_as_configuration_or_card_are_accepted_or_refused(name: str, data: bytes) -> None:
    with one_folder() as folder:
        (folder / name).write_bytes(data)
        accepted_or_refused(folder)


@settings(max_examples=120, deadline=None)
@given(some.lists(some.tuples(some.integers(0, 600), some.integers(0, 255)), min_size=1, max_size=6))
def test_broken_bytes_in_the_weights_are_accepted_or_refused(changes: list[tuple[int, int]]) -> None:
    with one_folder() as folder:
        data = bytearray((folder / WEIGHTS_FILE).read_bytes())
        for place, value in changes:
            data[place] = value
        (folder / WEIGHTS_FILE).write_bytes(bytes(data))
        accepted_or_refused(folder)


@contextmanager
def one_folder() -> Iterator[Path]:
    """A good adapter in a folder of its own; property tests cannot use a function's fixture."""
    root = Path(tempfile.mkdtemp())
    try:
        yield made.write(root / "some", made.matrices("model.layers.0.self_attn.q_proj"))
    finally:
        shutil.rmtree(root)


def accepted_or_refused(folder: Path) -> None:
    adapter, reason = None, ""
    try:
        adapter = read_adapter(folder)
    except AdapterError as error:
        reason = str(error)
    assert len(reason.encode()) < 1000, "a message is for people"
    if adapter is not None:
        assert isinstance(adapter.purpose.encode(), bytes)
        assert isinstance(adapter.base_sha256, str)
        assert all(1 <= rank <= MAX_RANK and 0 < scale <= 1e6 for _, _, rank, scale in adapter.modules.values())


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"target_modules": ".*_proj"}, "target_modules"),
        ({"target_modules": ["(a|b)*"]}, "target_modules"),
        ({"target_modules": None}, "target_modules"),
        ({"peft_type": "IA3"}, "IA3"),
        ({"r": MAX_RANK + 1}, "r 1025"),
        ({"r": 0}, "r 0"),
        ({"r": True}, "r True"),
        ({"r": 4.0}, "r 4.0"),
        ({"lora_alpha": float("nan")}, "lora_alpha"),
        ({"lora_alpha": float("inf")}, "lora_alpha"),
        ({"lora_alpha": 10**400}, "lora_alpha"),
        ({"lora_alpha": -1}, "lora_alpha"),
        ({"auto_mapping": {"base_model_class": "Evil", "parent_library": "evil"}}, "auto_mapping"),
        ({"modules_to_save": ["lm_head"]}, "modules_to_save"),
        ({"use_dora": True}, "use_dora"),
        ({"init_lora_weights": "pissa"}, "pissa"),
        ({"init_lora_weights": ["pissa"]}, "pissa"),
        ({"rank_pattern": {"^.*$": 4}}, "rank_pattern"),
        ({"rank_pattern": {"q_proj": 4.5}}, "rank_pattern"),
        ({"alpha_pattern": {"q_proj": "8"}}, "alpha_pattern"),
        ({"bias": "all"}, "bias"),
        ({**ADALORA, "init_r": 0}, "init_r 0"),
        ({**ADALORA, "lora_alpha": float("nan")}, "lora_alpha"),
        ({**ADALORA, "target_modules": ".*"}, "target_modules"),
        ({**P_TUNING, "num_virtual_tokens": MAX_RANK + 1}, "num_virtual_tokens 1025"),
        ({**P_TUNING, "num_virtual_tokens": "3"}, "num_virtual_tokens"),
        ({**P_TUNING, "num_transformer_submodules": 2}, "num_transformer_submodules"),
        ({**P_TUNING, "auto_mapping": {"a": "b"}}, "auto_mapping"),
    ],
)
def test_what_is_not_served_is_refused_by_name(tmp_path: Path, changes: dict[str, Any], named: str) -> None:
    assert named in refusal(made.write(tmp_path / "bent", settings=made.config(**changes)))


def test_the_base_path_of_a_configuration_is_never_followed(tmp_path: Path) -> None:
    secret = tmp_path / "base"
    secret.mkdir()
    (secret / "config.json").write_text("{}")
    folder = made.write(tmp_path / "good", settings=made.config(base_model_name_or_path=str(secret)))
    with opened() as files:
        read_adapter(folder)
    assert "config.json" not in files


def test_weights_cut_short_or_grown_are_refused(tmp_path: Path) -> None:
    folder = made.write(tmp_path / "cut")
    whole = (folder / WEIGHTS_FILE).read_bytes()
    for length in (0, 1, 7, 8, 9, 100, len(whole) // 2, len(whole) - 1):
        (folder / WEIGHTS_FILE).write_bytes(whole[:length])
        assert WEIGHTS_FILE in refusal(folder), length
    (folder / WEIGHTS_FILE).write_bytes(whole + b"\0")
    assert WEIGHTS_FILE in refusal(folder)


@pytest.mark.parametrize(
    ("tensors", "named"),
    [
        ({}, "no LoRA matrix"),
        ({"base_model.model.lm_head.weight": np.zeros((2, 2), "float32")}, "lm_head"),
        ({"base_model.model.q.lora_A.weight": np.zeros((4, 8), "float32")}, "shapes"),
        ({"base_model.model.q.lora_magnitude_vector": np.zeros(4, "float32")}, "magnitude"),
        (made.matrices(rank=5), "rank 5"),
        (made.matrices(dtype="float64"), "F64"),
        (made.matrices(dtype="int32"), "I32"),
    ],
)
def test_tensors_that_are_no_lora_are_refused(tmp_path: Path, tensors: dict[str, Any], named: str) -> None:
    assert named in refusal(made.write(tmp_path / "bent", tensors))


def matrices_of(a: tuple[int, int], b: tuple[int, int], e: tuple[int, int]) -> dict[str, Any]:
    shapes = {"A": a, "B": b, "E": e}
    return {f"{Q}.lora_{side}": np.full(shape, 0.5, "float32") for side, shape in shapes.items()}


@pytest.mark.parametrize(
    ("tensors", "named"),
    [
        (matrices_of((4, 64), (64, 4), (3, 1)), "E (3, 1)"),
        (matrices_of((4, 64), (64, 3), (4, 1)), "shapes"),
        (matrices_of((5, 64), (64, 5), (5, 1)), "rank 5"),
        (matrices_of((0, 64), (64, 0), (0, 1)), "no layer has any rank left"),
        (made.matrices(), "no part of an adapter of kind ADALORA"),
    ],
)
def test_tensors_that_are_no_adalora_are_refused(tmp_path: Path, tensors: dict[str, Any], named: str) -> None:
    assert named in refusal(made.write(tmp_path / "bent", tensors, settings=ADALORA))


def test_adalora_is_read_as_the_lora_that_it_is(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    tensors = {
        name: random.normal(size=x.shape).astype("float32") for name, x in matrices_of((3, 64), (64, 3), (3, 1)).items()
    }
    adapter = read_adapter(made.write(tmp_path / "ada", tensors, settings=ADALORA))
    ((module, (inputs, outputs, rank, scale)),) = adapter.modules.items()
    assert (adapter.kind, inputs, outputs, rank) == ("ADALORA", 64, 64, 3)
    assert scale == pytest.approx(8 / 4, rel=1e-4), "divided by the first rank, whatever was pruned"
    weights = read_weights(adapter)
    made_of = scale * weights[f"{Q}.lora_B.weight"] @ weights[f"{Q}.lora_A.weight"]
    a, b, e = (tensors[f"{Q}.lora_{side}"] for side in "ABE")
    np.testing.assert_allclose(made_of, scale * b @ np.diag(e[:, 0]) @ a, rtol=1e-4, atol=1e-5)
    assert module == Q.removeprefix("base_model.model.")


@pytest.mark.parametrize(
    ("tensors", "named"),
    [
        ({"prompt_embeddings": np.zeros((4, 64), "float32")}, "3 virtual tokens"),
        ({"prompt_embeddings": np.zeros(3, "float32")}, "shape (3,)"),
        ({"other": np.zeros((3, 64), "float32")}, "'other'"),
        ({}, "holds no"),
    ],
)
def test_tensors_that_are_no_p_tuning_are_refused(tmp_path: Path, tensors: dict[str, Any], named: str) -> None:
    assert named in refusal(made.write(tmp_path / "bent", tensors, settings=P_TUNING))


def test_p_tuning_tells_its_tokens_and_their_width(tmp_path: Path) -> None:
    folder = made.write(tmp_path / "v", {"prompt_embeddings": np.zeros((3, 64), "float32")}, settings=P_TUNING)
    adapter = read_adapter(folder)
    assert (adapter.kind, adapter.virtual_tokens, adapter.width, adapter.modules) == ("P_TUNING", 3, 64, {})


@pytest.mark.parametrize("name", ["A", "a b", "é", "-a", "_a", "a.b", "x" * 65, "a\n"])
def test_names_that_are_not_plain_are_refused(tmp_path: Path, name: str) -> None:
    assert "not allowed" in refusal(made.write(tmp_path / name))


def test_a_name_with_dots_never_leaves_the_folder(tmp_path: Path) -> None:
    folder = made.write(tmp_path / "good")
    assert "not allowed" in refusal(folder / "..")
    assert read_adapter(folder).name == "good"


def test_a_pipe_in_place_of_a_file_is_refused_at_once(tmp_path: Path) -> None:
    for name in (CONFIG_FILE, CARD_FILE, WEIGHTS_FILE):
        folder = made.write(tmp_path / name.replace(".", "-"), card={})
        (folder / name).unlink()
        os.mkfifo(folder / name)
        assert name in refusal(folder)


def test_the_hash_covers_weights_and_configuration_and_nothing_else(tmp_path: Path) -> None:
    one = read_adapter(made.write(tmp_path / "one", card={"purpose": "x"}))
    assert read_adapter(made.write(tmp_path / "two")).sha256 == one.sha256
    assert read_adapter(made.write(tmp_path / "three", made.matrices(seed=1))).sha256 != one.sha256
    other = made.write(tmp_path / "four", settings=made.config(lora_alpha=9))
    assert read_adapter(other).sha256 != one.sha256


def test_weights_that_changed_since_they_were_read_are_not_served(tmp_path: Path) -> None:
    adapter = read_adapter(made.write(tmp_path / "one"))
    assert set(read_weights(adapter)) == set(made.matrices())
    made.write(tmp_path / "one", made.matrices(seed=1))
    with pytest.raises(AdapterError, match="changed"):
        read_weights(adapter)


def test_patterns_name_layers_as_peft_reads_them(tmp_path: Path) -> None:
    q, v = "model.layers.0.self_attn.q_proj", "model.layers.0.self_attn.v_proj"
    tensors = made.matrices(q, rank=8) | made.matrices(v)
    bent = made.config(rank_pattern={"q_proj": 8}, alpha_pattern={"self_attn.q_proj": 2, q: 99, "_proj": 50})
    found = scales(read_adapter(made.write(tmp_path / "plain", tensors, settings=bent)))
    assert found == {q: 2 / 8, v: 8 / 4}, "the first key that fits a whole part of the name wins"
    rooted = scales(read_adapter(made.write(tmp_path / "rooted", tensors, settings=bent | {"use_rslora": True})))
    assert rooted == {q: 2 / 8**0.5, v: 8 / 2}


def scales(adapter: AdapterFiles) -> dict[str, float]:
    return {module: scale for module, (_, _, _, scale) in adapter.modules.items()}
