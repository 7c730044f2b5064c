"""Train a LoRA adapter: from rows to a PEFT folder and the record of how it was made.

The method itself is `wrap_with_lora`; everything else here is the same for any method.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from crossfade.adapters.peft_files import AdapterFiles, read_weights
from crossfade.errors import TrainingError
from crossfade.models.torch_libraries import (
    device_name,
    has_fast_bfloat16,
    quiet_libraries,
    require_training_libraries,
)
from crossfade.training.batches import learned_tokens
from crossfade.training.data import EncodedRows, TrainingRow, encode_rows, rows_sha256
from crossfade.training.record import LoraSettings, Progress, TrainingRecord


def train_lora(
    rows: Sequence[TrainingRow],
    *,
    base_folder: Path,
    base: str,
    base_identity: str,
    out: Path,
    settings: LoraSettings,
    held_out: Sequence[TrainingRow] = (),
    start: AdapterFiles | None = None,
    progress: Progress | None = None,
) -> TrainingRecord:
    """Train on `rows` and write the adapter's folder to `out`; `base` is the name that its config gives the base.

    `base_folder` is a Hugging Face folder with its tokenizer, `held_out` rows are measured and never learned. With
    `start` the training goes on from that adapter's weights. Raises TrainingError: the extra `train` is missing, no
    rows, broken rows, `out` is taken, `start` is of another form, the loss is no number.
    """
    require_training_libraries()
    from transformers import AutoTokenizer, set_seed

    from crossfade.training.save import check_free, save_adapter
    from crossfade.training.trainer import run, steps_of

    check_free(out)
    tokenizer = AutoTokenizer.from_pretrained(base_folder, local_files_only=True, trust_remote_code=False)
    learned = encode_rows(rows, tokenizer, max_tokens=settings.max_tokens)
    none = EncodedRows(rows=(), too_long=())
    watched = encode_rows(held_out, tokenizer, max_tokens=settings.max_tokens) if held_out else none
    device = device_name()
    set_seed(settings.seed)
    model = wrap_with_lora(_load(base_folder), settings).to(device)
    if start is not None:
        _begin_from(start, model, settings)
    padding = tokenizer.eos_token_id if tokenizer.pad_token_id is None else tokenizer.pad_token_id
    curves = run(
        model, learned.rows, held_out=watched.rows, settings=settings, padding=padding, device=device, progress=progress
    )
    save_adapter(model, out, base=base)
    tokens = sum(map(len, learned.rows)) * settings.epochs
    return TrainingRecord(
        method="lora",
        base=base,
        base_identity=base_identity,
        settings=settings,
        rows=len(learned.rows),
        left_out=learned.too_long,
        held_out_rows=len(watched.rows),
        held_out_left_out=watched.too_long,
        data_sha256=rows_sha256(rows),
        steps=steps_of(len(learned.rows), settings),
        tokens=tokens,
        learned_tokens=learned_tokens(learned.rows) * settings.epochs,
        trainable_parameters=sum(p.numel() for p in model.parameters() if p.requires_grad),
        minutes=curves.seconds / 60,
        tokens_per_second=tokens / curves.seconds,
        train_loss=curves.train,
        held_out_loss=curves.held_out,
        precision="bfloat16 products" if has_fast_bfloat16(device) else "float32",
        device=device,
    )


def wrap_with_lora(model: Any, settings: LoraSettings) -> Any:
    """The base with fresh LoRA layers, whose update is zero at first; only they want a gradient.

    Raises TrainingError when a target layer does not exist.
    """
    from peft import LoraConfig, TaskType, get_peft_model

    config = LoraConfig(
        task_type=TaskType.CAUSAL_LM,
        r=settings.rank,
        lora_alpha=settings.alpha,
        lora_dropout=settings.dropout,
        target_modules=linear_layers(model) if settings.target == "all-linear" else list(settings.target),
    )
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)  # of a name in transformers that PEFT still uses
            return get_peft_model(model, config)
    except ValueError as error:
        raise TrainingError(f"LoRA does not fit this base with target {settings.target!r}: {error}") from error


def _begin_from(start: AdapterFiles, model: Any, settings: LoraSettings) -> None:
    """Put an adapter's weights into the fresh LoRA layers. Raises TrainingError where their forms differ."""
    import torch
    from peft import get_peft_model_state_dict, set_peft_model_state_dict

    weights = {name: torch.from_numpy(matrix).float() for name, matrix in read_weights(start).items()}
    wanted = {name: tuple(matrix.shape) for name, matrix in get_peft_model_state_dict(model).items()}
    scales = {scale for _, _, _, scale in start.modules.values()}
    if wanted != {n: tuple(m.shape) for n, m in weights.items()} or scales != {settings.alpha / settings.rank}:
        ranks = " and ".join(map(str, sorted({rank for _, _, rank, _ in start.modules.values()})))
        raise TrainingError(
            f"Adapter {start.name!r} has rank {ranks} on {len(start.modules)} layers; asked for is rank "
            f"{settings.rank} on {len(wanted) // 2}. Give its rank and layers, or train without a start."
        )
    set_peft_model_state_dict(model, weights)


def linear_layers(model: Any) -> list[str]:
    """The last part of the name of each linear layer but the head, sorted: `down_proj`, `gate_proj`, ..., `v_proj`.

    PEFT's own "all-linear" writes each layer's full path into the config of a small model.
    """
    from torch.nn import Linear

    head = model.get_output_embeddings()
    return sorted({n.rpartition(".")[2] for n, m in model.named_modules() if isinstance(m, Linear) and m is not head})


def _load(base_folder: Path) -> Any:
    """The base in float32: autocast keeps the products fast, and the update is added to exact weights."""
    import torch
    from safetensors import SafetensorError
    from transformers import AutoModelForCausalLM

    quiet_libraries()
    try:
        model = AutoModelForCausalLM.from_pretrained(
            base_folder, dtype=torch.float32, local_files_only=True, trust_remote_code=False
        )
    except (OSError, ValueError, SafetensorError) as error:
        raise TrainingError(
            f"The base in {base_folder} cannot be loaded: {error}. Remove that folder; it is made again."
        ) from error
    model.config.use_cache = False
    return model
