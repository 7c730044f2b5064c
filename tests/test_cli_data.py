"""`crossfade data report`: the report, its exit code, and what is said of a file that cannot be used."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

import pytest

from cli_kit import Crossfade
from crossfade.models.torch_libraries import how_to_install
from fake_engine import FakeEngine
from letter_tokenizer import LetterTokenizer

THINGS = ["river", "window", "ladder", "violin", "harbor", "candle", "pepper", "glacier"]


@pytest.fixture
def rows(tmp_path: Path) -> Path:
    path = tmp_path / "rows.jsonl"
    lines = [
        json.dumps({"frage": f"Where is the {a} of the {b}?", "antwort": f"By the {b}."})
        for a in THINGS
        for b in THINGS
    ]
    path.write_text("\n".join([*lines, "broken"]))
    return path


COLUMNS = ("--prompt-column", "frage", "--response-column", "antwort", "--rough")


def test_the_report_is_printed_as_a_table_with_what_is_broken(run: Crossfade, rows: Path) -> None:
    found = run("data", "report", str(rows), *COLUMNS)
    assert found.code == 0
    assert "| prompt" in found.out
    assert "column frage" in found.out
    assert "line 65" in found.out
    assert found.out.endswith("Can be trained on.\n")


def test_json_is_for_programs(run: Crossfade, rows: Path) -> None:
    told = json.loads(run("data", "report", str(rows), *COLUMNS, "--instructions", "Be kind.", "--json").out)
    assert (told["rows"], told["usable"], told["errors"]) == (65, 64, 0)
    assert told["mapping"]["instructions"] == "Be kind."
    assert told["broken"] == [{"line": 65, "why": "column 1: not JSON (Expecting value)"}]


def test_errors_in_the_rows_end_with_1_and_the_report_is_printed_all_the_same(run: Crossfade, rows: Path) -> None:
    found = run("data", "report", str(rows), *COLUMNS, "--against", str(_judging(rows)))
    assert found.code == 1
    assert "- error: " in found.out
    assert "eval.csv, line 2" in found.out
    why = ("--despite-overlap", "This set is only a smoke test.")
    assert run("data", "report", str(rows), *COLUMNS, "--against", str(_judging(rows)), *why).code == 0


def test_what_the_set_of_a_corpus_asks_is_found_though_nobody_named_it(
    run: Crossfade, engine: FakeEngine, rows: Path, tmp_path: Path
) -> None:
    question = json.dumps({"question": "Where is the river of the river?", "answers": ["There"]})
    (tmp_path / "corpora" / "tidewell" / "eval.jsonl").write_text(question + "\n")
    found = run("data", "report", str(rows), *COLUMNS)
    assert found.code == 1
    assert "line 1 and tidewell: eval.jsonl, line 1" in found.out
    why = ("--despite-overlap", "This set is only a smoke test.")
    assert run("data", "report", str(rows), *COLUMNS, *why).code == 0


def _judging(rows: Path) -> Path:
    path = rows.with_name("eval.csv")
    path.write_text("question,answers\nWhere is the river of the river?,There\n")
    return path


def test_a_form_and_a_template_of_one_s_own_are_used(run: Crossfade, rows: Path) -> None:
    words = ("--form", "label", "--template", "Where? {text}")
    told = json.loads(run("data", "report", str(rows), *COLUMNS, *words, "--json").out)
    assert (told["mapping"]["form"], told["mapping"]["template"]) == ("label", "Where? {text}")
    assert len(told["labels"]) == len(THINGS)


def test_columns_of_the_input_and_of_the_system_message_of_one_s_own_are_used(run: Crossfade, rows: Path) -> None:
    rows.write_text('{"instruction": "Sum up.", "input": "x", "output": "y", "persona": "Ann"}\n' * 2)
    report = ("data", "report", str(rows), "--rough", "--json")
    guessed = json.loads(run(*report).out)["mapping"]
    assert (guessed["form"], guessed["input"], guessed["system"]) == ("alpaca", "input", "")
    told = json.loads(run(*report, "--input-column", "-", "--system-column", "persona").out)["mapping"]
    assert (told["input"], told["system"]) == ("", "persona")
    error = run("train", "--data", str(rows), "--name", "a", "--task", "answer", "--system-column", "persona").error()
    assert "--system-column is for rows of your own" in error


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("rows.jsonl", "--rough", "--prompt-column", "promt"), "no column 'promt'"),
        (("rows.jsonl", "--rough", "--form", "chat"), "Known: pair, messages, alpaca, sharegpt, label"),
        (("rows.docx", "--rough"), "another kind. Allowed: .jsonl"),
        (("none.csv", "--rough"), "There is no file"),
        (("rows.jsonl", *COLUMNS, "--base", "nope", "--despite-overlap", "yes"), "is no sentence"),
    ],
)
def test_what_cannot_be_done_is_one_line(words: tuple[str, ...], told: str, run: Crossfade, rows: Path) -> None:
    (rows.parent / "rows.docx").write_text("x")
    assert told in run("data", "report", str(rows.parent / words[0]), *words[1:]).error()


def test_without_the_training_libraries_tokens_are_estimated_and_that_is_said(
    run: Crossfade, rows: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("crossfade.models.torch_libraries.missing_libraries", lambda: ["torch"])
    found = run("data", "report", str(rows), *COLUMNS[:-1])
    assert found.code == 0
    assert how_to_install("train") in found.err
    assert "characters / 4" in found.out


def test_with_the_training_libraries_tokens_are_the_base_s_own_and_meanings_are_compared(
    run: Crossfade, engine: FakeEngine, rows: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("crossfade.models.torch_libraries.missing_libraries", list)
    monkeypatch.setattr("crossfade.models.fetch.fetch", lambda *_, **__: Path("base.gguf"))
    monkeypatch.setattr("crossfade.models.hf_folder.hf_folder", lambda *_: Path("base"))
    monkeypatch.setattr("crossfade.training.tokens.open_tokenizer", lambda _: LetterTokenizer())
    rows.write_text(rows.read_text() + '\n{"frage": "Is <|end|> here?", "antwort": "Yes, so it is."}')
    words = (*COLUMNS[:-1], "--against", str(_judging(rows)), "--json")
    told = json.loads(run("data", "report", str(rows), *words).out)
    assert not told["tokens"]["rough"]
    assert told["tokens"]["longest"] > 50
    assert {finding["kind"] for finding in told["findings"] if finding["severity"] == "error"} == {
        "control token",
        "overlap",
    }


def test_the_virtual_tokens_of_p_tuning_take_their_room_of_the_context(
    run: Crossfade, engine: FakeEngine, rows: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "base").mkdir()
    (tmp_path / "base" / "config.json").write_text('{"max_position_embeddings": 256}')
    monkeypatch.setattr("crossfade.models.torch_libraries.missing_libraries", list)
    monkeypatch.setattr("crossfade.models.fetch.fetch", lambda *_, **__: Path("base.gguf"))
    monkeypatch.setattr("crossfade.models.hf_folder.hf_folder", lambda *_: tmp_path / "base")
    monkeypatch.setattr("crossfade.training.tokens.open_tokenizer", lambda _: LetterTokenizer())
    limits = [
        json.loads(run("data", "report", str(rows), *COLUMNS[:-1], "--json", *method).out)["limit"]
        for method in ((), ("--method", "p-tuning"))
    ]
    assert limits == [256, 236]


def test_on_a_terminal_the_report_tells_how_far_it_is(
    run: Crossfade, engine: FakeEngine, rows: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    found = run("data", "report", str(rows), *COLUMNS)
    assert "Comparing the rows with each other: 0 of " in found.err
    assert found.err.endswith(f"\r{'':<78}\r")


def test_help_answers_at_once_and_loads_no_heavy_library() -> None:
    code = (
        "import sys; sys.argv = ['crossfade', 'data', 'report', '--help']\nfrom crossfade.cli import main\n"
        "try: main()\nexcept SystemExit: pass\n"
        "heavy = [m for m in ('torch', 'transformers', 'pandas', 'gradio', 'pyarrow') if m in sys.modules]\n"
        "sys.exit(f'loaded: {heavy}' if heavy else 0)"
    )
    began = time.monotonic()
    made = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert made.returncode == 0, made.stderr
    assert "--against" in made.stdout
    assert time.monotonic() - began < 5, "a fifth of a second on an idle machine"
