"""`crossfade adapters abstain`: from which probability on an adapter's answers from passages are given."""

from __future__ import annotations

import time
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from crossfade.abstention import ABSENT
from crossfade.cli_common import AsJson, started
from crossfade.errors import AdapterError, QuestionError
from crossfade.terminal import Line, print_json, say


def abstain(
    name: Annotated[str, typer.Argument(help="The adapter.", metavar="NAME")],
    questions: Annotated[
        Path | None,
        typer.Argument(help="Questions to choose by, some with an empty list of answers; not those that judge."),
    ] = None,
    corpus: Annotated[str, typer.Option("--corpus", help="The corpus to ask.")] = "tidewell",
    elsewhere: Annotated[
        float, typer.Option(min=0.0, max=0.9, help="The highest share of wrong refusals, where a document answers.")
    ] = 0.12,
    says: Annotated[str, typer.Option("--says", help="What the adapter says where the documents do not.")] = ABSENT,
    off: Annotated[bool, typer.Option("--off", help="Let the adapter decide by itself again.")] = False,
    as_json: AsJson = False,
) -> None:
    """Choose below which probability an answer from passages gives way to saying that the documents do not say.

    It goes into the adapter's card, and holds for answers that it alone makes in hybrid mode, at temperature 0.
    """
    from crossfade.abstention import CARD_KEY, MAX_SAYS, can_be_said
    from crossfade.adapters.card import changed_card, check_writable
    from crossfade.evaluation.abstaining import check_kinds, chosen, held_answers, shares
    from crossfade.evaluation.questions import read_questions
    from crossfade.types import Query, Sampling

    with started() as startup:
        adapter = startup.registry.get(name)
        if off:
            with changed_card(adapter.folder) as card:
                card.pop(CARD_KEY, None)
            if as_json:
                print_json({"name": name, CARD_KEY: None})
            else:
                say(f"{name} decides by itself.")
            return
        if questions is None:
            raise AdapterError("No questions were given to choose by. Name a file, some of its answers an empty list.")
        if not can_be_said(says):
            raise QuestionError(
                f"What is said instead is {says[:80]!r}; it must be one line of 1 to {MAX_SAYS} printable characters."
            )
        asked = startup.corpus(corpus)
        task = asked.tasks.get(str(adapter.card.get("task") or ""), asked.task_of_adapter(name))  # as `ask` chooses it
        found = read_questions(questions).questions
        check_kinds(found)
        check_writable(adapter.folder)
        sampling = Sampling(max_new_tokens=task.max_new_tokens)
        query = Query("", asked.name, task.name, blend=((name, 1.0),), rag=True, sampling=sampling)
        line = Line()
        held = held_answers(
            startup.run(),
            query,
            found,
            says=says.strip(),
            at_once=startup.settings.slots,
            progress=lambda done, total: line("Questions", done, total),
        )
        line.clear()
        below = chosen(held, elsewhere=elsewhere)  # not rounded: that of a long answer may be 0.00001
        told = {
            "says": says.strip(),
            "below": below,
            "task": task.name,
            "questions": questions.name,
            **{key: round(value, 3) for key, value in asdict(shares(held, below)).items()},
            "n": len(held),
            "when": time.strftime("%Y-%m-%d"),
        }
        with changed_card(adapter.folder) as card:
            card[CARD_KEY] = told
        if as_json:
            print_json({"name": name, **told})
            return
        say(f"Below a probability of {below:.3g} answers of {name} give way to: {says.strip()}")
        say(
            f"Of the questions that a document answers {told['right']} were right "
            f"(without giving way {shares(held, 0.0).right:.3f}), and {told['elsewhere']} said that none does; "
            f"of the others {told['said']} did."
        )
