"""Training a LoRA adapter on a tiny random Llama with a byte-level tokenizer: two layers, 64 wide."""

from __future__ import annotations

import json
import math
import os
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from training_kit import SETTINGS, load, make_base, rows, tokenizer_of, train, train_by, weights

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")
pytest.importorskip("peft")

from crossfade.adapters.peft_files import read_adapter  # noqa: E402
from crossfade.errors import TrainingError  # noqa: E402
from crossfade.models.torch_libraries import how_to_install  # noqa: E402
from crossfade.training.batches import IGNORED, cut, learned_tokens, to_tensors  # noqa: E402
from crossfade.training.data import EncodedRow, TrainingRow, encode_rows, rows_sha256  # noqa: E402
from crossfade.training.methods import method_of, wrap_with_lora  # noqa: E402
from crossfade.training.record import AdaLoraSettings, TrainingProgress  # noqa: E402
from crossfade.training.run_folder import RunFolder  # noqa: E402
from crossfade.training.trainer import row_losses, run  # noqa: E402
from crossfade.types import Message  # noqa: E402

pytestmark = pytest.mark.filterwarnings("ignore")  # the training libraries warn of each other's old names


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_base(tmp_path_factory.mktemp("base"))


def test_only_the_response_and_its_end_are_learned(base: Path) -> None:
    tokenizer = tokenizer_of(base)
    encoded = encode_rows(rows(), tokenizer, max_tokens=128).rows
    for row, found in zip(rows(), encoded, strict=True):
        assert tokenizer.decode(found.tokens[: found.prompt_length]) == (
            f"<|im_start|>user\n{row.messages[0].content}<|im_end|>\n<|im_start|>assistant\n"
        )
        assert tokenizer.decode(found.tokens[found.prompt_length :]) == row.response + "<|im_end|>"
    tensors = to_tensors(encoded, padding=0, device="cpu")
    labels = tensors["shift_labels"]
    assert int((labels != IGNORED).sum()) == learned_tokens(encoded)
    for row, found in zip(rows(), labels, strict=True):
        assert tokenizer.decode(found[found != IGNORED]) == row.response + "<|im_end|>"


def test_earlier_answers_that_count_are_learned_where_they_stand(base: Path) -> None:
    tokenizer = tokenizer_of(base)
    turns = [
        Message(role, text) for role, text in zip(("user", "assistant") * 2, ("ab", "cd", "ef", "gh"), strict=True)
    ]
    row = TrainingRow((*turns, Message("user", "ij")), "kl", also=(3,))
    plain, found = (encode_rows([each], tokenizer, max_tokens=256).rows[0] for each in (replace(row, also=()), row))
    assert found.tokens == plain.tokens, "what counts changes no token"
    learned = [tokenizer.decode(found.tokens[start:end]) for start, end in found.learned]
    assert learned == ["gh<|im_end|>", "kl<|im_end|>"], "and the first answer does not count"
    labels = to_tensors([found, plain], padding=0, device="cpu")["shift_labels"]
    assert tokenizer.decode(labels[0][labels[0] != IGNORED]) == "gh<|im_end|>kl<|im_end|>"
    assert tokenizer.decode(labels[1][labels[1] != IGNORED]) == "kl<|im_end|>"
    assert learned_tokens([found]) == int((labels[0] != IGNORED).sum())


def test_a_template_that_rewrites_earlier_turns_leaves_the_response_alone_to_learn(base: Path) -> None:
    tokenizer = tokenizer_of(base)
    tokenizer.chat_template = (
        "{{ messages | length }}{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n"
        "{% endfor %}"
        "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
    )
    row = TrainingRow((Message("user", "ab"), Message("assistant", "cd"), Message("user", "ef")), "gh", also=(1,))
    found = encode_rows([row], tokenizer, max_tokens=256).rows[0]
    assert [tokenizer.decode(found.tokens[start:end]) for start, end in found.learned] == ["gh<|im_end|>"]
    assert tokenizer.decode(found.tokens).startswith("3<|im_start|>user")


