"""Score one answer. Pure functions of texts; knows no engine and no corpus.

Normalisation follows the published SQuAD evaluation (Rajpurkar et al., arXiv 1606.05250): lower case, no punctuation,
no articles, single spaces. What belongs to a number (`$7`, `0.5%`, `1,000`) is kept, since here numbers are answers.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Any

from jsonschema.validators import validator_for
from referencing import Registry
from referencing.exceptions import Unresolvable

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
    if len(text.split()) > max_words:
        return False
    padded = f" {normalise(text)} "
    return any(f" {wanted} " in padded for answer in accepted if (wanted := normalise(answer)))


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
