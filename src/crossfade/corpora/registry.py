"""Find and read corpora: `corpus.toml`, the documents, the ICL examples. Knows nothing of retrieval or models.

A corpus is a folder:

    corpus.toml        title, description, default task, settings of retrieval, the tasks
    docs/*.md          the documents, UTF-8 Markdown
    examples.jsonl     ICL examples: {"task": ..., "question": ..., "answer": ...}
    train/*.jsonl      rows for adapters
    eval*.jsonl        rows for judging, never trained on; a task's `questions` names the one that is its own
"""

from __future__ import annotations

import hashlib
import json
import re
import tomllib
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from crossfade.corpora.rules import Rules, read_rules
from crossfade.errors import CorpusError
from crossfade.types import Example

FORMS = ("json", "yaml", "markdown")
"""What an answer that is an object may be written in."""
TEXT = "{text}"
"""What stands in a template for a question's text."""
_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")


@dataclass(frozen=True, slots=True)
class Task:
    """What the model is asked to do with a question: the instructions that every mode is given alike.

    `adapter` is the one used when fine-tuning is switched on without naming another. `schema` is a JSON schema that the
    answer has to satisfy, `form` what an answer that is an object is written in, `rules` are those of a voice that it
    has to keep, or None. `questions` is the file in the corpus that the task is measured by, or empty. `template` is
    what a question is put into, at `{text}`, or empty: an adapter may bring one, which its rows were asked with.
    """

    name: str
    title: str
    instructions: str
    adapter: str = ""
    max_new_tokens: int = 200
    examples: int = 3
    schema: dict[str, Any] | None = None
    rules: Rules | None = None
    questions: str = ""
    form: str = "json"
    template: str = ""

    def put(self, question: str) -> str:
        """The question as the model is asked it."""
        return self.template.replace(TEXT, question) if self.template else question

    @property
    def enforceable(self) -> dict[str, Any] | None:
        """The schema that an engine can hold an answer to, or None: what is enforced is JSON alone."""
        return self.schema if self.form == "json" else None


@dataclass(frozen=True, slots=True)
class Document:
    """One document of a corpus. `sha256` is of its UTF-8 bytes."""

    name: str
    title: str
    text: str
    sha256: str


@dataclass(frozen=True)
class Corpus:
    """One corpus, read from its folder; documents and examples are read when first asked for."""

    name: str
    title: str
    description: str
    folder: Path
    default_task: str
    tasks: dict[str, Task] = field(repr=False)
    passages: int = 3

    def task(self, name: str) -> Task:
        """The task of that name; an empty name means the default. Raises CorpusError for an unknown one."""
        try:
            return self.tasks[name or self.default_task]
        except KeyError:
            raise CorpusError(
                f"Unknown task {name!r} of corpus {self.name!r}. Known: {', '.join(self.tasks)}."
            ) from None

    def task_of_adapter(self, adapter: str) -> Task:
        """The task whose own adapter this is, otherwise the default task."""
        return next((t for t in self.tasks.values() if t.adapter == adapter), self.tasks[self.default_task])

    @cached_property
    def documents(self) -> tuple[Document, ...]:
        """The documents, sorted by name. Raises CorpusError where one is empty or is not UTF-8 text."""
        paths = sorted((self.folder / "docs").glob("*.md"))
        if not paths:
            raise CorpusError(f"Corpus {self.name!r} has no documents: put Markdown files into {self.folder / 'docs'}.")
        return tuple(_read_document(path) for path in paths)

    @property
    def question_sets(self) -> tuple[Path, ...]:
        """The sets of questions that lie beside the documents, `eval.jsonl` first, then by name.

        Those of follow-up questions are none: they are asked after another question, and judge retrieval.
        """
        found = [p for p in self.folder.glob("*.jsonl") if p.name != "examples.jsonl" and "followup" not in p.name]
        return tuple(sorted(found, key=lambda path: (path.name != "eval.jsonl", path.name)))

    def questions_of(self, task: Task) -> Path:
        """The set of questions that a task is measured by. Raises CorpusError where it names none."""
        if not task.questions:
            raise CorpusError(
                f"Task {task.name!r} of corpus {self.name!r} names no questions. Give a file of them, or write "
                f'questions = "eval.jsonl" under [tasks.{task.name}] in corpus.toml.'
            )
        return self.folder / task.questions

    @cached_property
    def examples(self) -> dict[str, tuple[Example, ...]]:
        """The ICL examples by task. Raises CorpusError naming the line that is broken."""
        path = self.folder / "examples.jsonl"
        found: dict[str, list[Example]] = {}
        for number, row in enumerate(read_rows(path) if path.is_file() else [], start=1):
            if not all(isinstance(row.get(key), str) and row[key].strip() for key in ("task", "question", "answer")):
                raise CorpusError(f"{path}, line {number}: an example needs the texts task, question and answer.")
            found.setdefault(row["task"], []).append(Example(row["question"], row["answer"]))
        return {task: tuple(examples) for task, examples in found.items()}


