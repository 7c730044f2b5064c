"""The columns of one comparison: what each is asked, and what came of it. Pure; knows not how an answer is made."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from crossfade.compare import MAX_COLUMNS, query_in_mode
from crossfade.corpora.own_schema import read_schema
from crossfade.corpora.registry import Task
from crossfade.errors import CrossfadeError, QuestionError
from crossfade.types import MAX_WEIGHT, Answer, Blend, Query, mode_switches
from crossfade.ui import render
from crossfade.ui.choices import Choice
from crossfade.ui.citations import cited_passages
from crossfade.ui.controls import MOST_INSTRUCTIONS, MOST_NEW_TOKENS, Asked
from crossfade.ui.language import say
from crossfade.ui.phrases import said

ON, OFF = "on", "off"
_PART = re.compile(r"\s*([^\s:+,]+)\s*(?:[:\s]\s*(\d+(?:\.\d+)?|\.\d+))?\s*")


@dataclass(frozen=True, slots=True)
class ColumnSettings:
    """What one column is asked otherwise than the controls beside it say; what is empty or None is as beside.

    `key` is that of a choice; `blend` such as `domain:0.6 + style:0.4` takes the place of its adapter; `enforce` is
    empty, on or off.
    """

    mode: str = "base"
    key: str = ""
    blend: str = ""
    temperature: float | None = None
    seed: int | None = None
    tokens: int | None = None
    enforce: str = ""
    top_p: float | None = None
    instructions: str = ""

    @property
    def own(self) -> bool:
        """Whether anything but the mode differs from what stands beside."""
        return self != ColumnSettings(self.mode)


@dataclass(frozen=True, slots=True)
class Column:
    """One column: its query, or why there is none; then what came of it. With `own` its settings are shown."""

    mode: str
    query: Query | None = None
    schema: dict[str, Any] | None = None
    answer: Answer | None = None
    waiting: str = ""
    error: str = ""
    form: str = "json"
    number: int = 1
    own: bool = False

    @property
    def open(self) -> bool:
        """Whether its end is still to come."""
        return not self.error and not (self.answer and self.answer.generation.finish)

    @property
    def name(self) -> str:
        """What it is called where one is chosen of several: its number and its mode."""
        return f"{self.number} · {self.mode}"

    @property
    def answered(self) -> Answer | None:
        """Its answer where that has come to its end without an error."""
        return self.answer if self.answer and self.answer.generation.text and not self.open and not self.error else None

    def grown(self, result: Answer | CrossfadeError) -> Column:
        """The column with more of its answer, or with what went wrong."""
        if isinstance(result, CrossfadeError):
            return replace(self, waiting="", error=str(result))
        return replace(self, waiting="", answer=result)

    def html(self, language: str = "en") -> str:
        """The column as it stands."""
        words = render.mode_words(self.mode, language=language)
        answer = ""
        if self.answer:
            answer = render.answer_html(self.answer, schema=self.schema, form=self.form, language=language)
        return "".join(
            [
                f'<div class="cf-head"><b>{self.number} &#183; {render.escape(self.mode)}</b> {render.escape(words)}',
                f"{settings_html(self.query, language) if self.own and self.query else ''}</div>",
                answer,
                _citations_html(self.answered, language) if self.schema is None else "",
                render.note_html(self.waiting, kind="wait"),
                render.note_html(said(language, self.error), kind="error"),
            ]
        )


Columns = tuple[Column, ...]


def make_columns(
    asked: Asked, wanted: Sequence[ColumnSettings], choice_of: Callable[[str], Choice], *, language: str = "en"
) -> Columns:
    """A column for each of the settings; those that need an adapter which is not there say so and are not asked.

    `choice_of` gives the choice of a key. Raises QuestionError and AdapterError.
    """
    if not 2 <= len(wanted) <= MAX_COLUMNS:
        raise QuestionError(say(language, "compare.how_many", count=len(wanted), most=MAX_COLUMNS))
    columns: list[Column] = []
    why_off = ""
    for number, settings in enumerate(wanted, start=1):
        choice = choice_of(settings.key) if settings.key else asked.choice
        blend = blend_of_text(settings.blend, language=language) or (
            asked.blend if not settings.key else ((choice.adapter, 1.0),) if choice.adapter else ()
        )
        if not blend and (mode_switches(settings.mode) or (True,))[0]:
            why_off = choice.why_off
            columns.append(Column(settings.mode, error=choice.why_off, number=number))
            continue
        query = query_in_mode(_base_query(asked, settings, choice), settings.mode, blend=blend)
        schema, form = schema_of(query, choice.task)
        columns.append(
            Column(
                settings.mode,
                query,
                schema,
                waiting=say(language, "chat.waiting"),
                form=form,
                number=number,
                own=settings.own,
            )
        )
    if sum(column.open for column in columns) < 2:
        raise QuestionError(say(language, "compare.too_few", why=why_off))
    return tuple(columns)


def schema_of(query: Query, task: Task) -> tuple[dict[str, Any] | None, str]:
    """The schema that an answer is checked against, None without one, and the form of the answer."""
    return (read_schema(query.schema), "json") if query.schema else (task.schema, task.form)


def end_open(columns: Sequence[Column], error: str) -> Columns:
    """The columns, those without an end ended by this sentence."""
    return tuple(replace(column, waiting="", error=error) if column.open else column for column in columns)


def blend_of_text(text: str, *, language: str = "en") -> Blend:
    """The blend that a text such as `domain:0.6 + style:0.4` names; empty for an empty one. Raises QuestionError."""
    if not text.strip():
        return ()
    parts = [_PART.fullmatch(part) for part in re.split(r"[+,，]", text)]
    blend = tuple((part[1], float(part[2] or 1)) for part in parts if part)
    names = {name for name, _ in blend}
    if not all(parts) or len(names) < len(blend) or any(weight > MAX_WEIGHT for _, weight in blend):
        raise QuestionError(say(language, "compare.bad_blend", text=text[:60], most=MAX_WEIGHT))
    return blend


def text_of_blend(blend: Blend) -> str:
    """The text that `blend_of_text` reads as that blend."""
    return " + ".join(f"{name}:{weight:g}" for name, weight in blend)


def settings_of(query: Query, choices: Sequence[Choice]) -> ColumnSettings:
    """The settings that ask that query again, whatever stands beside; with the choices that there are now."""
    adapter = query.blend[0][0] if query.blend else ""
    same = [choice.key for choice in choices if choice.task.name == query.task]
    own = [choice.key for choice in choices if choice.task.name == query.task and choice.adapter == adapter]
    alone = not query.blend or (query.blend == ((adapter, 1.0),) and bool(own))
    return ColumnSettings(
        mode=query.mode,
        key=next(iter([*own, *same]), ""),
        blend="" if alone else text_of_blend(query.blend),
        temperature=query.sampling.temperature,
        seed=query.sampling.seed,
        tokens=query.sampling.max_new_tokens,
        enforce=ON if query.enforce_schema else OFF,
        top_p=query.sampling.top_p,
        instructions=query.instructions,
    )


def settings_html(query: Query, language: str) -> str:
    """What a column is asked with, in a line."""
    sampling = query.sampling
    told = [
        say(language, "compare.told_task", task=query.task),
        *([text_of_blend(query.blend)] if query.blend else []),
        say(language, "compare.told_temperature", value=f"{sampling.temperature:g}"),
        say(language, "compare.told_seed", value=sampling.seed),
        say(language, "compare.told_tokens", value=sampling.max_new_tokens),
        *([say(language, "compare.told_top_p", value=f"{sampling.top_p:g}")] if sampling.temperature else []),
        *([say(language, "compare.told_instructions", text=query.instructions)] if query.instructions else []),
        *([say(language, "compare.told_own_schema")] if query.schema else []),
        *([say(language, "compare.told_enforced")] if query.enforce_schema else []),
    ]
    return f'<span class="cf-asked">{" &#183; ".join(map(render.escape, told))}</span>'


def _citations_html(answer: Answer | None, language: str) -> str:
    if answer is None or not answer.passages:
        return ""
    told = say(language, "compare.citations", count=len(cited_passages(answer)), total=len(answer.passages))
    return f'<div class="cf-facts cf-citations"><span>{render.escape(told)}</span></div>'


def _base_query(asked: Asked, settings: ColumnSettings, choice: Choice) -> Query:
    """The query of the controls with the column's own task and settings, in base mode."""
    beside, task = asked.query.sampling, choice.task
    tokens = settings.tokens or (beside.max_new_tokens if task == asked.choice.task else task.max_new_tokens)
    enforce = asked.query.enforce_schema if settings.enforce == "" else settings.enforce == ON
    sampling = replace(
        beside,
        max_new_tokens=min(max(int(tokens), 1), MOST_NEW_TOKENS),
        temperature=beside.temperature if settings.temperature is None else min(max(settings.temperature, 0.0), 1.5),
        seed=beside.seed if settings.seed is None else min(max(int(settings.seed), 0), 2**31 - 1),
        top_p=beside.top_p if settings.top_p is None else min(max(settings.top_p, 0.01), 1.0),
    )
    return replace(
        asked.query,
        task=task.name,
        sampling=sampling,
        enforce_schema=enforce and (task.enforceable is not None or bool(asked.query.schema)),
        instructions=settings.instructions[:MOST_INSTRUCTIONS] or asked.query.instructions,
    )
