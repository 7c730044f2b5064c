"""One training run of any method on transformers' Trainer. Knows no method beyond its hooks, and no data format.

The Trainer shuffles, schedules, clips, steps and writes checkpoints. One of its batches is one optimizer step; this
module cuts it into micro-batches of like length, so memory follows the micro-batch while the result follows the batch.
A checkpoint holds the trained parameters alone beside the optimizer's state, and counts once it is marked as whole.
"""

from __future__ import annotations

import errno
import math
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING, Any

from crossfade.errors import TrainingError
from crossfade.models.torch_libraries import autocast
from crossfade.training.batches import IGNORED, cut, learned_tokens, to_tensors
from crossfade.training.best import Measurement
from crossfade.training.checkpoint import read_state, write_state
from crossfade.training.data import EncodedRow
from crossfade.training.methods import Method
from crossfade.training.record import CHECKPOINT_SECONDS, Progress, RunSettings, Sample
from crossfade.training.run_folder import RunFolder
from crossfade.training.watch import Watch

if TYPE_CHECKING:
    import torch

_KEPT_FILE = "trained.safetensors"


@dataclass(frozen=True, slots=True)
class Curves:
    """The (step, loss) pairs of a run, the step whose weights were kept, and the seconds without the measurements."""

    train: tuple[tuple[int, float], ...]
    held_out: tuple[tuple[int, float], ...]
    kept_step: int
    seconds: float


def steps_of(rows: int, settings: RunSettings) -> int:
    """How many optimizer steps a run takes."""
    return settings.epochs * math.ceil(rows / settings.batch)


def run(
    model: Any,
    rows: Sequence[EncodedRow],
    *,
    method: Method,
    held_out: Sequence[EncodedRow],
    settings: RunSettings,
    folder: RunFolder,
    padding: int,
    device: str,
    progress: Progress | None = None,
    sample: Callable[[int], Sequence[Sample]] | None = None,
    stop: Event | None = None,
    checkpoint_seconds: float = CHECKPOINT_SECONDS,
) -> Curves:
    """Train the parameters of `model` that want a gradient, in place; those are kept that `best` says.

    It goes on from the last whole checkpoint in `folder`, if there is one. `sample` answers held-out rows at each
    measurement. `stop` ends the run after the step under way, with the best so far. Raises TrainingError: the loss is
    no number.
    """
    from transformers import PrinterCallback

    steps = steps_of(len(rows), settings)
    tokens = sum(map(len, rows)) * settings.epochs

    def measure(step: int) -> Measurement:
        losses = row_losses(model, held_out, settings, padding=padding, device=device)
        return Measurement(step, sum(losses) / learned_tokens(held_out), losses)

    watch = Watch(
        model,
        method,
        settings,
        folder=folder,
        steps=steps,
        tokens_a_step=tokens / steps,
        measure=measure if held_out else None,
        sample=sample,
        progress=progress,
    )

    trainer = _micro_batch_trainer(method, settings, padding=padding, device=device)(
        model=model,
        args=_arguments(settings, len(rows), folder.checkpoints, device),
        train_dataset=_Rows(rows),
        data_collator=lambda batch: {"rows": batch},
        callbacks=[_callback(watch, model, method, folder, stop=stop, checkpoint_seconds=checkpoint_seconds)],
    )
    trainer.remove_callback(PrinterCallback)
    folder.drop_half_written()
    start = folder.last_checkpoint()
    trainer.train(resume_from_checkpoint=str(start) if start else None)
    kept_step = watch.keep_the_best()
    train, watched = watch.curves
    return Curves(train=train, held_out=watched, kept_step=kept_step, seconds=watch.seconds)


def _micro_batch_trainer(method: Method, settings: RunSettings, *, padding: int, device: str) -> Any:
    """A Trainer whose steps are cut into micro-batches, and whose checkpoints hold the trained parameters alone."""
    from transformers import Trainer

    class MicroBatchTrainer(Trainer):  # type: ignore[misc]
        def training_step(self, model: Any, inputs: dict[str, Any], num_items_in_batch: Any = None) -> torch.Tensor:
            model.train()
            batch: list[EncodedRow] = inputs["rows"]
            learned, loss = learned_tokens(batch), 0.0
            micros = cut(batch, micro_batch=settings.micro_batch, micro_tokens=settings.micro_tokens)
            method.before_step(model, len(micros))
            for micro in micros:
                tensors = to_tensors(micro, padding=padding, device=device)
                with autocast(device):
                    part = model(**tensors, num_items_in_batch=learned).loss
                self.accelerator.backward(part)
                loss = loss + part.detach()
            return loss

        def floating_point_ops(self, inputs: Any) -> int:
            return 0  # it estimates from input_ids, which this batch does not have

        def _save(self, output_dir: str | None = None, state_dict: Any = None) -> None:
            assert output_dir is not None
            write_state(Path(output_dir) / _KEPT_FILE, self.model, method, step=self.state.global_step)

        def _load_from_checkpoint(self, resume_from_checkpoint: str, model: Any = None) -> None:
            read_state(Path(resume_from_checkpoint) / _KEPT_FILE, self.model, method)

    return MicroBatchTrainer


