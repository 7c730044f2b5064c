"""Fixtures that run `crossfade` in this process over a home of fakes; a pytest plugin, named in conftest.py."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from io import BytesIO, TextIOWrapper
from pathlib import Path

import pytest

import handmade_adapters
from crossfade.cli import main
from fake_engine import FakeEngine, patch_startup, write_corpus


@dataclass(frozen=True)
class Run:
    """What a command did."""

    code: int
    out: str
    err: str

    def error(self) -> str:
        """The one line of an error that is told."""
        assert (self.code, self.out) == (1, ""), self
        assert self.err.startswith("crossfade: ")
        assert self.err.count("\n") == 1
        assert "Traceback" not in self.err
        return self.err


Crossfade = Callable[..., Run]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Crossfade:
    """Runs `crossfade` with arguments in this process."""

    def crossfade_(*arguments: str, stdin: bytes = b"") -> Run:
        monkeypatch.setattr(sys, "argv", ["crossfade", *arguments])
        monkeypatch.setattr(sys, "stdin", TextIOWrapper(BytesIO(stdin), encoding="utf-8"))
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            main()
        captured = capsys.readouterr()
        if isinstance(ended.value.code, str):  # the interpreter prints it and ends with 1
            return Run(1, captured.out, f"{captured.err}{ended.value.code}\n")
        return Run(ended.value.code or 0, captured.out, captured.err)

    return crossfade_


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> FakeEngine:
    """A home with one corpus and two adapters, and a real startup that opens fakes instead of models."""
    write_corpus(tmp_path / "corpora", "tidewell")
    for name, task in (("domain", "answer"), ("json", "ticket")):
        handmade_adapters.write(tmp_path / "adapters" / name, card={"task": task, "purpose": f"for {task}"})
    for name in ("home", "corpora", "adapters"):
        monkeypatch.setenv(f"CROSSFADE_{name.upper()}", str(tmp_path / name))
    for name in ("BASE", "WEIGHTS", "CONTEXT", "SLOTS", "THREADS", "HOST", "PORT"):
        monkeypatch.delenv(f"CROSSFADE_{name}", raising=False)
    engine = FakeEngine(adapters=())
    patch_startup(monkeypatch, engine=lambda: engine)
    return engine
