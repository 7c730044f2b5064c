"""Write rows as JSON lines, whole or not at all."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from crossfade.errors import TrainingError


def write_rows(path: Path, rows: Iterable[dict[str, Any]], *, replace: bool = False) -> None:
    """Write a .jsonl file.

    Raises TrainingError for another kind, for one that is there unless `replace`, and where it cannot be written.
    """
    if path.suffix.lower() != ".jsonl":
        raise TrainingError(f"{path} is not allowed: rows are written to a .jsonl file.")
    if path.exists() and not replace:
        raise TrainingError(f"{path} is there already. Give another --out, or replace it with --replace.")
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        part.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
        os.replace(part, path)
    except OSError as error:
        raise TrainingError(f"{path} cannot be written: {error}. Free some space, or give another --out.") from error
    finally:
        part.unlink(missing_ok=True)
