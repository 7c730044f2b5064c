"""What the rooms below the page say in English, in the reader's language: a sentence is known by its English wording.

    [right_in]
    en = "{mode} was right in {share} of {count} questions."

in `texts/said.toml`, or in the `texts/said_*.toml` of one subject, stands for every such sentence, whatever its values
are. A value whose name ends in `_said` is itself such a sentence, one ending in `_list` several, parted by `; `, one
ending in `_names` names, or `none`. Several findings in one message are said one by one. What is not known stays as it
is.
"""

from __future__ import annotations

import re
import string
from functools import cache

from crossfade.training.findings import ALSO
from crossfade.ui.language import is_said, say, texts

MOST_CHARACTERS = 4_000
"""Of a sentence; a longer one, as names in a report that somebody loads can make it, is not looked at."""


def said(language: str, text: str) -> str:
    """A sentence of the core, in that language where its wording is known."""
    if language == "en":
        return text
    if ALSO in text:
        return say(language, "said_findings.also").join(said(language, part) for part in text.split(ALSO))
    if len(text) > MOST_CHARACTERS:
        return text
    for pattern, key in _patterns():
        if match := pattern.fullmatch(text):
            values = {name: _value(language, name, value) for name, value in match.groupdict().items()}
            return texts()[key][language].format(**values)
    return text


def said_status(language: str, line: str) -> str:
    """A line on what is loading, such as `Model: ready`, in that language where its wordings are known."""
    what, colon, state = line.partition(": ")
    between = colon if language == "en" else "："
    return f"{said(language, what)}{between}{said(language, state)}" if colon else said(language, line)


def fixed_parts(template: str) -> list[str]:
    """What a template says whatever its values are, piece by piece."""
    return [fixed for fixed, _, _, _ in string.Formatter().parse(template) if fixed]


def _value(language: str, name: str, value: str) -> str:
    if name.endswith("_said"):
        return said(language, value)
    if name.endswith("_names") and value == "none":
        return say(language, "said.none")
    if name.endswith("_list"):
        return "；".join(said(language, part) for part in value.split("; "))
    return value


@cache
def _patterns() -> list[tuple[re.Pattern[str], str]]:
    """Each English wording as an expression, those that say most first: a short one would take a longer one's text."""
    found = [(entry["en"], key) for key, entry in texts().items() if is_said(key)]
    found.sort(key=lambda pair: -sum(map(len, fixed_parts(pair[0]))))
    return [(_pattern(english), key) for english, key in found]


def _pattern(english: str) -> re.Pattern[str]:
    """The wording as an expression in which a value ends where what follows it first stands.

    No other end is tried (`(?>`), but of the last: that would take a power of the length, and nothing else runs
    meanwhile.
    """
    seen: set[str] = set()
    made, value = "", ""
    for fixed, name, _, _ in string.Formatter().parse(english):
        part = value + re.escape(fixed)
        value = ""
        if name:
            part = f"(?>{part})"
            value = f"(?P={name})" if name in seen else f"(?P<{name}>.*?)"
            seen.add(name)
        made += part
    return re.compile(made + value, re.DOTALL)
