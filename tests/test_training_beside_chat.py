"""A real training, ordered as in the page, and questions meanwhile: they are answered, and the training goes on."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

pytest.importorskip("torch")
pytest.importorskip("transformers")
pytest.importorskip("peft")

from crossfade.engines.torch_base import load_base
from crossfade.engines.transformers_engine import TransformersEngine
from crossfade.pipeline import Pipeline
from crossfade.training.desk import NICENESS, Desk
from crossfade.training.run_folder import RunFolder
from crossfade.types import Answer, Query, Sampling
from fake_engine import fake_pipeline
from training_kit import make_base

pytestmark = pytest.mark.filterwarnings("ignore")  # the libraries warn of each other's old names

QUESTIONS = 4
MOST_SECONDS = 5.0
"""An answer of the tiny base takes hundredths of a second; one that waited for the training would take its minutes."""


@pytest.fixture
def base(tmp_path: Path) -> Path:
    return make_base(tmp_path / "base")


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Desk]:
    """The page's desk, in a home of its own."""
    for name in ("home", "adapters", "corpora"):
        monkeypatch.setenv(f"CROSSFADE_{name.upper()}", str(tmp_path / name))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(sys.path))
    made = Desk(tmp_path / "home" / "trainings", done=lambda: None)
    yield made
    made.close()


@pytest.fixture
def chat(base: Path, tmp_path: Path) -> Iterator[Pipeline]:
    engine = TransformersEngine(load_base(base, precision="float32", device="cpu"), identity="0" * 64, rows=2)
    yield fake_pipeline(tmp_path / "corpora", engine=engine)  # type: ignore[arg-type]
    engine.close()


def wait_for(true: Callable[[], bool], what: str, seconds: float = 240) -> None:
    until = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < until, what
        time.sleep(0.05)


def step_of(run: RunFolder) -> int:
    return max((progress.step for progress in run.progress()), default=0)


def timed(chat: Pipeline, question: str) -> tuple[Answer, float]:
    began = time.monotonic()
    answer = chat.ask(Query(question, corpus="bank", task="", sampling=Sampling(max_new_tokens=20)))
    return answer, time.monotonic() - began


def test_chat_answers_while_a_training_runs_which_goes_on_meanwhile(
    base: Path, desk: Desk, chat: Pipeline, tmp_path: Path
) -> None:
    rows = tmp_path / "rows.jsonl"
    rows.write_text("".join(json.dumps({"prompt": f"Item {n}?", "response": f"It is {n}."}) + "\n" for n in range(40)))
    words = ["--data", str(rows), "--name", "mine", "--base", str(base), "--epochs", "1000", "--patience", "0"]
    run = desk.order(words, name="mine", method="lora", data=rows.name)
    alone, _ = timed(chat, "What is asked as number 0?")
    wait_for(lambda: step_of(run) > 0 or run.state()["state"] == "failed", "it never began to train")
    assert run.state()["state"] == "running", run.state()
    assert os.getpriority(os.PRIO_PROCESS, int(run.state()["pid"])) >= min(
        19, os.getpriority(os.PRIO_PROCESS, 0) + NICENESS
    ), "it gives way to answers"

    for number in range(QUESTIONS):
        before = step_of(run)
        answer, seconds = timed(chat, f"What is asked as number {number}?")
        assert answer.generation.finish in ("stop", "length")
        assert answer.generation.new_tokens > 0
        assert seconds < MOST_SECONDS, "slower, but never blocked"
        wait_for(lambda before=before: step_of(run) > before, "the training stood still")  # type: ignore[misc]
        if number == 0:
            assert answer.generation.text == alone.generation.text, "another training changes no answer"
    assert run.state()["state"] == "running", "it trained all the while"

    desk.cancel(run)
    wait_for(lambda: not desk.is_busy, "it did not end")
    assert run.state()["state"] == "cancelled"
    assert (tmp_path / "home" / "my-adapters" / "mine" / "adapter_model.safetensors").is_file()
