"""The work of making rows for the page: what `crossfade data compose`, `distil`, `format` and `feedback` do.

A teacher's address makes this machine ask it. Where the page serves others than its own machine, an address of the
machine or its network is refused; a key is held for the one run, and written nowhere. Draws nothing.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING, Any

from filelock import FileLock, Timeout

from crossfade.chat_server import ChatServer
from crossfade.corpora.registry import Corpus, read_rows
from crossfade.errors import EngineError, TrainingError
from crossfade.evaluation.structure import parse
from crossfade.history.database import Database
from crossfade.history.opinions import Opinions
from crossfade.public_address import serves_others
from crossfade.training.cloze import asked_by_rule
from crossfade.training.compose import KINDS, compose
from crossfade.training.distil import Distilled, Distilling, distil
from crossfade.training.formats import rewritten
from crossfade.training.guess import guess
from crossfade.training.prompt_file import read_prompts
from crossfade.training.row_file import message_row, write_rows
from crossfade.training.table import Broken, read_table
from crossfade.training.teacher import Answers, Teacher
from crossfade.ui.answering import ready_pipeline
from crossfade.ui.language import say
from crossfade.ui.owner import NO_COOKIE
from crossfade.ui.phrases import said
from crossfade.ui.row_files import RowFiles
from crossfade.ui.visible import visible_corpora
from crossfade.ui.working import Told

if TYPE_CHECKING:
    from crossfade.startup import Startup

LISTED = 20
"""So many rows that were left out are named."""
MOST_TOKENS = 1024
"""Of a row that is made of a corpus, as a training takes it where nothing else is said."""
MOST_OFTEN = 50
"""The most that a number can be asked for here."""
AT_ONCE = 4
_KINDS = {
    "as it is": "training.kind_as_it_is",
    "read": "training.kind_read",
    "altered": "training.kind_altered",
    "absent": "training.kind_absent",
    "taken away": "training.kind_taken_away",
    "near miss": "training.kind_near_miss",
    "by heart": "training.kind_by_heart",
    "cloze": "training.kind_cloze",
}
Work = Callable[[Callable[[Told], None], Event], "Built"]


@dataclass(frozen=True, slots=True)
class Built:
    """What became of it: the file, None where no row was made, a sentence, and what was left out and why."""

    path: Path | None
    told: str
    left_out: tuple[str, ...] = ()
    failed: bool = False


def corpus_of(startup: Startup, name: str | None, person: str | None) -> Corpus | None:
    """The corpus of that name, or the first, or None, as `person` (see `owner.person_of`) may ask it."""
    corpora = visible_corpora(startup, person)
    return next((corpus for corpus in corpora if corpus.name == name), corpora[0] if corpora else None)


def tasks(corpus: Corpus | None) -> list[tuple[str, str]]:
    """The tasks of a corpus, in words."""
    return [(task.title, task.name) for task in corpus.tasks.values()] if corpus else []


def questions(files: RowFiles, corpus: Corpus | None) -> dict[str, Path]:
    """The files of questions by name: those that the corpus has to train on, then one's own."""
    found = (
        {f"{corpus.name}: {path.name}": path for path in sorted((corpus.folder / "train").glob("*.jsonl"))}
        if (corpus)
        else {}
    )
    return found | {name: files.folder / name for name in files.names() if name.endswith(".jsonl")}


