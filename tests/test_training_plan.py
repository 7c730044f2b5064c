"""What a training will need, counted from the base's configuration, beside the model itself."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from crossfade.training.estimate import estimate
from crossfade.training.methods import method_of
from crossfade.training.plan import UNSEEN_SPEED, plan_of, size_of, within_context
from crossfade.training.record import TrainingProgress
from crossfade.training.run_folder import RunFolder
from test_training_methods import SMALL
from training_kit import load, make_base

pytestmark = pytest.mark.filterwarnings("ignore")  # the training libraries warn of each other's old names


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("peft")
    return make_base(tmp_path_factory.mktemp("base"))


@pytest.mark.parametrize("name", SMALL)
def test_the_parameters_are_those_of_the_model(name: str, base: Path) -> None:
    method = method_of(SMALL[name])
    size = size_of(SMALL[name], json.loads((base / "config.json").read_text()))
    assert size is not None
    assert size.parameters == sum(p.numel() for p in load(base).parameters())
    model = method.prepare(method.load(base), steps=16)
    assert size.trainable == sum(p.numel() for p in model.parameters() if p.requires_grad)


def test_the_speed_is_that_of_the_last_training_of_the_kind_here(base: Path, tmp_path: Path) -> None:
    run = RunFolder(tmp_path / "run")
    run.begin({"method": "lora", "base_folder": str(base)}, (), ())
    for step in range(1, 7):
        run.log(TrainingProgress(step, 6, 1.0, None, 77.0, 1.0, 1.0))
    plan = plan_of(SMALL["lora"], base, [run], memory=10**9)
    assert plan is not None
    assert plan.machine.tokens_per_second == 77.0
    assert estimate(77 * 60, plan).minutes == SMALL["lora"].epochs
    assert estimate(1, plan).fits
    other = plan_of(SMALL["full"], base, [run])
    assert other is not None
    assert other.machine.tokens_per_second > UNSEEN_SPEED, "the base is a small one"


def test_of_a_base_that_is_not_known_nothing_is_said(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"model_type": "mamba"}')
    assert plan_of(SMALL["lora"], tmp_path, []) is None


def test_no_row_is_longer_than_the_context_of_the_base(base: Path, tmp_path: Path) -> None:
    assert within_context(100, base) == 100
    assert within_context(1024, base) == 256
    assert within_context(1024, base, virtual=20) == 236, "virtual tokens stand in it too"
    assert within_context(1024, tmp_path) == 1024, "a base that does not tell"
