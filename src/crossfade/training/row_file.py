"""Rows as JSON lines, written whole or not at all."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from crossfade.errors import TrainingError
from crossfade.training.chats import as_messages
from crossfade.training.data import TrainingRow
from crossfade.types import Message


def message_row(row: TrainingRow) -> dict[str, Any]:
    """A row in the form of chat messages, its kind beside them where it has one."""
    turns = (*row.messages, Message("assistant", row.response))
    told: dict[str, Any] = {"messages": as_messages(turns, row.also)}
    return {**told, "kind": row.kind} if row.kind else told


def check_free(path: Path, *, replace: bool = False) -> None:
    """Raises TrainingError where rows may not be written to a path: before the work, as well as before the writing."""
    if path.suffix.lower() != ".jsonl":
        raise TrainingError(f"{path} is not allowed: rows are written to a .jsonl file.")
    if path.exists() and not replace:
        raise TrainingError(f"{path} is there already. Give another --out, or replace it with --replace.")


def write_rows(path: Path, rows: Iterable[dict[str, Any]], *, replace: bool = False) -> None:
    """Write a .jsonl file. Raises TrainingError as `check_free` does, and where it cannot be written."""
    check_free(path, replace=replace)
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        part.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
        os.replace(part, path)
    except OSError as error:
        raise TrainingError(f"{path} cannot be written: {error}. Free some space, or give another --out.") from error
    finally:
        part.unlink(missing_ok=True)
