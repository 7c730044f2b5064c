"""The converted base, on the real default base where it has been fetched before."""

from __future__ import annotations

from pathlib import Path

import pytest

from crossfade.errors import ModelError
from crossfade.models.catalogue import find_model
from crossfade.models.hf_folder import hf_folder
from crossfade.models.quantise import requantise
from crossfade.models.wheels import is_whole
from crossfade.settings import Settings

pytest.importorskip("torch")
pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]


@pytest.fixture
def fetched() -> Path:
    model = find_model("smollm2-135m")
    folder = Settings.from_environment().home / "models" / model.name
    assert not isinstance(model.source, str)
    if not is_whole(model.source, folder):  # type: ignore[arg-type]
        pytest.skip("the default base has not been fetched; fetch it with: crossfade models --fetch smollm2-135m")
    return folder / model.source.files[0].name  # type: ignore[union-attr]


def test_a_converted_base_tokenizes_as_the_chat_does(fetched: Path) -> None:
    import httpx
    import xllamacpp
    from transformers import AutoTokenizer

    home = Settings.from_environment().home
    folder = hf_folder(fetched, home)
    assert hf_folder(fetched, home) == folder
    tokenizer = AutoTokenizer.from_pretrained(folder)
    parameters = xllamacpp.CommonParams()
    parameters.model.path, parameters.n_ctx, parameters.verbosity = str(fetched), 512, 0
    server = xllamacpp.Server(parameters)
    for text in ("The fee is $12.50 on 2026-11-22.", "  two  spaces\n\n\nnew", "naïve café “quotes”", '{"a": 123}'):
        request = {"content": text, "add_special": False}
        theirs = httpx.post(f"{server.listening_address}/tokenize", json=request).json()["tokens"]
        assert tokenizer(text, add_special_tokens=False)["input_ids"] == theirs


def test_a_requantised_copy_is_no_base_to_train_on(fetched: Path) -> None:
    home = Settings.from_environment().home
    with pytest.raises(ModelError, match="re-quantised"):
        hf_folder(requantise(fetched, home, "Q8_0"), home)
