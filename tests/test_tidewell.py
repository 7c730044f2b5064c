"""The shipped corpus: enough of it, all of it sound, and judging shares nothing with training."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pytest

from crossfade.corpora.registry import Corpus, read_corpus, read_rows
from crossfade.evaluation.metrics import contains_answer, normalise
from crossfade.evaluation.questions import read_questions
from crossfade.evaluation.results import Result
from crossfade.evaluation.scoring import score
from crossfade.evaluation.structure import parse
from crossfade.evaluation.style import broken_rules
from crossfade.settings import Settings
from crossfade.training.formats import rewritten, written
from crossfade.training.forms import Mapping as Columns
from crossfade.training.overlap import overlaps
from crossfade.training.table import read_table

Rows = list[dict[str, Any]]
ROOT = Path(__file__).resolve().parents[1] / "corpora"
FOLDER = ROOT / "tidewell"
TRAINING = ("train/domain.jsonl", "train/style.jsonl", "train/json.jsonl", "train/yaml.jsonl", "examples.jsonl")
JUDGING = ("eval.jsonl", "eval_json.jsonl", "eval_style.jsonl", "eval_followup.jsonl")
DEVELOPMENT = ("dev.jsonl", "dev_json.jsonl", "dev_style.jsonl", "dev_followup.jsonl")
TAUGHT = {
    "answer": ("train/domain.jsonl", ("eval.jsonl", "dev.jsonl")),
    "voice": ("train/style.jsonl", ("eval_style.jsonl", "dev_style.jsonl")),
    "ticket": ("train/json.jsonl", ("eval_json.jsonl", "dev_json.jsonl")),
    "ticket_yaml": ("train/yaml.jsonl", ("eval_json.jsonl", "dev_json.jsonl")),
}
"""What teaches a task, and the sets that judge it or choose its settings."""
ACROSS_TASKS = {"same_words": 0.6, "same_meaning": 0.9}
"""The bar between rows that teach one task and those that judge another: nearly the same wording.