def from_corpus(startup: Startup, files: RowFiles, given: Mapping[str, Any], language: str) -> Work:
    """Rows with passages that tell, that are altered, or that do not tell, of a corpus's questions."""

    def work(tell: Callable[[Told], None], stop: Event) -> Built:
        engine = ready_pipeline(startup).engine
        corpus = corpus_of(startup, given["corpus"], files.person)
        path = questions(files, corpus).get(given["questions"] or "")
        if corpus is None or path is None or not path.is_file():
            raise TrainingError(say(language, "training.no_questions"))
        rows = read_rows(path)
        finds = any("kind" in row for row in rows)
        if finds:
            tell(Told(say(language, "training.indexing")))

        def progress(done: int, total: int) -> None:
            tell(Told(say(language, "training.composing", done=f"{done:,}", total=f"{total:,}"), done, total))

        made = compose(
            rows,
            corpus.task(given["task"] or ""),
            finder=startup.index(corpus) if finds else None,
            passages=corpus.passages,
            count=engine.count_tokens,
            limit=MOST_TOKENS,
            earlier_turns=_share(given["earlier_turns"]),
            shuffled=_share(given["shuffled"]),
            progress=progress,
        )
        task = corpus.task(given["task"] or "")
        often = max(0, min(int(given["numbers"] or 0), MOST_OFTEN))
        embed = startup.open_embedder().embed if often else None
        made += asked_by_rule(rows, corpus, instructions=task.instructions, often=often, seed=0, embed=embed)
        if not made:
            raise TrainingError(say(language, "training.nothing_made"))
        out = files.free(f"{corpus.name}-{_slug(path.stem)}.jsonl")
        write_rows(out, map(message_row, made))
        kinds = [(kind, sum(row.kind == kind for row in made)) for kind in KINDS]
        told = "; ".join(f"{say(language, _KINDS[kind])}: {count:,}" for kind, count in kinds if count)
        return Built(
            out, say(language, "training.composed", rows=f"{len(made):,}", questions=f"{len(rows):,}", kinds=told)
        )

    return work


def by_teacher(startup: Startup, files: RowFiles, given: Mapping[str, Any], language: str) -> Work:
    """Rows with a teacher's answers. Made again with the same words it goes on: what is answered is not asked again."""

    def work(tell: Callable[[Told], None], stop: Event) -> Built:
        settings = startup.settings
        if not (model := _text(given, "model")):
            raise TrainingError(say(language, "training.no_model"))
        server = ChatServer(
            _text(given, "address").rstrip("/"),
            model,
            _text(given, "key"),
            who="teacher",
            public_only=serves_others(settings),
        )
        if re.search(r"[^\x21-\x7e]", server.key):
            raise EngineError(say(language, "training.bad_key"))
        prompts = files.path(given["prompts"], given["typed"], language, ending=".txt")
        asked, broken = read_prompts(prompts, column=_text(given, "asked_column"))
        if not asked:
            raise TrainingError(say(language, "training.no_prompts", file=prompts.name))
        teacher = Teacher(
            server=server,
            instructions=_text(given, "told"),
            max_tokens=min(max(int(given["max_tokens"] or 512), 1), 32_768),
            temperature=min(max(float(given["temperature"] or 0), 0.0), 2.0),
        )
        out = files.folder / _distilled_name(prompts, teacher)

        def progress(made: Distilling) -> None:
            if not stop.is_set():
                left = say(language, "training.minutes", minutes=f"{made.seconds_left / 60:.1f}")
                line = say(language, "training.asking", done=f"{made.done:,}", total=f"{made.total:,}", left=left)
                tell(Told(line, made.done, made.total))

        tell(Told(say(language, "training.asking_first", total=f"{len(asked):,}"), 0, len(asked)))
        try:
            with FileLock(files.folder / f".{out.name}.lock", timeout=0):
                made = distil(
                    asked,
                    teacher,
                    out,
                    answers=Answers(settings.teachers / (files.person or "")),
                    at_once=AT_ONCE,
                    stop=stop,
                    progress=progress,
                )
        except Timeout:
            raise TrainingError(say(language, "training.still_asking")) from None
        return _distilled(made, broken, out, language)

    return work


