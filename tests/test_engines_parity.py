"""llama.cpp against transformers and PEFT on the same tiny models: the same next token, step by step, from one text."""

from __future__ import annotations

import random
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch")
pytest.importorskip("peft")

from crossfade.engines.llamacpp import LlamaCppEngine
from crossfade.types import Blend, Message
from engine_kit import MARBLE, next_tokens, running
from tiny_models import TinyModel, chat_ids, model_of, one_thread, random_adapter, tokenizer_of

pytestmark = pytest.mark.filterwarnings("ignore")  # the training libraries warn of each other's old names
STEPS = 24
MARGIN = 1e-3
KINDS: dict[str, dict[str, Any]] = {
    "plain": {},
    "rslora": {"use_rslora": True, "lora_alpha": 3},
    "patterns": {
        "rank_pattern": {"down_proj": 2, "model.layers.0.self_attn.q_proj": 8},
        "alpha_pattern": {"self_attn.q_proj": 3, "model.layers.0.self_attn.q_proj": 30, "v_proj": 1},
    },
    "few": {"target_modules": ["k_proj"], "r": 1, "lora_alpha": 16},
}


class Pair:
    """One tiny model in both engines, with adapters of every kind."""

    def __init__(self, model: TinyModel, folders: dict[str, Path], engine: LlamaCppEngine) -> None:
        self.model, self.folders, self.engine = model, folders, engine
        self.ids = forced(model.folder)

    def agrees(self, torch_model: Any, blend: Blend) -> None:
        """Every step: the same top token where the margin is clear, and the same log probabilities."""
        clear = 0
        for step, row in enumerate(steps(torch_model, self.ids), start=len(self.ids) - STEPS):
            ours = next_tokens(self.engine, self.ids[:step], blend)
            first, second = row.topk(2).values.tolist()
            if first - second > MARGIN:
                clear += 1
                assert max(ours, key=ours.__getitem__) == int(row.argmax()), f"step {step}"
            assert max(abs(row[token].item() - value) for token, value in ours.items()) < MARGIN, f"step {step}"
        assert clear > STEPS / 2, "the steps must be able to tell"


def forced(folder: Path) -> list[int]:
    """A chat prompt and STEPS random plain tokens after it."""
    tokenizer = tokenizer_of(folder)
    rolled = random.Random(0)
    after = [rolled.randrange(3, len(tokenizer)) for _ in range(STEPS)]
    return (
        chat_ids(tokenizer, [Message("system", "Be brief."), Message("user", "What is the fee for 12 cards?")]) + after
    )


def steps(model: Any, ids: Sequence[int]) -> Any:
    """Log probabilities (STEPS, vocabulary) of the token after ids[:n], for the last STEPS n."""
    import torch

    with torch.no_grad(), one_thread():
        return model(torch.tensor([ids])).logits[0, -STEPS - 1 : -1].log_softmax(-1)


@pytest.fixture(scope="module", params=["llama", "qwen2"])
def pair(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    model: TinyModel = request.getfixturevalue(f"tiny_{request.param}")
    root = tmp_path_factory.mktemp("parity")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        made = {
            kind: random_adapter(model.folder, root / kind, seed=n, **changes)
            for n, (kind, changes) in enumerate(KINDS.items())
        }
    folders = made | {"marble": model.adapters["marble"]}
    with running(model, root / "home", adapters=list(folders.values())) as engine:
        yield Pair(model, folders, engine)


def test_the_base_is_the_same_in_both(pair: Pair) -> None:
    pair.agrees(model_of(pair.model.folder), ())


def test_a_trained_adapter_is_the_same_in_both(pair: Pair) -> None:
    pair.agrees(model_of(pair.model.folder, pair.folders["marble"]), MARBLE)


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_scaling_is_the_same_in_both(pair: Pair, kind: str) -> None:
    pair.agrees(model_of(pair.model.folder, pair.folders[kind]), ((kind, 1.0),))


def test_a_blend_is_the_weighted_sum_of_the_updates(pair: Pair) -> None:
    mixed = model_of(pair.model.folder, pair.folders["plain"])
    mixed.load_adapter(pair.folders["few"], adapter_name="few")
    mixed.add_weighted_adapter(["default", "few"], [0.6, 1.4], "mix", combination_type="cat")
    mixed.set_adapter("mix")
    pair.agrees(mixed.eval(), (("plain", 0.6), ("few", 1.4)))


def test_weight_0_is_the_base(pair: Pair) -> None:
    pair.agrees(model_of(pair.model.folder), (("plain", 0.0), ("marble", 0.0)))
