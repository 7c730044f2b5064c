"""Guess what the columns of a table are, by their names and first rows; what a person says is kept as it is.

guess(table)                                       all is guessed
guess(table, input="context", system=NO_COLUMN)    the input is read from there, and a column `system` is not read
"""

from __future__ import annotations

from collections.abc import Sequence

from crossfade.corpora.registry import TEXT
from crossfade.errors import TrainingError
from crossfade.training.chats import looks_like
from crossfade.training.forms import FORMS, Mapping, as_text, check_column, check_mapping
from crossfade.training.table import Table

PROMPTS = (
    *("prompt", "question", "query", "message", "instruction", "input", "user", "request", "source", "sentence"),
    *("text", "review", "tweet", "headline", "content", "body", "title"),
)
RESPONSES = (
    *("response", "answer", "completion", "output", "ticket", "reply", "assistant", "target", "summary", "translation"),
    *("result", "slots", "object", "answers"),
)
TEXTS = ("text", "sentence", "review", "tweet", "headline", "message", "content", "comment", "body", "title")
LABELS = ("label", "labels", "class", "category", "sentiment", "intent", "topic", "emotion")
INPUTS = ("input", "context")
SYSTEMS = ("system", "system_prompt")
TURNS = ("messages", "conversations", "conversation", "dialog", "dialogue", "chat")
NO_COLUMN = "-"
"""Said of the input or of the system message, there is none, whatever the columns are called."""
MOST_LABELS = 20
"""More distinct responses are no labels if nobody says so, and are not written out in the instructions."""


def guess(
    table: Table,
    *,
    form: str = "",
    prompt: str = "",
    response: str = "",
    input: str = "",
    system: str = "",
    template: str = "",
    instructions: str = "",
) -> Mapping:
    """The mapping of a table. What is given is taken, and "" is guessed; to change a guess, call it again with more.

    Raises TrainingError, with the columns there are, where a column cannot be guessed or is not there, and where the
    form has none for the input.
    """
    if form and form not in FORMS:
        raise TrainingError(f"Unknown form {form!r}. Known: {', '.join(FORMS)}.")
    said = {"prompt": prompt, "response": response, "input": input, "system": system}
    for role, column in said.items():
        if column and not (column == NO_COLUMN and role in ("input", "system")):
            check_column(table, column, role=role)
    taken = (input, system)
    form = form or ("label" if template else _form(table, prompt))
    if form in ("messages", "sharegpt"):
        prompt = prompt or _turns(table, "role" if form == "messages" else "from")
        response = ""
    else:
        names, answers = _names(form)
        response = response or named(table, answers, besides=(prompt, *taken))
        prompt = prompt or named(table, names, besides=(response, *taken))
        rest = [name for name in table.columns if name not in (prompt, response, *taken)]
        if len(rest) == 1 and bool(prompt) != bool(response):  # of two columns, the one that has no known name
            prompt, response = prompt or rest[0], response or rest[0]
    if not prompt or (not response and form not in ("messages", "sharegpt")):
        raise TrainingError(
            f"{table.name}: the column of the {'response' if prompt else 'prompt'} cannot be guessed. It has "
            f"{', '.join(table.columns)}; say which holds the prompt and which the response."
        )
    if form in ("messages", "sharegpt") and input not in ("", NO_COLUMN):
        raise TrainingError(
            f"Rows of the form {form} have no column for the input. Leave it out, or name another form."
        )
    used = (prompt, response, *taken)
    guessed_input = named(table, INPUTS, besides=used) if form == "alpaca" else ""
    guessed_system = "" if form == "label" else named(table, SYSTEMS, besides=used)
    mapping = Mapping(
        form=form,
        prompt=prompt,
        response=response,
        input=_said(input, guessed_input),
        system=_said(system, guessed_system),
        template=(template or TEXT) if form == "label" else "",
        instructions=instructions or ("" if template or form != "label" else _question(table, response)),
    )
    check_mapping(table, mapping)
    return mapping


def _said(column: str, guessed: str) -> str:
    return "" if column == NO_COLUMN else column or guessed


def labels_of(table: Table, column: str) -> tuple[str, ...]:
    """The distinct values of a column as texts, sorted, empty ones left out."""
    return tuple(sorted({as_text(record.values.get(column)) for record in table.records} - {""}))


def _form(table: Table, prompt: str) -> str:
    first = [record.values for record in table.records[:20]]
    for form, key in (("messages", "role"), ("sharegpt", "from")):
        if _turns(table, key) and (not prompt or any(looks_like(values.get(prompt), key) for values in first)):
            return form
    if named(table, ("instruction",)) and named(table, INPUTS) and named(table, ("output", "response")):
        return "alpaca"
    if named(table, TEXTS) and named(table, LABELS) and not named(table, RESPONSES):
        return "label"
    return "pair"


def _names(form: str) -> tuple[Sequence[str], Sequence[str]]:
    """The usual names of the prompt's and of the response's column."""
    if form == "alpaca":
        return ("instruction",), ("output", "response")
    return (TEXTS, LABELS) if form == "label" else (PROMPTS, (*RESPONSES, *LABELS))


def named(table: Table, names: Sequence[str], *, besides: Sequence[str] = ()) -> str:
    """The first column with one of the names, in the order of the names, whatever its case."""
    there = {column.lower(): column for column in reversed(table.columns) if column not in besides}
    return next((there[name] for name in names if name in there), "")


def _turns(table: Table, key: str) -> str:
    """The column that holds lists of turns with a key; the usual names come first."""
    first = [record.values for record in table.records[:20]]
    found = [column for column in table.columns if any(looks_like(values.get(column), key) for values in first)]
    return min(found, key=lambda name: TURNS.index(name) if name in TURNS else len(TURNS), default="")


def _question(table: Table, response: str) -> str:
    """What a text to label is asked with, the labels written out: a small model knows no other list of them.

    It is the system message, so that in the chat a person writes the text alone.
    """
    labels = labels_of(table, response)
    if not 1 < len(labels) <= MOST_LABELS or any("\n" in label for label in labels):
        return "Give the label of this text."
    return f"Classify this text as {', '.join(labels[:-1])} or {labels[-1]}. Answer with the label alone."
