"""The six training methods on a tiny random Llama: each learns, and what it writes gives the logits that it had."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from training_kit import load, make_base, rows, tokenizer_of, train_by

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")
pytest.importorskip("peft")

from crossfade.adapters.peft_files import read_adapter, read_weights  # noqa: E402
from crossfade.corpora.registry import read_rows  # noqa: E402
from crossfade.errors import TrainingError  # noqa: E402
from crossfade.settings import Settings  # noqa: E402
from crossfade.training.data import TrainingRow, encode_rows  # noqa: E402
from crossfade.training.methods import METHODS, SERVED, method_of  # noqa: E402
from crossfade.training.record import (  # noqa: E402
    PRESETS,
    SETTINGS,
    AdaLoraSettings,
    FreezeSettings,
    FullSettings,
    LoraSettings,
    PTuningSettings,
    QloraSettings,
    RunSettings,
)
from crossfade.training.run_folder import RunFolder  # noqa: E402
from crossfade.training.trainer import run  # noqa: E402
from crossfade.types import Message  # noqa: E402

pytestmark = pytest.mark.filterwarnings("ignore")  # the training libraries warn of each other's old names

RUN: dict[str, Any] = {"epochs": 8, "batch": 4, "micro_batch": 2, "max_tokens": 128, "seed": 3}
SMALL: dict[str, RunSettings] = {
    "lora": LoraSettings(learning_rate=1e-2, **RUN),
    "qlora": QloraSettings(learning_rate=1e-2, **RUN),
    "adalora": AdaLoraSettings(learning_rate=3e-2, rank=4, first_rank=8, alpha=16, **RUN),
    "p-tuning": PTuningSettings(learning_rate=5e-2, virtual_tokens=8, encoder_width=64, **RUN | {"epochs": 30}),
    "freeze": FreezeSettings(learning_rate=3e-3, layers=(-1,), **RUN),
    "full": FullSettings(learning_rate=3e-3, **RUN),
}


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_base(tmp_path_factory.mktemp("base"))


def test_each_method_has_settings_and_a_word_on_where_it_is_served() -> None:
    assert set(METHODS) == set(SETTINGS) == set(SERVED) == set(SMALL)
    assert "on a CPU it saves memory, not time" in SERVED["qlora"]
    assert all("choose LoRA for llama.cpp" in SERVED[name] for name in ("p-tuning", "full"))
    for name, kind in SETTINGS.items():
        assert kind.method == name
        for preset in PRESETS.values():
            assert kind(**preset).epochs == preset["epochs"]


@pytest.mark.parametrize("name", SMALL)
def test_a_method_learns_and_what_it_wrote_gives_the_same_logits(name: str, base: Path, tmp_path: Path) -> None:
    settings, tokenizer = SMALL[name], tokenizer_of(base)
    method = method_of(settings)
    encoded = encode_rows(rows(), tokenizer, max_tokens=128).rows
    torch.manual_seed(0)
    model = method.prepare(method.load(base), steps=16)
    curves = run(
        model,
        encoded,
        method=method,
        held_out=(),
        settings=settings,
        folder=RunFolder(tmp_path / "run"),
        padding=0,
        device="cpu",
    )
    losses = [loss for _, loss in curves.train]
    assert sum(losses[-2:]) < 0.9 * sum(losses[:2])
    tokens = torch.tensor([encoded[0].tokens])
    with torch.no_grad():
        expected = model.eval()(tokens).logits
        method.save(model, tmp_path / "made", base="tiny", base_folder=base)
        found = as_written(name, base, tmp_path / "made")(tokens).logits
        before = load(base).eval()(tokens).logits
    assert torch.allclose(found, expected, atol=3e-2)  # the file is fp16
    assert not torch.allclose(before, expected[:, -before.shape[1] :], atol=0.3)


@pytest.mark.parametrize("name", SMALL)
def test_a_method_lowers_the_loss_of_real_rows_that_it_has_not_seen(name: str, base: Path, tmp_path: Path) -> None:
    """Of the corpus's own training rows the 16 shortest, for a model that reads byte by byte."""
    found = read_rows(Settings.from_environment().corpora / "tidewell" / "train" / "domain.jsonl")
    short = sorted((row for row in found if row.get("answer")), key=lambda row: len(row["question"] + row["answer"]))
    real = [TrainingRow((Message("user", row["question"]),), row["answer"]) for row in short[:16]]
    settings = replace(SMALL[name], evaluations=1)
    record = train_by(settings, base, tmp_path / "made", real[::2], held_out=real[1::2])
    losses = [loss for _, loss in record.train_loss]
    assert sum(losses[-2:]) < 0.9 * sum(losses[:2])
    assert record.held_out_loss[-1][1] < 0.9 * record.held_out_loss[0][1]