def in_format(startup: Startup, files: RowFiles, given: Mapping[str, Any], language: str) -> Work:
    """Rows with the objects that are their responses in YAML, Markdown or JSON."""

    def work(tell: Callable[[Told], None], stop: Event) -> Built:
        if not given["rows"]:
            raise TrainingError(say(language, "training.no_format_rows"))
        path = files.path(given["rows"], "", language)

        def progress(done: int, total: int = 0) -> None:
            counts = {"done": f"{done:,}", "total": f"{total:,}"} if total else {}
            key = "training.rewriting_rows" if total else "training.rewriting"
            tell(Told(say(language, key, file=path.name, **counts), done, total))

        progress(0)
        table = read_table(path, progress=progress)
        heading = _text(given, "heading") if given["to"] == "markdown" else ""
        mapping = guess(table, prompt=_text(given, "prompt_column"), response=_text(given, "response_column"))
        made = rewritten(table, mapping, given["to"], read=parse, heading=" ".join(heading.split()), progress=progress)
        left_out = _lines(made.broken, language)
        if not made.rows:
            told = say(language, "training.no_objects", file=path.name, form=given["to"])
            return Built(None, told, left_out, failed=True)
        out = files.free(f"{path.stem}-{given['to']}.jsonl")
        write_rows(out, made.rows)
        told = say(language, "training.rewritten", rows=f"{len(made.rows):,}", form=given["to"], file=out.name)
        return Built(out, told, left_out)

    return work


def from_feedback(history: Path, owner: str, files: RowFiles, language: str) -> Work:
    """Rows of an owner's thumbs, better answers and votes, and of nobody else's."""

    def work(tell: Callable[[Told], None], stop: Event) -> Built:
        if not owner:
            raise TrainingError(NO_COOKIE)
        database = Database(history)
        try:
            made = Opinions(database).rows(owner)
        finally:
            database.close()
        if not made.rows:
            raise TrainingError(say(language, "feedback.nothing"))
        out = files.free("my-feedback.jsonl")
        write_rows(out, made.rows)
        counts = {"rows": f"{len(made.rows):,}", "thumbs": f"{made.thumbs:,}", "votes": f"{made.votes:,}"}
        told = [say(language, "training.from_feedback", file=out.name, **counts)]
        told += [
            say(language, "training.feedback_left", count=f"{count:,}", why=said(language, why))
            for why, count in made.left_out.items()
        ]
        return Built(out, " ".join(told))

    return work


def _distilled(made: Distilled, broken: tuple[Broken, ...], out: Path, language: str) -> Built:
    rows = made.there + made.written
    told = say(language, "training.distilled", rows=f"{rows:,}", written=f"{made.written:,}", kept=f"{made.kept:,}")
    if made.left:
        told += " " + say(language, "training.prompts_left", left=f"{made.left:,}", total=f"{made.total:,}")
    if made.failed:
        told += " " + said(language, made.failed[0].why)
    left_out = _lines((*broken, *made.rejected, *made.failed), language)
    return Built(out if rows else None, told, left_out, failed=bool(made.left) or not rows)


def _distilled_name(prompts: Path, teacher: Teacher) -> str:
    """The same name for the same prompts, teacher and words, so that it goes on, and another for any other."""
    server = teacher.server
    depends_on = repr((server.url, server.model, teacher.instructions, teacher.max_tokens, teacher.temperature))
    digest = hashlib.sha256(depends_on.encode()).hexdigest()[:6]
    return f"{prompts.stem[:40]}-{_slug(server.model)[:30]}-{digest}.jsonl"


def _lines(rows: tuple[Broken, ...], language: str) -> tuple[str, ...]:
    return tuple(say(language, "training.left_out_line", line=row.line, why=said(language, row.why)) for row in rows)


def _slug(name: str) -> str:
    return re.sub(r"[^A-Za-z0-9._-]+", "-", name).strip(".-") or "rows"


def _share(value: Any) -> float:
    return min(max(float(value or 0), 0.0), 1.0)


def _text(given: Mapping[str, Any], name: str) -> str:
    return str(given[name] or "").strip()
