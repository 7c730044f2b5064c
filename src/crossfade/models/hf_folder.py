"""A base as a Hugging Face folder, which torch trains on and serves: as given, or converted once from its GGUF."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from crossfade.errors import ModelError
from crossfade.models.gguf_file import BaseDescription, base_identity, describe
from crossfade.models.once import disk_errors, make_once
from crossfade.models.torch_libraries import require_torch_libraries

_FORMAT = 1


def hf_folder(base: Path, home: Path) -> Path:
    """The folder itself, or that of a GGUF: fp32 safetensors, tokenizer, the GGUF's own chat template.

    It is kept in `home/models/hf` by identity. The first conversion of a 135M base takes about half a minute. Raises
    ModelError for a re-quantised copy, whose weights are not those that adapters are trained on, and for an
    architecture that transformers cannot read from a GGUF.
    """
    if base.is_dir():
        return base
    require_torch_libraries(f"Converting {base.name}")
    description = describe(base, home)
    if description.source:
        raise ModelError(f"{base} is a re-quantised copy. Give the GGUF it was made from.")
    target = home / "models" / "hf" / f"{base_identity(base, home)[:16]}-{_FORMAT}"
    with disk_errors(home):
        return make_once(target, lambda part: _convert(base, part, description))


def _convert(gguf: Path, part: Path, description: BaseDescription) -> None:
    import torch
    from safetensors import SafetensorError
    from transformers import AutoModelForCausalLM, AutoTokenizer
    from transformers.utils.logging import disable_progress_bar

    disable_progress_bar()
    try:
        model = AutoModelForCausalLM.from_pretrained(gguf.parent, gguf_file=gguf.name, dtype=torch.float32)
        tokenizer = AutoTokenizer.from_pretrained(gguf.parent, gguf_file=gguf.name)
    except (ValueError, KeyError, NotImplementedError) as error:
        raise ModelError(
            f"transformers cannot read the {description.architecture} model {gguf}: {error}. Choose another base."
        ) from error
    if description.chat_template:
        tokenizer.chat_template = description.chat_template
    _forget_quantisation(model)
    try:
        model.save_pretrained(part)
    except SafetensorError as error:
        raise OSError(str(error)) from error  # a full disk, among others; `disk_errors` tells it
    tokenizer.save_pretrained(part)


def _forget_quantisation(model: Any) -> None:
    """The weights are plain floats after loading, yet `save_pretrained` refuses a model marked as quantised."""
    for owner, name in ((model.config, "quantization_config"), (model, "hf_quantizer"), (model, "quantization_method")):
        if hasattr(owner, name):
            delattr(owner, name)
    model.is_quantized = False
