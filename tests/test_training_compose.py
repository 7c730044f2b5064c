"""Laws of the training rows that are made from a corpus's questions."""

from __future__ import annotations

import json
import re
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from cli_kit import Crossfade
from crossfade.abstention import ABSENT
from crossfade.corpora.registry import Task, read_corpus
from crossfade.errors import TrainingError
from crossfade.prompts import PASSAGES_HEAD
from crossfade.training.compose import BY_HEART, KINDS, compose
from crossfade.training.data import TrainingRow
from crossfade.training.forms import to_examples
from crossfade.training.guess import guess
from crossfade.training.table import read_table
from crossfade.training.tokens import rough_prompt_count
from crossfade.types import Passage, Query, Sampling
from fake_engine import FakeEngine, FakeRetriever, count_words, fake_pipeline, passage


@pytest.fixture(autouse=True)
def shares(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every kind of reading comes up in some tens of rows, whatever the shares are tuned to."""
    for name, share in {"SWAPPED": 0.5, "TAKEN_AWAY": 0.2, "NEAR_MISS": 0.3, "WRITTEN": 1.0}.items():
        monkeypatch.setattr(f"crossfade.training.compose.{name}", share)


TASK = Task("answer", "Answer", "Answer in few words.", max_new_tokens=20)
PRODUCTS = [f"Product{letter}" for letter in "ABCDEFGHIJKLMNOPQRSTUVWXYZ"]
FEES = {product: f"${20 + 3 * number}" for number, product in enumerate(PRODUCTS)}
DOCUMENTS = FakeRetriever(
    [passage(n, f"The monthly fee of {p} is {FEES[p]} flat.", document=p) for n, p in enumerate(PRODUCTS, start=1)]
)
TAUGHT = PRODUCTS[6:]
"""Those that are not taught come first where documents fit alike."""
ROWS: list[dict[str, Any]] = [
    {"question": f"What is the monthly fee of {p}?", "answer": f"{FEES[p]} a month", "documents": [p], "kind": "fact"}
    for p in TAUGHT
]
ROWS += [{"question": f"Who signed for {p}?", "answer": "", "documents": [p], "kind": "absent"} for p in TAUGHT[:5]]
ROWS += [{"question": "What does flat mean?", "answer": "the same each month", "documents": [], "kind": "term"}]


def made(
    rows: list[dict[str, Any]] = ROWS,
    *,
    seed: int = 0,
    finder: FakeRetriever | None = DOCUMENTS,
    limit: int = 1000,
    **shares: float,
) -> list[TrainingRow]:
    return compose(rows, TASK, finder=finder, passages=3, count=count_words, limit=limit, seed=seed, **shares)


def asked(row: TrainingRow) -> str:
    return row.messages[-1].content.rpartition("Question: ")[2]


def shown(row: TrainingRow) -> str:
    """The passages of a row, without its question."""
    return row.messages[-1].content.rpartition("Question: ")[0]


def product_of(row: TrainingRow) -> str:
    found = re.search(r"Product\w", asked(row))
    assert found
    return found[0]


SEEDS = (0, 1, 2, 4)
"""The shares are drawn; each law is looked at in several draws."""


def fact_rows(seed: int) -> list[TrainingRow]:
    return [row for row in made(seed=seed) if "monthly fee" in asked(row)]


@pytest.mark.parametrize("seed", SEEDS)
def test_every_kind_of_reading_is_made(seed: int) -> None:
    rows = fact_rows(seed)
    kinds = {
        "read": [r for r in rows if shown(r) and r.response == f"{FEES[product_of(r)]} a month"],
        "swapped": [r for r in rows if shown(r) and r.response not in (f"{FEES[product_of(r)]} a month", ABSENT)],
        "taken away": [r for r in rows if r.response == ABSENT],
        "by heart": [r for r in rows if not shown(r)],
    }
    assert all(kinds.values()), {name: len(found) for name, found in kinds.items()}
    assert len(kinds["read"]) == len(TAUGHT)


@pytest.mark.parametrize("seed", SEEDS)
def test_each_row_tells_its_kind(seed: int) -> None:
    for row in made(seed=seed):
        if "monthly fee" not in asked(row):
            assert row.kind == ("absent" if "Who signed" in asked(row) else "by heart")
            continue
        true = row.response == f"{FEES[product_of(row)]} a month"
        gone = row.response == ABSENT
        assert row.kind in (("taken away", "near miss") if gone else ("read", "by heart") if true else ("altered",))
        assert (row.kind == "by heart") == (not shown(row))
    assert {row.kind for row in made([{"question": "q?", "answer": "a"}])} == {"as it is"}


@pytest.mark.parametrize("seed", SEEDS)
def test_the_answer_is_absent_exactly_when_the_gold_document_is(seed: int) -> None:
    for row in fact_rows(seed):
        if shown(row):
            assert (row.response == ABSENT) == (f"fee of {product_of(row)} is" not in shown(row))


@pytest.mark.parametrize("seed", SEEDS)
def test_every_number_of_an_answer_stands_in_the_passages_it_is_read_from(seed: int) -> None:
    for row in fact_rows(seed):
        if shown(row) and row.response != ABSENT:
            (number,) = re.findall(r"\$\d+", row.response)
            assert f"fee of {product_of(row)} is {number} flat" in shown(row)


@pytest.mark.parametrize("seed", SEEDS)
def test_a_swapped_number_is_gone_from_the_passages_keeps_its_form_and_is_not_in_the_question(seed: int) -> None:
    swapped = 0
    for row in fact_rows(seed):
        true = FEES[product_of(row)]
        if shown(row) and row.response != ABSENT and true not in row.response:
            swapped += 1
            assert true not in shown(row)
            assert re.fullmatch(r"\$\d\d a month", row.response)
            assert true not in asked(row)
    assert swapped


def test_a_number_that_the_question_names_is_never_swapped() -> None:
    row = {
        "question": "Is the fee of ProductG $38?",
        "answer": "$38 a month",
        "documents": ["ProductG"],
        "kind": "fact",
    }
    for seed in range(20):
        assert {r.response for r in made([row], seed=seed)} <= {"$38 a month", ABSENT}


def test_a_number_that_is_a_part_of_a_longer_one_is_not_swapped_in_the_answer_alone() -> None:
    finder = FakeRetriever([passage(1, "The fee is $20.50 for a wire.", document="wire")])
    row = {"question": "What is the fee for a wire?", "answer": "$20", "documents": ["wire"], "kind": "fact"}
    for seed in range(20):
        assert {r.response for r in made([row], seed=seed, finder=finder)} <= {"$20"}


@pytest.mark.parametrize("seed", SEEDS)
def test_a_document_that_no_row_names_is_never_used(seed: int) -> None:
    text = " ".join(m.content for row in made(seed=seed) for m in row.messages)
    assert not [p for p in PRODUCTS if p not in TAUGHT and p in text]
    assert all(p in text for p in TAUGHT)


def test_a_question_without_an_answer_is_answered_so_and_reads_passages() -> None:
    rows = [row for row in made() if "Who signed" in asked(row)]
    assert len(rows) == 5
    assert {row.response for row in rows} == {ABSENT}
    assert all(PASSAGES_HEAD in shown(row) for row in rows)


def test_some_questions_are_read_in_their_own_document_without_the_passage_that_tells() -> None:
    finder = FakeRetriever(
        [
            *DOCUMENTS.passages,
            *(
                passage(n, f"What the monthly fee of {p} buys is a card.", document=p)
                for n, p in enumerate(PRODUCTS, 1)
            ),
        ]
    )
    misses = 0
    for seed in range(8):
        for row in made(ROWS[: len(TAUGHT)], seed=seed, finder=finder):
            if shown(row) and row.response == ABSENT:
                assert f"fee of {product_of(row)} is" not in shown(row)
                misses += f"fee of {product_of(row)} buys" in shown(row)
    assert misses > len(TAUGHT)


@pytest.mark.parametrize(
    ("answer", "text"),
    [
        ("$20 a month", "It was $20 once."),
        ("a PDF or a CSV file", "Download it as a PDF."),
        ("form TX-1", "Send TX-1 by post."),
        ("Yes, it may refuse", "The desk is open."),  # it says nothing beyond the question: in doubt it is told
    ],
)
def test_a_passage_that_may_hold_the_answer_is_no_near_miss(answer: str, text: str) -> None:
    question = "May it refuse?"
    texts = [text, f"What may it refuse? This: {answer}.", *["May it refuse? Ask."] * 5]
    finder = FakeRetriever([passage(n, t, document="one") for n, t in enumerate(texts, 1)])
    row = {"question": question, "answer": answer, "documents": ["one"], "kind": "fact"}
    for seed in range(20):
        for made_row in made([row], seed=seed, finder=finder):
            assert made_row.response != ABSENT or (text not in shown(made_row) and "This:" not in shown(made_row))
            assert made_row.response != ABSENT or not answer.startswith("Yes")


def test_a_number_within_a_longer_one_does_not_support_an_answer() -> None:
    finder = FakeRetriever([passage(1, "The fee is $500 flat.", document="wire")])
    row = {"question": "What is the fee?", "answer": "$5", "documents": ["wire"], "kind": "fact"}
    assert not [r for seed in range(5) for r in made([row], seed=seed, finder=finder) if shown(r)]


def test_a_term_is_learned_by_heart_always() -> None:
    for seed in SEEDS:
        rows = [row for row in made(seed=seed) if "flat mean" in asked(row)]
        assert [r.response for r in rows if not shown(r)] == ["the same each month"] * BY_HEART


@pytest.mark.parametrize("seed", SEEDS)
def test_a_second_wording_is_read_once_true_or_altered_and_takes_turns_in_what_is_learned_by_heart(seed: int) -> None:
    second = {p: f"I hold {p}. What leaves my account each month?" for p in TAUGHT}
    rows = made([{**r, "reworded": second[r["documents"][0]]} for r in ROWS[: len(TAUGHT)]], seed=seed)
    answers = {p: f"{FEES[p]} a month" for p in TAUGHT}
    again = [r for r in rows if asked(r).startswith("I hold")]
    read = [r for r in again if shown(r)]
    assert sorted(map(product_of, read)) == TAUGHT
    altered = [r for r in read if r.response != answers[product_of(r)]]
    assert 0 < len(altered) < len(read)
    for row in read:
        assert f"{product_of(row)} is {row.response.split()[0]} flat" in shown(row)
    heart = [r for r in again if not shown(r)]
    assert sorted(map(product_of, heart)) == sorted(TAUGHT * (BY_HEART // 2))
    assert all(r.response == answers[product_of(r)] for r in heart)
    first = [r for r in rows if not asked(r).startswith("I hold") and shown(r) and r.response != ABSENT]
    assert [r.response for r in first] == list(answers.values()), "the first wording is read true, and once"


def test_a_fact_that_no_passage_supports_is_not_read() -> None:
    row = {
        "question": "What is the monthly fee of ProductA?",
        "answer": "$999",
        "documents": ["ProductA"],
        "kind": "fact",
    }
    for seed in range(10):
        assert all(not shown(r) for r in made([row], seed=seed))


def test_the_same_seed_makes_the_same_rows_and_another_one_others() -> None:
    assert made(seed=1) == made(seed=1)
    assert made(seed=1) != made(seed=2)


def test_the_prompt_is_the_pipeline_s_for_the_same_passages(tmp_path: Path) -> None:
    pipeline = fake_pipeline(tmp_path, engine=FakeEngine())
    task = read_corpus(tmp_path, "bank").task("answer")
    rows = compose(ROWS[:1], task, finder=DOCUMENTS, passages=3, count=count_words, limit=1000)
    found: tuple[Passage, ...] = DOCUMENTS.retrieve(ROWS[0]["question"], only=set(ROWS[0]["documents"]))
    query = Query(ROWS[0]["question"], corpus="bank", task="answer", rag=True, sampling=Sampling(max_new_tokens=20))
    prompt = pipeline.prepare(query, passages=found).prompt
    assert prompt
    assert rows[0].messages == prompt.messages
    heart = pipeline.prepare(Query(query.text, corpus="bank", task="answer", sampling=query.sampling)).prompt
    assert heart
    term = {**ROWS[0], "kind": "term"}
    assert compose([term], task, finder=DOCUMENTS, count=count_words, limit=1000)[-1].messages == heart.messages


def test_a_message_and_its_ticket_become_json_in_the_order_of_its_keys() -> None:
    ticket = {"product": "checking", "amount": 7.5, "customer": "Zoë", "date": None}
    (row,) = made([{"message": " Refund me. ", "ticket": ticket}])
    assert row.messages[-1].content == "Refund me."
    assert list(json.loads(row.response).items()) == list(ticket.items())
    assert "Zoë" in row.response
    (row,) = made([{"message": "Refund me.", "ticket": "product: checking\namount: 7.5\n"}])
    assert row.response == "product: checking\namount: 7.5", "one that is a text is learned as it stands"


def test_rows_without_a_kind_or_a_finder_are_taken_as_they_are() -> None:
    plain = [{"question": "q?", "answer": "a"}]
    assert [(r.messages[-1].content, r.response) for r in made(plain)] == [("q?", "a")]
    assert [r.response for r in made(ROWS[:3], finder=None)] == [row["answer"] for row in ROWS[:3]]


@pytest.mark.parametrize(
    "row", [{}, {"question": "q?"}, {"answer": "a"}, {"question": " ", "answer": "a"}, {"question": "q", "answer": 7}]
)
def test_a_row_without_question_or_answer_is_told_with_its_number(row: dict[str, Any]) -> None:
    with pytest.raises(TrainingError, match="row 2 needs a question and an answer"):
        made([{"question": "q?", "answer": "a"}, row])


@pytest.mark.parametrize(
    ("row", "why"),
    [
        ({"question": "q", "answer": "a", "documents": None, "kind": "fact"}, "documents must be a list"),
        ({"question": "q", "answer": "a", "documents": 3, "kind": "fact"}, "documents must be a list"),
        ({"question": "q", "answer": "a", "documents": [1], "kind": "fact"}, "documents must be a list"),
        ({"message": "m", "ticket": {}, "kind": "fact"}, "needs a question"),
    ],
)
def test_a_row_of_another_form_is_told_with_its_number(row: dict[str, Any], why: str) -> None:
    with pytest.raises(TrainingError, match=f"row {len(ROWS) + 1}.*{why}"):
        made([*ROWS, row])


@pytest.mark.parametrize("seed", range(3))
def test_some_rows_come_after_other_questions_and_some_of_those_were_given_up(seed: int) -> None:
    rows = made(seed=seed, earlier_turns=0.3)
    after = [row for row in rows if len(row.messages) > 2]
    assert 0 < len(after) < len(rows)
    earlier = [message for row in after for message in row.messages[1:-1]]
    assert {message.role for message in earlier} == {"user", "assistant"}
    assert not any(PASSAGES_HEAD in message.content for message in earlier), "as the chat shows earlier turns"
    for row in after:
        assert asked(row) not in [message.content for message in row.messages[1:-1]]
    given_up = [message.content == ABSENT for message in earlier if message.role == "assistant"]
    assert True in given_up
    assert False in given_up
    told = [row for row in after if row.messages[-2].content == ABSENT and row.response != ABSENT]
    assert told, "what was given up before does not decide what is answered now"


def test_some_passages_stand_in_another_order_than_they_were_found() -> None:
    straight = []
    for row in made(shuffled=0.5):
        if shown(row):
            best = DOCUMENTS.retrieve(asked(row), k=3)[0]
            straight.append(shown(row).index("[1] ") < shown(row).find(best.title) < shown(row).find("[2] "))
    assert True in straight
    assert False in straight


def test_passages_that_do_not_fit_are_left_out_and_never_the_answer_s_own() -> None:
    whole = count_words(made(ROWS[:20])[0].messages)
    for limit in range(TASK.max_new_tokens + 20, whole + TASK.max_new_tokens + 5, 3):
        for row in made(ROWS[:20], limit=limit):
            assert count_words(row.messages) <= limit - TASK.max_new_tokens
            if shown(row) and row.response != ABSENT:
                assert f"fee of {product_of(row)} is" in shown(row)


def test_a_row_that_is_too_long_alone_does_not_end_the_others() -> None:
    rows = made([{"question": "why " * 500, "answer": "a"}, {"question": "q?", "answer": "b"}], limit=100)
    assert [row.response for row in rows] == ["a", "b"], "training leaves the first one out by its length and lists it"


def test_a_reading_whose_own_passage_no_longer_fits_is_not_taught() -> None:
    texts = ["The monthly fee of this one?", "The monthly fee of that one?", "It is $91."]
    finder = FakeRetriever([passage(n, text, document=f"doc{n}") for n, text in enumerate(texts, start=1)])
    row = {
        "question": "What is the monthly fee?",
        "answer": "$91",
        "documents": ["doc1", "doc2", "doc3"],
        "kind": "fact",
    }
    (whole, *_) = made([row], finder=finder)
    assert "$91" in shown(whole)
    fits = count_words(whole.messages) + TASK.max_new_tokens
    assert not [r for r in made([row], finder=finder, limit=fits - 1) if shown(r)]


ASKED = [
    {"question": "What is Fact 1?", "answer": "$1", "documents": ["doc1"], "kind": "fact"},
    {"question": "What is Fact 2?", "answer": "$2", "documents": ["doc2"], "kind": "fact"},
    {"question": "Who signed?", "answer": "", "documents": [], "kind": "absent"},
]


@pytest.fixture
def questions(engine: FakeEngine, tmp_path: Path) -> Path:
    path = tmp_path / "questions.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in ASKED))
    return path


def test_the_command_writes_the_rows_of_a_training_and_counts_their_kinds(
    run: Crossfade, questions: Path, tmp_path: Path
) -> None:
    out = tmp_path / "rows.jsonl"
    words = ("data", "compose", "tidewell", "--questions", str(questions), "--rough", "--seed", "3", "--out")
    told = json.loads(run(*words, str(out), "--json").out)
    table = read_table(out)
    kinds = [record.values["kind"] for record in table.records]
    assert (told["questions"], told["rows"], told["kinds"]) == (3, len(kinds), dict(Counter(kinds)))
    assert {"read", "by heart", "absent"} <= set(kinds) <= set(KINDS)
    mapping = guess(table)
    assert mapping.form == "messages"
    task = read_corpus(tmp_path / "corpora", "tidewell").task("")
    same = compose(ASKED, task, finder=FakeRetriever(), passages=2, count=rough_prompt_count, limit=1024, seed=3)
    assert [example.row for example in to_examples(table, mapping)[0]] == same
    lines = run(*words, str(tmp_path / "again.jsonl")).out.splitlines()
    assert f"{len(kinds)} rows of 3 questions, task answer." in lines[0]
    assert len(lines) == 1 + len(set(kinds))
    assert out.read_bytes() == (tmp_path / "again.jsonl").read_bytes()
    assert "is there already" in run(*words, str(out)).error()


def test_numbers_that_are_asked_for_by_rule_come_besides(run: Crossfade, questions: Path, tmp_path: Path) -> None:
    (tmp_path / "corpora" / "tidewell" / "docs" / "doc1.md").write_text(
        "# Fact 1\n\nThe fee of the first fact is $17.\n"
    )
    words = ("data", "compose", "tidewell", "--questions", str(questions), "--rough", "--out")
    before = json.loads(run(*words, str(tmp_path / "before.jsonl"), "--json").out)
    told = json.loads(run(*words, str(tmp_path / "rows.jsonl"), "--json", "--numbers", "30").out)
    table = read_table(tmp_path / "rows.jsonl")
    asked = [e.row for e in to_examples(table, guess(table))[0] if "___" in e.row.messages[-1].content or e.row.also]
    assert {row.response for row in asked} == {"$17"}
    assert told["rows"] - before["rows"] == told["kinds"]["cloze"]
    assert {kind: n for kind, n in told["kinds"].items() if kind != "cloze"} == before["kinds"]


def test_the_report_finds_the_composed_rows_fit_to_be_trained_on(
    run: Crossfade, questions: Path, tmp_path: Path
) -> None:
    questions.write_text("".join(json.dumps(row) + "\n" for row in ASKED * 4))
    out = str(tmp_path / "rows.jsonl")
    assert run("data", "compose", "tidewell", "--questions", str(questions), "--rough", "--out", out).code == 0
    told = json.loads(run("data", "report", out, "--rough", "--json").out)
    assert (told["errors"], told["broken"], told["unused"]) == (0, [], ["kind"])


def test_tickets_are_composed_without_an_index(
    run: Crossfade, questions: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("crossfade.startup.Startup.index", None)
    questions.write_text('{"message": "Card gone.", "ticket": {"product": "card"}}\n')
    words = ("--task", "ticket", "--rough", "--out", str(tmp_path / "rows.jsonl"), "--json")
    told = json.loads(run("data", "compose", "tidewell", "--questions", str(questions), *words).out)
    assert told["kinds"] == {"as it is": 1}


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (("nowhere", "--out", "a.jsonl"), "Unknown corpus 'nowhere'. Known: tidewell"),
        (("tidewell", "--out", "a.jsonl", "--task", "tikcet"), "Unknown task 'tikcet'"),
        (("tidewell", "--out", "a.csv"), "a .jsonl file"),
        (("tidewell", "--out", "a.jsonl", "--questions", "none.jsonl"), "Cannot read none.jsonl"),
    ],
)
def test_what_cannot_be_composed_is_one_line(run: Crossfade, questions: Path, words: tuple[str, ...], why: str) -> None:
    assert why in run("data", "compose", "--questions", str(questions), "--rough", *words).error()
