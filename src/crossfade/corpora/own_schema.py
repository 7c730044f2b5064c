"""A JSON schema that somebody wrote into a page: read, checked and bounded. Knows nothing of who enforces it.

A schema is a program that the server runs, so that what could make it run without end is refused: references out of the
text or in a circle, references that multiply, patterns that can backtrack, and counts that a grammar is unrolled by.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from functools import lru_cache
from typing import Any

from crossfade.errors import QuestionError

MOST_CHARACTERS = 20_000
MOST_DEPTH = 20
MOST_PARTS = 5_000
"""Values in the schema, each reference counted as what it stands for."""
MOST_COUNT = 1_000
"""Of characters, items or properties that a schema asks for."""
MOST_PATTERN = 200
_COUNTS = (
    "minLength",
    "maxLength",
    "minItems",
    "maxItems",
    "minProperties",
    "maxProperties",
    "minContains",
    "maxContains",
)
_ANCHORS = ("$id", "id", "$anchor", "$dynamicAnchor", "$dynamicRef", "$recursiveRef", "$recursiveAnchor")
_PLAIN = re.compile(r"\\.|\[\^?\]?(?:\\.|[^\]\\])*\]", re.S)
_NUMBER = re.compile(r"[0-9]{1,5}")
_VARIES = re.compile(r"[*+?]|\{\d*,\d*\}")


@lru_cache(maxsize=64)
def read_schema(text: str) -> dict[str, Any]:
    """The schema that a text is. Raises QuestionError with what is wrong and where; the result is not to be changed."""
    # Loaded when first needed: whoever writes no schema need not wait for it.
    from jsonschema import Draft202012Validator
    from jsonschema.exceptions import SchemaError
    from jsonschema.validators import validator_for

    if len(text) > MOST_CHARACTERS:
        raise QuestionError(f"The schema has {len(text):,} characters; at most {MOST_CHARACTERS:,} are read.")
    try:
        schema = json.loads(text)
    except json.JSONDecodeError as error:
        raise QuestionError(
            f"The schema is not JSON: {error.msg}, line {error.lineno}, column {error.colno}."
        ) from error
    except (ValueError, RecursionError) as error:
        raise QuestionError(f"The schema is not JSON: {error}.") from error
    if not isinstance(schema, dict):
        raise QuestionError('A schema is a JSON object, such as {"type": "object", "properties": {}}.')
    for number, _ in enumerate(_parts(schema, schema, "", ())):
        if number >= MOST_PARTS:
            raise QuestionError(f"The schema stands for more than {MOST_PARTS:,} parts. Make it smaller.")
    try:
        validator_for(schema, default=Draft202012Validator).check_schema(schema)
    except SchemaError as error:
        place = "/".join(map(str, error.absolute_path))
        raise QuestionError(f"This is no JSON schema, at {place or 'its root'}: {error.message}.") from error
    except RecursionError as error:
        raise QuestionError("The schema is too deep.") from error
    return schema


def _parts(part: Any, root: dict[str, Any], place: str, inside: tuple[str, ...], depth: int = 0) -> Iterator[Any]:
    """Each value that a part stands for, checked; `inside` are the references that led here. Raises QuestionError."""
    if depth > MOST_DEPTH:
        raise QuestionError(f"The schema is deeper than {MOST_DEPTH} levels, at {place}. Make it flatter.")
    yield part
    if isinstance(part, list):
        for number, item in enumerate(part):
            yield from _parts(item, root, f"{place}/{number}", inside, depth + 1)
    elif isinstance(part, dict):
        for key, value in part.items():
            here = f"{place}/{key}"
            _check_word(key, value, here)
            if key == "$ref" and isinstance(value, str):
                if value in inside:
                    raise QuestionError(f"The schema refers to itself in a circle, at {here}: {value[:80]!r}.")
                yield from _parts(_found(root, value, here), root, here, (*inside, value), depth + 1)
            else:
                yield from _parts(value, root, here, inside, depth + 1)


def _check_word(key: str, value: Any, place: str) -> None:
    if key in _ANCHORS and isinstance(value, str):
        raise QuestionError(f"{key!r} is not taken, at {place}. Refer by '#/$defs/name'.")
    if key in _COUNTS and isinstance(value, int | float) and value > MOST_COUNT:
        raise QuestionError(f"{key} is {value:,}, at {place}; at most {MOST_COUNT:,} is taken.")
    patterns = [value] if key == "pattern" and isinstance(value, str) else []
    patterns += list(value) if key == "patternProperties" and isinstance(value, dict) else []
    for pattern in patterns:
        _check_pattern(pattern, place)


def _check_pattern(pattern: str, place: str) -> None:
    """Whether a pattern is one that cannot backtrack for long: no choice, no group repeated, one part that varies."""
    plain = _PLAIN.sub("x", pattern)
    try:
        re.compile(pattern)
    except (re.error, OverflowError, RecursionError) as error:
        raise QuestionError(f"The pattern at {place} cannot be read: {error}.") from error
    backs = re.search(r"\\[1-9]", pattern)
    if (
        len(pattern) > MOST_PATTERN
        or len(_VARIES.findall(plain)) > 1
        or backs
        or re.search(r"[|]|\)[*+?{]|\(\?", plain)
    ):
        raise QuestionError(
            f"The pattern at {place} may take too long: write one of at most {MOST_PATTERN} characters, without "
            "choices and repeated groups, in which at most one part varies in length."
        )


def _found(root: dict[str, Any], reference: str, place: str) -> Any:
    """What a reference within the text leads to. Raises QuestionError."""
    found: Any = root
    if reference != "#" and not reference.startswith("#/"):
        raise QuestionError(
            f"The reference {reference[:80]!r}, at {place}, leads out of the schema. Refer by '#/$defs/name'."
        )
    for step in filter(None, reference[1:].split("/")):
        name = step.replace("~1", "/").replace("~0", "~")
        inner = (
            found[int(name)] if isinstance(found, list) and _NUMBER.fullmatch(name) and int(name) < len(found) else None
        )
        found = found.get(name) if isinstance(found, dict) else inner
        if found is None:
            raise QuestionError(f"The reference {reference[:80]!r}, at {place}, leads to nothing.")
    return found
