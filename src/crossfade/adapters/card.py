"""Change what an adapter's card tells, beside whatever else writes there. Knows no subject of a card."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from crossfade.adapters.peft_files import CARD_FILE, read_card
from crossfade.adapters.swap import workplace


@contextmanager
def changed_card(folder: Path) -> Iterator[dict[str, Any]]:
    """The card of an adapter's folder, written on leaving; it stays whole if the process is killed.

    Raises AdapterError where another process makes the adapter or the card cannot be read, and OSError.
    """
    with workplace(folder) as scratch:
        card = read_card(folder)
        yield card
        (scratch / CARD_FILE).write_text(json.dumps(card, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
        os.replace(scratch / CARD_FILE, folder / CARD_FILE)
