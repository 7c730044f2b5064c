"""Train one adapter, or a base of its own, by any method: from rows to what is on disk and the record of its making.

Knows no corpus, command or page.
"""

from __future__ import annotations

import re
import resource
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Event
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
from crossfade.training.data import EncodedRow, EncodedRows, TrainingRow, encode_rows, rows_sha256
from crossfade.training.record import (
    CHECKPOINT_SECONDS,
    LoraSettings,
    Progress,
    QloraSettings,
    RunSettings,
    Sample,
    TrainingRecord,
)
from crossfade.training.run_folder import RunFolder
from crossfade.training.tokens import open_tokenizer

SAMPLE_TOKENS = 48
"""A sample answer ends after so many tokens."""


def train(
    rows: Sequence[TrainingRow],
    *,
    base_folder: Path,
    base: str,
    base_identity: str,
    out: Path,
    settings: RunSettings,
    held_out: Sequence[TrainingRow] = (),
    start: AdapterFiles | None = None,
    folder: RunFolder | None = None,
    samples: int = 0,
    progress: Progress | None = None,
    stop: Event | None = None,
    checkpoint_seconds: float = CHECKPOINT_SECONDS,
) -> TrainingRecord:
    """Train on `rows` by the settings' method and write what was learned to `out`.

    `base` is the name that an adapter's config gives the base, `base_folder` a Hugging Face folder with its tokenizer.
    `held_out` rows are never learned; the first `settings.measured` are measured, and `samples` of them are answered at
    each measurement. With `start` a LoRA goes on from that adapter's weights. With `folder` the run is logged there and
    goes on from what a killed one left. `stop` ends it early with the best so far. Raises TrainingError: the extra
    `train` is missing, no rows, broken rows, `out` is taken, `start` is of another form, the loss is no number, disk or
    memory are short.
    """
    require_training_libraries()
    quiet_libraries()
    from transformers import set_seed

    from crossfade.training.methods import method_of
    from crossfade.training.save import check_free
    from crossfade.training.trainer import limits_told, run, steps_of

    check_free(out)
    tokenizer = open_tokenizer(base_folder)
    learned = encode_rows(rows, tokenizer, max_tokens=settings.max_tokens)
    none = EncodedRows(rows=(), too_long=())
    measured = held_out[: settings.measured]
    watched = encode_rows(measured, tokenizer, max_tokens=settings.max_tokens, may_be_none=True) if measured else none
    device, steps = device_name(), steps_of(len(learned.rows), settings)
    set_seed(settings.seed)
    method = method_of(settings)
    padding = tokenizer.eos_token_id if tokenizer.pad_token_id is None else tokenizer.pad_token_id
    with _folder(folder) as logged, limits_told(logged, settings):
        model = method.prepare(method.load(base_folder), steps=steps)
        if model.device.type != device:  # what is quantised was loaded where it stays
            model = model.to(device)
        if start is not None:
            _begin_from(start, model, settings)
        curves = run(
            model,
            learned.rows,
            method=method,
            held_out=watched.rows,
            settings=settings,
            folder=logged,
            padding=padding,
            device=device,
            progress=progress,
            sample=_sampler(model, watched.rows[:samples], tokenizer) if samples else None,
            stop=stop,
            checkpoint_seconds=checkpoint_seconds,
        )
        trainable = sum(p.numel() for p in model.parameters() if p.requires_grad)
        method.save(model, out, base=base, base_folder=base_folder)
    peak, more = peak_memory(), {}
    if isinstance(settings, QloraSettings) and watched.rows:
        # Where only the base in 4 bits fits, nothing is said of the whole one.
        with suppress(MemoryError, RuntimeError):
            more["held_out_loss_on_the_whole_base"] = _on_the_whole_base(
                model, watched.rows, settings, base_folder=base_folder, padding=padding, device=device
            )
    tokens = sum(map(len, learned.rows)) * settings.epochs
    taken = curves.train[-1][0] if curves.train else steps
    return TrainingRecord(
        method=settings.method,
        base=base,
        base_identity=base_identity,
        settings=settings,
        rows=len(learned.rows),
        left_out=learned.too_long,
        held_out_rows=len(watched.rows),
        held_out_left_out=watched.too_long,
        data_sha256=rows_sha256(rows),
        steps=steps,
        kept_step=curves.kept_step,
        tokens=tokens,
        learned_tokens=learned_tokens(learned.rows) * settings.epochs,
        trainable_parameters=trainable,
        minutes=curves.seconds / 60,
        tokens_per_second=tokens * taken / steps / curves.seconds,
        train_loss=curves.train,
        held_out_loss=curves.held_out,
        precision="bfloat16 products" if has_fast_bfloat16(device) else "float32",
        device=device,
        peak_memory=peak,
        more=more,
    )


@contextmanager
def _folder(given: RunFolder | None) -> Iterator[RunFolder]:
    if given:
        yield given
        return
    with tempfile.TemporaryDirectory(prefix="crossfade-train-") as scratch:
        yield RunFolder(Path(scratch))


def _begin_from(start: AdapterFiles, model: Any, settings: RunSettings) -> None:
    """Put an adapter's weights into the fresh LoRA layers. Raises TrainingError where their forms differ."""
    import torch
    from peft import get_peft_model_state_dict, set_peft_model_state_dict

    if type(settings) is not LoraSettings or start.kind != "LORA":
        raise TrainingError("Only LoRA goes on from an adapter, and only from a LoRA one. Train without a start.")
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


def _sampler(model: Any, rows: Sequence[EncodedRow], tokenizer: Any) -> Callable[[int], list[Sample]]:
    """Answers held-out rows, greedily; what a person reads while the loss falls."""
    from crossfade.training.answers import generate

    def text(tokens: Sequence[int]) -> str:
        return str(tokenizer.decode(tokens, skip_special_tokens=True)).strip()

    asked = [row.tokens[: row.prompt_length] for row in rows]
    wanted = [text(row.tokens[row.prompt_length :]) for row in rows]

    def sample(step: int) -> list[Sample]:
        answers = generate(model, tokenizer, asked, max_new_tokens=SAMPLE_TOKENS)
        return [
            Sample(step=step, prompt=text(prompt), wanted=gold, answer=answer)
            for prompt, gold, answer in zip(asked, wanted, answers, strict=True)
        ]

    return sample


def _on_the_whole_base(
    model: Any, rows: Sequence[EncodedRow], settings: QloraSettings, *, base_folder: Path, padding: int, device: str
) -> float:
    """The held-out loss of what was trained on a base in 4 bits, on the same base in its own precision."""
    from peft import get_peft_model_state_dict, set_peft_model_state_dict

    from crossfade.training.base_model import load_whole
    from crossfade.training.methods import wrap_with_lora
    from crossfade.training.trainer import row_losses

    whole = wrap_with_lora(load_whole(base_folder), settings).to(device)
    set_peft_model_state_dict(whole, get_peft_model_state_dict(model))
    return sum(row_losses(whole, rows, settings, padding=padding, device=device)) / learned_tokens(rows)


def peak_memory() -> int:
    """The most memory that this process has held, in bytes, on a GPU that of it.

    Linux tells it in its own file. What `getrusage` says there counts the process that started this one too, from
    before it became another program: a training ordered in the app would have held what the app holds. macOS counts in
    bytes.
    """
    import torch

    if torch.cuda.is_available():
        return int(torch.cuda.max_memory_allocated())
    with suppress(OSError):
        if found := re.search(r"VmHWM:\s*(\d+) kB", Path("/proc/self/status").read_text(encoding="utf-8")):
            return int(found[1]) * 1024
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most if sys.platform == "darwin" else most * 1024