def test_the_loss_at_kept_positions_equals_the_loss_of_the_whole_sequence(base: Path) -> None:
    model = load(base).eval()
    encoded = encode_rows(rows(), tokenizer_of(base), max_tokens=128).rows
    expected = []
    for row in sorted(encoded, key=len):
        tokens = torch.tensor([row.tokens])
        logits = model(tokens).logits[0, row.prompt_length - 1 : -1]
        expected.append(
            float(torch.nn.functional.cross_entropy(logits, tokens[0, row.prompt_length :], reduction="sum"))
        )
    for micro_batch in (1, 3, 8):
        settings = replace(SETTINGS, micro_batch=micro_batch)
        found = row_losses(model, encoded, settings, padding=0, device="cpu")
        assert found == pytest.approx(expected, rel=2e-2)  # bfloat16 products where the machine has them


def test_the_head_is_computed_where_tokens_are_learned_and_nowhere_else(base: Path, tmp_path: Path) -> None:
    given = encode_rows(rows()[::3], tokenizer_of(base), max_tokens=128).rows  # their prompts are equally long
    learned = max(len(row) - row.prompt_length for row in given)
    assert len({row.prompt_length for row in given}) == 1
    settings = replace(SETTINGS, epochs=1)
    model, seen = load(base), set()
    model.lm_head.register_forward_hook(lambda module, states, logits: seen.add(states[0].shape[1]))
    run(
        wrap_with_lora(model, settings),
        given,
        method=method_of(settings),
        held_out=given,
        settings=settings,
        folder=RunFolder(tmp_path / "run"),
        padding=0,
        device="cpu",
    )
    assert seen
    assert max(seen) == learned < given[0].prompt_length


def test_micro_batches_hold_every_row_once_within_their_limits() -> None:
    encoded = [
        EncodedRow(tokens=tuple(range(length)), learned=((1, length),)) for length in (9, 3, 40, 5, 8, 3, 21, 100)
    ]
    micro = cut(encoded, micro_batch=3, micro_tokens=42)
    assert sorted(map(len, (row for part in micro for row in part))) == sorted(map(len, encoded))
    assert all(len(part) <= 3 for part in micro)
    assert all(len(part) == 1 or len(part) * max(map(len, part)) <= 42 for part in micro)


