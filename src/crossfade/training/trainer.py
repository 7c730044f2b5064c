"""One training run of any adapter method on transformers' Trainer. Knows neither methods nor files.

The Trainer shuffles, schedules, clips and steps. One of its batches is one optimizer step; this module cuts it into
micro-batches of like length, so memory follows the micro-batch while the result follows the batch.
"""

from __future__ import annotations

import math
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from crossfade.errors import TrainingError
from crossfade.models.torch_libraries import autocast
from crossfade.training.batches import cut, learned_tokens, to_tensors
from crossfade.training.data import EncodedRow
from crossfade.training.record import Progress, RunSettings, TrainingProgress

if TYPE_CHECKING:
    import torch

_HELD_OUT_MEASUREMENTS = 4


@dataclass(frozen=True, slots=True)
class Curves:
    """The (step, loss) pairs of a run, and the seconds of its training without the held-out measurements."""

    train: tuple[tuple[int, float], ...]
    held_out: tuple[tuple[int, float], ...]
    seconds: float


def steps_of(rows: int, settings: RunSettings) -> int:
    """How many optimizer steps a run takes."""
    return settings.epochs * math.ceil(rows / settings.batch)


def run(
    model: Any,
    rows: Sequence[EncodedRow],
    *,
    held_out: Sequence[EncodedRow],
    settings: RunSettings,
    padding: int,
    device: str,
    progress: Progress | None,
) -> Curves:
    """Train the parameters of `model` that want a gradient, in place.

    Raises TrainingError when the loss is no number.
    """
    from transformers import PrinterCallback, Trainer, TrainerCallback

    watch = _Watch(rows=rows, held_out=held_out, settings=settings, padding=padding, device=device, progress=progress)

    class MicroBatchTrainer(Trainer):  # type: ignore[misc]
        def training_step(self, model: Any, inputs: dict[str, Any], num_items_in_batch: Any = None) -> torch.Tensor:
            model.train()
            batch: list[EncodedRow] = inputs["rows"]
            learned, loss = learned_tokens(batch), 0.0
            for micro in cut(batch, micro_batch=settings.micro_batch, micro_tokens=settings.micro_tokens):
                tensors = to_tensors(micro, padding=padding, device=device)
                with autocast(device):
                    part = model(**tensors, num_items_in_batch=learned).loss
                self.accelerator.backward(part)
                loss = loss + part.detach()
            return loss

        def floating_point_ops(self, inputs: Any) -> int:
            return 0  # it estimates from input_ids, which this batch does not have

    class Watching(TrainerCallback):  # type: ignore[misc]
        def on_train_begin(self, *args: Any, **kwargs: Any) -> None:
            watch.begin(model)

        def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **kwargs: Any) -> None:
            if logs and "loss" in logs:
                watch.step(model, state.global_step, float(logs["loss"]), float(logs.get("grad_norm", 0.0)))

    with tempfile.TemporaryDirectory(prefix="crossfade-train-") as scratch:
        trainer = MicroBatchTrainer(
            model=model,
            args=_arguments(settings, len(rows), scratch, device),
            train_dataset=_Rows(rows),
            data_collator=lambda batch: {"rows": batch},
            callbacks=[Watching()],
        )
        trainer.remove_callback(PrinterCallback)
        trainer.train()
    return watch.curves()


def _arguments(settings: RunSettings, rows: int, scratch: str, device: str) -> Any:
    from transformers import TrainingArguments

    return TrainingArguments(
        output_dir=scratch,
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
        save_strategy="no",
        logging_strategy="steps",
        logging_steps=1,
        logging_nan_inf_filter=False,  # the filter would hide a run that has broken down
        report_to="none",
        disable_tqdm=True,
        remove_unused_columns=False,
        dataloader_pin_memory=False,
    )


class _Rows:
    """A dataset in the sense of torch: a length and items."""

    def __init__(self, rows: Sequence[EncodedRow]) -> None:
        self._rows = rows

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, index: int) -> EncodedRow:
        return self._rows[index]


class _Watch:
    """Collects the curves, measures the held-out loss a few times, stops a run whose loss is no number."""

    def __init__(
        self,
        *,
        rows: Sequence[EncodedRow],
        held_out: Sequence[EncodedRow],
        settings: RunSettings,
        padding: int,
        device: str,
        progress: Progress | None,
    ) -> None:
        self._held_out, self._settings, self._padding = held_out, settings, padding
        self._device, self._progress = device, progress
        self._steps = steps_of(len(rows), settings)
        self._tokens_a_step = sum(map(len, rows)) * settings.epochs / self._steps
        self._every = max(1, math.ceil(self._steps / _HELD_OUT_MEASUREMENTS))
        self._train: list[tuple[int, float]] = []
        self._measured: list[tuple[int, float]] = []
        self._started = self._measuring = 0.0

    def begin(self, model: Any) -> None:
        self._started = time.perf_counter()
        self._measure(model, 0)

    def step(self, model: Any, step: int, loss: float, gradient_norm: float) -> None:
        if not math.isfinite(loss) or not math.isfinite(gradient_norm):
            raise TrainingError(
                f"The loss is not a number at step {step} of {self._steps}; nothing was saved. Lower learning_rate "
                f"(now {self._settings.learning_rate:g}) to a half or less, and look for broken rows."
            )
        self._train.append((step, loss))
        held_out = self._measure(model, step) if step % self._every == 0 or step == self._steps else None
        if self._progress:
            seconds = self._seconds()
            self._progress(
                TrainingProgress(
                    step=step,
                    steps=self._steps,
                    loss=loss,
                    held_out=held_out,
                    tokens_per_second=self._tokens_a_step * step / seconds,
                    seconds=time.perf_counter() - self._started,
                    seconds_left=seconds / step * (self._steps - step),
                )
            )

    def curves(self) -> Curves:
        return Curves(train=tuple(self._train), held_out=tuple(self._measured), seconds=self._seconds())

    def _seconds(self) -> float:
        return time.perf_counter() - self._started - self._measuring

    def _measure(self, model: Any, step: int) -> float | None:
        if not self._held_out:
            return None
        before = time.perf_counter()
        settings = self._settings
        loss = mean_loss(
            model,
            self._held_out,
            micro_batch=settings.micro_batch,
            micro_tokens=settings.micro_tokens,
            padding=self._padding,
            device=self._device,
        )
        self._measuring += time.perf_counter() - before
        self._measured.append((step, loss))
        return loss


def mean_loss(
    model: Any, rows: Sequence[EncodedRow], *, micro_batch: int, micro_tokens: int, padding: int, device: str
) -> float:
    """The mean loss of the learned tokens in nats; leaves the model in the mode, training or not, it was in."""
    import torch

    training, total = model.training, 0.0
    model.eval()
    with torch.no_grad(), autocast(device):
        for micro in cut(rows, micro_batch=micro_batch, micro_tokens=micro_tokens):
            total += float(model(**to_tensors(micro, padding=padding, device=device), num_items_in_batch=1).loss)
    model.train(training)
    return total / learned_tokens(rows)
