"""`crossfade eval` over fakes: the table, the files, what is refused, and that nothing is asked twice."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import handmade_adapters
from cli_kit import Crossfade
from crossfade.settings import Settings
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
    assert "recall@2" in report["modes"][2]["scores"], "the corpus shows two passages"
    assert engine.closed


def test_the_page_is_written_in_the_language_that_was_asked_for(
    run: Crossfade, engine: FakeEngine, asked: Path, tmp_path: Path
) -> None:
    words = ["--modes", "base,rag", "--language"]
    assert "--language 'xx' is not known; write one of en, zh" in run("eval", str(asked), *words, "xx").error()
    assert not engine.asked, "it is refused before anything is asked"
    run("eval", str(asked), *words, "zh", "--out", str(tmp_path))
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert '<html lang="zh">' in page
    assert "没有胜者" in page
    assert (tmp_path / "report.md").read_text(encoding="utf-8").count("No winner") == 1


def test_asked_again_it_takes_what_is_kept(run: Crossfade, engine: FakeEngine, asked: Path) -> None:
    first = run("eval", str(asked), "--modes", "base,hybrid", "--json")
    count = len(engine.asked)
    second = run("eval", str(asked), "--modes", "base,hybrid,rag", "--json")
    assert (count, len(engine.asked)) == (6, 9)
    one, other = (json.loads(found.out)["grid"] for found in (first, second))
    assert one["hybrid"] == other["hybrid"]


def test_the_figures_of_one_s_own_adapter_are_put_into_its_card(
    run: Crossfade, engine: FakeEngine, asked: Path, tmp_path: Path
) -> None:
    own = handmade_adapters.write(tmp_path / "home" / "my-adapters" / "mine", card={"scores": {}})
    assert Settings.from_environment().my_adapters == own.parent
    assert run("eval", str(asked), "--modes", "base,hybrid", "--adapter", "mine").code == 0
    scores = json.loads((own / "card.json").read_text())["scores"]
    assert list(scores["questions.jsonl, answer"]) == ["base", "hybrid"]
    assert "scores" not in json.loads((tmp_path / "adapters" / "domain" / "card.json").read_text())


def test_two_runs_tell_which_setting_was_changed_between_them(
    run: Crossfade, engine: FakeEngine, asked: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def measured(name: str) -> str:
        run("eval", str(asked), "--modes", "base", "--out", str(tmp_path / name))
        return str(tmp_path / name / "report.json")

    before = measured("before")
    assert json.loads(run("changes", before, measured("same"), "--json").out)["settings"] == {}
    monkeypatch.setenv("CROSSFADE_WEIGHTS", "Q4_0")
    row = {"task": "answer", "question": "Is it free?", "answer": "Yes."}
    with (tmp_path / "corpora" / "tidewell" / "examples.jsonl").open("a", encoding="utf-8") as file:
        file.write(json.dumps(row) + "\n")
    settings = json.loads(run("changes", before, measured("after"), "--json").out)["settings"]
    assert set(settings) == {"weights, precision, bits", "examples"}
    assert settings["weights, precision, bits"][1].startswith("Q4_0")


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


@pytest.fixture
def own_sets(engine: FakeEngine, asked: Path, tmp_path: Path) -> Path:
    """The corpus with a set of questions for each of its tasks."""
    folder = tmp_path / "corpora" / "tidewell"
    path = folder / "corpus.toml"
    text = path.read_text(encoding="utf-8")
    for task, adapter in (("answer", "domain"), ("ticket", "json")):
        text = text.replace(f'adapter = "{adapter}"', f'adapter = "{adapter}"\nquestions = "{task}s.jsonl"')
    path.write_text(text, encoding="utf-8")
    (folder / "answers.jsonl").write_bytes(asked.read_bytes())
    (folder / "tickets.jsonl").write_text('{"question": "My card is gone.", "object": {"product": "card"}}\n')
    return folder


def test_several_tasks_are_measured_by_their_own_sets_into_one_report(
    run: Crossfade, engine: FakeEngine, own_sets: Path, tmp_path: Path
) -> None:
    engine.says = "It is $7."
    words = ["--task", "answer", "--task", "ticket", "--modes", "base,hybrid"]
    found = run("eval", *words, "--out", str(tmp_path / "out"))
    assert found.code == 0
    assert found.out.count("No winner") == 2
    lines = [line.split() for line in found.out.splitlines()]
    assert ["mode", "answer", "ticket"] in lines
    assert ["questions", "3", "1"] in lines
    assert "ticket: 2 of 2 answers" in found.err
    blends = {tuple(name for name, _ in asked.blend) for asked in engine.asked}
    assert blends == {(), ("domain",), ("json",)}, "each task has its own adapter"
    report = tmp_path / "out" / "report.json"
    assert list(json.loads(report.read_text(encoding="utf-8"))["tasks"]) == ["answer", "ticket"]
    assert "overview" in (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    assert "Name one of answer, ticket" in run("advise", "--report", str(report)).error()
    assert run("advise", "--report", str(report), "--task", "answer").out.startswith("Use ")
    assert "base: " in run("changes", str(report), str(report), "--task", "answer").out


def test_without_a_file_the_default_task_s_own_set_is_asked(run: Crossfade, engine: FakeEngine, own_sets: Path) -> None:
    found = json.loads(run("eval", "--modes", "base", "--json").out)
    assert (found["about"]["task"], found["about"]["questions"]) == ("answer", "answers.jsonl")
    assert len(engine.asked) == 3


def test_one_file_is_for_one_task_and_a_task_without_a_set_says_so(
    run: Crossfade, engine: FakeEngine, asked: Path
) -> None:
    assert "is for one task" in run("eval", str(asked), "--task", "answer", "--task", "ticket").error()
    assert 'write questions = "eval.jsonl" under [tasks.ticket]' in run("eval", "--task", "ticket").error()
    assert not engine.asked


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
