"""The columns of a comparison as text that is kept, and back. Pure."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from crossfade.errors import StorageError
from crossfade.history.answers import answer_from_json, answer_to_json
from crossfade.types import Answer
from crossfade.ui.columns import Column, Columns


def question_of(columns: Sequence[Column]) -> str:
    """The question of a comparison."""
    queries = (column.answer.query if column.answer else column.query for column in columns)
    return next((query.text for query in queries if query), "")


def text_of_columns(columns: Sequence[Column], *, prompts: bool = False) -> str:
    """The columns as JSON text: question, settings, answers with passages and examples.

    Prompts, which may hold more than that, stay behind unless they are asked for.
    """
    rows = [_as_dict(column, prompts=prompts) for column in columns]
    return json.dumps({"version": 1, "columns": rows}, ensure_ascii=False)


def columns_of_text(text: str) -> Columns:
    """The columns that `text_of_columns` wrote, to be read: their settings are shown. Raises StorageError."""
    try:
        rows = json.loads(text)["columns"]
        return tuple(_of_dict(row, number) for number, row in enumerate(rows, start=1))
    except (ValueError, TypeError, KeyError) as error:
        raise StorageError(f"This is no kept comparison ({error}).") from error


def _as_dict(column: Column, *, prompts: bool) -> dict[str, Any]:
    answer = column.answer
    if answer and answer.prompt and not prompts:
        answer = replace(answer, prompt=replace(answer.prompt, messages=()))
    return {
        "mode": column.mode,
        "error": column.error,
        "form": column.form,
        "schema": column.schema,
        "answer": answer_to_json(answer) if answer else None,
        "asked": answer_to_json(Answer(column.query)) if column.query and not answer else None,
    }


def _of_dict(row: dict[str, Any], number: int) -> Column:
    answer = answer_from_json(row["answer"]) if row["answer"] else None
    asked = answer_from_json(row["asked"]) if row.get("asked") else answer
    return Column(
        mode=str(row["mode"]),
        query=asked.query if asked else None,
        schema=row["schema"],
        answer=answer,
        error=str(row["error"]),
        form=str(row["form"]),
        number=number,
        own=True,
    )
