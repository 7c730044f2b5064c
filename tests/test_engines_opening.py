"""Which engine serves which base, and which weights of it."""

from __future__ import annotations

import os
import re
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from crossfade.engines import opening
from crossfade.engines.opening import SERVED_WEIGHTS, engine_name, has_gpu, served_weights
from crossfade.errors import ModelError
from crossfade.models.torch_libraries import how_to_install
from crossfade.settings import DEFAULT_BASE, Settings


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(home=tmp_path, corpora=tmp_path, adapters=tmp_path)


@pytest.mark.parametrize(
    ("base", "weights", "kind"),
    [
        (DEFAULT_BASE, "auto", SERVED_WEIGHTS),
        (DEFAULT_BASE, "source", "source"),
        (DEFAULT_BASE, "Q4_0", "Q4_0"),
        ("mine.gguf", "auto", "source"),
        ("mine.gguf", "Q8_0", "Q8_0"),
    ],
)
def test_the_weights_that_are_served_are_those_of_the_settings(
    base: str, weights: str, kind: str, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = []

    def requantise(source: Path, home: Path, wanted: str) -> Path:
        made.append(wanted)
        return source.with_suffix(f".{wanted}")

    monkeypatch.setattr(opening, "requantise", requantise)
    path = served_weights(replace(settings, base=base, weights=weights), Path(base))
    assert made == ([] if kind == "source" else [kind])
    assert (path.suffix == f".{kind}") == (kind != "source")


def test_the_engine_is_the_one_asked_for_or_the_one_that_can(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gguf, folder = tmp_path / "a.gguf", tmp_path
    for gpu in (False, True):
        monkeypatch.setattr(opening, "has_gpu", lambda gpu=gpu: gpu)
        assert engine_name(settings, gguf) == ("transformers" if gpu else "llama.cpp")
        assert engine_name(settings, folder) == "transformers"
        for engine in ("llama.cpp", "transformers"):
            assert engine_name(replace(settings, engine=engine), gguf) == engine
    with pytest.raises(ModelError, match="CROSSFADE_ENGINE=transformers"):
        engine_name(replace(settings, engine="llama.cpp"), folder)


def test_without_a_driver_torch_is_not_even_asked_for_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(opening, "DRIVERS", ("/nowhere",))
    monkeypatch.setitem(sys.modules, "torch", None)
    assert has_gpu() is False


@pytest.mark.parametrize("usable", [True, False])
@pytest.mark.parametrize("driver", ["/proc/driver/nvidia/version", "/dev/dxg", "/dev/kfd"])
def test_where_there_is_a_driver_torch_says_whether_it_can_use_the_gpu(
    driver: str, usable: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os.path, "exists", lambda path: path == driver)
    monkeypatch.setattr(opening, "missing_libraries", list)
    torch = SimpleNamespace(cuda=SimpleNamespace(is_available=lambda: usable))
    monkeypatch.setitem(sys.modules, "torch", torch)  # type: ignore[misc]
    assert has_gpu() is usable


def test_an_engine_without_its_libraries_says_what_to_install(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("crossfade.models.torch_libraries.missing_libraries", lambda: ["torch"])
    monkeypatch.setattr(opening, "fetch", lambda *_, **__: tmp_path)
    with pytest.raises(ModelError, match=rf"torch not found.*{re.escape(how_to_install('transformers'))}"):
        opening.open_engine(settings)
