"""Train one adapter of a corpus's task from its rows, and write it with its card. Knows no engine and no page.

What is written is an adapter folder: PEFT's two files and `card.json`, which records what the adapter is for, which
base and data made it, how, and the command that makes it again.
"""

from __future__ import annotations

import hashlib
import json
import random
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from crossfade.adapters.peft_files import CARD_FILE, NAME, AdapterFiles, read_adapter
from crossfade.adapters.swap import put, workplace
from crossfade.corpora.registry import Corpus, Task, read_rows
from crossfade.errors import TrainingError
from crossfade.models.torch_libraries import quiet_libraries, require_training_libraries
from crossfade.training.compose import Finder, compose
from crossfade.training.record import LoraSettings, Progress, TrainingRecord
from crossfade.types import Message

HELD_OUT_EVERY = 20
"""One row of so many is watched and not learned."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What to train: the adapter's name and purpose, the task and corpus it belongs to, the rows, how, and where to.

    `start` is an adapter whose weights the training goes on from. `max_rows` are drawn from the rows made, all for 0.
    `earlier_turns` and `shuffled` are shares of them, as `compose` takes them.
    """

    name: str
    purpose: str
    corpus: Corpus
    task: Task
    data: Path
    out: Path
    command: str
    settings: LoraSettings
    start: AdapterFiles | None = None
    max_rows: int = 0
    earlier_turns: float = 0.0
    shuffled: float = 0.0
    replace: bool = False


def check_order(order: Order) -> None:
    """Raises TrainingError for a name that is not allowed or is taken, before anything is fetched or trained."""
    if not NAME.fullmatch(order.name):
        raise TrainingError(f"Adapter name {order.name!r} is not allowed: use up to 64 of a-z, 0-9, - and _.")
    folder = order.out / order.name
    if folder.exists() and not order.replace:
        raise TrainingError(f"{folder} exists already. Choose another name, or give --replace.")


def train_adapter(
    order: Order, *, base_folder: Path, base: str, base_sha256: str, finder: Finder, progress: Progress | None = None
) -> Path:
    """Train as ordered and return the adapter's folder, which appears whole or not at all.

    `base_folder` is the base in Hugging Face form. Raises TrainingError, CorpusError, and AdapterError
    where another process makes the same one.
    """
    require_training_libraries()
    quiet_libraries()
    from crossfade.training.lora import train_lora

    check_order(order)
    if order.start and order.start.base_sha256 not in ("", base_sha256):
        raise TrainingError(
            f"Adapter {order.start.name!r} was trained for the base {order.start.base_sha256[:12]}, and this is "
            f"{base_sha256[:12]}. Train on that base, or without a start."
        )
    folder = order.out / order.name
    rows = read_rows(order.data)
    data_file_sha256 = hashlib.sha256(order.data.read_bytes()).hexdigest()  # now: it may be edited while this trains
    learned = [r for r in rows if not _held_out(r)]
    watched = [r for r in rows if _held_out(r)]
    made = [
        compose(
            part,
            order.task,
            finder=finder,
            passages=order.corpus.passages,
            count=_counter(base_folder),
            limit=order.settings.max_tokens,
            earlier_turns=order.earlier_turns,
            shuffled=order.shuffled,
            seed=order.settings.seed,
        )
        for part in (learned, watched)
    ]
    if 0 < order.max_rows < len(made[0]):
        made[0] = random.Random(order.settings.seed).sample(made[0], order.max_rows)
    with _writing(order.out), workplace(folder) as scratch:
        check_order(order)  # again: what a killed run had moved aside is back by now
        record = train_lora(
            made[0],
            base_folder=base_folder,
            base=base,
            base_identity=base_sha256,
            out=scratch / order.name,
            settings=order.settings,
            held_out=made[1][:48],
            start=order.start,
            progress=progress,
        )
        _write_card(scratch / order.name, card(order, record, data_file_sha256=data_file_sha256))
        read_adapter(scratch / order.name)
        put(scratch / order.name, folder)
    return folder


@contextmanager
def _writing(out: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise TrainingError(f"No adapter was made in {out}: {error}. Free some space or give another --out.") from error


def card(order: Order, record: TrainingRecord, *, data_file_sha256: str) -> dict[str, Any]:
    """What is recorded of an adapter beside its weights. Scores are added by measuring, later."""
    return {
        "purpose": order.purpose,
        "task": order.task.name,
        "corpus": order.corpus.name,
        "method": record.method,
        "base": record.base,
        "base_sha256": record.base_identity,
        "data": order.data.name,
        "data_file_sha256": data_file_sha256,
        "data_sha256": record.data_sha256,
        "rows": record.rows,
        "rows_too_long": [list(pair) for pair in record.left_out],
        "held_out_rows": record.held_out_rows,
        "settings": asdict(order.settings),
        "trainable_parameters": record.trainable_parameters,
        "precision": record.precision,
        "device": record.device,
        "minutes": round(record.minutes, 2),
        "tokens_per_second": round(record.tokens_per_second, 1),
        "train_loss": [[step, round(loss, 4)] for step, loss in record.train_loss],
        "held_out_loss": [[step, round(loss, 4)] for step, loss in record.held_out_loss],
        "command": order.command,
        **({"start": _origin(order.start)} if order.start else {}),
        "scores": {},
    }


def _origin(start: AdapterFiles) -> dict[str, Any]:
    """What is recorded of the adapter that a training went on from: which it was, and how that was made."""
    told = ("data_file_sha256", "data_sha256", "rows", "settings", "minutes", "command", "start")
    return {"sha256": start.sha256, **{key: start.card.get(key) for key in told}}


def _write_card(folder: Path, content: dict[str, Any]) -> None:
    text = json.dumps(content, indent=1, ensure_ascii=False)
    (folder / CARD_FILE).write_text(text + "\n", encoding="utf-8")


def _held_out(row: dict[str, Any]) -> bool:
    """Whether a row is watched, decided by its text, so that it never changes sides."""
    text = str(row.get("question") or row.get("message"))
    return hashlib.sha256(text.encode()).digest()[0] % HELD_OUT_EVERY == 0


def _counter(base_folder: Path) -> Any:
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(base_folder, local_files_only=True, trust_remote_code=False)

    def count(messages: Sequence[Message]) -> int:
        chat = [{"role": m.role, "content": m.content} for m in messages]
        return len(
            tokenizer(tokenizer.apply_chat_template(chat, tokenize=False, add_generation_prompt=True))["input_ids"]
        )

    return count
