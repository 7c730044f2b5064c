"""Laws of the report on data: each fault is found with its lines, and rows without one have no finding."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from crossfade.errors import TrainingError
from crossfade.training.against import JudgingSet, overlapping, read_judging
from crossfade.training.data import TrainingRow, encode_rows
from crossfade.training.estimate import Machine, Plan, Size
from crossfade.training.findings import Finding, told_lines
from crossfade.training.forms import to_examples
from crossfade.training.guess import guess
from crossfade.training.report import DataReport, data_report
from crossfade.training.rows import OwnData
from crossfade.training.table import Broken, Record, Table, read_table
from crossfade.training.tokens import rough_count, rough_prompt_count, tokenizer_count
from crossfade.types import Message
from letter_tokenizer import LetterTokenizer

THINGS = ["river", "window", "ladder", "violin", "harbor", "candle", "pepper", "glacier", "saddle", "anchor"]
GOOD = [
    {"question": f"Where does the {thing} of {other} stand?", "answer": f"Behind the {other}, near the {thing}."}
    for thing in THINGS
    for other in THINGS
]


def table(rows: Sequence[dict[str, Any]], *broken: Broken) -> Table:
    columns = tuple(dict.fromkeys(name for row in rows for name in row))
    return Table("rows.jsonl", tuple(Record(n, row) for n, row in enumerate(rows, start=1)), broken, columns)


def count_words(row: TrainingRow) -> int:
    return sum(len(text.split()) for text in (*(m.content for m in row.messages), row.response))


def report(rows: Sequence[dict[str, Any]], *broken: Broken, **more: Any) -> DataReport:
    found = table(rows, *broken)
    return data_report(found, guess(found), **{"count": count_words, **more})


def the(made: DataReport, kind: str) -> Finding:
    (finding,) = [f for f in made.findings if f.kind == kind]
    return finding


def qa(question: str, answer: str = "It is so.") -> dict[str, str]:
    return {"question": question, "answer": answer}


def test_good_rows_have_no_finding_and_every_row_is_counted() -> None:
    made = report(GOOD)
    assert (made.findings, made.errors) == ((), ())
    assert (made.rows, made.usable, made.learned + made.held_out) == (100, 100, 100)
    assert made.tokens.total == 13 * 100
    assert made.as_lines()[-1] == "Can be trained on."


def test_the_histogram_counts_every_usable_row_in_its_class() -> None:
    words = [15, 16, 17, 9000]
    made = report([qa(f"q{n} " + "w " * (n - 2), "yes") for n in words], limit=10_000)
    assert made.tokens.histogram == ((16, 2), (32, 1), (None, 1))
    assert made.tokens.longest == 9000


def test_rows_longer_than_the_limit_are_listed_and_are_an_error_when_all_are() -> None:
    made = report([*GOOD, qa("long " * 50)], limit=30)
    assert made.too_long == ((101, 53),)
    finding = the(made, "too long")
    assert (finding.severity, finding.lines) == ("warning", (101,))
    assert "1 row has more than 30 tokens and will be left out, line 101. Shorten" in finding.text
    assert the(report(GOOD, limit=8), "too long").severity == "error"


def test_broken_and_empty_rows_are_listed_with_line_and_why() -> None:
    made = report([*GOOD, qa("", "x"), qa("x", "")], Broken(103, "column 2: not JSON"))
    assert [(b.line, b.why) for b in made.broken] == [
        (101, "question is empty"),
        (102, "answer is empty"),
        (103, "column 2: not JSON"),
    ]
    assert the(made, "broken").lines == (101, 102, 103)
    assert (made.rows, made.usable) == (103, 100)
    assert any("question is empty" in line and "line 101" in line for line in made.as_lines())


def test_no_usable_row_and_one_row_are_errors_that_say_what_is_needed() -> None:
    assert [f.kind for f in report([qa("", "")]).errors] == ["no rows"]
    (finding,) = report([qa("Who?", "Jo")]).errors
    assert finding.text.startswith("1 row, line 1, cannot be split")
    assert "At least 2 rows" in finding.text
    assert finding.lines == (1,)


def test_all_responses_equal_is_an_error_that_names_the_column() -> None:
    made = report([qa(row["question"], "yes") for row in GOOD])
    (finding,) = made.errors
    assert "All 100 responses in column answer, lines 1, 2, 3, 4, 5, 6, 7, 8 and 92 more, are 'yes';" in finding.text
    assert "choose another column" in finding.text
    said = {"role": "assistant", "content": "yes"}
    chats = [{"chat": [{"role": "user", "content": row["question"]}, said]} for row in GOOD[:3]]
    (finding,) = report(chats).errors
    assert finding.text.startswith("All 3 last answers in column chat, lines 1, 2 and 3, are 'yes';")


def test_duplicates_near_duplicates_and_contradictions_are_told_apart() -> None:
    long = "Please tell me as soon as you can where the old wooden boat of the captain lies this winter"
    rows = [*GOOD, GOOD[0], {**GOOD[1], "answer": "Nowhere."}, qa(long), qa(f"{long} then", "There.")]
    made = report(rows)
    assert made.duplicates == ((1, 101),)
    assert made.contradictions == ((2, 102),)
    assert made.near_duplicates == ((103, 104),)
    assert the(made, "contradictions").text.startswith("A group of rows has the same prompt and different responses")
    assert not made.errors


def test_labels_are_balanced_counted_and_a_rare_one_is_told() -> None:
    moods = [{"text": row["question"], "label": "good" if n % 2 else "bad"} for n, row in enumerate(GOOD)]
    rows = [*moods, {"text": "Never saw a thing like it", "label": "odd"}, {"text": "So be it", "label": "odd"}]
    made = report(rows)
    assert made.labels == (("bad", 50), ("good", 50), ("odd", 2))
    kinds = {f.kind for f in made.findings}
    assert kinds <= {"rare label", "label never learned"}
    assert kinds, "whichever side they fall on"
    assert report(GOOD).labels == (), "responses that differ are no labels"


def test_a_label_never_seen_in_the_learned_part_is_told() -> None:
    moods = [{"text": row["question"], "label": "good" if n % 2 else "bad"} for n, row in enumerate(GOOD)]
    plain = report(moods)
    out = {e.line for e in _held_out(moods)}
    assert len(out) == plain.held_out
    moods[min(out) - 1]["label"] = "odd"
    finding = the(report(moods), "label never learned")
    assert finding.lines == (min(out),)
    assert finding.text.startswith("Never learned of column label, because")
    assert f"'odd', line {min(out)}" in finding.text
    assert "Add rows" in finding.text


class _LeftError(Exception):
    """What a page raises in the work once nobody waits for it."""


@pytest.mark.parametrize("last", ["each other", "tokens", "judging set", "personal data"])
def test_a_report_tells_each_stage_with_how_far_it_is_and_ends_where_nobody_waits(last: str) -> None:
    seen: list[tuple[str, int, int]] = []

    def progress(stage: str, done: int, total: int) -> None:
        seen.append((stage, done, total))
        if stage.endswith(last):
            raise _LeftError

    judging = JudgingSet("e.jsonl", ({"question": "Rise?", "line": 1},))
    with pytest.raises(_LeftError):
        report(GOOD, against=(judging,), progress=progress)
    assert all(0 <= done <= total for _, done, total in seen)


def _held_out(rows: Sequence[dict[str, Any]]) -> Sequence[Any]:
    from crossfade.training.split import split

    found = table(rows)
    return split(to_examples(found, guess(found))[0]).held_out


def test_a_label_that_only_a_judging_set_knows_is_told_with_its_line() -> None:
    moods = [{"text": row["question"], "label": "good" if n % 2 else "bad"} for n, row in enumerate(GOOD)]
    judging = JudgingSet("eval.jsonl", ({"question": "Unheard of", "line": 7, "label": "meh"},))
    finding = the(report(moods, against=[judging]), "label never learned")
    assert "eval.jsonl, line 7, column label: 'meh' stands in no row to learn. Known: bad, good." in finding.text


JUDGING = JudgingSet("eval.jsonl", ({"question": GOOD[4]["question"].upper(), "line": 3},))


def test_an_overlap_with_a_judging_set_is_an_error_with_both_lines() -> None:
    made = report(GOOD[:5] + GOOD[50:], against=[JUDGING])
    (finding,) = made.errors
    assert 5 in finding.lines
    assert "line 5 and eval.jsonl, line 3" in " ".join(
        f"line {o.line} and {o.judging_set}, line {o.judging_line}" for o in made.overlaps
    )
    assert "say in a sentence" in finding.text


def test_a_sentence_allows_an_overlap_and_is_recorded() -> None:
    why = "This set is only a smoke test."
    made = report(GOOD, against=[JUDGING], despite_overlap=f"  {why}\n")
    assert made.errors == ()
    assert why in the(made, "overlap").text
    assert json.loads(json.dumps(made.as_json()))["despite_overlap"] == why
    assert report(GOOD, despite_overlap=why).despite_overlap == "", "nothing was allowed"


@pytest.mark.parametrize("words", ["yes", "I know that"])
def test_a_word_is_no_sentence(words: str) -> None:
    with pytest.raises(TrainingError, match="is no sentence"):
        report(GOOD, against=[JUDGING], despite_overlap=words)


def test_the_same_meaning_is_an_overlap_where_an_embedder_is_given() -> None:
    def embed(texts: Sequence[str]) -> NDArray[np.float32]:
        return np.array([[1, 0] if "dog" in text or "hound" in text else [0, 1] for text in texts], dtype=np.float32)

    rows = table([qa("Is it a dog?"), qa("Is it blue")])
    examples, _ = to_examples(rows, guess(rows))
    judging = JudgingSet("e", ({"question": "Some hound, perhaps", "line": 9},))
    assert [(o.line, o.judging_line) for o in overlapping(examples, judging, embed=embed)] == [(1, 9)]
    assert overlapping(examples, judging) == ()


def test_two_questions_that_begin_alike_are_no_overlap_by_their_words() -> None:
    rows = table([qa("What is the name of the river in the town?"), qa("What is the name of the third island?")])
    examples, _ = to_examples(rows, guess(rows))
    judging = JudgingSet("e", ({"question": "What is the name of the second island?", "line": 9},))
    assert overlapping(examples, judging) == ()
    same = JudgingSet("e", ({"question": "What is the name of the river in the old town?", "line": 2},))
    assert [(o.line, o.judging_line) for o in overlapping(examples, same)] == [(1, 2)]


def test_a_training_compares_meanings_where_it_is_given_an_embedder(tmp_path: Path) -> None:
    def embed(texts: Sequence[str]) -> NDArray[np.float32]:
        return np.array([[1, 0] if "Rise" in t or t == asked else [0, 1] for t in texts], dtype=np.float32)

    path, asked = tmp_path / "rows.jsonl", GOOD[4]["question"]
    path.write_text("".join(json.dumps(row) + "\n" for row in GOOD))
    rows = read_table(path)
    source = OwnData(path, rows, guess(rows), against=(JudgingSet("e.jsonl", ({"question": "Rise?", "line": 1},)),))
    asked_for: dict[str, Any] = {"finder": None, "count": rough_prompt_count, "limit": 256, "seed": 0}
    assert source.rows(**asked_for).learned
    with pytest.raises(TrainingError, match=r"line 5 and e\.jsonl, line 1"):
        source.rows(**asked_for, embed=embed)


def test_short_texts_overlap_when_they_are_the_same() -> None:
    rows = table([qa("Who?"), qa("Why me?")])
    examples, _ = to_examples(rows, guess(rows))
    judging = JudgingSet("e", ({"question": "WHY  me?", "line": 4}, {"question": "why me?", "line": 5}))
    assert [(o.line, o.judging_line) for o in overlapping(examples, judging)] == [(2, 4)]


@pytest.mark.parametrize(
    "row",
    [
        {"question": "Who?", "answers": ["Jo"]},
        {"message": "Who?", "ticket": {}},
        {"text": "Who?", "label": "x"},
        {"messages": [{"role": "user", "content": "Who?"}, {"role": "assistant", "content": "Jo"}]},
    ],
)
def test_a_judging_set_is_read_in_any_form(row: dict[str, Any], tmp_path: Path) -> None:
    path = tmp_path / "eval.jsonl"
    path.write_text(f"{json.dumps(row)}\nbroken\n")
    (found,) = read_judging(path).rows
    assert (found["question"], found["line"]) == ("Who?", 1)


def test_a_judging_set_without_questions_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "eval.jsonl"
    path.write_text('{"question": ""}\n')
    with pytest.raises(TrainingError, match="no question to compare"):
        read_judging(path)


def test_personal_data_are_told_by_line_and_never_repeated() -> None:
    made = report([*GOOD, qa("Mail me", "At jo@post.example"), qa("My number is 415-555-0100")])
    assert made.personal == (("e-mail", (101,)), ("phone number", (102,)))
    said = "\n".join(made.as_lines())
    assert "jo@post" not in said
    assert "555" not in said
    assert "made-up data" in said


def test_a_control_token_is_an_error_with_its_lines() -> None:
    (finding,) = report([*GOOD, qa("x <|end|> y")], control_tokens=["<|end|>", "<|start|>"]).errors
    assert finding.lines == (101,)
    assert finding.text.startswith("The control token '<|end|>' would end or forge a turn, line 101.")


def test_an_estimate_is_of_the_rows_that_are_learned_and_fit() -> None:
    plan = Plan(Machine(10.0), Size(parameters=10, layers=1, hidden=1, trainable=1))
    made = report(GOOD, plan=plan)
    assert made.estimate is not None
    assert made.estimate.minutes == pytest.approx(made.learned * 13 / 600)
    assert any("minutes" in line for line in made.as_lines())


ANY = st.text(max_size=12) | st.sampled_from(["a b c d", "yes", "| x |", "a@b.example"])


@settings(max_examples=60, deadline=None)
@given(rows=st.lists(st.fixed_dictionaries({"prompt": ANY, "response": ANY}), min_size=1, max_size=8))
def test_every_row_is_told_of_once_in_json_and_in_lines_of_one_width(rows: list[dict[str, str]]) -> None:
    made = report(rows)
    assert made.usable + len(made.broken) == made.rows == len(rows)
    told = json.loads(json.dumps(made.as_json()))
    assert told["usable"] == made.usable
    lines = made.as_lines()
    assert all("\n" not in line for line in lines[: lines.index("", 2)])
    assert len({line.replace("\\|", "").count("|") for line in lines[2 : lines.index("", 2)]}) == 1


@pytest.mark.parametrize(
    ("lines", "told"),
    [((3,), "line 3"), ((3, 5), "lines 3 and 5"), ((1, 2, 3), "lines 1, 2 and 3"), (range(1, 10), "8 and 9")],
)
def test_lines_are_told_in_words(lines: Sequence[int], told: str) -> None:
    assert told in told_lines(lines)
    assert told_lines(range(30)).endswith("7 and 22 more")


def test_a_rough_count_grows_with_the_text() -> None:
    counts = [rough_count(TrainingRow((Message("user", "w" * n),), "yes")) for n in (0, 4, 400)]
    assert counts == sorted(set(counts))
    assert counts[2] - counts[0] == 100


def test_tokens_are_counted_as_training_makes_them() -> None:
    row = TrainingRow((Message("system", "Be kind."), Message("user", "Hi")), "Hello.")
    (encoded,) = encode_rows([row], LetterTokenizer(), max_tokens=1000).rows
    assert tokenizer_count(LetterTokenizer())(row) == len(encoded)
