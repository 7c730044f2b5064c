"""Carry out one order to train: make the rows, train in a run folder, and write what was learned with its card.

What is written is an adapter folder, PEFT's two files, or a whole base, with `card.json`, which records what it is for,
which base and data made it, how, and the command that makes it again. A killed run goes on from its folder. Knows no
engine and no page.
"""

from __future__ import annotations

import json
import os
import platform
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from importlib.metadata import version
from pathlib import Path
from threading import Event
from typing import Any

from crossfade.adapters.ownership import set_owner
from crossfade.adapters.peft_files import CARD_FILE, NAME, AdapterFiles, read_adapter
from crossfade.adapters.swap import put, workplace
from crossfade.errors import AdapterError, TrainingError
from crossfade.models.torch_libraries import quiet_libraries, require_training_libraries
from crossfade.training.compose import Finder
from crossfade.training.overlap import Embed
from crossfade.training.plan import within_context
from crossfade.training.record import Progress, RunSettings, TrainingRecord, settings_from
from crossfade.training.rows import Source
from crossfade.training.run_folder import RunFolder, new_run, read_json
from crossfade.training.tokens import open_tokenizer, tokenizer_prompt_count

SAMPLES = 3
"""So many held-out rows are answered at each measurement, for people to read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What to train: the adapter's name and purpose, the rows, how, and the folder that its own goes into.

    `start` is an adapter whose weights the training goes on from.
    """

    name: str
    purpose: str
    source: Source
    out: Path
    command: str
    settings: RunSettings
    start: AdapterFiles | None = None
    replace: bool = False


def check_order(order: Order) -> None:
    """Raises TrainingError for a name that is not allowed or is taken, before anything is fetched or trained."""
    if not NAME.fullmatch(order.name):
        raise TrainingError(f"Adapter name {order.name!r} is not allowed: use up to 64 of a-z, 0-9, - and _.")
    _check_free(order.out / order.name, replace=order.replace)


def begin(
    order: Order,
    *,
    run: RunFolder,
    base_folder: Path,
    base: str,
    base_sha256: str,
    finder: Finder | None = None,
    embed: Embed | None = None,
) -> None:
    """Make the rows of an order and write both into a run's folder, from which `carry_out` trains.

    `base_folder` is the base in Hugging Face form. Raises TrainingError, CorpusError.
    """
    require_training_libraries()
    quiet_libraries()
    check_order(order)
    if order.start and order.start.base_sha256 not in ("", base_sha256):
        raise TrainingError(
            f"Adapter {order.start.name!r} was trained for the base {order.start.base_sha256[:12]}, and this is "
            f"{base_sha256[:12]}. Train on that base, or without a start."
        )
    virtual = getattr(order.settings, "virtual_tokens", 0)
    limit = within_context(order.settings.max_tokens, base_folder, virtual=virtual)
    settings = replace(order.settings, max_tokens=limit)
    tokenizer = open_tokenizer(base_folder)
    rows = order.source.rows(
        finder=finder,
        count=tokenizer_prompt_count(tokenizer),
        limit=limit,
        seed=settings.seed,
        control_tokens=tokenizer.all_special_tokens,
        embed=embed,
    )
    run.begin(
        {
            "name": order.name,
            "purpose": order.purpose,
            "out": str(order.out.absolute()),
            "command": order.command,
            "replace": order.replace,
            "method": settings.method,
            "settings": asdict(settings),
            "base": base,
            "base_sha256": base_sha256,
            "base_folder": str(base_folder),
            "data": rows.data,
            "data_file_sha256": rows.file_sha256,
            "task": rows.task,
            "corpus": rows.corpus,
            "instructions": rows.instructions,
            "template": rows.template,
            "report": rows.report,
            "mix": rows.mix,
            "start": {"folder": str(order.start.folder), "sha256": order.start.sha256} if order.start else None,
            "started": time.strftime("%Y-%m-%dT%H:%M:%S"),
            "environment": _environment(),
        },
        rows.learned,
        rows.held_out,
    )


def carry_out(run: RunFolder, *, progress: Progress | None = None, stop: Event | None = None) -> Path:
    """Train what a run folder orders, from where it was left, and return the folder of what was learned.

    That appears whole or not at all. The run's state tells how it ended. Raises TrainingError, and AdapterError where
    another process makes the same adapter.
    """
    order = run.order()
    with run.held():
        run.tell("running")
        try:
            folder = _carry_out(run, order, progress=progress, stop=stop)
        except Exception as error:
            with suppress(OSError):
                run.tell("failed", str(error))
            raise
        run.tell("cancelled" if stop and stop.is_set() else "done", made=str(folder))
    run.drop_checkpoints()
    return folder


