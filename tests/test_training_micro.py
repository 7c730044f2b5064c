"""How many tokens go through a model together: as the memory allows, the same at each run on a machine."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from crossfade.training.plan import MOST_ON_CPU, memory_of_machine, micro_tokens_for, plan_of, size_of
from crossfade.training.record import SETTINGS, settings_of

GB = 1_000_000_000
SMALL: dict[str, Any] = {
    "hidden_size": 576,
    "num_hidden_layers": 30,
    "intermediate_size": 1536,
    "num_attention_heads": 9,
    "num_key_value_heads": 3,
    "vocab_size": 49152,
    "tie_word_embeddings": True,
}
LARGE = SMALL | {"hidden_size": 2048, "num_hidden_layers": 24, "intermediate_size": 8192, "num_attention_heads": 32}


def together(memory: float, *, method: str = "lora", gpu: bool = False, config: dict[str, Any] = SMALL) -> int:
    size = size_of(settings_of(method, "", {}), config)
    assert size is not None
    return micro_tokens_for(size, int(memory), gpu=gpu)


@pytest.mark.parametrize("method", SETTINGS)
@pytest.mark.parametrize("memory", [0, 16 * GB, 24 * GB, 512 * GB])
def test_on_a_usual_machine_it_is_what_was_measured(method: str, memory: int) -> None:
    assert together(memory, method=method) == MOST_ON_CPU == 1024


def test_less_memory_means_fewer_tokens_and_a_gpu_more_and_never_none() -> None:
    rising = [together(memory * GB, config=LARGE) for memory in (1, 8, 10, 12, 16, 24, 64)]
    assert rising == sorted(rising)
    assert 0 < rising[0] < rising[-1] == 1024
    assert together(24 * GB, gpu=True) > 1024
    assert together(2 * GB, method="full") < together(2 * GB, method="lora")


def test_a_container_has_the_memory_of_its_limit(tmp_path: Path) -> None:
    limit = tmp_path / "memory.max"
    limit.write_text("123456789\n")
    assert memory_of_machine([tmp_path / "gone", limit]) == 123456789
    limit.write_text("max\n")
    assert memory_of_machine([limit]) == memory_of_machine([]) > 123456789


def test_the_estimate_is_of_what_will_be_computed_together(tmp_path: Path) -> None:
    import json

    (tmp_path / "config.json").write_text(json.dumps(LARGE))
    plan = plan_of(settings_of("lora", "", {}), tmp_path, [], memory=10 * GB)
    assert plan is not None
    assert plan.micro_tokens == together(10 * GB, config=LARGE) < 1024
