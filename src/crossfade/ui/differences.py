"""What is different between two answers: word by word, and field by field where both are objects. Pure.

A word that the first answer alone has is a `<del>`, one that the second alone has an `<ins>`: screen readers tell them.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import Any

from crossfade.evaluation import structure
from crossfade.ui.escaping import escape
from crossfade.ui.language import say

MOST_WORDS = 4_000
"""Of one answer; what comes after is not compared."""
MOST_FIELDS = 400
_WORD = re.compile(r"\s+|[\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\u0e00-\u0e7f]|\w+|[^\w\s]")


@dataclass(frozen=True, slots=True)
class Field:
    """One field of two objects as JSON text, None where an object has it not."""

    name: str
    first: str | None
    second: str | None

    @property
    def same(self) -> bool:
        """Whether both have it, with the same value."""
        return self.first == self.second


def words(text: str) -> list[str]:
    """Words, signs and blanks, which together are the text; in scripts without spaces each character is a word."""
    return _WORD.findall(text)


def changes(first: str, second: str) -> Iterator[tuple[str, str, str]]:
    """(kind, what the first has, what the second has) from beginning to end; kind is `same` or `other`."""
    a, b = words(first)[:MOST_WORDS], words(second)[:MOST_WORDS]
    for tag, i, j, k, m in SequenceMatcher(None, a, b, autojunk=False).get_opcodes():
        yield "same" if tag == "equal" else "other", "".join(a[i:j]), "".join(b[k:m])


def fields(first: Any, second: Any, name: str = "") -> Iterator[Field]:
    """The fields of two values, those of inner objects and lists by their path, such as `items.0.name`."""
    kinds = (dict, list)
    if type(first) is type(second) and isinstance(first, kinds) and (first or second):
        mine, other = (dict(enumerate(v)) if isinstance(v, list) else v for v in (first, second))
        for key in [*mine, *(key for key in other if key not in mine)]:
            path = f"{name}.{key}" if name else str(key)
            if key in mine and key in other:
                yield from fields(mine[key], other[key], path)
            else:
                yield Field(path, *(_text(v[key]) if key in v else None for v in (mine, other)))
    else:
        yield Field(name, _text(first), _text(second))


def difference_html(first: str, second: str, *, names: tuple[str, str], form: str = "", language: str = "en") -> str:
    """Both texts in one; a table of fields where they are objects in a form. `names` are those of the two answers."""
    objects = [structure.parse(text, form) if form else None for text in (first, second)]
    if objects[0] is not None and objects[1] is not None:
        return _table(objects[0], objects[1], names, language)
    left_out = ""
    if form:
        none = [name for name, value in zip(names, objects, strict=True) if value is None]
        told = say(language, "compare.no_object", names=", ".join(none))
        left_out = f'<div class="cf-note" role="status">{escape(told)}</div>'
    if first == second:
        told = say(language, "compare.same_words")
        return f'{left_out}<div class="cf-note" role="status">{escape(told)}</div>'
    parts = []
    for kind, mine, other in changes(first, second):
        if kind == "same":
            parts.append(escape(mine))
            continue
        parts += [f"<del>{escape(mine)}</del>"] if mine else []
        parts += [f"<ins>{escape(other)}</ins>"] if other else []
    first_name, second_name = map(escape, names)
    legend = (
        f'<div class="cf-legend"><del>{first_name}</del> {escape(say(language, "compare.alone"))} &#183; '
        f"<ins>{second_name}</ins> {escape(say(language, 'compare.alone'))}</div>"
    )
    return f'{left_out}{legend}<div class="cf-difference" dir="auto">{"".join(parts)}</div>'


def _table(first: dict[str, Any], second: dict[str, Any], names: tuple[str, str], language: str) -> str:
    found = list(fields(first, second))[:MOST_FIELDS]
    missing = f'<i class="cf-missing">{escape(say(language, "compare.missing"))}</i>'

    def cell(text: str | None, tag: str, same: bool) -> str:
        if text is None:
            return f"<td>{missing}</td>"
        return f"<td>{escape(text)}</td>" if same else f"<td><{tag}>{escape(text)}</{tag}></td>"

    rows = "".join(
        f'<tr class="{"cf-same" if field.same else "cf-other"}"><th scope="row">{escape(field.name)}</th>'
        f"{cell(field.first, 'del', field.same)}{cell(field.second, 'ins', field.same)}<td>"
        + escape(say(language, "compare.same") if field.same else say(language, "compare.different"))
        + "</td></tr>"
        for field in found
    )
    heads = (say(language, "compare.field"), *names, say(language, "compare.same_or_not"))
    head = "".join(f'<th scope="col">{escape(text)}</th>' for text in heads)
    other = sum(not field.same for field in found)
    told = say(language, "compare.fields_differ", count=other, total=len(found))
    return (
        f'<div class="cf-note" role="status">{escape(told)}</div><div class="cf-table cf-fields"><table>'
        f"<thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table></div>"
    )


def _text(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, sort_keys=True)
