"""How an extra is installed is told as it works where this runs, and what a machine computes in is found out."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from crossfade.models import torch_libraries
from crossfade.models.torch_libraries import has_fast_bfloat16, how_to_install


@pytest.mark.parametrize(
    ("in_checkout", "prefix", "command"),
    [
        (True, ".venv", ".venv/bin/pip install -e '.[train]'"),
        (True, "../elsewhere", "pip install -e '.[train]'"),
        (False, ".venv", "pip install 'crossfade[train]'"),
    ],
)
def test_an_extra_is_installed_from_the_checkout_or_by_name(
    in_checkout: bool, prefix: str, command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch_libraries, "checkout", lambda: tmp_path if in_checkout else None)
    monkeypatch.setattr(sys, "prefix", str(tmp_path / prefix))
    assert how_to_install("train") == command


@pytest.mark.parametrize("flag", ["_is_avx512_bf16_supported", "_is_amx_tile_supported"])
def test_bfloat16_is_fast_on_a_cpu_that_has_an_instruction_for_it(flag: str, monkeypatch: pytest.MonkeyPatch) -> None:
    torch = pytest.importorskip("torch")
    for name in ("_is_avx512_bf16_supported", "_is_amx_tile_supported"):
        monkeypatch.setattr(torch.cpu, name, lambda: False, raising=False)
    assert not has_fast_bfloat16("cpu")
    monkeypatch.setattr(torch.cpu, flag, lambda: True)
    assert has_fast_bfloat16("cpu")