def read_rows(path: Path) -> list[dict[str, Any]]:
    """The JSON objects of a JSONL file, one for each line. Raises CorpusError naming the first broken line."""
    rows = []
    try:
        # Only a line feed ends a row: splitlines() would also cut at signs that JSON allows inside a text. A byte order
        # mark, which some editors write, is passed over.
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise CorpusError(f"Cannot read {path}: {error}. It must be a UTF-8 text file.") from error
    for number, line in enumerate(text.removesuffix("\n").split("\n") if text else [], start=1):
        try:
            row = json.loads(line)
        except json.JSONDecodeError as error:
            raise CorpusError(f"{path}, line {number}, column {error.colno}: not JSON ({error.msg}).") from error
        except (ValueError, RecursionError) as error:
            raise CorpusError(f"{path}, line {number}: a number is too long or the nesting too deep.") from error
        if not isinstance(row, dict):
            raise CorpusError(f"{path}, line {number}: expected a JSON object, found {type(row).__name__}.")
        try:
            json.dumps(row, ensure_ascii=False).encode()
        except UnicodeEncodeError as error:
            raise CorpusError(
                f"{path}, line {number}: a text holds half of a character ({error.object[error.start]!r})."
            ) from error
        rows.append(row)
    return rows


def list_corpora(root: Path) -> list[str]:
    """The names of the corpora under a folder, sorted."""
    return sorted(path.parent.name for path in root.glob("*/corpus.toml"))


def read_corpus(root: Path, name: str) -> Corpus:
    """Read one corpus. Raises CorpusError for an unknown name and for a broken `corpus.toml`."""
    known = list_corpora(root)
    if name not in known:
        raise CorpusError(f"Unknown corpus {name!r}. Known: {', '.join(known) or f'none; {root} holds no corpus'}.")
    if not _NAME.fullmatch(name):
        raise CorpusError(f"The folder {root / name} cannot be a corpus: name it with up to 64 of a-z, 0-9, - and _.")
    path = root / name / "corpus.toml"
    try:
        data = tomllib.loads(path.read_text(encoding="utf-8-sig"))
        tasks = {key: _read_task(path.parent, key, value) for key, value in data["tasks"].items()}
        corpus = Corpus(
            name=name,
            title=str(data["title"]),
            description=str(data.get("description", "")),
            folder=path.parent,
            default_task=str(data["default_task"]),
            tasks=tasks,
            passages=_whole(data.get("retrieval", {}), "passages", 3, low=1),
        )
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError, RecursionError) as error:
        raise CorpusError(f"{path} cannot be read: {error}.") from error
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise CorpusError(
            f"{path} is broken at {error}. It needs title, default_task and a [tasks.NAME] with instructions."
        ) from error
    if corpus.default_task not in tasks:
        raise CorpusError(
            f"{path}: default_task is {corpus.default_task!r}; its tasks are {', '.join(tasks) or 'none'}."
        )
    return corpus


def _read_task(folder: Path, name: str, data: dict[str, Any]) -> Task:
    schema = None
    if "schema" in data:
        file = folder / str(data["schema"])
        try:
            schema = json.loads(file.read_text(encoding="utf-8-sig"))
        except (OSError, ValueError, RecursionError) as error:
            raise CorpusError(f"{file}, the schema of task {name!r}, cannot be read: {error}.") from error
        check_schema(schema, f"{file}, the schema of task {name!r},")
    return Task(
        name=name,
        title=str(data.get("title", name)),
        instructions=str(data["instructions"]).strip(),
        adapter=str(data.get("adapter", "")),
        max_new_tokens=_whole(data, "max_new_tokens", 200, low=1),
        examples=_whole(data, "examples", 3, low=0),
        schema=schema,
        rules=read_rules(data["rules"]) if "rules" in data else None,
        questions=_file_name(data.get("questions", "")),
        form=_form(data.get("form", "json")),
    )


def check_schema(schema: Any, what: str) -> None:
    """Raises CorpusError unless it is a JSON Schema, its patterns regular expressions."""
    from jsonschema.exceptions import SchemaError
    from jsonschema.validators import validator_for

    if not isinstance(schema, dict):
        raise CorpusError(f"{what} is not a JSON object.")
    kind = validator_for(schema)
    try:
        kind.check_schema(schema)
    except (SchemaError, RecursionError) as error:
        place = "/".join(map(str, getattr(error, "absolute_path", ())))
        why = getattr(error, "message", "it is nested too deep")
        raise CorpusError(f"{what} is no JSON Schema{f' at {place}' if place else ''}: {why[:300]}.") from error


def _form(value: Any) -> str:
    if value not in FORMS:
        raise ValueError(f"form = {value!r}, which must be {', '.join(FORMS[:-1])} or {FORMS[-1]}")
    return str(value)


def _file_name(value: Any) -> str:
    if not isinstance(value, str) or value != Path(value).name:
        raise ValueError(f"questions = {value!r}, which must be the name of a file beside it")
    return value


def _whole(data: dict[str, Any], key: str, default: int, *, low: int) -> int:
    value = data.get(key, default)
    if not isinstance(value, int) or isinstance(value, bool) or value < low:
        raise ValueError(f"{key} = {value!r}, which must be a whole number from {low}")
    return value


def _read_document(path: Path) -> Document:
    try:
        data = path.read_bytes()
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise CorpusError(f"{path} is not UTF-8 text (byte {error.start}). Save it as UTF-8 or remove it.") from error
    except OSError as error:
        raise CorpusError(f"{path} cannot be read: {error.strerror}. Mend or remove it.") from error
    if not text.strip():
        raise CorpusError(f"{path} is empty. Write something into it or remove it.")
    first = text.lstrip().splitlines()[0]
    title = first.lstrip("#").strip() if first.startswith("#") else path.stem.replace("-", " ").capitalize()
    return Document(name=path.stem, title=title, text=text, sha256=hashlib.sha256(data).hexdigest())
