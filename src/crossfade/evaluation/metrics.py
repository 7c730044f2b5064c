"""Score one answer. Pure functions of texts; knows no engine and no corpus.

Normalisation follows the published SQuAD evaluation (Rajpurkar et al., arXiv 1606.05250): lower case, no punctuation,
no articles, single spaces. What belongs to a number (`$7`, `0.5%`, `1,000`) is kept, since here numbers are answers.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Sequence
from typing import Any

from jsonschema.validators import validator_for
from referencing import Registry
from referencing.exceptions import Unresolvable

_UNSPACED = r"[\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\u0e00-\u0e7f]"
MAX_WORDS = 30
"""A right answer has at most so many words; longer ones hide what they say."""
REFUSALS = (
    "documents do not say",
    "documents do not tell",
    "documents don't say",
    "passages do not say",
    "passages do not tell",
    "passages don't say",
    "not in documents",
    "not in passages",
)


def normalise(text: str) -> str:
    """Lower case, without punctuation and articles, single spaces; thousands lose their comma."""
    text = re.sub(r"(?<=\d),(?=\d{3}\b)", "", text.lower())
    text = re.sub(r"(?<!\d)[.:](?!\d)|(?<=\d)[.:](?!\d)|(?<!\d)[.:](?=\d)", " ", text)
    text = re.sub(r"[^\w\s$%.:]", " ", re.sub(r"['’]", "", text))
    return " ".join(word for word in text.split() if word not in ("a", "an", "the"))


def contains_answer(text: str, accepted: Sequence[str], *, max_words: int = MAX_WORDS) -> bool:
    """Whether an accepted answer stands in the text as whole words, the text having at most `max_words` words."""
    if word_count(text) > max_words:
        return False
    padded = f" {' '.join(tokens(text))} "
    return any(f" {' '.join(wanted)} " in padded for answer in accepted if (wanted := tokens(answer)))


def exact_match(text: str, accepted: Sequence[str]) -> bool:
    """Whether the text is an accepted answer, both normalised; two empty ones agree (SQuAD)."""
    return any(normalise(text) == normalise(answer) for answer in accepted)


def token_f1(text: str, accepted: Sequence[str]) -> float:
    """The best F1 of the text's words against those of an accepted answer (SQuAD); CJK text counts by characters."""
    mine = tokens(text)
    return max((_overlap_f1(mine, tokens(answer)) for answer in accepted), default=0.0)


def tokens(text: str) -> list[str]:
    """The normalised words; where a script writes without spaces (Han, kana, Thai), each character is one."""
    return [
        token for word in normalise(text).split() for token in re.findall(rf"{_UNSPACED}|(?:(?!{_UNSPACED}).)+", word)
    ]


def _overlap_f1(mine: Sequence[str], wanted: Sequence[str]) -> float:
    if not mine or not wanted:
        return float(list(mine) == list(wanted))
    shared = (Counter(mine) & Counter(wanted)).total()
    return 2 * shared / (len(mine) + len(wanted))


def word_count(text: str) -> int:
    """The length in words; two characters of a script without spaces are about one word."""
    unspaced = len(re.findall(_UNSPACED, text))
    return len(re.sub(_UNSPACED, " ", text).split()) + (unspaced + 1) // 2


def macro_f1(given: Sequence[str], wanted: Sequence[str]) -> float:
    """The mean over the labels in `wanted` of each one's F1. Raises ValueError for no label."""
    if not wanted:
        raise ValueError("there is no label")
    pairs = Counter(zip(given, wanted, strict=True))
    told, true = Counter(given), Counter(wanted)
    return sum(2 * pairs[label, label] / (told[label] + true[label]) for label in true) / len(true)


def label_of(text: str, labels: Sequence[str]) -> str:
    """The label that an answer gives: the one that it is, else the only one it names, else an empty text."""
    plain = f" {normalise(text)} "
    named = [label for label in labels if f" {normalise(label)} " in plain]
    exact = [label for label in named if normalise(label) == plain.strip()]
    return exact[0] if exact else named[0] if len(named) == 1 else ""


def recall_at_k(documents: Sequence[str], gold: Sequence[str]) -> float:
    """The share of the gold documents among those found. Raises ValueError for no gold document."""
    if not gold:
        raise ValueError("there is no gold document")
    return len(set(gold) & set(documents)) / len(set(gold))


def reciprocal_rank(documents: Sequence[str], gold: Sequence[str]) -> float:
    """1 / the rank of the first passage from a gold document, 0 where there is none."""
    return next((1 / rank for rank, name in enumerate(documents, start=1) if name in gold), 0.0)


def is_refusal(text: str) -> bool:
    """Whether an answer says that the documents do not tell."""
    plain = normalise(text)
    return any(normalise(phrase) in plain for phrase in REFUSALS)


def parse_object(text: str) -> dict[str, Any] | None:
    """The JSON object that a text is, or None. A code fence around it is forgiven; other words are not."""
    text = re.sub(r"^```(?:json)?\s*|\s*```$", "", text.strip())
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def json_complaint(text: str, schema: dict[str, Any]) -> str:
    """What is first wrong with a text that should be JSON of a schema, or an empty text where it is valid."""

    def refuse(word: str) -> None:
        raise ValueError(word)

    try:
        value = json.loads(text, parse_constant=refuse)
    except json.JSONDecodeError as error:
        return f"not JSON ({error.msg}, line {error.lineno}, column {error.colno})."
    except (ValueError, RecursionError) as error:
        return f"not JSON ({error})."
    return schema_complaint(value, schema)


def schema_complaint(value: Any, schema: dict[str, Any]) -> str:
    """The first complaint of the JSON Schema validator, with its place, or an empty text for a valid value.

    A reference out of the schema is never followed: what cannot be looked up is the complaint.
    """
    try:
        found = list(validator_for(schema)(schema, registry=Registry()).iter_errors(value))
    except (Unresolvable, RecursionError) as error:
        return f"the schema cannot be followed: {error}"
    faults = sorted(found, key=lambda fault: list(map(str, fault.path)))
    if not faults:
        return ""
    place = ".".join(str(step) for step in faults[0].absolute_path)
    return f"{place + ': ' if place else ''}{faults[0].message}"


def field_f1(given: dict[str, Any] | None, gold: dict[str, Any]) -> float:
    """F1 over the fields that hold something: right = same key and same value, in given (precision) and gold (recall).

    A field that is null counts as empty on either side; two empty objects agree (1.0).
    """
    mine = {k: _plain(v) for k, v in (given or {}).items() if v is not None}
    wanted = {k: _plain(v) for k, v in gold.items() if v is not None}
    right = sum(mine.get(k) == v for k, v in wanted.items())
    return 2 * right / (len(mine) + len(wanted)) if mine or wanted else 1.0


def _plain(value: Any) -> Any:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return value.strip().lower() if isinstance(value, str) else json.dumps(value, sort_keys=True)
    return float(value)
