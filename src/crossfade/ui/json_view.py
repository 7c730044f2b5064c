"""An answer that should be an object, as one that can be folded, with each complaint at its place. Pure.

The view is made of nested `<details>`: it needs no script to fold. Copy and download do, and find the text by class, in
the page's one listener (`SCRIPT`); what they take is the text of the answer as it stands in `.cf-raw`.
"""

from __future__ import annotations

import json
from collections import defaultdict
from typing import Any

from jsonschema.validators import validator_for
from referencing import Registry
from referencing.exceptions import Unresolvable

from crossfade.evaluation import structure
from crossfade.ui.escaping import escape
from crossfade.ui.language import say
from crossfade.ui.phrases import said

MOST_DEPTH = 30
"""Objects within objects; a deeper one is shown as text alone."""
MOST_FIELDS = 2_000
"""Of one object; a larger one is shown as text alone."""

Path = tuple[str | int, ...]
Complaints = dict[Path, list[str]]

SCRIPT = """
if (!window.crossfadeJson) {
  window.crossfadeJson = true;
  document.addEventListener('click', async (event) => {
    const button = event.target.closest?.('.cf-json-copy, .cf-json-download');
    const raw = button?.closest('.cf-object')?.querySelector('.cf-raw')?.textContent;
    if (raw == null) return;
    if (button.classList.contains('cf-json-copy')) {
      try { await navigator.clipboard.writeText(raw); }
      catch {
        const box = Object.assign(document.createElement('textarea'), {value: raw});
        document.body.append(box); box.select(); document.execCommand('copy'); box.remove();
      }
      button.classList.add('cf-done');
      setTimeout(() => button.classList.remove('cf-done'), 1500);
    } else {
      const link = document.createElement('a');
      link.href = URL.createObjectURL(new Blob([raw], {type: 'application/json'}));
      link.download = 'answer.json';
      link.click();
      setTimeout(() => URL.revokeObjectURL(link.href), 1000);
    }
  });
}
"""
"""What the page runs once for all views."""


def object_html(
    text: str, schema: dict[str, Any], *, form: str = "json", done: bool = True, language: str = "en"
) -> str:
    """The text as an object of a schema; while it grows, and where it is none, as text."""
    if not done or not text:
        return f'<pre class="cf-json"><code>{escape(text)}</code></pre>' if text else ""
    value, fault, place = _read(text, form, language)
    if place >= 0:
        body = _marked(text, place)
    elif fault or not _is_shown(value):
        body = f'<pre class="cf-json"><code>{escape(text)}</code></pre>'
    else:
        body = ""
    complaints: Complaints = {} if fault else complaints_of(value, schema)
    whole = "" if body else f'<div class="cf-tree">{_node(value, (), complaints, language)}</div>'
    words = _verdict(fault, complaints, language)
    state = "bad" if fault or complaints else "good"
    verdict = f'<div class="cf-valid cf-{state}" role="status">{escape(words)}</div>'
    return f'<div class="cf-object">{body or whole}{verdict}{_tools(text, language)}</div>'


def complaints_of(value: Any, schema: dict[str, Any]) -> Complaints:
    """What the JSON Schema validator says of a value, by the path of each place; empty for a valid one.

    A reference out of the schema is never followed: what cannot be looked up is the complaint.
    """
    found: Complaints = defaultdict(list)
    try:
        for error in validator_for(schema)(schema, registry=Registry()).iter_errors(value):
            found[tuple(error.absolute_path)].append(error.message)
    except (Unresolvable, RecursionError, ArithmeticError) as error:  # no float holds a very long number
        found[()].append(f"the schema cannot be followed: {error}")
    return dict(found)


