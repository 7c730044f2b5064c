"""Drafted questions: each from a sentence, its number the answer, as many from each document."""

from __future__ import annotations

import json
import sys
from collections import Counter
from pathlib import Path

import pytest

from cli_kit import Crossfade
from crossfade.corpora.registry import Document
from crossfade.errors import QuestionError
from crossfade.evaluation.drafts import as_row, drafts, unfinished
from crossfade.evaluation.questions import read_questions
from fake_engine import FakeEngine

DOCUMENTS = [
    Document(
        name, name.title(), f"# {name.title()}\n\n" + "".join(f"The fee for {n} is ${n}. " for n in range(2, 9)), ""
    )
    for name in ("wires", "cards", "loans")
]


def test_drafts_are_of_all_documents_alike_and_end_at_the_count() -> None:
    found = drafts(DOCUMENTS, count=9)
    assert Counter(draft.document for draft in found) == {"wires": 3, "cards": 3, "loans": 3}
    assert len({draft.question for draft in drafts(DOCUMENTS, count=1000)}) == 3 * 7, (
        "a beginning that several sentences have is no question"
    )
    assert drafts(DOCUMENTS, count=9) == found
    assert drafts(DOCUMENTS, count=9, seed=1) != found


def test_no_draft_holds_its_answer_s_number_twice_and_rows_are_read_back(tmp_path: Path) -> None:
    found = drafts(DOCUMENTS, count=6)
    path = tmp_path / "set.jsonl"
    path.write_text("".join(as_row(d.question, d.answer, d.document) + "\n" for d in found))
    questions = read_questions(path).questions
    assert [(q.answers[0], q.documents[0], q.answerable) for q in questions] == [
        (d.answer, d.document, True) for d in found
    ]


def test_an_emptied_answer_says_that_no_document_answers() -> None:
    assert json.loads(as_row(" Who? ", " | ", "fees")) == {"question": "Who?", "answers": [], "documents": []}
    assert json.loads(as_row("How much?", "$7 | seven", "fees"))["answers"] == ["$7", "seven"]


def test_documents_without_a_number_are_told() -> None:
    with pytest.raises(QuestionError, match="nothing can be drafted"):
        drafts([Document("a", "A", "# A\n\nNo number here.", "")], count=3)


def test_the_command_writes_what_nobody_has_looked_at_and_says_so(
    run: Crossfade, engine: FakeEngine, tmp_path: Path
) -> None:
    out = tmp_path / "new" / "set.jsonl"
    found = run("draft", "--out", str(out), "--count", "5", "--unseen")
    assert found.code == 0
    assert "nobody has looked at" in found.err
    (only,) = read_questions(out).questions
    assert (only.text, only.answers) == ("Fees: The monthly fee is ...", ("$7",))
    assert json.loads(run("draft").out) == json.loads(out.read_text())
    out.write_bytes(b'{"question": "Mine?"}')
    again = run("draft", "--out", str(out), "--unseen")
    assert [q.text for q in read_questions(out).questions] == ["Mine?", only.text], "no row is torn"
    assert run("draft", "--out", str(out), "--unseen").code == again.code == 0
    assert len(read_questions(out).questions) == 2, "what is there already is not drafted again"
    assert ".jsonl" in run("draft", "--out", str(tmp_path / "q.csv")).error()
    assert "Unknown corpus" in run("draft", "nowhere").error()


TEXT = """# Anchor Savings

## Taking money out

Anchor Savings allows 6 free withdrawals a month. The most you can move out online
is $8,000 a day. Transfers are instant between 5 a.m. and 11 p.m. Anchor Savings has no checks.

### Abroad

Each of the two cards costs 1.5% of the sum, at least $3. Form AS-1 is not needed, and call 800-555.
"""


def of(text: str) -> list[tuple[str, str]]:
    return unfinished(Document("anchor", "Anchor Savings", text, ""))


def test_a_sentence_is_begun_under_its_title_and_heading_and_ends_with_what_its_number_tells() -> None:
    assert of(TEXT) == [
        ("Anchor Savings, Taking money out: Anchor Savings allows ...", "6 free withdrawals a month"),
        ("Anchor Savings, Taking money out: The most you can move out online is ...", "$8,000 a day"),
        ("Anchor Savings, Taking money out: Transfers are instant between ...", "5 a.m."),
        ("Anchor Savings, Taking money out: Transfers are instant between 5 a.m. and ...", "11 p.m."),
        ("Anchor Savings, Taking money out, Abroad: Each of the ...", "two cards costs 1.5%"),
        ("Anchor Savings, Taking money out, Abroad: Each of the two cards costs 1.5% of the sum, at least ...", "$3"),
    ]


def test_a_chinese_sentence_is_begun_as_well() -> None:
    text = (
        "# 费用\n\n## 月费\n\n每月费用是7元。境外取现手续费为2.5%，最低1,000元！到账需要3个工作日。请致电95588。第2条\n"
    )
    assert [pair for pair in unfinished(Document("fees", "费用", text, "")) if "致电" not in pair[0]] == [
        ("费用, 月费: 每月费用是 ...", "7元"),
        ("费用, 月费: 境外取现手续费为 ...", "2.5%"),
        ("费用, 月费: 境外取现手续费为2.5%，最低 ...", "1,000元"),
        ("费用, 月费: 到账需要 ...", "3个工作日"),
    ]


@pytest.mark.parametrize(
    "text", ["", "# Title alone", "No number is told here.", "6 are free.", "Call us at 555-0142."]
)
def test_what_tells_no_number_or_begins_with_it_is_not_asked(text: str) -> None:
    assert of(text) == []


def test_on_a_terminal_each_draft_is_accepted_mended_or_thrown_away(
    run: Crossfade, engine: FakeEngine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "corpora" / "tidewell" / "docs" / "fees.md").write_text(
        "# Fees\n\nThe monthly fee is $7. A wire costs you $25. A check costs you $2. A card costs you $3.\n"
    )
    monkeypatch.setattr("crossfade.cli_draft.sys", type(sys)("sys"))
    monkeypatch.setattr(
        "crossfade.cli_draft.sys.stdin", type("Terminal", (), {"isatty": staticmethod(lambda: True)}), raising=False
    )
    out = tmp_path / "set.jsonl"
    found = run("draft", "--out", str(out), stdin=b"a\nt\nm\nIn my words?\n$9 | nine dollars\nq\n")
    assert found.code == 0
    first, mended = read_questions(out).questions
    assert (first.text.endswith(" ..."), len(first.answers), first.documents) == (True, 1, ("fees",))
    assert (mended.text, mended.answers, mended.documents) == ("In my words?", ("$9", "nine dollars"), ("fees",))
    assert found.err.endswith("2 kept.\n")