What is taught there is no answer to the judge. By the bar within a task, half of the trigrams or a cosine of 0.85,
four pairs were found and read, and none asks the same: that a certificate renews, and which form stops that; to swap a
beneficiary, and whether a niece may be one; and two pairs that share the words "my wife and I" or a product's name.
"""


@pytest.fixture(scope="module")
def corpus() -> Corpus:
    return read_corpus(ROOT, "tidewell")


@pytest.fixture(scope="module")
def rows() -> dict[str, Rows]:
    return {name: read_rows(FOLDER / name) for name in (*TRAINING, *JUDGING, *DEVELOPMENT)}


def text_of(row: dict[str, Any]) -> str:
    return str(row.get("question") or row["message"])


def test_each_task_is_measured_by_a_set_that_judges_it(corpus: Corpus) -> None:
    for name, task in corpus.tasks.items():
        path = corpus.questions_of(task)
        assert path.name == TAUGHT[name][1][0]
        assert len(read_questions(path).questions) >= 150


def test_there_are_enough_documents_and_words(corpus: Corpus) -> None:
    assert len(corpus.documents) >= 40
    assert sum(len(d.text.split()) for d in corpus.documents) >= 15_000


def test_every_document_opens_with_a_title_of_its_own_and_has_sections(corpus: Corpus) -> None:
    assert [d.name for d in corpus.documents if not d.text.startswith("# ")] == []
    assert [title for title, n in Counter(d.title for d in corpus.documents).items() if n > 1] == []
    assert [d.name for d in corpus.documents if len(re.findall(r"^##+ \S", d.text, re.M)) < 2] == []


def test_every_task_has_an_adapter_and_instructions(corpus: Corpus) -> None:
    assert {t.name: t.adapter for t in corpus.tasks.values()} == {
        "answer": "domain",
        "voice": "style",
        "ticket": "json",
        "ticket_yaml": "yaml",
    }
    assert all(t.instructions for t in corpus.tasks.values())
    assert [(t.name, t.form) for t in corpus.tasks.values() if t.schema] == [
        ("ticket", "json"),
        ("ticket_yaml", "yaml"),
    ]


@pytest.mark.parametrize("name", [*TRAINING, *JUDGING, *DEVELOPMENT])
def test_every_row_asks_something_and_names_documents_that_exist(
    name: str, rows: dict[str, Rows], corpus: Corpus
) -> None:
    known = {d.name for d in corpus.documents}
    assert rows[name]
    for number, row in enumerate(rows[name], start=1):
        assert text_of(row).strip(), f"line {number}"
        assert set(row.get("documents", ())) <= known, f"line {number}"


@pytest.mark.parametrize("name", [*JUDGING, *DEVELOPMENT])
def test_judging_rows_have_ids_of_their_own_and_no_question_twice(name: str, rows: dict[str, Rows]) -> None:
    for values in ([row["id"] for row in rows[name]], [(r.get("first"), text_of(r).lower()) for r in rows[name]]):
        assert [value for value, times in Counter(values).items() if times > 1] == []


def test_the_questions_are_split_as_promised(rows: dict[str, Rows]) -> None:
    splits = Counter(row["split"] for row in rows["eval.jsonl"])
    assert sum(splits.values()) >= 300
    least = {"trained": 100, "unseen": 100, "absent": 60, "two": 40}
    assert {name for name in least if splits[name] < least[name]} == set()
    assert set(splits) == set(least)
    assert min(len(rows["eval_json.jsonl"]), len(rows["eval_style.jsonl"])) >= 150
    assert len(rows["eval_followup.jsonl"]) >= 20


@pytest.mark.parametrize("name", ["eval.jsonl", "dev.jsonl"])
def test_unseen_documents_are_those_that_no_training_row_names(name: str, rows: dict[str, Rows]) -> None:
    trained = {d for row in rows["train/domain.jsonl"] for d in row.get("documents", ())}
    unseen = {d for row in rows[name] if row["split"] == "unseen" for d in row["documents"]}
    assert unseen & trained == set()
    assert {d for row in rows[name] if row["split"] == "trained" for d in row["documents"]} <= trained
    if name == "eval.jsonl":
        assert len(unseen) >= 10


@pytest.mark.parametrize("name", ["eval.jsonl", "dev.jsonl"])
def test_gold_documents_and_accepted_answers_fit_the_split(name: str, rows: dict[str, Rows]) -> None:
    for row in rows[name]:
        answers, documents, split = row["answers"], row["documents"], row["split"]
        if split == "absent":
            assert (answers, documents) == ([], []), row["id"]
            continue
        assert len(documents) == len(set(documents)) == (2 if split == "two" else 1), row["id"]
        assert answers, row["id"]
        assert all(contains_answer(answer, answers) for answer in answers), row["id"]


@pytest.mark.parametrize("name", ["eval.jsonl", "dev.jsonl"])
def test_an_accepted_answer_stands_in_the_gold_document(name: str, rows: dict[str, Rows], corpus: Corpus) -> None:
    """Where one document answers; two are often added up or compared, yes and no are said of a condition."""
    texts = {d.name: d.text.replace("days'", "days") for d in corpus.documents}
    missing = [
        (row["id"], row["answers"])
        for row in rows[name]
        if row["split"] in ("trained", "unseen")
        and not any(contains_answer(texts[d], row["answers"], max_words=10**6) for d in row["documents"])
        and not {normalise(a) for a in row["answers"]} & {"yes", "no"}
    ]
    assert missing == []


def test_no_question_of_the_judges_holds_its_own_answer(rows: dict[str, Rows]) -> None:
    leaking = [
        (row["id"], text_of(row))
        for row in rows["eval.jsonl"]
        if row["split"] != "two" and contains_answer(text_of(row), row["answers"], max_words=10**6)
    ]
    assert len(leaking) <= len(rows["eval.jsonl"]) // 50, leaking


def test_domain_answers_are_short_and_of_a_known_kind(rows: dict[str, Rows]) -> None:
    for number, row in enumerate(rows["train/domain.jsonl"], start=1):
        assert row["kind"] in ("fact", "two", "term", "absent"), f"line {number}"
        if row["kind"] != "absent":
            assert 1 <= len(row["answer"].split()) <= 30, f"line {number}"
        if row["kind"] in ("fact", "two"):
            assert row["documents"], f"line {number}"
        if "reworded" in row:
            assert row["kind"] in ("fact", "two"), f"line {number}"
            assert row["reworded"].strip().lower() != row["question"].strip().lower(), f"line {number}"


@pytest.mark.parametrize("name", ["train/json.jsonl", "eval_json.jsonl", "dev_json.jsonl"])
def test_every_ticket_is_valid_against_the_schema(name: str, rows: dict[str, Rows], corpus: Corpus) -> None:
    schema = corpus.task("ticket").schema
    assert schema
    validator = jsonschema.Draft202012Validator(schema)
    validator.check_schema(schema)
    for number, row in enumerate(rows[name], start=1):
        error = next(validator.iter_errors(row["ticket"]), None)
        assert error is None, f"line {number}: {error and error.message}"
        assert list(row["ticket"]) == schema["required"], f"line {number}: keys in the order of the schema"


@pytest.mark.parametrize("name", ["train/json.jsonl", "eval_json.jsonl", "dev_json.jsonl"])
def test_what_a_ticket_names_stands_in_its_message(name: str, rows: dict[str, Rows]) -> None:
    for number, row in enumerate(rows[name], start=1):
        message, ticket = row["message"], row["ticket"]
        assert ticket["customer"] is None or ticket["customer"].lower() in message.lower(), f"line {number}"
        assert ticket["reference"] is None or ticket["reference"].lower() in message.lower(), f"line {number}"
        assert ticket["date"] is None or ticket["date"][:4] in message or ticket["date"][2:4] in message, (
            f"line {number}"
        )
        assert (ticket["amount"] is None) == (ticket["currency"] is None), f"line {number}"


def test_the_instructions_for_tickets_name_every_value_of_the_schema(corpus: Corpus) -> None:
    task = corpus.task("ticket")
    assert task.schema
    for key, field in task.schema["properties"].items():
        assert f'"{key}"' in task.instructions
        assert [value for value in field.get("enum", ()) if f'"{value}"' not in task.instructions] == []


def test_the_instructions_for_tickets_in_yaml_name_every_value_too(corpus: Corpus) -> None:
    task = corpus.task("ticket_yaml")
    assert task.schema == corpus.task("ticket").schema
    assert task.schema
    lines = dict(line.split(": ", 1) for line in task.instructions.splitlines()[1:])
    assert list(lines) == task.schema["required"]
    for key, field in task.schema["properties"].items():
        assert [value for value in field.get("enum", ()) if value not in lines[key]] == []


def test_the_tickets_in_yaml_are_those_in_json(rows: dict[str, Rows], corpus: Corpus) -> None:
    """So that what is measured is the form alone."""
    mapping = Columns(form="pair", prompt="message", response="ticket")
    again = rewritten(read_table(FOLDER / "train" / "json.jsonl"), mapping, "yaml", read=parse)
    assert (rows["train/yaml.jsonl"], again.broken) == (list(again.rows), ())
    shown = {name: corpus.examples[name] for name in ("ticket", "ticket_yaml")}
    assert [e.question for e in shown["ticket"]] == [e.question for e in shown["ticket_yaml"]]
    given = [json.loads(e.answer) for e in shown["ticket"]]
    assert [parse(e.answer, "yaml") for e in shown["ticket_yaml"]] == given


def test_the_judging_set_scores_a_ticket_in_the_form_that_its_task_asks_for(corpus: Corpus) -> None:
    for name, other in (("ticket", "yaml"), ("ticket_yaml", "json"), ("ticket_yaml", "markdown")):
        task = corpus.task(name)
        for question in read_questions(corpus.questions_of(task)).questions[:20]:
            for form, right in ((task.form, True), (other, False)):
                assert question.object
                answer = Result(written(question.object, form, read=parse))
                assert score(question, answer, schema=task.schema, form=task.form).right is right


def test_the_instructions_for_the_voice_name_every_word_to_avoid(corpus: Corpus) -> None:
    voice = corpus.task("voice")
    assert voice.rules
    assert ", ".join(voice.rules.avoid) in voice.instructions


def test_every_taught_reply_keeps_the_rules_of_the_voice(rows: dict[str, Rows], corpus: Corpus) -> None:
    rules = corpus.task("voice").rules
    assert rules
    broken = [(n, b) for n, row in enumerate(rows["train/style.jsonl"], 1) if (b := broken_rules(row["answer"], rules))]
    assert broken == []


def test_every_example_is_one_that_its_task_would_accept(corpus: Corpus) -> None:
    assert set(corpus.examples) == set(corpus.tasks)
    rules = corpus.task("voice").rules
    assert rules
    assert [e for e in corpus.examples["voice"] if broken_rules(e.answer, rules)] == []
    assert [e for e in corpus.examples["answer"] if not 1 <= len(e.answer.split()) <= 30] == []
    schema = corpus.task("ticket").schema
    assert schema
    validator = jsonschema.Draft202012Validator(schema)
    assert [e for e in corpus.examples["ticket"] if not validator.is_valid(json.loads(e.answer))] == []


Embed = Callable[[Sequence[str]], Any]


def shared(rows: dict[str, Rows], embed: Embed) -> Iterator[str]:
    """What the rows that teach a task, its ICL examples included, share with any row that judges or chooses."""
    for task, (training, own) in TAUGHT.items():
        if task == "ticket_yaml":
            continue  # its messages are those of `ticket`, as another test shows
        again = ({**row, "question": row["reworded"]} for row in rows[training] if "reworded" in row)
        taught = [*rows[training], *again, *(row for row in rows["examples.jsonl"] if row["task"] == task)]
        for name in (*JUDGING, *DEVELOPMENT):
            if "followup" in name:
                continue  # they judge retrieval, which no row teaches
            for found in overlaps(taught, rows[name], embed, **({} if name in own else ACROSS_TASKS)):
                row, judged = taught[found.training], rows[name][found.judging]
                yield f"{task}: {text_of(row)!r} ~ {name} {judged['id']} {text_of(judged)!r} ({found.why})"


def test_training_and_judging_share_no_wording(rows: dict[str, Rows]) -> None:
    assert list(shared(rows, lambda texts: np.zeros((len(texts), 1), dtype=np.float32))) == []


@pytest.mark.slow
def test_training_and_judging_share_no_meaning(rows: dict[str, Rows]) -> None:
    from crossfade.startup import EMBEDDER, Startup

    settings = Settings.from_environment()
    if not (settings.home / "models" / EMBEDDER).is_dir():
        pytest.skip(f"the embedder is not in {settings.home}; fetch it with: crossfade models --fetch {EMBEDDER}")
    embedder, seen = Startup(settings).open_embedder(), dict[str, Any]()

    def embed(texts: Sequence[str]) -> Any:
        """Each text once: every training row meets six sets."""
        new = [text for text in dict.fromkeys(texts) if text not in seen]
        seen.update(zip(new, embedder.embed(new) if new else (), strict=True))
        return np.stack([seen[text] for text in texts])

    assert list(shared(rows, embed)) == []
