"""Change what an adapter's card tells, beside whatever else writes there. Knows no subject of a card."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from crossfade.adapters.manage import disk_errors
from crossfade.adapters.peft_files import CARD_FILE, read_card
from crossfade.adapters.swap import workplace


@contextmanager
def changed_card(folder: Path) -> Iterator[dict[str, Any]]:
    """The card of an adapter's folder, written on leaving; it stays whole if the process is killed.

    Raises AdapterError where another process makes the adapter, and where the card cannot be read or written.
    """
    with disk_errors(f"The card of {folder.name!r} cannot be written", folder.parent), workplace(folder) as scratch:
        card = read_card(folder)
        yield card
        text = json.dumps(card, indent=1, ensure_ascii=False) + "\n"
        # A card from anybody may hold half of a character: what replaces it is its escape in JSON.
        (scratch / CARD_FILE).write_text(text, encoding="utf-8", errors="backslashreplace")
        os.replace(scratch / CARD_FILE, folder / CARD_FILE)


def check_writable(folder: Path) -> None:
    """Look before work that ends in a card whether it could be written. Raises AdapterError."""
    with disk_errors(f"The card of {folder.name!r} cannot be written", folder.parent), workplace(folder):
        if not os.access(folder, os.W_OK):
            raise PermissionError(f"{folder} is read-only")
