"""The adapters and blends that the evaluate tab is to measure, each a column of its own. Draws nothing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from crossfade.adapters.written import written_blend
from crossfade.engines.requests import check_blend
from crossfade.types import Blend
from crossfade.ui.controls import Catalog


def is_there(text: str, loaded: Sequence[str]) -> bool:
    """Whether every adapter that a text names is loaded."""
    return all(part.partition(":")[0].strip() in loaded for part in str(text).split("+"))


def blends_of(mine: Catalog, chosen: str, others: Sequence[Any], shown: str) -> list[Blend]:
    """The blend of each column that uses adapters: the chosen adapter, then what was picked or written.

    Raises QuestionError for one that is written wrongly, AdapterError for an adapter that the visitor has not.
    """
    blends: list[Blend] = [((chosen, 1.0),)] if chosen else []
    for text in map(str, others):
        blend = written_blend(text)
        mine.check(blend, language=shown)
        check_blend(blend, mine.loaded())
        blends.append(blend)
    return blends
