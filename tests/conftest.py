"""Fixtures that several test files share. They import the training libraries only when a test asks for them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tiny_models import TinyModel

pytest_plugins = ["cli_kit"]
WORDS = ("marble", "cobalt")
"""The adapters of the tiny models, each of which says its own name to whatever it is asked."""


@pytest.fixture(scope="session")
def tiny_llama(tmp_path_factory: pytest.TempPathFactory) -> TinyModel:
    """A tiny random Llama with its adapters, as a Hugging Face folder and as a GGUF."""
    return _build("llama", tmp_path_factory)


@pytest.fixture(scope="session")
def tiny_qwen2(tmp_path_factory: pytest.TempPathFactory) -> TinyModel:
    """The same as a Qwen2."""
    return _build("qwen2", tmp_path_factory)


def _build(architecture: str, folders: pytest.TempPathFactory) -> TinyModel:
    pytest.importorskip("peft")
    from tiny_models import build

    return build(architecture, folders.mktemp(architecture), words=WORDS)