def _read(text: str, form: str, language: str) -> tuple[Any, str, int]:
    """The value of a text; or what is wrong with it, and the character where that shows, -1 where it is unknown."""
    if form != "json":
        value = structure.parse(text, form)
        return value, "" if value is not None else structure.complaint(text, form, {}), -1

    def refuse(word: str) -> None:
        raise ValueError(word)

    try:
        return json.loads(text, parse_constant=refuse), "", -1
    except json.JSONDecodeError as error:
        where = say(language, "json.no_json", line=error.lineno, column=error.colno, why=said(language, error.msg))
        return None, where, error.pos
    except (ValueError, RecursionError) as error:
        return None, f"not JSON ({error}).", -1


def _marked(text: str, place: int) -> str:
    """The text with a mark where it can be read no further; at its end the mark stands on a blank."""
    before, at, after = text[:place], text[place : place + 1], text[place + 1 :]
    shown = "\u2423" if at in ("", "\n", " ") else at
    kept = at if at == "\n" else ""
    return (
        f'<pre class="cf-json"><code>{escape(before)}<mark class="cf-fault">{escape(shown)}</mark>'
        f"{escape(kept + after)}</code></pre>"
    )


def _verdict(fault: str, complaints: Complaints, language: str) -> str:
    if fault:
        return say(language, "json.not_valid", complaint=said(language, fault))
    count = sum(map(len, complaints.values()))
    if not count:
        return say(language, "json.valid")
    place, messages = next(iter(complaints.items()))
    message = said(language, messages[0])
    first = f"{'.'.join(map(str, place))}: {message}" if place else message
    many = say(language, "json.complaints", count=count)
    return say(language, "json.not_valid", complaint=first if count == 1 else many)


def _tools(text: str, language: str) -> str:
    copied, download = escape(say(language, "json.copied")), escape(say(language, "json.download"))
    return (
        f'<details class="cf-fold"><summary>{escape(say(language, "json.as_text"))}</summary>'
        f'<pre class="cf-json"><code class="cf-raw">{escape(text)}</code></pre></details>'
        f'<div class="cf-json-tools"><button type="button" class="cf-json-copy">'
        f'<span class="cf-before">{escape(say(language, "json.copy"))}</span>'
        f'<span class="cf-after" role="status">{copied}</span></button>'
        f'<button type="button" class="cf-json-download">{download}</button></div>'
    )


def _node(value: Any, path: Path, complaints: Complaints, language: str) -> str:
    """One value with its name and what is wrong with it, and what lies in it."""
    messages = complaints.get(path, [])
    wrong = "".join(f'<div class="cf-complaint">{escape(said(language, message))}</div>' for message in messages)
    name = f'<span class="cf-name">{escape(str(path[-1]))}</span> ' if path else ""
    bad = " cf-wrong" if messages else ""
    if not isinstance(value, dict | list) or not value:
        text = json.dumps(value, ensure_ascii=False)
        kind = "text" if isinstance(value, str) else "word" if value is None or isinstance(value, bool) else "number"
        shown = f'<span class="cf-value cf-{kind}" dir="auto">{escape(text)}</span>'
        return f'<div class="cf-field{bad}">{name}{shown}{wrong}</div>'
    items = list(value.items()) if isinstance(value, dict) else list(enumerate(value))
    inside = "".join(_node(item, (*path, key), complaints, language) for key, item in items)
    told = (
        say(language, "json.object", count=len(items))
        if isinstance(value, dict)
        else say(language, "json.list", count=len(items))
    )
    return (
        f'<details class="cf-node{bad}" open><summary>{name}<span class="cf-count">{escape(told)}</span></summary>'
        f"{wrong}{inside}</details>"
    )


def _is_shown(value: Any) -> bool:
    """Whether a value is small and flat enough for a view."""
    count, left = 0, [(value, 0)]
    while left:
        one, depth = left.pop()
        count += 1
        if count > MOST_FIELDS or depth > MOST_DEPTH:
            return False
        inner = one.values() if isinstance(one, dict) else one if isinstance(one, list) else ()
        left += [(item, depth + 1) for item in inner]
    return True
