"""Read an answer as an object: JSON, YAML, or a Markdown list or table of fields. Pure functions of texts.

Each form as its own parser or its published grammar has it: JSON by `json` (RFC 8259), YAML by PyYAML's safe loader
(YAML 1.1), Markdown as a list of `- name: value` or a table of two columns, names and values plain or in bold, either
of them with or without a heading.
"""

from __future__ import annotations

import json
import re
from typing import Any

import yaml

from crossfade.evaluation.metrics import json_complaint, parse_object, schema_complaint

MOST = 20_000
"""Characters of a YAML text that are read: aliases let a short one grow without end, and are refused besides."""
_FENCE = re.compile(r"^```\w*[ \t]*\n|\n?```\s*$")
_ITEM = re.compile(r"\s*[-*+] +(?:\*\*)?([^:*|]+?)(?:\*\*)? *: *(?:\*\*)? *(.*?) *$")
_ROW = re.compile(r"\s*\|\s*(?:\*\*)?([^|*]+?)(?:\*\*)?\s*\|\s*([^|]*?)\s*\|\s*$")
_HEADING = re.compile(r" {0,3}#{1,6}[ \t].*\S")
_RULE = re.compile(r"\s*\|?[\s:|-]+\|?\s*$")
_DIGITS = 300
"""A longer number is a text: no float holds it."""
_NUMBER = re.compile(r"-?\d+(?:\.\d+)?")


class _NoAliases(yaml.SafeLoader):
    """YAML without anchors and aliases, and with dates left as the texts that they are."""

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.events.AliasEvent):
            raise yaml.YAMLError("aliases are not read")
        return super().compose_node(parent, index)


_NoAliases.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in found if tag != "tag:yaml.org,2002:timestamp"]
    for first, found in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


def parse(text: str, form: str) -> dict[str, Any] | None:
    """The object that a text is in a form, or None. A code fence around it is forgiven; other words are not."""
    if form == "json":
        return parse_object(text)
    plain = _FENCE.sub("", text.strip())
    return _yaml(plain) if form == "yaml" else _markdown(plain)


def complaint(text: str, form: str, schema: dict[str, Any]) -> str:
    """What is first wrong with a text that should be an object of a schema in a form; empty where it is valid."""
    if form == "json":
        return json_complaint(text, schema)
    value = parse(text, form)
    return f"not {form} with one object" if value is None else schema_complaint(value, schema)


def _yaml(text: str) -> dict[str, Any] | None:
    if len(text) > MOST or text.startswith("{"):  # JSON is YAML by its grammar, and not what was asked for
        return None
    try:
        value = yaml.load(text, Loader=_NoAliases)
        json.dumps(value, sort_keys=True, allow_nan=False)  # what is no JSON, such as a set or bytes, is no object here
    except (yaml.YAMLError, ValueError, TypeError, LookupError, AttributeError, RecursionError):
        return None
    return value if isinstance(value, dict) and all(isinstance(key, str) for key in value) else None


def _markdown(text: str) -> dict[str, Any] | None:
    """Fields of a list or a table; nothing else may stand beside them but a heading and a table's head and rule."""
    lines = [line for line in text.splitlines() if line.strip()]
    if lines and _HEADING.match(lines[0]):
        lines = lines[1:]
    if len(lines) > 2 and _ROW.match(lines[0]) and _RULE.fullmatch(lines[1]):
        lines, pattern = lines[2:], _ROW
    else:
        pattern = _ITEM
    found = [pattern.match(line) for line in lines]
    if not found or not all(found):
        return None
    pairs = [(match[1].strip(), _scalar(match[2])) for match in found if match]
    return dict(pairs) if len({key for key, _ in pairs}) == len(pairs) else None


def _scalar(text: str) -> Any:
    """A field's value: null, true or false, a number, or a text."""
    if text.lower() in ("null", "none", "-", ""):
        return None
    if text.lower() in ("true", "false"):
        return text.lower() == "true"
    if len(text) < _DIGITS and _NUMBER.fullmatch(text):
        return float(text) if "." in text else int(text)
    return text
