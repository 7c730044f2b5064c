"""Adapters for use elsewhere: merged into their base they say the same, as a folder and as a GGUF."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")
pytest.importorskip("peft")

import gguf  # noqa: E402

from cli_kit import Crossfade  # noqa: E402
from crossfade.adapters.blending import Parts  # noqa: E402
from crossfade.adapters.gguf_merge import merge_gguf  # noqa: E402
from crossfade.adapters.peft_files import read_adapter  # noqa: E402
from crossfade.errors import AdapterError, CrossfadeError, TrainingError  # noqa: E402
from crossfade.models.gguf_file import base_identity, describe  # noqa: E402
from crossfade.models.quantise import requantise  # noqa: E402
from crossfade.settings import Settings  # noqa: E402
from crossfade.training.export import export, merge_folder  # noqa: E402
from engine_kit import ask, running  # noqa: E402
from tiny_models import (  # noqa: E402
    QUESTIONS,
    TinyModel,
    chat_ids,
    interleave,
    model_of,
    prompt_of,
    random_adapter,
    random_p_tuning,
    tokenizer_of,
)

pytestmark = pytest.mark.filterwarnings("ignore")  # the libraries warn of each other's old names


def parts_of(model: TinyModel, **weights: float) -> Parts:
    return tuple((read_adapter(model.adapters[name]), weight) for name, weight in weights.items())


def logits(model: Any, ids: list[int]) -> Any:
    with torch.no_grad():
        return model(torch.tensor([ids])).logits[0].float()


def merged(model: TinyModel, parts: Parts, out: Path) -> Path:
    return merge_folder(parts, model.folder, out, base="tiny", identity=model.identity)


@pytest.mark.parametrize("architecture", ["tiny_llama", "tiny_qwen2"])
def test_a_merged_folder_gives_the_logits_of_the_adapter_on_its_base(
    architecture: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    model: TinyModel = request.getfixturevalue(architecture)
    out = merged(model, parts_of(model, marble=1.0), tmp_path / "merged")
    ours, theirs, base = model_of(out), model_of(model.folder, model.adapters["marble"]), model_of(model.folder)
    tokenizer = tokenizer_of(out)
    for question in QUESTIONS:
        ids = chat_ids(tokenizer, prompt_of(question).messages)
        wanted = logits(theirs, ids)
        assert chat_ids(tokenizer_of(model.folder), prompt_of(question).messages) == ids
        # fp16 keeps 11 bits of a weight, and two layers add up what is lost.
        far = (logits(ours, ids) - wanted).abs().max() / wanted.abs().max()
        assert far < 0.01
        assert (logits(base, ids) - wanted).abs().max() / wanted.abs().max() > 20 * far


def test_a_merged_blend_is_the_weighted_sum_in_fp16_exactly(tiny_llama: TinyModel, tmp_path: Path) -> None:
    from safetensors.torch import load_file

    out = merged(tiny_llama, parts_of(tiny_llama, marble=0.5, cobalt=0.25), tmp_path / "merged")
    base, found = load_file(tiny_llama.folder / "model.safetensors"), load_file(out / "model.safetensors")
    assert {weight.dtype for weight in found.values()} == {torch.float16}
    name = "model.layers.1.mlp.up_proj"
    wanted = base[f"{name}.weight"].double()
    for word, weight in (("marble", 0.5), ("cobalt", 0.25)):
        lora = load_file(tiny_llama.adapters[word] / "adapter_model.safetensors")
        a, b = (lora[f"base_model.model.{name}.lora_{side}.weight"].double() for side in "AB")
        scale = read_adapter(tiny_llama.adapters[word]).modules[name][3]
        wanted = wanted + weight * scale * b @ a
    torch.testing.assert_close(found[f"{name}.weight"].double(), wanted, rtol=2**-10, atol=1e-6)
    kept = "model.embed_tokens.weight"
    assert torch.equal(found[kept], base[kept].half())
    assert {"card.json", "config.json", "tokenizer.json", "model.safetensors"} <= {p.name for p in out.iterdir()}


@pytest.mark.parametrize("architecture", ["tiny_llama", "tiny_qwen2"])
def test_a_merged_gguf_says_what_the_adapter_says(
    architecture: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    model: TinyModel = request.getfixturevalue(architecture)
    out = merge_gguf(parts_of(model, marble=1.0), model.gguf, tmp_path / "merged.gguf", identity=model.identity)
    alone = replace(model, gguf=out, base=describe(out), identity=base_identity(out), adapters={})
    with running(alone, tmp_path / "home") as engine:
        assert ask(engine, "What is the fee?").text.startswith("marble")
    assert base_identity(out) != model.identity, "it is a base of its own"
    assert describe(out).name.endswith("+ marble")


def test_a_merged_gguf_holds_the_weights_of_the_merged_folder_and_the_rest_as_it_was(
    tiny_llama: TinyModel, tmp_path: Path
) -> None:
    from safetensors.numpy import load_file

    parts = parts_of(tiny_llama, marble=0.5, cobalt=1.0)
    made = merge_gguf(parts, tiny_llama.gguf, tmp_path / "merged.gguf", identity=tiny_llama.identity)
    found = {t.name: t for t in gguf.GGUFReader(made).tensors}
    before = {t.name: t for t in gguf.GGUFReader(tiny_llama.gguf).tensors}
    folder = load_file(merged(tiny_llama, parts, tmp_path / "merged") / "model.safetensors")
    assert list(found) == list(before)
    for name, tensor in found.items():
        if tensor.tensor_type == gguf.GGMLQuantizationType.F16:
            continue
        assert tensor.tensor_type == before[name].tensor_type
        np.testing.assert_array_equal(tensor.data, before[name].data)
    changed = [name for name, tensor in found.items() if tensor.tensor_type == gguf.GGMLQuantizationType.F16]
    assert len(changed) == 14
    up = folder["model.layers.0.mlp.up_proj.weight"]
    np.testing.assert_allclose(found["blk.0.ffn_up.weight"].data.astype("f4"), up.astype("f4"), rtol=2**-9, atol=1e-6)
    query = interleave(folder["model.layers.1.self_attn.q_proj.weight"], tiny_llama.base.heads)
    np.testing.assert_allclose(
        found["blk.1.attn_q.weight"].data.astype("f4"), query.astype("f4"), rtol=2**-9, atol=1e-6
    )


class _LeftError(Exception):
    """What a page raises in the work once nobody waits for it."""


@pytest.mark.parametrize("to", ["folder", "gguf"])
def test_a_merge_tells_of_its_layers_and_left_at_any_of_them_leaves_nothing(
    to: str, tiny_llama: TinyModel, tmp_path: Path
) -> None:
    parts, out = parts_of(tiny_llama, marble=1.0), tmp_path / "out" / "merged"
    out.parent.mkdir()

    def merge(step: Callable[[int, int], None]) -> None:
        if to == "folder":
            merge_folder(parts, tiny_llama.folder, out, base="tiny", identity=tiny_llama.identity, step=step)
        else:
            merge_gguf(parts, tiny_llama.gguf, out, identity=tiny_llama.identity, step=step)

    for last in (0, 9):

        def leave(done: int, total: int, last: int = last) -> None:
            assert total >= 14
            if done == last:
                raise _LeftError

        with pytest.raises(_LeftError):
            merge(leave)
        assert list(out.parent.iterdir()) == []


def test_a_quantised_base_is_unpacked_where_the_adapter_changes_it_and_nowhere_else(
    tiny_llama: TinyModel, tmp_path: Path
) -> None:
    quantised = requantise(tiny_llama.gguf, tmp_path / "home", "Q8_0")
    out = merge_gguf(
        parts_of(tiny_llama, marble=1.0), quantised, tmp_path / "merged.gguf", identity=tiny_llama.identity
    )
    types = {t.name: t.tensor_type.name for t in gguf.GGUFReader(out).tensors}
    assert (types["blk.0.attn_q.weight"], types["token_embd.weight"]) == ("F16", "Q8_0")
    assert describe(out).source == "", "a merged base passes for no copy of another"


def settings_of(model: TinyModel, home: Path, *, base: Path | None = None) -> Settings:
    return Settings(home=home, corpora=home, adapters=home, base=str(base or model.gguf))


def test_each_form_is_made_from_a_base_by_name_and_nothing_is_written_over(
    tiny_llama: TinyModel, tmp_path: Path
) -> None:
    parts = parts_of(tiny_llama, marble=1.0)
    stages: list[str] = []
    made = export(
        settings_of(tiny_llama, tmp_path / "home"), parts, to="gguf", out=tmp_path / "a.gguf", report=stages.append
    )
    assert stages == ["Fetching the base", "Converting"]
    alone = export(settings_of(tiny_llama, tmp_path / "home"), parts, to="adapter-gguf", out=tmp_path / "b" / "b.gguf")
    assert len(gguf.GGUFReader(alone).tensors) == 28
    # A folder has its own identity, and the adapters of the tiny models record none.
    of_folder = settings_of(tiny_llama, tmp_path / "home", base=tiny_llama.folder)
    folder = export(of_folder, parts, to="folder", out=tmp_path / "c")
    assert (folder / "card.json").is_file()
    for to, out in (("gguf", made), ("adapter-gguf", alone), ("folder", folder)):
        with pytest.raises(CrossfadeError, match="exists already"):
            export(settings_of(tiny_llama, tmp_path / "home"), parts, to=to, out=out)
    with pytest.raises(AdapterError, match=r"convert_hf_to_gguf\.py"):
        export(of_folder, parts, to="gguf", out=tmp_path / "d.gguf")
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".")]


def test_what_cannot_be_exported_is_told_before_anything_is_fetched(tiny_llama: TinyModel, tmp_path: Path) -> None:
    nothing = replace(settings_of(tiny_llama, tmp_path / "home"), base="/nowhere/base.gguf")
    tokens = read_adapter(random_p_tuning(tiny_llama.folder, tmp_path / "tokens"))
    for parts, to, why in (
        (((tokens, 1.0),), "folder", "P-Tuning"),
        (parts_of(tiny_llama, marble=0.5), "adapter-gguf", "crossfade adapters blend"),
        (parts_of(tiny_llama, marble=1.0), "onnx", "Known: folder, gguf, adapter-gguf"),
        ((), "folder", "at least one"),
    ):
        with pytest.raises(CrossfadeError, match=why):
            export(nothing, parts, to=to, out=tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_an_adapter_of_another_base_is_refused_and_leaves_nothing(
    tiny_llama: TinyModel, tiny_qwen2: TinyModel, tmp_path: Path
) -> None:
    other = random_adapter(tiny_llama.folder, tmp_path / "other")
    (other / "card.json").write_text('{"base_sha256": "' + "f" * 64 + '"}')
    parts: Parts = ((read_adapter(other), 1.0),)
    with pytest.raises(AdapterError, match="trained for the base ffffff"):
        merged(tiny_llama, parts, tmp_path / "merged")
    with pytest.raises(AdapterError, match="trained for the base ffffff"):
        merge_gguf(parts, tiny_llama.gguf, tmp_path / "merged.gguf", identity=tiny_llama.identity)
    assert {path.name for path in tmp_path.iterdir()} == {"other"}


def test_values_beyond_fp16_are_refused_and_leave_nothing(tiny_llama: TinyModel, tmp_path: Path) -> None:
    large = read_adapter(random_adapter(tiny_llama.folder, tmp_path / "large", lora_alpha=1_000_000, r=1))
    with pytest.raises(TrainingError, match="beyond fp16"):
        merged(tiny_llama, ((large, 1.5),), tmp_path / "merged")
    with pytest.raises(AdapterError, match="beyond F16"):
        merge_gguf(((large, 1.5),), tiny_llama.gguf, tmp_path / "merged.gguf", identity=tiny_llama.identity)
    assert {path.name for path in tmp_path.iterdir()} == {"large"}


def test_the_command_exports_and_tells_where_and_how_large(
    tiny_llama: TinyModel, tmp_path: Path, run: Crossfade, monkeypatch: pytest.MonkeyPatch
) -> None:
    places = {"HOME": tmp_path / "home", "ADAPTERS": tiny_llama.folder.parent / "adapters", "BASE": tiny_llama.gguf}
    for name, place in places.items():
        monkeypatch.setenv(f"CROSSFADE_{name}", str(place))
    out = tmp_path / "merged.gguf"
    done = run("adapters", "export", "marble:0.5", "cobalt", "--to", "gguf", "--out", str(out), "--json")
    assert done.code == 0, done.err
    told = json.loads(done.out)
    assert told["parts"] == [{"name": "marble", "weight": 0.5}, {"name": "cobalt", "weight": 1.0}]
    assert (told["path"], told["bytes"]) == (str(out), out.stat().st_size)
    assert "Fetching the base" in done.err
    assert "exists already" in run("adapters", "export", "marble", "--to", "gguf", "--out", str(out)).err