def _callback(
    watch: Watch, model: Any, method: Method, folder: RunFolder, *, stop: Event | None, checkpoint_seconds: float
) -> Any:
    """What the Trainer tells of each step: to the watch, to the method, and back whether to end or to save."""
    from transformers import TrainerCallback

    class Watching(TrainerCallback):  # type: ignore[misc]
        def __init__(self) -> None:
            self.written = time.monotonic()

        def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
            watch.begin(state.global_step)

        def on_optimizer_step(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
            method.after_step(model, state.global_step + 1)

        def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **kwargs: Any) -> None:
            if not logs or "loss" not in logs:
                return
            cancelled = stop is not None and stop.is_set()
            watch.step(state.global_step, float(logs["loss"]), float(logs.get("grad_norm", 0.0)), last=cancelled)
            if cancelled or watch.gets_worse:
                control.should_training_stop = True
            elif time.monotonic() - self.written >= checkpoint_seconds:
                control.should_save = True

        def on_save(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
            folder.mark_whole(state.global_step)
            self.written = time.monotonic()

    return Watching()


def row_losses(
    model: Any, rows: Sequence[EncodedRow], settings: RunSettings, *, padding: int, device: str
) -> tuple[float, ...]:
    """Each row's nats over all its learned tokens, the shortest row first; nothing that a method adds to a loss.

    Leaves the model in the mode, training or not, it was in.
    """
    import torch
    from torch.nn.functional import cross_entropy

    training, losses = model.training, []
    model.eval()
    with torch.no_grad(), autocast(device):
        for micro in cut(rows, micro_batch=settings.micro_batch, micro_tokens=settings.micro_tokens):
            given = to_tensors(micro, padding=padding, device=device)
            labels = given.pop("shift_labels")  # (rows, kept)
            del given["labels"]
            logits = model(**given).logits.float()  # (rows, kept, vocabulary)
            nats = cross_entropy(logits.flatten(0, 1), labels.flatten(), ignore_index=IGNORED, reduction="none")
            losses += nats.view_as(labels).sum(dim=1).tolist()
    model.train(training)
    return tuple(losses)


def _arguments(settings: RunSettings, rows: int, checkpoints: Path, device: str) -> Any:
    from transformers import TrainingArguments

    arguments = TrainingArguments(
        output_dir=str(checkpoints),
        per_device_train_batch_size=settings.batch,
        num_train_epochs=settings.epochs,
        learning_rate=settings.learning_rate,
        lr_scheduler_type="cosine",
        warmup_steps=int(settings.warm_up * steps_of(rows, settings)),
        max_grad_norm=1.0,
        weight_decay=0.0,
        optim="adamw_torch",
        seed=settings.seed,
        use_cpu=device == "cpu",
        save_strategy="no",  # the callback asks for checkpoints, by the clock
        save_total_limit=2,
        logging_strategy="steps",
        logging_steps=1,
        logging_nan_inf_filter=False,  # the filter would hide a run that has broken down
        report_to="none",
        disable_tqdm=True,
        remove_unused_columns=False,
        dataloader_pin_memory=False,
    )
    _ = arguments.n_gpu  # sets what is set next
    arguments._n_gpu = 1  # with more, torch would split batches that are no tensors
    return arguments


@contextmanager
def limits_told(folder: RunFolder, settings: RunSettings) -> Iterator[None]:
    """A full disk and too little memory become a TrainingError that says what to change."""
    from safetensors import SafetensorError

    try:
        yield
    except (OSError, RuntimeError, MemoryError, SafetensorError) as error:
        if why := _what_to_change(error, folder, settings):
            raise TrainingError(why) from error
        raise


def _what_to_change(error: Exception, folder: RunFolder, settings: RunSettings) -> str:
    """What a person can do about an error of the machine, or "" where it is none of those known."""
    text = str(error)
    if getattr(error, "errno", None) == errno.ENOSPC or "No space left" in text or "PytorchStreamWriter" in text:
        return (
            f"The disk is full: a checkpoint cannot be written to {folder.path}. Free some space and go on with "
            f"`crossfade train resume {folder.path.name}`; what was written before is kept."
        )
    if isinstance(error, MemoryError) or "out of memory" in text.lower() or "can't allocate memory" in text:
        return (
            f"The memory does not suffice. Lower --micro-tokens (now {settings.micro_tokens}) or --max-tokens (now "
            f"{settings.max_tokens}), close other programs, or choose LoRA or QLoRA, which need less than "
            f"{settings.method or 'this method'}."
        )
    return ""


class _Rows:
    """A dataset in the sense of torch: a length and items."""

    def __init__(self, rows: Sequence[EncodedRow]) -> None:
        self._rows = rows

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, index: int) -> EncodedRow:
        return self._rows[index]
