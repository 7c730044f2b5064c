"""Laws of the questions that are made by rule of a document's numbers."""

from __future__ import annotations

import json
import random
from collections import Counter
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from crossfade.corpora.registry import Corpus, Document, read_corpus
from crossfade.training.cloze import LONGEST, TAUGHT, asked_by_rule, cloze_rows, digits, facts
from crossfade.training.data import TrainingRow
from crossfade.training.overlap import Embed
from crossfade.training.rows import TaskData
from crossfade.training.run_folder import RunFolder
from crossfade.training.tokens import rough_prompt_count

TEXT = """# Tern Account

The Tern Account is for everyone.

## Fees

The monthly fee is $4.50, taken on the 3rd day of the month. Abroad you
pay 1.5% of each purchase. A 5-year start has no fee, and form TA-04 asks for it.

## Hours

The desk answers until 9:30 a.m. on 12 business days a year. Call 555-0199. That is all there is to say.
"""
TERN = Document("tern", "Tern Account", TEXT, "")
NUMBERS = ["$4.50", "3rd day", "1.5%", "TA-04", "9:30 a.m.", "12 business days"]


def pairs(rows: list[TrainingRow]) -> list[tuple[str, str]]:
    """Every question with its answer."""
    texts = [[m.content for m in row.messages[1:]] + [row.response] for row in rows]
    return [(told[n], told[n + 1]) for told in texts for n in range(0, len(told), 2)]


def made(often: int = 12, taught: Collection[tuple[str, str]] = ()) -> list[TrainingRow]:
    return cloze_rows([TERN], instructions="Be brief.", often=often, taught=taught, draw=random.Random(3))


def test_a_fact_is_a_number_with_its_unit_and_a_short_sentence_tells_none() -> None:
    found = facts(TERN)
    assert [fact.answer for fact in found] == NUMBERS
    assert [fact.heading for fact in found] == ["Fees"] * 4 + ["Hours"] * 2
    assert all(fact.sentence.count("\n") == 0 for fact in found)


@pytest.mark.parametrize("seed", range(5))
def test_every_number_is_asked_for_as_often_as_wished_and_never_shown(seed: int) -> None:
    rows = cloze_rows([TERN], instructions="Be brief.", often=12, draw=random.Random(seed))
    asked = pairs(rows)
    assert Counter(answer for _, answer in asked) == dict.fromkeys(NUMBERS, 12 + 3)
    for question, answer in asked:
        assert answer not in question
    gaps = [question for question, _ in asked if "___" in question]
    assert len(gaps) == 3 * len(NUMBERS)
    assert len({question for question, _ in asked}) > len(asked) / 2, "in many wordings"


def test_what_other_rows_ask_for_is_asked_for_less_often() -> None:
    counts = Counter(answer for _, answer in pairs(made(taught={("tern", "4.50"), ("other", "1.5")})))
    assert counts["$4.50"] == 12 // TAUGHT + 1
    assert counts["1.5%"] == 12 + 3


@pytest.mark.parametrize("seed", range(3))
def test_what_is_refused_is_asked_in_another_wording_and_what_has_none_not_at_all(seed: int) -> None:
    def refused(asked: Sequence[dict[str, Any]]) -> list[int]:
        assert all(row["documents"] == ["tern"] and row["answer"] in NUMBERS for row in asked)
        return [n for n, row in enumerate(asked) if "How" in row["question"] or row["answer"] == "TA-04"]

    rows = cloze_rows([TERN], instructions="", often=12, refused=refused, draw=random.Random(seed))
    asked = pairs(rows)
    assert asked
    assert not [question for question, answer in asked if "How" in question or answer == "TA-04"]
    counts = Counter(answer for _, answer in asked)
    assert all(counts[number] > 12 for number in NUMBERS if number != "TA-04"), "drawn again until it may be asked"


def test_a_conversation_has_some_questions_and_every_answer_is_learned() -> None:
    rows = made(often=60)
    assert {len(row.also) + 1 for row in rows[:-1]} == {1, 3, LONGEST}
    for row in rows:
        assert row.messages[0].content == "Be brief."
        assert all(row.messages[place].role == "assistant" for place in row.also)
        assert len(row.also) == sum(message.role == "assistant" for message in row.messages)


def test_two_ways_to_write_a_number_are_one() -> None:
    assert digits("$1,200.") == digits("1200 dollars") == "1200"
    assert digits("9:30 a.m.") == "930"


@pytest.fixture
def coast(tmp_path: Path) -> Corpus:
    docs = tmp_path / "coast" / "docs"
    docs.mkdir(parents=True)
    for name in ("tern", "gull"):
        (docs / f"{name}.md").write_text(TEXT.replace("Tern", name.title()).replace("4.50", f"4.{len(name)}1"))
    (docs.parent / "corpus.toml").write_text(
        'title = "C"\ndescription = "c"\ndefault_task = "answer"\n'
        '[tasks.answer]\ntitle = "A"\ninstructions = "Answer."\nadapter = "domain"\n'
    )
    return read_corpus(tmp_path, "coast")


def test_only_documents_that_learned_rows_name_are_asked_about(coast: Corpus, tmp_path: Path) -> None:
    file = tmp_path / "rows.jsonl"
    row = {"question": "What is the monthly fee of Gull?", "answer": "$4.41", "documents": ["gull"], "kind": "fact"}
    file.write_text(json.dumps(row) + "\n")
    data = TaskData(file, coast, coast.task("answer"), numbers=6)
    rows = data.rows(finder=None, count=rough_prompt_count, limit=1024, seed=0)
    assert rows.mix == {"numbers": 6}
    asked = pairs([row for row in rows.learned if row.kind == "cloze"])
    assert asked
    assert not [question for question, _ in asked if "Tern" in question]
    assert rows == data.rows(finder=None, count=rough_prompt_count, limit=1024, seed=0), "the same seed, the same rows"


def test_no_number_is_asked_for_as_a_set_of_the_corpus_asks_for_it(coast: Corpus) -> None:
    def made(embed: Embed | None) -> set[tuple[str, str]]:
        rows = [{"documents": ["gull"], "answer": ""}]
        return set(pairs(asked_by_rule(rows, coast, instructions="", often=40, seed=1, embed=embed)))

    before = made(None)
    fee = next(question for question, answer in sorted(before) if answer == "$4.41" and len(question.split()) > 5)
    judged = {"question": fee, "answers": ["$4.41"], "documents": ["gull"]}
    (coast.folder / "eval.jsonl").write_text(json.dumps(judged) + "\n")
    assert {answer for _, answer in made(None)} == {answer for _, answer in before}
    assert fee not in {question for question, _ in made(None)}, "its words are those of a judging question"

    def alike(texts: Sequence[str]) -> NDArray[np.float32]:
        return np.array([[0.6, 0.8] if text != fee else [1.0, 0.0] for text in texts], dtype=np.float32)

    by_meaning = made(alike)
    assert "$4.41" not in {answer for _, answer in by_meaning}, "the same fact, and at all alike"
    assert {answer for _, answer in before} - {answer for _, answer in by_meaning} == {"$4.41"}


def test_a_run_s_folder_keeps_which_answers_are_learned(tmp_path: Path) -> None:
    rows = made()
    folder = RunFolder(tmp_path / "run")
    folder.begin({"name": "a"}, rows, ())
    assert [row.also for row in folder.rows()[0]] == [row.also for row in rows]
