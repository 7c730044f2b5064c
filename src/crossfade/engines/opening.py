"""Which engine serves which base, as the settings and the machine say, and how it is started."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from crossfade.engines.protocol import Engine
from crossfade.errors import ModelError
from crossfade.models.fetch import Progress, fetch
from crossfade.models.gguf_file import base_identity, describe
from crossfade.models.quantise import requantise
from crossfade.models.torch_libraries import missing_libraries, require_torch_libraries
from crossfade.settings import DEFAULT_BASE, Settings

if TYPE_CHECKING:
    from crossfade.engines.transformers_engine import TransformersEngine

SERVED_WEIGHTS = "Q8_0"
"""What `weights = auto` means for the embedded default; chosen by measurement, see benchmarks/README.md."""

DRIVERS = ("/proc/driver/nvidia/version", "/dev/dxg", "/dev/kfd")
"""What is there where a GPU's driver is: NVIDIA's, that of Windows below Linux (WSL), AMD's."""


def open_engine(
    settings: Settings, *, progress: Progress | None = None, report: Callable[[str], None] | None = None
) -> Engine:
    """The settings' engine without adapters; `report` is told what it waits for. Raises ModelError, EngineError."""
    report = report or (lambda line: None)
    source = fetch(settings.base, settings.home, progress=progress)
    if engine_name(settings, source) == "transformers":
        return _open_transformers(settings, source, report)
    from crossfade.engines.llamacpp import LlamaCppEngine

    path = served_weights(settings, source)
    report("starting")
    return LlamaCppEngine(
        path,
        describe(path, settings.home),
        identity=base_identity(path, settings.home),
        home=settings.home,
        context=settings.context,
        slots=settings.slots,
        threads=settings.threads,
    )


def engine_name(settings: Settings, source: Path) -> str:
    """`llama.cpp` or `transformers`. Raises ModelError where the engine that is asked for cannot serve the base."""
    if settings.engine == "llama.cpp" and source.is_dir():
        raise ModelError(f"llama.cpp serves GGUF files, and {source} is a folder. Set CROSSFADE_ENGINE=transformers.")
    if settings.engine == "auto":
        return "transformers" if source.is_dir() or has_gpu() else "llama.cpp"
    return settings.engine


def has_gpu() -> bool:
    """Whether torch can use a GPU; torch is imported only where a driver is there, since that takes seconds."""
    if not any(map(os.path.exists, DRIVERS)) and os.name != "nt":
        return False
    if missing_libraries():
        return False
    import torch

    return bool(torch.cuda.is_available())


def served_weights(settings: Settings, source: Path) -> Path:
    """The GGUF to serve: the base as fetched, or re-quantised once as the settings say.

    `weights` is `source` (as published), `Q8_0`, `Q4_0`, or `auto`: Q8_0 for the embedded default, else as published.
    Raises ModelError.
    """
    kind = settings.weights
    if kind == "auto":
        kind = SERVED_WEIGHTS if settings.base == DEFAULT_BASE else "source"
    return source if kind == "source" else requantise(source, settings.home, kind)


def _open_transformers(settings: Settings, source: Path, report: Callable[[str], None]) -> TransformersEngine:
    require_torch_libraries("The transformers engine")
    import torch

    from crossfade.engines.torch_base import load_base
    from crossfade.engines.transformers_engine import TransformersEngine
    from crossfade.models.hf_folder import hf_folder

    report("loading torch and the weights")
    torch.set_num_threads(settings.threads)
    folder = hf_folder(source, settings.home)
    base = load_base(folder, precision=settings.precision, bits=settings.bits)
    return TransformersEngine(
        base, identity=base_identity(source, settings.home), context=settings.context, rows=settings.slots
    )
