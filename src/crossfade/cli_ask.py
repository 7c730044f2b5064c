"""`crossfade ask`, one question in one mode, and `crossfade compare`, in several."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from crossfade.abstention import probability
from crossfade.adapters.written import weighted
from crossfade.cli_common import AsJson, Base, EngineName, started
from crossfade.engines.requests import check_blend
from crossfade.errors import CrossfadeError
from crossfade.prompts import clean_question
from crossfade.terminal import print_json, printable, say, tell
from crossfade.types import MODES, Answer, Blend, Query, Sampling

if TYPE_CHECKING:
    from crossfade.corpora.registry import Task as Task_
    from crossfade.startup import AdapterCard, Startup

Corpus = Annotated[str, typer.Option("--corpus", help="The corpus to ask.")]
Task = Annotated[str, typer.Option("--task", help="Which instructions; by default those of the adapter.")]
Adapters = Annotated[
    list[str] | None,
    typer.Option("--adapter", help="NAME or NAME:WEIGHT, several for a blend; by default the task's own."),
]
EnforceSchema = Annotated[bool, typer.Option("--enforce-schema", help="Decode to the task's JSON schema.")]
MaxTokens = Annotated[int | None, typer.Option("--max-new-tokens", min=1, max=100_000)]
Temperature = Annotated[float, typer.Option(min=0, max=2, help="0 always takes the likeliest token.")]
Seed = Annotated[int, typer.Option(min=0, max=2**31 - 1)]


def ask(
    question: Annotated[str, typer.Argument(help="What to ask; - reads it from standard input.")],
    mode: Annotated[
        str,
        typer.Option(
            "--mode", help="base, icl, rag, fine-tune, hybrid, hybrid+icl ... or auto; rag, or hybrid with --adapter."
        ),
    ] = "",
    adapter: Adapters = None,
    corpus: Corpus = "tidewell",
    task: Task = "",
    enforce_schema: EnforceSchema = False,
    max_new_tokens: MaxTokens = None,
    temperature: Temperature = 0.0,
    seed: Seed = 0,
    base: Base = "",
    engine: EngineName = "",
    report: Annotated[
        Path | None, typer.Option("--report", help="For --mode auto: the report that has its rule.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Ask one question in one mode, or in the one that a report's rule chooses (auto)."""
    from crossfade.cli_advise import automatic_of
    from crossfade.compare import query_in_mode
    from crossfade.evaluation.automatic import choose
    from crossfade.trace import answer_as_dict

    with started(base, engine) as startup:
        query, blend = _query(startup, question, corpus, task, adapter)
        sampling = Sampling(max_new_tokens or query.sampling.max_new_tokens, temperature=temperature, seed=seed)
        automatic = automatic_of(report, query) if mode == "auto" else None
        if not automatic:
            query = query_in_mode(query, mode or ("hybrid" if adapter else "rag"), blend=blend)
        query = replace(query, sampling=sampling, enforce_schema=enforce_schema)
        pipeline, passages = startup.run(), None
        if automatic:
            query, passages, why = choose(pipeline, query, automatic)
            tell(why)
        shown = 0
        for answer in pipeline.stream(query, passages=passages):
            if not as_json:
                sys.stdout.write(printable(answer.generation.text[shown:]))
                sys.stdout.flush()
                shown = len(answer.generation.text)
        if as_json:
            print_json(answer_as_dict(answer))
            return
        typer.echo()
        _tell_notices([answer])
        _tell_passages(answer)