def train_adapter(
    order: Order,
    *,
    runs: Path,
    base_folder: Path,
    base: str,
    base_sha256: str,
    finder: Finder | None = None,
    progress: Progress | None = None,
    stop: Event | None = None,
) -> Path:
    """`begin` and `carry_out`."""
    run = new_run(runs, order.name)
    begin(order, run=run, base_folder=base_folder, base=base, base_sha256=base_sha256, finder=finder)
    return carry_out(run, progress=progress, stop=stop)


def _carry_out(run: RunFolder, order: dict[str, Any], *, progress: Progress | None, stop: Event | None) -> Path:
    from crossfade.training.train import train

    learned, held_out = run.rows()
    out, name = Path(order["out"]), str(order["name"])
    folder, start = out / name, _start(order)
    if ((read_json(folder / CARD_FILE) or {}).get("run") or "") == _key(run, order):
        return folder  # it was made, and the run was killed before it could say so
    with _writing(out), workplace(folder) as scratch:
        _check_free(folder, replace=bool(order["replace"]))  # again: what a killed run had moved aside is back by now
        record = train(
            learned,
            base_folder=Path(order["base_folder"]),
            base=order["base"],
            base_identity=order["base_sha256"],
            out=scratch / name,
            settings=settings_from(order["method"], order["settings"]),
            held_out=held_out,
            start=start,
            folder=run,
            samples=SAMPLES,
            progress=progress,
            stop=stop,
        )
        made = card(order, record, start=start) | {"run": _key(run, order)}
        text = json.dumps(made, indent=1, ensure_ascii=False)
        (scratch / name / CARD_FILE).write_text(text + "\n", encoding="utf-8")
        if record.method != "full":
            read_adapter(scratch / name)
        set_owner(scratch / name, run.owner)
        put(scratch / name, folder)
    return folder


def _key(run: RunFolder, order: dict[str, Any]) -> str:
    """What a run's adapter is known by: the folder's name, and when it was started."""
    return f"{run.path.name} {order.get('started', '')}"


def _start(order: dict[str, Any]) -> AdapterFiles | None:
    """The adapter that a run goes on from. Raises TrainingError where it is no longer what it was."""
    if not (told := order.get("start")):
        return None
    try:
        start = read_adapter(Path(told["folder"]))
    except AdapterError as error:
        raise TrainingError(f"The adapter that this run began from cannot be read: {error}") from error
    if start.sha256 != told["sha256"]:
        raise TrainingError(f"{start.folder} is not the adapter any more that this run began from. Start it anew.")
    return start


@contextmanager
def _writing(out: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise TrainingError(f"No adapter was made in {out}: {error}. Free some space or give another --out.") from error


def card(order: dict[str, Any], record: TrainingRecord, *, start: AdapterFiles | None) -> dict[str, Any]:
    """What is recorded of an adapter beside its weights. Scores are added by evaluating, later."""
    told = ("purpose", "task", "corpus", "instructions", "template")
    return {
        **{key: order[key] for key in told if order.get(key)},
        "method": record.method,
        "base": record.base,
        "base_sha256": record.base_identity,
        "data": order["data"],
        "data_file_sha256": order["data_file_sha256"],
        "data_sha256": record.data_sha256,
        **({"mix": mix} if (mix := order.get("mix")) else {}),
        "rows": record.rows,
        "rows_too_long": [list(pair) for pair in record.left_out],
        "held_out_rows": record.held_out_rows,
        "settings": order["settings"],
        "trainable_parameters": record.trainable_parameters,
        "precision": record.precision,
        "device": record.device,
        "minutes": round(record.minutes, 2),
        "tokens_per_second": round(record.tokens_per_second, 1),
        "peak_memory_mb": round(record.peak_memory / 1e6),
        "train_loss": [[step, round(loss, 4)] for step, loss in record.train_loss],
        "held_out_loss": [[step, round(loss, 4)] for step, loss in record.held_out_loss],
        "kept_step": record.kept_step,
        "command": order["command"],
        **({"start": _origin(start)} if start else {}),
        **{key: round(value, 4) for key, value in record.more.items()},
        "scores": {},
    }


def _origin(start: AdapterFiles) -> dict[str, Any]:
    """What is recorded of the adapter that a training went on from: which it was, and how that was made."""
    told = ("data_file_sha256", "data_sha256", "mix", "rows", "settings", "minutes", "command", "start")
    return {"sha256": start.sha256, **{key: start.card.get(key) for key in told}}


def _check_free(folder: Path, *, replace: bool) -> None:
    if folder.exists() and not replace:
        raise TrainingError(f"{folder} exists already. Choose another name, or give --replace.")


def _environment() -> dict[str, Any]:
    import torch

    libraries = ("torch", "transformers", "peft", "accelerate")
    return {
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "processors": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else "",
        **{name: version(name) for name in libraries},
    }
