"""`crossfade train delete`: a run goes with its rows, after a question."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from cli_kit import Crossfade
from crossfade.training.run_folder import RunFolder, new_run


@pytest.fixture
def ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> RunFolder:
    monkeypatch.setenv("CROSSFADE_HOME", str(tmp_path / "home"))
    found = new_run(tmp_path / "home" / "trainings", "mine")
    (found.path / "rows.jsonl").write_text("private")
    found.tell("done")
    return found


def test_a_run_goes_with_its_rows_where_it_is_said_in_words(run: Crossfade, ended: RunFolder) -> None:
    assert "--yes" in run("train", "delete", "mine-1").error()
    assert (ended.path / "rows.jsonl").exists()
    assert json.loads(run("train", "delete", "mine-1", "--yes", "--json").out) == {"run": "mine-1", "deleted": True}
    assert not ended.path.exists()
    assert "train list" in run("train", "delete", "mine-1", "--yes").error()


@pytest.mark.parametrize(("answer", "kept"), [(b"n\n", True), (b"y\n", False)])
def test_it_asks_on_a_terminal(
    run: Crossfade, ended: RunFolder, monkeypatch: pytest.MonkeyPatch, answer: bytes, kept: bool
) -> None:
    monkeypatch.setattr("crossfade.cli_runs.sys", type(sys)("sys"))
    terminal = type("Terminal", (), {"isatty": staticmethod(lambda: True)})
    monkeypatch.setattr("crossfade.cli_runs.sys.stdin", terminal, raising=False)
    found = run("train", "delete", "mine-1", stdin=answer)
    assert "for good?" in found.err
    assert ended.path.exists() is kept


@pytest.mark.parametrize("name", ["..", "../home", "", "nobody"])
def test_nothing_but_a_run_is_deleted(run: Crossfade, ended: RunFolder, name: str) -> None:
    assert run("train", "delete", name, "--yes").code != 0
    assert ended.path.exists()


def test_a_run_that_the_app_ordered_and_never_began_goes_on_there(run: Crossfade, ended: RunFolder) -> None:
    ordered = new_run(ended.path.parent, "later")
    ordered.ticket("later", "lora", "rows.csv", arguments=["--data", "rows.csv"])
    assert "later-1" in run("train", "list").out
    assert "ordered in the app and has no rows yet" in run("train", "resume", "later-1").error()


def test_a_run_that_trains_is_kept(run: Crossfade, ended: RunFolder) -> None:
    with ended.held():
        assert "cancel it" in run("train", "delete", "mine-1", "--yes").error()
    assert ended.path.exists()
