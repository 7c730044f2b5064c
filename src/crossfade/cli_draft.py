"""`crossfade draft`: questions drafted from a corpus, which a person accepts, mends or throws away one by one."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from crossfade.corpora.registry import read_corpus
from crossfade.errors import QuestionError
from crossfade.settings import Settings
from crossfade.terminal import say, tell


def draft(
    corpus: Annotated[str, typer.Argument(help="The corpus whose documents are asked about.")] = "tidewell",
    out: Annotated[Path | None, typer.Option("--out", help="The question set that accepted ones are added to.")] = None,
    count: Annotated[int, typer.Option("--count", min=1, max=10_000, help="How many are drafted.")] = 50,
    seed: Annotated[int, typer.Option(min=0)] = 0,
    unseen: Annotated[bool, typer.Option("--unseen", help="Write all of them, without asking for each.")] = False,
) -> None:
    """Draft questions from a corpus's documents, and decide on each: accept, mend, or throw away.

    With --unseen, or where standard input is no terminal, all are written as they are.
    """
    from crossfade.evaluation.drafts import as_row, drafts
    from crossfade.evaluation.questions import read_questions

    made = drafts(read_corpus(Settings.from_environment().corpora, corpus).documents, count=count, seed=seed)
    if out and out.suffix.lower() != ".jsonl":
        raise QuestionError(f"{out} is not allowed: a question set that is added to is a .jsonl file.")
    if out and out.is_file() and out.stat().st_size:
        asked = {question.text for question in read_questions(out).questions}
        made = [item for item in made if item.question not in asked]
    if unseen or not sys.stdin.isatty():
        for item in made:
            _keep(out, as_row(item.question, item.answer, item.document))
        tell(f"{len(made)} drafts that nobody has looked at: mend their wording before you trust a figure.")
        return
    kept = 0
    for number, item in enumerate(made, start=1):
        tell(f"\n{number} of {len(made)}, {item.document}\n  {item.question}\n  {item.answer}")
        choice = typer.prompt("  a accept, m mend, t throw away, q quit", default="t", err=True).strip().lower()[:1]
        if choice == "q":
            break
        if choice not in ("a", "m"):
            continue
        question, answer = item.question, item.answer
        if choice == "m":
            question = typer.prompt("  question", default=question, err=True)
            answer = typer.prompt("  accepted answers, | between them", default=answer, err=True)
        _keep(out, as_row(question, answer, item.document))
        kept += 1
    tell(f"{kept} kept.")


def _keep(out: Path | None, row: str) -> None:
    """Add a row to the set, or print it. Raises QuestionError."""
    if out is None:
        say(row)
        return
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        with out.open("a+b") as file:
            file.seek(0, 2)
            if file.tell():
                file.seek(-1, 2)
                row = row if file.read(1) == b"\n" else f"\n{row}"
            file.write(f"{row}\n".encode())
    except OSError as error:
        raise QuestionError(f"{out} cannot be written: {error}. Give another file with --out.") from error
