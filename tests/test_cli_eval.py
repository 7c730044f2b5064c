"""`crossfade eval` over fakes: the table, the files, what is refused, and that nothing is asked twice."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from cli_kit import Crossfade
from fake_engine import FakeEngine

ROWS = [
    {"question": "How much is the monthly fee?", "answers": ["$7"], "documents": ["fees"]},
    {"question": "Who signs?", "answers": []},
    {"question": "When is it due?", "answers": ["Friday"], "colour": "red"},
]


@pytest.fixture
def asked(tmp_path: Path) -> Path:
    path = tmp_path / "questions.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in ROWS), encoding="utf-8")
    return path


def test_modes_are_measured_and_shown_and_written(
    run: Crossfade, engine: FakeEngine, asked: Path, tmp_path: Path
) -> None:
    engine.says = "It is $7."
    found = run("eval", str(asked), "--out", str(tmp_path / "out"))
    assert found.code == 0
    lines = found.out.splitlines()
    assert lines[0].split()[:2] == ["mode", "right"]
    assert {line.split()[0] for line in lines[1:6]} == {"base", "icl", "rag", "fine-tune", "hybrid"}
    assert all("33.3%" in line for line in lines[1:6])
    assert lines[-1].startswith("No winner")
    assert "colour" in found.err
    assert "15 of 15 answers" in found.err
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == [
        "report.csv",
        "report.html",
        "report.json",
        "report.md",
    ]
    report = json.loads((tmp_path / "out" / "report.json").read_text(encoding="utf-8"))
    assert report["about"]["base sha256"] == engine.base_sha256
    assert engine.closed


def test_asked_again_it_takes_what_is_kept(run: Crossfade, engine: FakeEngine, asked: Path) -> None:
    first = run("eval", str(asked), "--modes", "base,hybrid", "--json")
    count = len(engine.asked)
    second = run("eval", str(asked), "--modes", "base,hybrid,rag", "--json")
    assert (count, len(engine.asked)) == (6, 9)
    one, other = (json.loads(found.out)["grid"] for found in (first, second))
    assert one["hybrid"] == other["hybrid"]


def test_several_adapters_and_a_blend_are_columns_of_their_own(run: Crossfade, engine: FakeEngine, asked: Path) -> None:
    words = ["--adapter", "domain", "--adapter", "domain:0.5+json:1.5", "--modes", "rag,hybrid"]
    found = json.loads(run("eval", str(asked), *words, "--json").out)
    assert list(found["grid"]) == ["rag", "hybrid (domain)", "hybrid (domain:0.5+json:1.5)"]
    blend = found["grid"]["hybrid (domain:0.5+json:1.5)"][0]["result"]["adapters"]
    assert [part[:2] for part in blend] == [["domain", 0.5], ["json", 1.5]]


def test_auto_is_a_column_and_asks_nothing_of_its_own(run: Crossfade, engine: FakeEngine, tmp_path: Path) -> None:
    path = tmp_path / "many.jsonl"
    path.write_text("".join(json.dumps({"question": f"What is fee {n}?", "answers": ["$7"]}) + "\n" for n in range(60)))
    found = run("eval", str(path), "--modes", "base,hybrid,auto")
    assert len(engine.asked) == 120
    assert any(line.startswith("auto ") for line in found.out.splitlines()[:4])
    assert "auto is right in" in found.out


def test_a_failure_is_counted_shown_and_ends_with_1(run: Crossfade, engine: FakeEngine, tmp_path: Path) -> None:
    path = tmp_path / "q.csv"
    path.write_text("question,answers\nEXPLODE now,$7\nFine?,$7\n", encoding="utf-8")
    found = run("eval", str(path), "--modes", "base,rag")
    assert found.code == 1
    assert "2 failed" in found.err
    assert "Traceback" not in found.err


def test_a_gold_document_that_does_not_exist_is_told_with_its_line(
    run: Crossfade, engine: FakeEngine, tmp_path: Path
) -> None:
    path = tmp_path / "q.jsonl"
    path.write_text('{"question": "How much?", "answers": ["$7"], "documents": ["fees.md"]}\n')
    assert "q.jsonl, line 1: there is no document 'fees.md'" in run("eval", str(path), "--modes", "base").error()


def test_few_are_taken_evenly(run: Crossfade, engine: FakeEngine, asked: Path) -> None:
    found = json.loads(run("eval", str(asked), "--modes", "base", "--limit", "2", "--json").out)
    assert len(found["questions"]) == 2


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (["none.jsonl"], "Cannot read"),
        (["{asked}", "--modes", "magic"], "Unknown mode 'magic'"),
        (["{asked}", "--modes", ","], "No mode was named"),
        (["{asked}", "--modes", "rag,auto"], "name two or more beside it"),
        (["{asked}", "--adapter", "nobody"], "nobody"),
        (["{asked}", "--adapter", "domain:much"], "NAME:WEIGHT"),
        (["{asked}", "--adapter", "domain:9"], "1.5"),
        (["{asked}", "--corpus", "nowhere"], "Unknown corpus"),
        (["{asked}", "--task", "nothing"], "nothing"),
        (["{asked}", "--prices", "none.toml"], "none.toml"),
        (["{asked}", "--engine", "steam"], "Unknown engine"),
        (["{asked}", "--judge", "big@http://local host/v1"], "judge's address"),
    ],
)
def test_what_cannot_be_measured_is_told_in_one_line(
    words: list[str], why: str, run: Crossfade, engine: FakeEngine, asked: Path
) -> None:
    assert why in run("eval", *(word.format(asked=asked) for word in words)).error()
    assert not engine.asked


def test_a_folder_that_cannot_be_written_is_told_after_the_table(
    run: Crossfade, engine: FakeEngine, asked: Path, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    found = run("eval", str(asked), "--modes", "base", "--out", str(tmp_path / "file"))
    assert found.code == 1
    assert "base" in found.out
    assert "cannot be written" in found.err.splitlines()[-1]
