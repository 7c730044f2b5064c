"""A person's own rows, from a file to an adapter that brings its instructions along, on a tiny random Llama."""

from __future__ import annotations

import hashlib
import json
import shlex
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from training_kit import make_base

pytest.importorskip("torch")
pytest.importorskip("transformers")
pytest.importorskip("peft")

from crossfade.adapters.peft_files import read_adapter
from crossfade.cli import main
from crossfade.corpora.registry import read_corpus
from crossfade.errors import TrainingError
from crossfade.settings import Settings
from crossfade.startup import Startup
from crossfade.training.adapter import Order, train_adapter
from crossfade.training.against import JudgingSet
from crossfade.training.guess import guess
from crossfade.training.plan import FEWEST_TOGETHER, MOST_ON_CPU
from crossfade.training.record import FullSettings, LoraSettings
from crossfade.training.rows import INSTRUCTIONS, OwnData
from crossfade.training.run_folder import list_runs
from crossfade.training.table import read_table
from fake_engine import write_corpus

pytestmark = pytest.mark.filterwarnings("ignore")  # the training libraries warn of each other's old names

MOODS = {"up": "good", "down": "bad"}


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_base(tmp_path_factory.mktemp("base"))


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Texts with a label, sorted by it as such files are."""
    rows = [f'"Share {n} goes {word}",{mood}' for word, mood in MOODS.items() for n in range(20)]
    file = tmp_path / "moods.csv"
    file.write_text("\n".join(["text,label", *rows]) + "\n", encoding="utf-8")
    return file


def order(data: Path, **changes: Any) -> Order:
    table = read_table(data)
    return Order(
        name="moods",
        purpose="Tells moods",
        source=OwnData(data, table, guess(table), **changes),
        out=data.parent / "my-adapters",
        command="crossfade train ...",
        settings=LoraSettings(epochs=1, rank=4, alpha=8, max_tokens=256),
    )


def train(given: Order, base: Path, home: Path) -> Path:
    return train_adapter(given, runs=home / "trainings", base_folder=base, base="tiny", base_sha256="0" * 64)


def test_the_instructions_of_the_rows_become_a_task_of_every_corpus(base: Path, data: Path, tmp_path: Path) -> None:
    write_corpus(tmp_path / "corpora")
    made = read_adapter(train(order(data), base, tmp_path))
    assert made.card["instructions"] == "Classify this text as bad or good. Answer with the label alone."
    assert "task" not in made.card
    settings = Settings.from_environment(
        {
            f"CROSSFADE_{name}": str(tmp_path / path)
            for name, path in (("HOME", ""), ("CORPORA", "corpora"), ("ADAPTERS", "no"))
        }
    )
    (corpus,) = Startup(settings).corpora
    assert corpus.task_of_adapter("moods").instructions == made.card["instructions"]
    assert corpus.task_of_adapter("another") == read_corpus(tmp_path / "corpora", "bank").task("")


def test_the_template_of_labelled_texts_is_kept_for_what_is_asked_later(base: Path, data: Path, tmp_path: Path) -> None:
    table = read_table(data)
    told = OwnData(data, table, guess(table, template="Which mood has {text}?"))
    made = read_adapter(train(replace(order(data), source=told), base, tmp_path))
    assert made.card["template"] == "Which mood has {text}?"
    (run,) = list_runs(tmp_path / "trainings")
    assert "Which mood has Share" in run.rows()[0][0].messages[-1].content


def test_a_base_that_was_trained_whole_is_asked_with_the_instructions_of_its_rows(
    base: Path, data: Path, tmp_path: Path
) -> None:
    write_corpus(tmp_path / "corpora")
    given = replace(order(data), settings=FullSettings(epochs=1, max_tokens=256))
    made = train(given, base, tmp_path)
    told = {name: str(tmp_path / path) for name, path in (("HOME", ""), ("CORPORA", "corpora"), ("ADAPTERS", "no"))}
    settings = Settings.from_environment({f"CROSSFADE_{name}": path for name, path in told.items()})
    (corpus,) = Startup(settings.with_base(str(made))).corpora
    task = corpus.task("")
    assert (task.name, task.title, task.adapter) == ("own-moods", "Tells moods", "")
    assert task.instructions == "Classify this text as bad or good. Answer with the label alone."
    assert corpus.task("answer").instructions, "the corpus's own can still be asked"
    assert Startup(settings).corpus("bank").default_task == "answer"
    (made / "card.json").write_text("{")
    assert Startup(settings.with_base(str(made))).corpus("bank").default_task == "answer"


def test_what_is_measured_is_drawn_from_all_of_a_sorted_file(base: Path, data: Path, tmp_path: Path) -> None:
    train(order(data), base, tmp_path)
    (run,) = list_runs(tmp_path / "trainings")
    learned, held_out = run.rows()
    assert len(learned) + len(held_out) == 40
    assert {row.response for row in held_out} == {"good", "bad"}
    assert run.state()["state"] == "done"
    assert run.order()["report"]["usable"] == 40
    assert not run.checkpoints.exists(), "only a run that goes on needs them"


def test_rows_without_instructions_are_given_some(base: Path, tmp_path: Path) -> None:
    file = tmp_path / "rows.jsonl"
    file.write_text("".join(json.dumps({"prompt": f"Say {n}", "response": f"{n}!"}) + "\n" for n in range(20)))
    assert read_adapter(train(order(file), base, tmp_path)).card["instructions"] == INSTRUCTIONS


def test_a_row_beyond_the_context_of_the_base_is_left_out_whatever_was_asked_for(
    base: Path, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data.write_text(data.read_text() + f'"{"long " * 80}",good\n')
    given = order(data)
    given = replace(given, settings=replace(given.settings, max_tokens=4096), out=Path("here"))
    monkeypatch.chdir(tmp_path)
    made = train(given, base, tmp_path)
    assert made == tmp_path / "here" / "moods", "and it is found again from anywhere"
    (run,) = list_runs(tmp_path / "trainings")
    assert run.order()["settings"]["max_tokens"] == 256, "its context"
    assert run.order()["report"]["too_long"][0][0] == 42
    assert read_adapter(made).card["rows_too_long"]


def test_rows_that_will_be_judged_on_are_not_learned_unless_a_sentence_says_why(
    base: Path, data: Path, tmp_path: Path
) -> None:
    judging = JudgingSet("eval.jsonl", ({"question": "Share 3 goes up", "line": 1},))
    with pytest.raises(TrainingError, match=r"eval\.jsonl"):
        train(order(data, against=(judging,)), base, tmp_path)
    why = "It is a rehearsal, and nothing is judged."
    train(order(data, against=(judging,), despite_overlap=why), base, tmp_path)
    assert list_runs(tmp_path / "trainings")[0].order()["report"]["despite_overlap"] == why


def crossfade(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *words: str) -> tuple[Any, str, str]:
    monkeypatch.setattr(sys, "argv", ["crossfade", *words])
    with pytest.raises(SystemExit) as ended:
        main()
    out, err = capsys.readouterr()
    return ended.value.code, out, err


def test_the_command_tells_which_rows_it_leaves_out(
    base: Path, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("CROSSFADE_HOME", str(tmp_path / "home"))
    data.write_text(data.read_text() + f',good\n"{"long " * 80}",good\n')
    words = ["--data", str(data), "--name", "moods", "--base", str(base), "--epochs", "1"]
    code, _, err = crossfade(monkeypatch, capsys, "train", *words)
    assert not code, err
    assert "warning: 1 row cannot be used and will be left out, line 42: text is empty." in err
    assert "1 row has more than 256 tokens and will be left out, line 43." in err
    assert "rows.jsonl had over 256 tokens: line" in err


def test_the_same_command_gives_the_same_weights_and_the_run_records_what_made_them(
    base: Path, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("CROSSFADE_HOME", str(tmp_path / "home"))
    monkeypatch.setattr("crossfade.training.plan.memory_of_machine", lambda: 4_000_000)
    words = ["train", "--data", str(data), "--name", "moods", "--base", str(base), "--replace", "--json"]
    first, second = (json.loads(crossfade(monkeypatch, capsys, *words)[1]) for _ in range(2))
    assert first["sha256"] == second["sha256"]
    recorded, _ = list_runs(tmp_path / "home" / "trainings")
    told = recorded.order()
    assert shlex.split(told["command"]) == ["crossfade", *words]
    assert told["data_file_sha256"] == hashlib.sha256(data.read_bytes()).hexdigest()
    assert {"python", "processors", "threads", "torch", "transformers", "peft"} <= told["environment"].keys()
    assert FEWEST_TOGETHER <= told["settings"]["micro_tokens"] < MOST_ON_CPU, "what so small a machine bears"
    assert [step for step, _ in first["held_out_loss"]] == [m.step for m in recorded.measurements()]
    assert {sample.step for sample in recorded.samples()} == {m.step for m in recorded.measurements()}
    assert len(recorded.progress()) == first["held_out_loss"][-1][0]


def test_the_methods_are_compared_on_the_same_rows(
    base: Path, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("CROSSFADE_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("CROSSFADE_CORPORA", str(tmp_path / "corpora"))
    judging = write_corpus(tmp_path / "corpora") / "eval.jsonl"
    judging.write_text('{"question": "Share 3 goes up"}\n', encoding="utf-8")
    words = ["--data", str(data), "--methods", "lora,freeze", "--base", str(base), "--out", str(tmp_path / "out")]
    why = ["--despite-overlap", "It is a rehearsal, and nothing is judged."]
    few = ["--epochs", "1", "--max-tokens", "200"]
    code, out, err = crossfade(monkeypatch, capsys, "train", "compare", *words, *why, *few, "--json")
    assert not code, err
    assert {run.order()["settings"]["max_tokens"] for run in list_runs(tmp_path / "home" / "trainings")} == {200}
    untrained, lora, freeze = json.loads(out)
    assert (untrained["method"], lora["method"], freeze["method"]) == ("base", "lora", "freeze")
    assert set(lora["scores"]) == {"macro-F1", "accuracy", "majority"}
    assert freeze["trainable"] > lora["trainable"] > 0
    assert lora["peak_memory_mb"] > 100
    made = {path.name for path in (tmp_path / "out").iterdir() if not path.name.startswith(".")}
    assert made == {"methods.md", "methods.svg", "methods.json", "lora-1", "freeze-2"}
    code, out, _ = crossfade(monkeypatch, capsys, "train", "list", "--json")
    assert [(row["method"], row["state"]) for row in json.loads(out)] == [("freeze", "done"), ("lora", "done")]
    code, _, _ = crossfade(monkeypatch, capsys, "train", "resume", "lora-1-1")
    assert "is done; what it made is in" in str(code)
    code, _, _ = crossfade(monkeypatch, capsys, "train", "compare", *words)
    assert "say in a sentence why they may be learned" in str(code)
    code, _, _ = crossfade(monkeypatch, capsys, "train", "compare", "--data", str(data), "--methods", "lora,magic")
    assert "Unknown method 'magic'" in str(code)


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--method", "magic"], "Unknown method 'magic'. Known: lora, qlora"),
        (["--preset", "slow"], "Unknown preset 'slow'. Known: quick, balanced, thorough"),
        (["--method", "full", "--rank", "4"], "full has no --rank"),
        (["--method", "freeze", "--layers", "last"], "--layers is 'last'"),
        (["--prompt-column", "nowhere"], "has no column 'nowhere'"),
        (["--despite-overlap", "yes"], "sentence"),
        (["--name", "json"], "'json' is the name of an adapter that ships"),
        (["--shuffled", "0.5"], "--shuffled is for rows of a --task"),
        (["--task", "answer", "--form", "pair"], "--form is for rows of your own"),
    ],
)
def test_options_that_do_not_fit_are_told(
    words: list[str], told: str, data: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    code, _, _ = crossfade(monkeypatch, capsys, "train", "--data", str(data), "--name", "moods-x", *words)
    assert told in str(code)
