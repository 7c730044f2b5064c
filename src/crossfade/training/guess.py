"""Guess what the columns of a table are, by their names and first rows; what a person says is kept as it is."""

from __future__ import annotations

from collections.abc import Sequence

from crossfade.errors import TrainingError
from crossfade.training.chats import looks_like
from crossfade.training.forms import FORMS, TEXT, Mapping, as_text, check_column, check_mapping
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
MOST_LABELS = 20
"""More distinct responses are no labels if nobody says so, and are not written out in the instructions."""


def guess(
    table: Table,
    *,
    form: str = "",
    prompt: str = "",
    response: str = "",
    template: str = "",
    instructions: str = "",
) -> Mapping:
    """The mapping of a table. What is given is taken, and "" is guessed; to change a guess, call it again with more.

    Raises TrainingError, with the columns there are, where a column cannot be guessed or is not there.
    """
    if form and form not in FORMS:
        raise TrainingError(f"Unknown form {form!r}. Known: {', '.join(FORMS)}.")
    for role, column in (("prompt", prompt), ("response", response)):
        if column:
            check_column(table, column, role=role)
    form = form or ("label" if template else _form(table, prompt))
    if form in ("messages", "sharegpt"):
        prompt = prompt or _turns(table, "role" if form == "messages" else "from")
        response = ""
    else:
        names, answers = _names(form)
        response = response or named(table, answers, besides=(prompt,))
        prompt = prompt or named(table, names, besides=(response,))
        rest = [name for name in table.columns if name not in (prompt, response)]
        if len(rest) == 1 and bool(prompt) != bool(response):  # of two columns, the one that has no known name
            prompt, response = prompt or rest[0], response or rest[0]
    if not prompt or (not response and form not in ("messages", "sharegpt")):
        raise TrainingError(
            f"{table.name}: the column of the {'response' if prompt else 'prompt'} cannot be guessed. It has "
            f"{', '.join(table.columns)}; say which holds the prompt and which the response."
        )
    mapping = Mapping(
        form=form,
        prompt=prompt,
        response=response,
        input=named(table, INPUTS, besides=(prompt, response)) if form == "alpaca" else "",
        system="" if form == "label" else named(table, SYSTEMS, besides=(prompt, response)),
        template=(template or TEXT) if form == "label" else "",
        instructions=instructions or ("" if template or form != "label" else _question(table, response)),
    )
    check_mapping(table, mapping)
    return mapping


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
