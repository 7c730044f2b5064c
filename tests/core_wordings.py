"""What the core can say, read from its source: the wording of each error, with `VALUE` for every value."""

from __future__ import annotations

import ast
import re
import string
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from crossfade import errors

SOURCE = Path(errors.__file__).parent
ERRORS = {name for name in vars(errors) if name.endswith("Error")}
VALUE = "\0"
REASONS = {"refuse", "Broken"}
"""What else is called with a reason that stands in an error or a list of the page."""
TOLD_ON = {"questions.py", "chats.py", "forms.py", "formats.py", "registry.py", "rules.py", "gguf_header.py"}
"""Modules whose ValueErrors are reasons of that kind."""


def shape(template: str) -> str:
    """A template of the page's texts with `VALUE` for each value."""
    return "".join(fixed + VALUE * (name is not None) for fixed, name, _, _ in string.Formatter().parse(template))


def raised(module: str) -> Iterator[tuple[int, str]]:
    """(line, wording) of each error of ours, or reason for one, that a module makes with a text of its own."""
    makers = ERRORS | REASONS | ({"ValueError"} if module.rpartition("/")[2] in TOLD_ON else set())
    for node in ast.walk(_tree(module)):
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") in makers:
            text = node.args[-1] if node.args else None
            if isinstance(text, ast.JoinedStr) or _is_text(text):
                yield node.lineno, _wording(text, module)


def told(module: str) -> set[str]:
    """Every text in a module, as a wording."""
    return {
        _wording(node, module) for node in ast.walk(_tree(module)) if isinstance(node, ast.JoinedStr | ast.Constant)
    }


def modules() -> list[str]:
    """Every module of the source, by its path."""
    return sorted(path.relative_to(SOURCE).as_posix() for path in SOURCE.rglob("*.py"))


@cache
def _tree(module: str) -> ast.Module:
    return ast.parse((SOURCE / module).read_text(encoding="utf-8"))


def _is_text(node: ast.AST | None) -> bool:
    return isinstance(node, ast.Constant) and isinstance(node.value, str)


def _wording(node: ast.AST | None, module: str) -> str:
    if isinstance(node, ast.JoinedStr):
        return "".join(_part(part, module) for part in node.values)
    return str(node.value) if isinstance(node, ast.Constant) else ""


def _part(part: ast.expr, module: str) -> str:
    if isinstance(part, ast.FormattedValue):
        if isinstance(part.value, ast.Name) and part.conversion == -1:
            return _constants(module).get(part.value.id, _imported().get(part.value.id, VALUE))
        return VALUE
    return _wording(part, module)


@cache
def _constants(module: str) -> dict[str, str]:
    """The texts that have a name in capitals at the top of a module."""
    found = {}
    for node in _tree(module).body:
        if isinstance(node, ast.Assign) and len(node.targets) == 1:
            names, values = _listed(node.targets[0]), _listed(node.value)
            for name, value in zip(names, values, strict=False):
                if isinstance(name, ast.Name) and re.fullmatch("[A-Z_]+", name.id) and _is_text(value):
                    found[name.id] = str(getattr(value, "value", ""))
    return found


@cache
def _imported() -> dict[str, str]:
    return {name: value for module in modules() for name, value in _constants(module).items()}


def _listed(node: ast.expr) -> list[ast.expr]:
    return node.elts if isinstance(node, ast.Tuple) else [node]
