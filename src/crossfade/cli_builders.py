"""The builders of `crossfade data`: rows to train on, made by a teacher, from a corpus, or in another form."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from crossfade.cli_common import AsJson, Base, started, stopped_by_signals
from crossfade.cli_data import base_folder
from crossfade.cli_rows import embed_of
from crossfade.errors import TrainingError
from crossfade.settings import Settings
from crossfade.terminal import print_json, say

if TYPE_CHECKING:
    from crossfade.training.distil import Distilled, Distilling
    from crossfade.training.table import Broken

Replace = Annotated[bool, typer.Option("--replace", help="Replace a file of that name.")]
TOLD_EVERY = 2.0
"""Seconds between two lines of progress where standard error is no terminal; on one, a line is written over."""


def distil(
    prompts: Annotated[
        Path, typer.Option("--prompts", help=".txt with a prompt in each line, or rows of any form that is trained on.")
    ],
    teacher: Annotated[
        str, typer.Option("--teacher", help="An OpenAI-compatible server, such as http://localhost:8000/v1.")
    ],
    model: Annotated[str, typer.Option("--model", help="The model's name there.")],
    out: Annotated[
        Path | None, typer.Option("--out", help="The .jsonl that rows are added to; by default beside the prompts.")
    ] = None,
    prompt_column: Annotated[str, typer.Option("--prompt-column", help="The column of the prompt; guessed.")] = "",
    instructions: Annotated[
        str, typer.Option("--instructions", help="The teacher's system message; it is not written into the rows.")
    ] = "",
    max_tokens: Annotated[
        int, typer.Option("--max-tokens", min=1, help="Longer answers are listed and not written.")
    ] = 512,
    temperature: Annotated[float, typer.Option("--temperature", min=0, max=2)] = 0.0,
    timeout: Annotated[float, typer.Option("--timeout", min=1, help="Seconds for one answer.")] = 120.0,
    at_once: Annotated[int, typer.Option("--at-once", min=1, max=64, help="Prompts on their way together.")] = 4,
    as_json: AsJson = False,
) -> None:
    """Ask a teacher for the response to each prompt, as rows to train on. Its key is CROSSFADE_TEACHER_KEY.

    Ended or killed, the same command goes on: what has been answered is not asked again. Ends with 1 where prompts are
    left.
    """
    from crossfade.chat_server import ChatServer
    from crossfade.training.distil import distil as ask_teacher
    from crossfade.training.prompt_file import read_prompts
    from crossfade.training.teacher import Answers, Teacher

    settings = Settings.from_environment()
    server = ChatServer(teacher, model, settings.teacher_key, who="teacher")
    asked, broken = read_prompts(prompts, column=prompt_column)
    out = out or prompts.with_name(f"{prompts.stem}.answered.jsonl")
    if not asked:
        raise TrainingError(f"{prompts.name} has no prompt. Line {broken[0].line}: {broken[0].why}.")
    if out.resolve() == prompts.resolve():
        raise TrainingError(f"{out} holds the prompts; rows go into another file. Name one with --out.")
    with stopped_by_signals("Ending after the answers that are on their way; once more ends at once.") as stop:
        made = ask_teacher(
            asked,
            Teacher(
                server=server,
                instructions=instructions,
                max_tokens=max_tokens,
                temperature=temperature,
                timeout=timeout,
            ),
            out,
            answers=Answers(settings.teachers),
            at_once=at_once,
            stop=stop,
            progress=_Progress(),
        )
    if as_json:
        print_json({"out": str(out), **asdict(made), "left": made.left, "broken": [asdict(row) for row in broken]})
    else:
        _tell_distilled(made, broken, out)
    if made.left:
        raise typer.Exit(1)


def compose(
    corpus: Annotated[str, typer.Argument(help="The corpus whose documents are read.")],
    questions: Annotated[
        Path, typer.Option("--questions", help="JSON lines: question, answer, documents, kind; or message and ticket.")
    ],
    out: Annotated[Path, typer.Option("--out", help="The .jsonl that the rows go to.")],
    task: Annotated[str, typer.Option("--task", help="Whose instructions the rows answer to.")] = "",
    max_tokens: Annotated[int, typer.Option("--max-tokens", min=8, help="Passages are left out to fit.")] = 1024,
    earlier_turns: Annotated[
        float, typer.Option("--earlier-turns", min=0, max=1, help="The share asked after other questions.")
    ] = 0.0,
    shuffled: Annotated[
        float, typer.Option("--shuffled", min=0, max=1, help="The share with passages in another order.")
    ] = 0.0,
    numbers: Annotated[
        int, typer.Option("--numbers", min=0, max=1000, help="How often a document's number is asked for without it.")
    ] = 0,
    seed: Annotated[int, typer.Option("--seed", min=0)] = 0,
    rough: Annotated[bool, typer.Option("--rough", help="Count tokens as characters / 4.")] = False,
    replace: Replace = False,
    base: Base = "",
    as_json: AsJson = False,
) -> None:
    """Make rows from a corpus's questions: with passages that tell, that are altered, or that do not tell; without any.

    What `crossfade train --task` does with a file, to be looked at, changed, and trained with `crossfade train --data`.
    """
    from crossfade.corpora.registry import read_rows
    from crossfade.training.cloze import asked_by_rule
    from crossfade.training.compose import KINDS
    from crossfade.training.compose import compose as compose_rows
    from crossfade.training.row_file import check_free, message_row, write_rows
    from crossfade.training.tokens import open_tokenizer, rough_prompt_count, tokenizer_prompt_count

    check_free(out, replace=replace)
    with started(base) as startup:
        found = startup.corpus(corpus)
        chosen, rows = found.task(task), read_rows(questions)
        folder = None if rough else base_folder(startup.settings)
        tokenizer = open_tokenizer(folder) if folder else None
        made = compose_rows(
            rows,
            chosen,
            finder=startup.index(found) if any("kind" in row for row in rows) else None,
            passages=found.passages,
            count=tokenizer_prompt_count(tokenizer) if tokenizer else rough_prompt_count,
            limit=max_tokens,
            earlier_turns=earlier_turns,
            shuffled=shuffled,
            seed=seed,
        )
        embed = embed_of(startup) if numbers else None
        made += asked_by_rule(rows, found, instructions=chosen.instructions, often=numbers, seed=seed, embed=embed)
    if not made:
        raise TrainingError(f"No row was made of the {len(rows)} in {questions}. Give questions with answers.")
    write_rows(out, map(message_row, made), replace=replace)
    counts = {kind: count for kind in KINDS if (count := sum(row.kind == kind for row in made))}
    if as_json:
        print_json({"out": str(out), "questions": len(rows), "rows": len(made), "kinds": counts})
        return
    say(f"{out}: {len(made):,} rows of {len(rows):,} questions, task {chosen.name}.")
    for kind, count in counts.items():
        say(f"{count:>6,}  {kind:<10}  {KINDS[kind]}")


def format_(
    file: Annotated[Path, typer.Argument(help="Rows whose responses are objects, in JSON or another form.")],
    to: Annotated[str, typer.Option("--to", help="yaml, markdown or json.")],
    out: Annotated[Path, typer.Option("--out", help="The .jsonl that the rows go to.")],
    response_column: Annotated[
        str, typer.Option("--response-column", help="The column of the response; guessed.")
    ] = "",
    prompt_column: Annotated[str, typer.Option("--prompt-column", help="The column of the prompt; guessed.")] = "",
    heading: Annotated[
        str, typer.Option("--heading", help="Of a Markdown list; by default the name of the response's column.")
    ] = "",
    replace: Replace = False,
) -> None:
    """Write rows with the objects that are their responses in another form: YAML, Markdown or JSON.

    What a row's form cannot tell is listed and not written.
    """
    from crossfade.evaluation.structure import parse
    from crossfade.training.formats import rewritten
    from crossfade.training.guess import guess
    from crossfade.training.row_file import write_rows
    from crossfade.training.table import read_table

    table = read_table(file)
    mapping = guess(table, prompt=prompt_column, response=response_column)
    made = rewritten(table, mapping, to, read=parse, heading=heading)
    if not made.rows:
        first = f" Line {made.broken[0].line}: {made.broken[0].why}." if made.broken else ""
        raise TrainingError(f"{file.name} has no row that can be written in {to}.{first}")
    write_rows(out, made.rows, replace=replace)
    say(f"{out}: {len(made.rows):,} rows, {mapping.response or mapping.prompt} in {to}.")
    _list("Not written", made.broken)


def _tell_distilled(made: Distilled, broken: Sequence[Broken], out: Path) -> None:
    kept = f", {made.kept:,} of them from answers that were kept" if made.kept else ""
    say(f"{out}: {made.written:,} rows written{kept}; {made.there:,} were there.")
    _list("No prompt", broken)
    _list("Answered, and not written", made.rejected)
    _list("Not answered", made.failed)
    if made.left:
        say(f"{made.left:,} of {made.total:,} prompts are left; the same command goes on with them.")


def _list(what: str, rows: Sequence[Broken]) -> None:
    for row in rows:
        say(f"{what}: line {row.line}, {row.why.rstrip('.')}.")


class _Progress:
    """Tells how far a run is: one line on a terminal, else a line now and then."""

    def __init__(self) -> None:
        self._last = 0.0

    def __call__(self, progress: Distilling) -> None:
        now, whole = time.monotonic(), progress.done == progress.total
        if now - self._last < (0.1 if sys.stderr.isatty() else TOLD_EVERY) and not whole:
            return
        self._last = now
        told = f"{progress.done:,} of {progress.total:,} prompts"
        told += "" if whole else f", about {progress.seconds_left / 60:.1f} min left"
        sys.stderr.write(f"\r{told:<60}" if sys.stderr.isatty() and not whole else f"{told}\n")
        sys.stderr.flush()