def compare(
    question: Annotated[str, typer.Argument(help="What to ask; - reads it from standard input.")],
    modes: Annotated[str, typer.Option("--modes", help="Two to six modes, separated by commas.")] = ",".join(MODES),
    adapter: Adapters = None,
    corpus: Corpus = "tidewell",
    task: Task = "",
    enforce_schema: EnforceSchema = False,
    max_new_tokens: MaxTokens = None,
    temperature: Temperature = 0.0,
    seed: Seed = 0,
    base: Base = "",
    engine: EngineName = "",
    as_json: AsJson = False,
) -> None:
    """Ask one question in several modes, with one retrieval and one seed; each answer is printed when it is whole."""
    from crossfade.compare import compare as run_compare
    from crossfade.compare import query_in_mode
    from crossfade.trace import answer_as_dict

    with started(base, engine) as startup:
        query, blend = _query(startup, question, corpus, task, adapter)
        sampling = Sampling(max_new_tokens or query.sampling.max_new_tokens, temperature=temperature, seed=seed)
        query = replace(query, sampling=sampling, enforce_schema=enforce_schema)
        queries = [query_in_mode(query, mode, blend=blend) for mode in modes.split(",") if mode.strip()]
        last: dict[int, Answer | CrossfadeError] = {}
        for i, result in run_compare(startup.run(), queries):
            last[i] = result
            if not as_json and (isinstance(result, CrossfadeError) or result.generation.finish):
                say(
                    f"{queries[i].mode:>14}  {result if isinstance(result, CrossfadeError) else result.generation.text}"
                )
        if as_json:
            print_json([_column(queries[i].mode, last[i], answer_as_dict) for i in sorted(last)])
        answers = [answer for answer in last.values() if isinstance(answer, Answer)]
        if not as_json:
            _tell_notices(answers)
            _tell_passages(max(answers, key=lambda answer: len(answer.passages), default=None))
        if len(answers) < len(queries):
            raise typer.Exit(1)


def _tell_notices(answers: Sequence[Answer]) -> None:
    """Say once what is to be known of answers: notices, what was held too unlikely, what was left out to fit."""
    notices = [notice for answer in answers for notice in answer.notices]
    notices += [
        f"Withheld, {a.query.mode}: {a.generation.withheld!r}, held {probability(a.generation):.0%} likely."
        for a in answers
        if a.generation.withheld
    ]
    left_out = [(a.query.mode, what) for a in answers if a.prompt for what in a.prompt.left_out]
    for line in dict.fromkeys([*notices, *(f"Left out to fit, {mode}: {what}." for mode, what in left_out)]):
        tell(line)


def _tell_passages(answer: Answer | None) -> None:
    for number, passage in enumerate(answer.passages if answer else (), start=1):
        tell(f"[{number}] {passage.source} ({passage.document}.md)")


def _query(startup: Startup, question: str, corpus: str, task: str, adapters: list[str] | None) -> tuple[Query, Blend]:
    """The question in base mode, and the blend to use where a mode has fine-tuning on.

    What cannot be asked is refused here, before a model is loaded.
    """
    text = sys.stdin.buffer.read().decode("utf-8", "replace") if question == "-" else question
    clean_question(text)
    found = startup.corpus(corpus)
    blend = tuple(weighted(a) for a in adapters or ())
    for name, _ in blend:
        startup.registry.get(name)
    check_blend(blend, [name for name, _ in blend])
    cards = {card.name: card for card in startup.adapters}
    card = cards.get(blend[0][0]) if blend else None
    own = found.tasks.get(card.task, found.task_of_adapter(card.name)) if card else found.task("")
    chosen = found.task(task) if task else own
    if not blend and chosen.adapter:
        blend = ((_adapter_of(chosen, cards.values(), startup.settings.base), 1.0),)
    sampling = Sampling(max_new_tokens=chosen.max_new_tokens)
    return Query(text=text, corpus=found.name, task=chosen.name, sampling=sampling), blend


def _adapter_of(task: Task_, cards: Iterable[AdapterCard], base: str) -> str:
    """The task's own adapter, or one that was built for this base where that one was made for another."""
    built = [c.name for c in cards if c.base == base and c.name.startswith(f"{task.adapter}-") and c.task == task.name]
    made = any(c.name == task.adapter and c.base == base for c in cards)
    return task.adapter if made or not built else built[0]


def _column(mode: str, answer: Any, as_dict: Any) -> dict[str, Any]:
    return {"mode": mode, "error": str(answer)} if isinstance(answer, CrossfadeError) else as_dict(answer)