def test_the_micro_batch_changes_memory_and_not_the_gradient(
    base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from contextlib import nullcontext

    monkeypatch.setattr("crossfade.training.trainer.autocast", lambda device: nullcontext())  # exact products
    encoded = encode_rows(rows(), tokenizer_of(base), max_tokens=128).rows
    found = []
    for micro_batch in (1, 8):
        settings = replace(SETTINGS, epochs=1, batch=8, micro_batch=micro_batch, dropout=0.0, learning_rate=1e-3)
        torch.manual_seed(0)
        model = wrap_with_lora(load(base), settings)
        curves = run(
            model,
            encoded,
            method=method_of(settings),
            held_out=(),
            settings=settings,
            folder=RunFolder(tmp_path / str(micro_batch)),
            padding=0,
            device="cpu",
        )
        found.append((curves.train, [p.detach().clone() for p in model.parameters() if p.requires_grad]))
    (first_loss, first), (second_loss, second) = found
    assert first_loss[0][1] == pytest.approx(second_loss[0][1], abs=1e-3)
    assert all(torch.allclose(a, b, atol=1e-4) for a, b in zip(first, second, strict=True))


def test_training_lowers_the_loss_of_learned_and_held_out_rows(base: Path, tmp_path: Path) -> None:
    seen: list[TrainingProgress] = []
    record = train(base, tmp_path / "a", rows(16), held_out=rows(20)[16:], progress=seen.append)
    assert record.train_loss[-1][1] < 0.7 * record.train_loss[0][1]
    assert record.held_out_loss[-1][1] < 0.7 * record.held_out_loss[0][1]
    assert record.held_out_loss[0][0] == 0
    assert record.held_out_loss[-1][0] == record.steps == len(record.train_loss) == 24
    assert [p.step for p in seen] == list(range(1, 25))
    assert seen[-1].seconds_left == 0
    assert record.rows == 16
    assert record.data_sha256 == rows_sha256(rows(16))
    assert record.tokens_per_second > 0


def test_the_rate_rises_falls_as_a_cosine_and_no_gradient_is_longer_than_one(
    base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rates, lengths, take = [], [], torch.optim.AdamW.step

    def step(optimizer: Any, *args: Any, **kwargs: Any) -> Any:
        gradients = [p.grad for group in optimizer.param_groups for p in group["params"] if p.grad is not None]
        rates.append(optimizer.param_groups[0]["lr"])
        lengths.append(float(torch.stack([gradient.norm() for gradient in gradients]).norm()))
        return take(optimizer, *args, **kwargs)

    monkeypatch.setattr(torch.optim.AdamW, "step", step)
    train(base, tmp_path / "a", rows(16), settings={"epochs": 10, "warm_up": 0.25, "learning_rate": 1e-2})
    rising, falling = [n / 10 for n in range(10)], [(1 + math.cos(math.pi * n / 30)) / 2 for n in range(30)]
    assert rates == pytest.approx([1e-2 * share for share in rising + falling])
    assert max(lengths) == pytest.approx(1.0, abs=1e-3), "some would have been longer"


def test_the_same_seed_gives_the_same_weights_and_another_seed_others(base: Path, tmp_path: Path) -> None:
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        train(base, tmp_path / name, settings={"seed": seed, "epochs": 1})
    first, second, other = (weights(tmp_path / name) for name in "abc")
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert any(not torch.equal(first[name], other[name]) for name in first)


def test_a_training_goes_on_from_an_adapter_of_the_same_form(base: Path, tmp_path: Path) -> None:
    fresh = train(base, tmp_path / "first")
    start = read_adapter(tmp_path / "first")
    on = train(base, tmp_path / "second", start=start, settings={"epochs": 1, "warm_up": 0.0})
    assert on.train_loss[0][1] < 0.5 * fresh.train_loss[0][1]
    assert weights(tmp_path / "second").keys() == weights(tmp_path / "first").keys()
    with pytest.raises(TrainingError, match=r"'first' has rank 8 .* asked for is rank 4"):
        train(base, tmp_path / "third", start=start, settings={"rank": 4, "alpha": 8})
    with pytest.raises(TrainingError, match="'first' has rank 8"):
        train(base, tmp_path / "third", start=start, settings={"alpha": 99})
    assert not (tmp_path / "third").exists()


def test_the_folder_names_the_base_and_holds_two_files_in_fp16(base: Path, tmp_path: Path) -> None:
    train(base, tmp_path / "a", settings={"epochs": 1})
    assert sorted(p.name for p in (tmp_path / "a").iterdir()) == ["adapter_config.json", "adapter_model.safetensors"]
    config = json.loads((tmp_path / "a" / "adapter_config.json").read_text())
    assert config["base_model_name_or_path"] == "tiny"
    assert config["target_modules"] == sorted(
        ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
    )
    assert {weight.dtype for weight in weights(tmp_path / "a").values()} == {torch.float16}
    assert str(base) not in (tmp_path / "a" / "adapter_config.json").read_text()
    assert [p.name for p in tmp_path.iterdir()] == ["a"]


def test_an_adapter_is_never_overwritten(base: Path, tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "card.json").write_text("{}")
    with pytest.raises(TrainingError, match="exists already"):
        train(base, tmp_path / "a")
    assert [p.name for p in (tmp_path / "a").iterdir()] == ["card.json"]


def test_one_row_is_enough(base: Path, tmp_path: Path) -> None:
    record = train(base, tmp_path / "a", rows(1), settings={"epochs": 8})
    assert record.steps == 8
    assert record.train_loss[-1][1] < record.train_loss[0][1]


def test_a_row_that_is_too_long_is_listed_and_not_learned(base: Path, tmp_path: Path) -> None:
    long = TrainingRow((Message("user", "x" * 200),), "y")
    record = train(base, tmp_path / "a", (*rows(4), long), settings={"epochs": 1})
    assert record.rows == 4
    assert [number for number, _ in record.left_out] == [5]
    assert record.left_out[0][1] > 200
    with pytest.raises(TrainingError, match="max_tokens = 128"):
        train(base, tmp_path / "b", (long,))


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ((), "no rows"),
        ((*rows(2), TrainingRow((Message("user", "q"),), "  ")), "Row 3 has no response"),
        ((TrainingRow((), "a"),), "Row 1 has no messages"),
        ((TrainingRow((Message("user", "q"),), "a<|im_end|>b"),), r"Row 1 contains the control token '<\|im_end\|>'"),
        ((TrainingRow((Message("user", "<|im_start|>system"),), "a"),), "Row 1 contains the control token"),
    ],
)
def test_rows_that_cannot_be_learned_are_named(
    base: Path, tmp_path: Path, given: tuple[TrainingRow, ...], message: str
) -> None:
    with pytest.raises(TrainingError, match=message):
        train(base, tmp_path / "a", given)
    assert list(tmp_path.iterdir()) == []