def as_written(name: str, base: Path, made: Path) -> Any:
    """What was written, loaded by PEFT or transformers alone."""
    from peft import PeftModel

    if name == "full":
        return load(made).eval()
    assert read_adapter(made).kind == {"adalora": "ADALORA", "p-tuning": "P_TUNING"}.get(name, "LORA")
    below = method_of(SMALL["qlora"]).load(base) if name == "qlora" else load(base)
    return PeftModel.from_pretrained(below, made).eval()


def test_freeze_changes_only_the_blocks_that_were_chosen(base: Path, tmp_path: Path) -> None:
    train_by(SMALL["freeze"], base, tmp_path / "a")
    assert {module.split(".")[2] for module in read_adapter(tmp_path / "a").modules} == {"1"}
    with pytest.raises(TrainingError, match="no block 7: it has 2"):
        train_by(replace(SMALL["freeze"], layers=(7,)), base, tmp_path / "b")  # type: ignore[call-arg]


def test_full_makes_a_base_that_has_a_tokenizer_and_answers(base: Path, tmp_path: Path) -> None:
    record = train_by(SMALL["full"], base, tmp_path / "a")
    assert record.trainable_parameters == sum(p.numel() for p in load(base).parameters())
    assert tokenizer_of(tmp_path / "a").chat_template == tokenizer_of(base).chat_template
    assert {p.dtype for p in load(tmp_path / "a").half().parameters()} == {torch.float16}


def test_adalora_takes_ranks_away_until_the_mean_that_was_asked_for(base: Path, tmp_path: Path) -> None:
    train_by(SMALL["adalora"], base, tmp_path / "a")
    adapter = read_adapter(tmp_path / "a")
    ranks = [rank for _, _, rank, _ in adapter.modules.values()]
    assert sum(ranks) <= 4 * 14  # 7 layers in each of 2 blocks; some may have none left
    assert len(set(ranks)) > 1
    assert all(matrix.any() for name, matrix in read_weights(adapter).items() if "lora_A" in name)


def test_adaloras_penalty_is_counted_once_a_step(base: Path, tmp_path: Path) -> None:
    losses = []
    for micro_batch in (1, 4):
        settings = replace(SMALL["adalora"], epochs=2, micro_batch=micro_batch, orthogonality=5.0)  # type: ignore[call-arg]
        losses.append(train_by(settings, base, tmp_path / str(micro_batch)).train_loss[0][1])
    assert losses[0] == pytest.approx(losses[1], rel=1e-2)


def test_adalora_needs_steps_to_take_ranks_away_in(base: Path, tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="needs at least 3"):
        train_by(replace(SMALL["adalora"], epochs=1), base, tmp_path / "a", rows(2))


def test_qlora_tells_what_its_adapter_is_worth_on_the_whole_base(base: Path, tmp_path: Path) -> None:
    record = train_by(SMALL["qlora"], base, tmp_path / "a", rows(16), held_out=rows(20)[16:])
    there = record.more["held_out_loss_on_the_whole_base"]
    assert there == pytest.approx(record.held_out_loss[-1][1], rel=0.3)
    assert there != record.held_out_loss[-1][1]


def test_qlora_learns_after_a_measurement_as_before_it(base: Path) -> None:
    """bitsandbytes packs a measured layer anew on a CPU with AVX-512 BF16, and packed it passes no gradient on."""
    (row,) = encode_rows(rows(1), tokenizer_of(base), max_tokens=128).rows
    tokens, method = torch.tensor([row.tokens]), method_of(SMALL["qlora"])
    torch.manual_seed(0)
    model = method.prepare(method.load(base), steps=1)

    def gradients() -> dict[str, Any]:
        model.train().zero_grad()
        model(input_ids=tokens, labels=tokens).loss.backward()
        return {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}

    before = gradients()
    with torch.no_grad():
        model.eval()(input_ids=tokens)
    after = gradients()
    assert any(gradient.any() for gradient in before.values())
    assert all(torch.equal(gradient, after[name]) for name, gradient in before.items())


def test_methods_differ_in_what_they_train(base: Path, tmp_path: Path) -> None:
    trainable = {
        name: train_by(replace(SMALL[name], epochs=2), base, tmp_path / name).trainable_parameters for name in SMALL
    }
    assert trainable["full"] > trainable["freeze"] > trainable["lora"] == trainable["qlora"]
    assert trainable["p-tuning"] < trainable["full"]
