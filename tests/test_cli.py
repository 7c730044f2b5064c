"""The command line over fakes: help everywhere, errors in one line with exit code 1, JSON where a program reads it."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import resource
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import crossfade
import handmade_adapters
from cli_kit import Crossfade, Run
from crossfade.models.torch_libraries import how_to_install
from crossfade.settings import Settings
from fake_engine import FakeEngine, FakeRetriever, passage, patch_startup, write_corpus

COMMANDS = (
    "ask",
    "compare",
    "index",
    "models",
    "adapters",
    "serve",
    "data",
    "train",
    "eval",
    "advise",
    "changes",
    "draft",
)
TRACE_KEYS = {
    *("question", "answer", "mode", "corpus", "task", "adapters", "passages", "examples", "prompt", "usage", "timings"),
    *("finish", "sampling", "notices"),
}
needs_training = pytest.mark.skipif(
    any(importlib.util.find_spec(name) is None for name in ("torch", "transformers", "peft", "accelerate")),
    reason="the extra 'train' is not installed",
)


def test_every_command_and_the_root_have_help(run: Crossfade) -> None:
    root = run("--help")
    assert root.code == 0
    for command in COMMANDS:
        assert command in root.out
        found = run(command, "--help")
        assert (found.code, found.err) == (0, "")
        assert found.out.startswith("Usage: ")
        assert f"crossfade {command}" in found.out.partition("\n")[0]
        assert "--help" in found.out


def test_the_version_is_the_package_s(run: Crossfade) -> None:
    assert run("--version") == Run(0, f"crossfade {crossfade.__version__}\n", "")


@pytest.mark.parametrize(
    "arguments", [["bake"], ["ask"], ["ask", "q", "--temperature", "9"], ["ask", "q", "--seed", "-1"], ["train"]]
)
def test_words_that_are_no_command_end_with_2(arguments: list[str], run: Crossfade, engine: FakeEngine) -> None:
    found = run(*arguments)
    assert found.code == 2
    assert "Usage" in found.err
    assert "Traceback" not in found.err


def test_ask_prints_the_answer_alone_and_tells_its_sources_apart(run: Crossfade, engine: FakeEngine) -> None:
    found = run("ask", "What is the fee?", "--mode", "rag")
    assert found.code == 0
    assert found.out.strip()
    assert "[1] Title 1 (doc1.md)" in found.err
    assert "[1]" not in found.out
    assert engine.closed


@pytest.mark.parametrize(
    ("mode", "adapters"), [("base", []), ("rag", []), ("hybrid", ["domain"]), ("hybrid+icl", ["domain"])]
)
def test_ask_json_prints_the_whole_trace(mode: str, adapters: list[str], run: Crossfade, engine: FakeEngine) -> None:
    found = run("ask", "What is the fee?", "--mode", mode, "--json")
    trace = json.loads(found.out)
    assert (found.code, set(trace)) == (0, TRACE_KEYS)
    assert (trace["mode"], [a["name"] for a in trace["adapters"]]) == (mode, adapters)
    assert all(len(a["sha256"]) == 64 for a in trace["adapters"])
    assert bool(trace["passages"]) == (mode != "base")
    assert bool(trace["examples"]) == ("icl" in mode)
    assert trace["answer"]
    assert trace["finish"] == "stop"


def test_the_task_is_that_of_the_named_adapter_and_weights_are_passed_on(run: Crossfade, engine: FakeEngine) -> None:
    trace = json.loads(run("ask", "Refund me", "--mode", "fine-tune", "--adapter", "json:0.5", "--json").out)
    assert (trace["task"], trace["adapters"][0]["weight"]) == ("ticket", 0.5)
    assert engine.asked[-1].blend == (("json", 0.5),)


def test_an_adapter_of_one_s_own_rows_is_asked_with_their_instructions(
    run: Crossfade, engine: FakeEngine, tmp_path: Path
) -> None:
    card = {"instructions": "Tell the mood.", "purpose": "Tells moods"}
    handmade_adapters.write(tmp_path / "home" / "my-adapters" / "moods", card=card)
    trace = json.loads(run("ask", "Up", "--mode", "fine-tune", "--adapter", "moods", "--json").out)
    assert trace["task"] == "own-moods"
    assert engine.asked[-1].prompt.messages[0].content == "Tell the mood."
    assert engine.asked[-1].prompt.messages[-1].content == "Up"


def test_an_adapter_of_labelled_texts_is_asked_with_the_template_of_its_rows(
    run: Crossfade, engine: FakeEngine, tmp_path: Path
) -> None:
    card = {"instructions": "Tell the mood.", "template": "Which mood has {text}? One word."}
    handmade_adapters.write(tmp_path / "home" / "my-adapters" / "moods", card=card)
    trace = json.loads(run("ask", "Up {text}", "--mode", "fine-tune", "--adapter", "moods", "--json").out)
    assert engine.asked[-1].prompt.messages[-1].content == "Which mood has Up {text}? One word."
    assert trace["question"] == "Up {text}", "what was asked is shown as it was written"
    for broken in (7, "without a place", "{text}" + "x" * 5000):
        handmade_adapters.write(tmp_path / "home" / "my-adapters" / "moods", card={**card, "template": broken})
        run("ask", "Up", "--mode", "fine-tune", "--adapter", "moods", "--json")
        assert engine.asked[-1].prompt.messages[-1].content == "Up"


def test_sampling_and_schema_reach_the_engine(run: Crossfade, engine: FakeEngine) -> None:
    run(
        "ask",
        "q",
        "--task",
        "ticket",
        "--enforce-schema",
        "--seed",
        "7",
        "--temperature",
        "0.5",
        "--max-new-tokens",
        "3",
    )
    asked = engine.asked[-1]
    assert (asked.sampling.seed, asked.sampling.temperature, asked.sampling.max_new_tokens) == (7, 0.5, 3)
    assert asked.schema == {"type": "object"}


@pytest.mark.parametrize("text", ["What is the fee?", "Wie hoch ist die Gebühr?"])
def test_a_dash_reads_the_question_from_standard_input(text: str, run: Crossfade, engine: FakeEngine) -> None:
    assert json.loads(run("ask", "-", "--json", stdin=text.encode()).out)["question"] == text


def test_bytes_that_are_no_text_on_standard_input_are_no_crash(run: Crossfade, engine: FakeEngine) -> None:
    assert run("ask", "-", stdin=b"What is \xff\xfe?").code == 0


def test_compare_gives_a_row_for_each_mode(run: Crossfade, engine: FakeEngine) -> None:
    found = run("compare", "What is the fee?", "--modes", "base, hybrid,icl", "--json")
    assert [row["mode"] for row in json.loads(found.out)] == ["base", "hybrid", "icl"]
    plain = run("compare", "What is the fee?")
    assert [line.split()[0] for line in plain.out.splitlines()] == ["base", "icl", "rag", "fine-tune", "hybrid"]


def test_a_column_that_fails_is_told_and_makes_the_exit_code_1(run: Crossfade, engine: FakeEngine) -> None:
    found = run("compare", "EXPLODE", "--modes", "base,rag", "--json")
    assert found.code == 1
    assert all("fell over" in row["error"] for row in json.loads(found.out))


def test_index_tells_what_it_found(run: Crossfade, engine: FakeEngine) -> None:
    facts = json.loads(run("index", "--search", "fact", "--json").out)
    assert (facts["corpus"], facts["passages"], len(facts["found"])) == ("tidewell", 3, 3)


def test_models_that_were_never_run_are_marked_in_the_list(run: Crossfade, engine: FakeEngine) -> None:
    measured = {row["name"]: row["measured"] for row in json.loads(run("models", "--json").out)}
    assert set(measured.values()) == {True, False}
    lines = {line.split()[0]: line for line in run("models").out.splitlines()}
    assert {name: "not measured here" not in line.lower() for name, line in lines.items()} == measured


def test_models_and_adapters_are_listed(run: Crossfade, engine: FakeEngine, tmp_path: Path) -> None:
    assert {"smollm2-135m", "minilm"} <= {row["name"] for row in json.loads(run("models", "--json").out)}
    (tmp_path / "adapters" / "domain" / "adapter_model.safetensors").unlink()
    rows = {row["name"]: row for row in json.loads(run("adapters", "--json").out)}
    assert len(rows["json"]["sha256"]) == 64
    assert "safetensors is missing" in rows["domain"]["refused"]
    plain = run("adapters")
    assert "refused:" in plain.out
    assert "for ticket" in plain.out


def test_a_model_that_is_fetched_is_told_with_its_path(run: Crossfade, engine: FakeEngine, tmp_path: Path) -> None:
    gguf = tmp_path / "mine.gguf"
    gguf.write_bytes(b"GGUF")
    assert run("models", "--fetch", str(gguf)).out == f"{gguf}\n"
    assert json.loads(run("models", "--fetch", str(gguf), "--json").out) == {"name": str(gguf), "path": str(gguf)}


def test_serve_gives_the_page_a_startup_with_the_wanted_address(
    run: Crossfade, engine: FakeEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    served = []
    page = type(sys)("crossfade.ui.app")  # the real one imports gradio
    page.serve = lambda startup, settings: served.append((startup, settings))  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "crossfade.ui.app", page)
    assert run("serve", "--port", "0", "--host", "127.0.0.2").code == 0
    ((startup, settings),) = served
    assert (settings.host, settings.port, startup.settings) == ("127.0.0.2", 0, settings)


def test_a_comparison_prints_what_is_to_be_known_of_it(run: Crossfade, engine: FakeEngine) -> None:
    shown = run("compare", "手续费是多少? \x07", "--modes", "base,rag", "--seed", "3", "--temperature", "0.5")
    assert shown.code == 0
    lines = shown.out.splitlines()
    assert [line.split()[0] for line in lines] == ["base", "rag"]
    assert shown.err.count("1 control character(s)") == 1
    assert "English is all that is known" in shown.err
    assert "[1] " in shown.err
    rows = json.loads(
        run("compare", "fee?", "--modes", "base,rag", "--seed", "3", "--temperature", "0.5", "--json").out
    )
    assert [(row["sampling"]["seed"], row["sampling"]["temperature"]) for row in rows] == [(3, 0.5)] * 2


def test_a_blend_becomes_an_adapter_that_is_listed(run: Crossfade, engine: FakeEngine) -> None:
    made = json.loads(run("adapters", "blend", "domain", "json:0.5", "--out", "mix", "--json").out)
    assert [(part["name"], part["weight"]) for part in made["parts"]] == [("domain", 1.0), ("json", 0.5)]
    listed = {row["name"]: row for row in json.loads(run("adapters", "--json").out)}
    assert listed["mix"]["sha256"] == made["sha256"]
    assert "Blend of domain + json x 0.5" in run("adapters").out
    again = run("adapters", "blend", "domain", "--out", "mix").error()
    assert "--replace" in again


ERRORS: dict[str, tuple[list[str], str]] = {
    "unknown corpus": (["ask", "q", "--corpus", "bnak"], "'bnak'. Known: tidewell"),
    "corpus outside": (["ask", "q", "--corpus", "../x"], "'../x'. Known: tidewell"),
    "unknown corpus to index": (["index", "bnak"], "'bnak'"),
    "unknown task": (["ask", "q", "--task", "tikcet"], "Known: answer, ticket"),
    "unknown adapter": (["ask", "q", "--mode", "hybrid", "--adapter", "jsn"], "'jsn'. Known: domain, json"),
    "unknown adapter in base mode": (["ask", "q", "--mode", "base", "--adapter", "jsn"], "'jsn'"),
    "bad weight in a blend": (["adapters", "blend", "json:2", "--out", "mix"], "Weight 2.0"),
    "unknown adapter in a blend": (["adapters", "blend", "jsn", "--out", "mix"], "'jsn'"),
    "bad weight": (["ask", "q", "--mode", "hybrid", "--adapter", "json:much"], "NAME:WEIGHT"),
    "unknown engine": (["ask", "q", "--engine", "vllm"], "'vllm'. Known: auto, llama.cpp, transformers"),
    "unknown mode": (["ask", "q", "--mode", "hybird"], "'hybird'. Known:"),
    "unknown mode of several": (["compare", "q", "--modes", "base,hybird"], "'hybird'. Known:"),
    "one mode": (["compare", "q", "--modes", "rag"], "2 to 6"),
    "no modes": (["compare", "q", "--modes", ","], "2 to 6"),
    "empty question": (["ask", " "], "empty"),
    "question of symbols": (["compare", "😀"], "only symbols"),
    "long question": (["ask", "a" * 100_001], "100,001 characters"),
    "schema for a task without one": (["ask", "q", "--enforce-schema"], "no JSON schema"),
    "answer longer than the context": (["ask", "q", "--max-new-tokens", "5000"], "5,000 new tokens"),
    "unknown model": (["models", "--fetch", "gpt"], "gpt"),
    "engine that fails": (["ask", "EXPLODE", "--json"], "fell over"),
}


@pytest.mark.parametrize("case", ERRORS)
def test_an_error_is_one_line_with_exit_code_1(case: str, run: Crossfade, engine: FakeEngine) -> None:
    arguments, told = ERRORS[case]
    assert told in run(*arguments).error()


@pytest.mark.parametrize(
    "case", [c for c in ERRORS if c not in ("one mode", "no modes", "unknown model", "engine that fails")]
)
def test_what_cannot_be_asked_is_refused_before_a_word_is_generated(
    case: str, run: Crossfade, engine: FakeEngine
) -> None:
    run(*ERRORS[case][0])
    assert engine.asked == []


@pytest.mark.parametrize("case", [c for c in ERRORS if c.startswith(("unknown", "bad", "empty", "question", "long"))])
def test_a_slip_of_the_keyboard_is_told_before_a_model_is_opened(
    case: str, run: Crossfade, engine: FakeEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_engine() -> FakeEngine:
        raise AssertionError("a model was opened first")

    patch_startup(monkeypatch, engine=no_engine)
    run(*ERRORS[case][0]).error()


@pytest.mark.parametrize("variable", ["CONTEXT", "SLOTS", "THREADS", "PORT"])
@pytest.mark.parametrize("command", [["ask", "q"], ["adapters"], ["index"]])
def test_a_broken_setting_is_told(
    variable: str, command: list[str], run: Crossfade, engine: FakeEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(f"CROSSFADE_{variable}", "many")
    assert f"CROSSFADE_{variable} is 'many'" in run(*command).error()


def test_a_folder_without_corpora_is_told(
    run: Crossfade, engine: FakeEngine, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("CROSSFADE_CORPORA", str(tmp_path / "nowhere"))
    assert "holds no corpus" in run("ask", "q").error()


def test_a_refused_adapter_is_told_with_its_reason(run: Crossfade, engine: FakeEngine, tmp_path: Path) -> None:
    (tmp_path / "adapters" / "json" / "adapter_model.safetensors").unlink()
    assert "safetensors is missing" in run("ask", "q", "--mode", "hybrid", "--adapter", "json").error()


def test_the_reason_why_the_engine_refused_an_adapter_is_told(run: Crossfade, engine: FakeEngine) -> None:
    engine._refuses = ("json",)
    assert "does not change" in run("ask", "q", "--mode", "hybrid", "--adapter", "json").error()


def test_no_text_of_others_commands_the_terminal(
    run: Crossfade, engine: FakeEngine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hostile = "a\x1b]0;owned\x07b\rc\x9b2Jd\x7f"
    handmade_adapters.write(tmp_path / "adapters" / "mine", card={"purpose": hostile})
    engine.says = hostile
    monkeypatch.setattr("crossfade.startup.load_index", lambda *_: FakeRetriever([passage(1, hostile)]))
    for command in (["ask", "q"], ["compare", "q", "--modes", "base,rag"], ["adapters"], ["index", "--search", "q"]):
        found = run(*command)
        assert found.code == 0
        assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]", found.out + found.err), command
        assert r"a\x1b]0;owned\x07b" in found.out, command
        assert r"c\x9b2Jd\x7f" in found.out, command
    assert hostile in json.loads(run("ask", "q", "--json").out)["answer"]


@pytest.fixture
def rows(tmp_path: Path) -> Path:
    path = tmp_path / "rows.jsonl"
    path.write_text('{"question": "q?", "answer": "a"}\n', encoding="utf-8")
    return path


@needs_training
def test_training_errors_are_told_before_anything_is_fetched(
    run: Crossfade, engine: FakeEngine, rows: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_fetching(*_: Any, **__: Any) -> Path:
        raise AssertionError("fetched before the order was checked")

    monkeypatch.setattr("crossfade.models.fetch.fetch", no_fetching)
    (tmp_path / "mine" / "taken").mkdir(parents=True)

    def train(*more: str, data: Path = rows, name: str = "new") -> str:
        return run("train", "--data", str(data), "--name", name, "--out", str(tmp_path / "mine"), *more).error()

    assert "There is no file" in train(data=tmp_path / "nowhere.jsonl")
    assert "exists already. Choose another name, or give --replace." in train(name="taken")
    assert "'../up' is not allowed" in train(name="../up")
    assert "'bnak'" in train("--corpus", "bnak")
    assert "Known: answer, ticket" in train("--task", "tikcet")
    assert "seed is" in train("--seed", str(2**31))
    assert list((tmp_path / "mine").iterdir()) == [tmp_path / "mine" / "taken"]


def test_training_without_its_libraries_says_how_to_get_them(
    run: Crossfade, engine: FakeEngine, rows: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("crossfade.models.torch_libraries._NEEDED", ("a_library_that_nobody_has",))
    assert how_to_install("train") in run("train", "--data", str(rows), "--name", "new").error()


def in_its_own_process(*arguments: str, timeout: float = 120, **environment: str) -> Run:
    source = str(Path(crossfade.__file__).resolve().parents[1])
    done = subprocess.run(
        [sys.executable, "-c", "from crossfade.cli import main; main()", *arguments],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": source, **environment},
        timeout=timeout,
        check=False,
    )
    return Run(done.returncode, done.stdout, done.stderr)


def test_a_real_process_ends_with_1_and_one_line(tmp_path: Path) -> None:
    write_corpus(tmp_path)
    found = in_its_own_process(
        "ask", "q", "--corpus", "bnak", CROSSFADE_CORPORA=str(tmp_path), CROSSFADE_HOME=str(tmp_path)
    )
    assert found.error() == "crossfade: Unknown corpus 'bnak'. Known: bank.\n"


def processor_seconds(*code_and_arguments: str) -> float:
    """The least that Python with this code took in three runs; waiting for a busy machine does not count."""
    source = str(Path(crossfade.__file__).resolve().parents[1])
    times = []
    for _ in range(3):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        environment = {**os.environ, "PYTHONPATH": source}
        command = [sys.executable, "-c", *code_and_arguments]
        subprocess.run(command, env=environment, stdout=subprocess.DEVNULL, check=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        times.append(after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime)
    return min(times)


def test_help_costs_little_more_than_the_library_of_commands() -> None:
    """At most three imports of typer and the help of a program with one command that does nothing."""
    least = "import typer\napp = typer.Typer()\napp.command()(lambda: None)\napp()"
    typer, bare = processor_seconds("import typer"), processor_seconds(least, "--help")
    for command in ([], *([name] for name in COMMANDS)):
        took = processor_seconds("from crossfade.cli import main; main()", *command, "--help")
        assert took <= 3 * typer + bare, f"{command}: {took:.2f} s; typer {typer:.2f} s, the least help {bare:.2f} s"


@pytest.mark.slow
def test_the_real_base_answers_with_the_whole_trace() -> None:
    settings = Settings.from_environment()
    if not all((settings.home / "models" / name).is_dir() for name in (settings.base, "minilm")):
        pytest.skip(f"the models are not in {settings.home}; fetch them with: crossfade models --fetch {settings.base}")
    question = "What is the monthly fee of Harbor Checking?"
    found = in_its_own_process("ask", question, "--mode", "rag", "--json", "--max-new-tokens", "8", timeout=280)
    assert found.code == 0, found.err
    trace = json.loads(found.out)
    assert set(trace) == TRACE_KEYS
    assert (trace["question"], trace["mode"], trace["corpus"], trace["task"]) == (question, "rag", "tidewell", "answer")
    assert (trace["adapters"], trace["examples"]) == ([], [])
    assert "harbor-checking" in [p["document"] for p in trace["passages"]]
    assert all(p["text"] in trace["prompt"]["messages"][-1]["content"] for p in trace["passages"])
    assert [m["role"] for m in trace["prompt"]["messages"]] == ["system", "user"]
    assert 1 <= trace["usage"]["new_tokens"] <= 8
    assert trace["usage"]["prompt_tokens"] > 100
    assert 0 < trace["timings"]["first_token"] <= trace["timings"]["total"]
    assert trace["answer"].strip()
    assert trace["finish"] in ("stop", "length")
