"""What the fields of an order say: columns, settings, judging sets, and the words of `crossfade train` for all of it.

A field that is out of sight, since the method or the form has none, is not meant. Draws nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from crossfade.errors import TrainingError
from crossfade.training.record import layers_of
from crossfade.ui.language import say
from crossfade.ui.training_choices import OF_METHOD

COLUMNS = {
    "form": "form",
    "prompt_column": "prompt",
    "response_column": "response",
    "input_column": "input",
    "system_column": "system",
    "template": "template",
    "instructions": "instructions",
}
"""The fields that tell what the columns are, each with what `guess` calls it."""
NUMBERS = {
    "epochs": "training.epochs",
    "learning_rate": "training.learning_rate",
    "rank": "training.rank",
    "virtual_tokens": "training.virtual_tokens",
    "patience": "training.patience",
    "max_rows": "training.max_rows",
}
"""The fields that hold a number, each with its label."""


def text_of(given: Mapping[str, Any], name: str) -> str:
    """What a field holds, without spaces around it."""
    return str(given[name] or "").strip()


def columns_of(given: Mapping[str, Any]) -> dict[str, str]:
    """What is said of the columns, as `guess` calls it."""
    return {COLUMNS[name]: value for name, value in _columns(given).items()}


def changes_of(given: Mapping[str, Any], language: str) -> dict[str, Any]:
    """What is said beside method and preset. Raises TrainingError for what is no number."""
    shown = [name for name in (*NUMBERS, "layers") if given["method"] in OF_METHOD.get(name, (given["method"],))]
    return {
        name: layers_of(text_of(given, name)) if name == "layers" else _number(given, name, language)
        for name in shown
        if name != "max_rows"
    }


def against_of(given: Mapping[str, Any], sets: Mapping[str, Path]) -> list[Path]:
    """The judging sets that are named. Raises TrainingError for one that is none of those there are."""
    if gone := [name for name in given["against"] or () if name not in sets]:
        raise TrainingError(f"{gone[0]} is not there any more. Choose another judging set.")
    return [sets[name] for name in given["against"] or ()]


def words_of(given: Mapping[str, Any], path: Path, *, base: str, against: list[Path], language: str) -> list[str]:
    """The order as the words of `crossfade train`, of rows at a path. Raises TrainingError for what is no number."""
    words = ["--data", str(path), "--name", text_of(given, "name"), "--purpose", text_of(given, "purpose")]
    words += ["--method", given["method"], "--preset", given["preset"], "--base", base]
    for name, value in _columns(given).items():
        words += [_option(name), value] if value else []
    words += [word for judging in against for word in ("--against", str(judging))]
    words += ["--despite-overlap", despite] if (despite := text_of(given, "despite")) else []
    changes = changes_of(given, language) | {"max_rows": _number(given, "max_rows", language)}
    if changes.pop("layers", None):
        words += ["--layers", text_of(given, "layers")]
    return words + [w for n, v in changes.items() if v is not None for w in (_option(n), str(v))]


def _columns(given: Mapping[str, Any]) -> dict[str, str]:
    said = {name: text_of(given, name) for name in COLUMNS}
    return said if given["form"] == "label" else said | {"template": ""}


def _option(name: str) -> str:
    return f"--{name.replace('_', '-')}"


def _number(given: Mapping[str, Any], name: str, language: str) -> int | float | None:
    """What a field holds, None for nothing. Raises TrainingError where it is no number that is allowed there."""
    text = text_of(given, name)
    try:
        number = float(text) if name == "learning_rate" and text else int(text) if text else None
    except ValueError:
        number = -1
    if number is None or 0 <= number < float("inf"):
        return number
    kind = say(language, "training.a_fraction" if name == "learning_rate" else "training.a_whole_number")
    what = say(language, NUMBERS[name])
    raise TrainingError(say(language, "training.no_number", what=what, given=text[:40], kind=kind))