def test_a_run_that_breaks_down_says_what_to_change_and_writes_nothing(base: Path, tmp_path: Path) -> None:
    broken = load(base)
    with torch.no_grad():
        broken.model.layers[0].mlp.up_proj.weight[0, 0] = float("inf")
    broken.save_pretrained(tmp_path / "base")
    tokenizer_of(base).save_pretrained(tmp_path / "base")
    with pytest.raises(TrainingError, match="learning_rate"):
        train(tmp_path / "base", tmp_path / "a")
    assert not (tmp_path / "a").exists()


def test_a_held_out_loss_that_is_no_number_ends_the_run_too(
    base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("crossfade.training.trainer.row_losses", lambda *args, **kwargs: (1.0, float("nan")))
    with pytest.raises(TrainingError, match=r"not a number at step 0 .*learning_rate"):
        train(base, tmp_path / "a", held_out=rows(10)[8:])


def test_what_a_method_adds_to_the_loss_is_no_part_of_the_held_out_one(base: Path, tmp_path: Path) -> None:
    ada = AdaLoraSettings(orthogonality=10.0, epochs=1, batch=2, max_tokens=128, rank=2, first_rank=4)
    given = {"held_out": rows(12)[8:]}
    record, plain = train_by(ada, base, tmp_path / "a", **given), train(base, tmp_path / "b", **given)
    assert record.train_loss[0][1] > plain.train_loss[0][1] + 1
    assert record.held_out_loss[0] == pytest.approx(plain.held_out_loss[0], rel=1e-3), "neither has learned yet"


def test_an_exception_of_the_progress_ends_the_training_and_writes_nothing(base: Path, tmp_path: Path) -> None:
    def cancel(progress: TrainingProgress) -> None:
        raise InterruptedError

    with pytest.raises(InterruptedError):
        train(base, tmp_path / "a", progress=cancel)
    assert list(tmp_path.iterdir()) == []


def test_a_target_that_does_not_exist_is_an_error(base: Path, tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="no_such_layer"):
        train(base, tmp_path / "a", settings={"target": ("no_such_layer",)})


@pytest.mark.parametrize(
    "changes", [{"rank": 0}, {"learning_rate": 2.0}, {"epochs": 0}, {"dropout": 1.0}, {"seed": -1}]
)
def test_settings_out_of_range_name_the_range(changes: dict[str, Any]) -> None:
    with pytest.raises(TrainingError, match=rf"{next(iter(changes))} is .*must be from"):
        replace(SETTINGS, **changes)


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="another system tells it in another way")
def test_the_peak_memory_is_a_training_s_own_and_not_that_of_who_started_it() -> None:
    large = bytearray(700_000_000)
    large[::4096] = b"1" * len(large[::4096])
    code = "from crossfade.training.train import peak_memory; print(peak_memory())"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    told = subprocess.run([sys.executable, "-c", code], env=environment, stdout=subprocess.PIPE, check=True).stdout
    assert 20_000_000 < int(told) < len(large)


def test_missing_libraries_name_the_extra(monkeypatch: pytest.MonkeyPatch, base: Path, tmp_path: Path) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(TrainingError, match=re.escape(how_to_install("train"))):
        train(base, tmp_path / "a")
