"""The trained parameters of a model in one file, whatever the method, with what the method needs beside them."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from crossfade.errors import TrainingError
from crossfade.training.methods import Method

if TYPE_CHECKING:
    from torch import Tensor

_PARAMETER, _METHOD = "parameter:", "method:"


def trained(model: Any) -> dict[str, Tensor]:
    """The parameters that want a gradient, by their names in the model."""
    return {name: p.detach() for name, p in model.named_parameters() if p.requires_grad}


def write_state(path: Path, model: Any, method: Method, *, step: int) -> None:
    """Write the trained parameters in their own precision, whole or not at all; the file before is kept.

    Raises OSError, SafetensorError.
    """
    from safetensors.torch import save_file

    tensors = {_PARAMETER + name: p for name, p in trained(model).items()}
    tensors |= {_METHOD + name: value for name, value in method.state(model).items()}
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.part")
    save_file({n: t.cpu().contiguous() for n, t in tensors.items()}, part, metadata={"step": str(step)})
    if path.exists():
        os.replace(path, before(path))
    os.replace(part, path)


def before(path: Path) -> Path:
    """Where the file is that was at `path` before the one that is there."""
    return path.with_name(f"{path.name}.before")


def read_state(path: Path, model: Any, method: Method) -> None:
    """Put the parameters of `write_state` back. Raises TrainingError where they are not those of this model."""
    import torch
    from safetensors.torch import load_file

    found = load_file(path)
    there = trained(model)
    given = {n.removeprefix(_PARAMETER): t for n, t in found.items() if n.startswith(_PARAMETER)}
    if {n: t.shape for n, t in given.items()} != {n: t.shape for n, t in there.items()}:
        raise TrainingError(f"{path} is of another model or method than this run. Start the run anew.")
    with torch.no_grad():
        for name, parameter in there.items():
            parameter.copy_(given[name])
    method.restore(model, {n.removeprefix(_METHOD): t for n, t in found.items() if n.startswith(_METHOD)})


def step_of(path: Path) -> int | None:
    """The step that a file of `write_state` is of, or None where there is none."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="numpy") as file:
            return int(file.metadata()["step"])
    except (OSError, SafetensorError, KeyError, TypeError):
        return None
