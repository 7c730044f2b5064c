"""What a question and the passages found for it show of whether the documents tell. Pure."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence

_YES_OR_NO = re.compile(r"(is|are|do|does|can|may|must|will|should|could|did|has|have|am)\b", re.I)
_HOW_MUCH = re.compile(r"how (much|many)|what percent", re.I)
_WHAT = re.compile("what", re.I)
_AMOUNT = re.compile(r"\b(cost|fee|charge|rate|price|interest|limit|amount|most|least|minimum|maximum)", re.I)
_WHO_OR_WHERE = re.compile(r"\b(which|who|where|what (kind|name|is the name))\b", re.I)


def signs(
    question: str,
    *,
    closest: float,
    words: Sequence[str],
    found: Sequence[Sequence[str]],
    texts_with: Mapping[str, int],
    texts: int,
) -> dict[str, float]:
    """The signs of `crossfade.corpora.absence.SIGNS`.

    `closest` is the highest cosine of question and passage. `words` are the question's, `found` those of each passage,
    all stemmed alike; `texts_with` counts the passages of the whole index that have a word, `texts` all of them.
    """
    rarity = {word: math.log(1 + texts / (0.5 + texts_with.get(word, 0))) for word in words}
    total = sum(rarity.values())
    covered = max((sum(rarity[w] for w in rarity if w in set(have)) for have in found), default=0.0)
    return {
        "closest passage": closest,
        "words covered": covered / total if total else 0.0,
        "unknown words": float(sum(word not in texts_with for word in rarity)),
        "asks yes or no": float(bool(_YES_OR_NO.match(question.strip()))),
        "asks how much": float(_asks_how_much(question)),
        "asks who or where": float(bool(_WHO_OR_WHERE.search(question))),
    }


def _asks_how_much(question: str) -> bool:
    # One expression for both words would look from each "what" to the end: too slow for a question made of many.
    what = _WHAT.search(question)
    return bool(_HOW_MUCH.search(question) or (what and _AMOUNT.search(question, what.end())))
