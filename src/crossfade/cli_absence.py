"""`crossfade absence`: learn from a corpus when its documents do not tell, and by how much to say so more readily."""

from __future__ import annotations

import hashlib
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from crossfade.cli_common import AsJson, Base, EngineName, started
from crossfade.terminal import print_json, say, tell

if TYPE_CHECKING:
    from crossfade.corpora.registry import Corpus, Task
    from crossfade.pipeline import Pipeline

MANY = 2_000
"""So many of the next tokens are looked at for the one that the sentence begins with."""


def absence(
    corpus: Annotated[str, typer.Option(help="The corpus whose documents are asked.")] = "tidewell",
    task: Annotated[str, typer.Option(help="Whose instructions; its adapter answers.")] = "",
    rows: Annotated[str, typer.Option(help="Training rows in the corpus's train folder.")] = "domain.jsonl",
    questions: Annotated[str, typer.Option(help="The corpus's questions to choose by; never those judged on.")] = (
        "dev.jsonl"
    ),
    says: Annotated[str, typer.Option(help="The sentence that tells so.")] = "The documents do not say.",
    allowed: Annotated[
        float, typer.Option(min=0.01, max=0.5, help="Of the answered questions, so many may be told it.")
    ] = 0.13,
    base: Base = "",
    engine: EngineName = "",
    as_json: AsJson = False,
) -> None:
    """Fit how signs of retrieval speak for "the documents do not say", and write absence.json beside the documents."""
    from crossfade.corpora.absence import write_absence
    from crossfade.corpora.registry import read_rows
    from crossfade.evaluation.absence import choose_strength, fit

    with started(base, engine) as startup:
        asked = startup.corpus(corpus)
        chosen = asked.task(task)
        learned, choosing = asked.folder / "train" / rows, asked.folder / questions
        pairs = [(q, not row.get("documents")) for row in read_rows(learned) for q in _wordings(row)]
        pipeline = startup.run()
        tell(f"Looking at what {len(pairs):,} training questions find ...")
        seen = [_signs(pipeline, asked, chosen, question) for question, _ in pairs]
        fitted = fit(seen, [absent for _, absent in pairs], says=says)
        judged = [(str(row["question"]), not row.get("answers")) for row in read_rows(choosing)]
        tell(f"Asking how readily the model says so itself to {len(judged):,} questions ...")
        own = [_own_odds(pipeline, asked, chosen, question, opening=fitted.opening) for question, _ in judged]
        by_signs = [_signs(pipeline, asked, chosen, question) for question, _ in judged]
        made, share, elsewhere = choose_strength(
            fitted, by_signs, own, [absent for _, absent in judged], allowed=allowed
        )
        about = {
            "rows": rows,
            "rows_sha256": _sha256(learned),
            "questions": questions,
            "questions_sha256": _sha256(choosing),
            "adapter": chosen.adapter,
            "adapter_sha256": pipeline.engine.adapters.get(chosen.adapter, ""),
            "base_sha256": pipeline.engine.base_sha256,
            "said": round(share, 3),
            "said elsewhere": round(elsewhere, 3),
        }
        path = asked.folder / "absence.json"
        write_absence(path, made, about=about)
    if as_json:
        print_json(asdict(made) | {"about": about, "path": str(path)})
        return
    say(f"{path}: said to {share:.0%} of the questions without an answer, and to {elsewhere:.0%} of the others.")
    if chosen.absence is None:
        say(f'Write absence = "absence.json" under [tasks.{chosen.name}] in corpus.toml to use it.')


def _wordings(row: dict[str, Any]) -> list[str]:
    """The questions of a row that is a fact or has no answer."""
    if row.get("kind") not in ("fact", "absent"):
        return []
    return [str(row[key]) for key in ("question", "reworded") if row.get(key)]


def _signs(pipeline: Pipeline, corpus: Corpus, task: Task, question: str) -> dict[str, float]:
    from crossfade.types import Query

    query = Query(question, corpus.name, task.name, rag=True)
    return dict(pipeline.signs(query, pipeline.retrieve(query)))


def _own_odds(pipeline: Pipeline, corpus: Corpus, task: Task, question: str, *, opening: str) -> float:
    """The model's log-odds, in nats, of the opening against the likeliest other token."""
    from crossfade.types import Query

    blend = ((task.adapter, 1.0),)
    prompt = pipeline.prepare(Query(question, corpus.name, task.name, blend=blend, rag=True)).prompt
    assert prompt is not None
    top = pipeline.engine.top_tokens(prompt.messages, blend=blend, n=MANY)
    token = pipeline.engine.first_token(opening)
    others = max(value for other, value in top.items() if other != token)
    return top.get(token, min(top.values())) - others


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
