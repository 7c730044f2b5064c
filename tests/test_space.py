"""What a Hugging Face Space reads: the front matter of the README, requirements.txt, and its own variables."""

from __future__ import annotations

import runpy
import subprocess
import sys
import tomllib
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

from crossfade.settings import Settings

ROOT = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


@pytest.fixture
def front_matter() -> Any:
    start, block, _ = (ROOT / "README.md").read_text(encoding="utf-8").split("---\n", 2)
    assert start == "", "a Space reads the block at the very top"
    return yaml.safe_load(block)


def test_requirements_are_what_the_command_makes_of_pyproject() -> None:
    command = [sys.executable, str(ROOT / ".ci" / "requirements.py")]
    made = subprocess.run(command, capture_output=True, check=True).stdout.decode()
    assert (ROOT / "requirements.txt").read_text(encoding="utf-8") == made, "run `make requirements`"
    lines = [line for line in made.splitlines() if not line.startswith("#")]
    assert {Requirement(line).name for line in lines} == {Requirement(d).name for d in PROJECT["dependencies"]}
    assert not any(line.startswith((".", "-")) for line in lines), "the checkout comes after the installation"


def test_the_space_starts_what_is_there_on_versions_that_the_project_allows(front_matter: Any) -> None:
    assert front_matter["sdk"] == "gradio"
    assert (ROOT / front_matter["app_file"]).is_file()
    gradio = next(r for d in PROJECT["dependencies"] if (r := Requirement(d)).name == "gradio")
    assert front_matter["sdk_version"] in gradio.specifier
    assert f"{front_matter['python_version']}.9" in SpecifierSet(PROJECT["requires-python"])
    assert front_matter["license"] == PROJECT["license"].lower()
    assert len(front_matter["short_description"]) <= 60, "the hub refuses a longer one"


def test_zero_gpu_takes_its_python_and_finds_a_function_that_is_marked(
    front_matter: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert front_matter["python_version"] in ("3.10", "3.12"), "it has no other"
    marked: list[Any] = []
    monkeypatch.setitem(sys.modules, "spaces", SimpleNamespace(GPU=marked.append))
    runpy.run_path(str(ROOT / "app.py"), run_name="app")
    assert [function.__name__ for function in marked] == ["no_gpu"]
    monkeypatch.setitem(sys.modules, "spaces", None)
    assert "main" in runpy.run_path(str(ROOT / "app.py"), run_name="app"), "elsewhere there is no such library"


def test_a_space_is_served_to_all_on_its_own_cores() -> None:
    on_space = Settings.from_environment({"SPACE_ID": "owner/name", "CPU_CORES": "2"})
    assert (on_space.host, on_space.port, on_space.threads) == ("0.0.0.0", 7860, 2)
    assert Settings.from_environment({"CPU_CORES": "2"}).host == "127.0.0.1"
    assert Settings.from_environment({"SPACE_ID": "a/b", "CROSSFADE_HOST": "127.0.0.1"}).host == "127.0.0.1"


@pytest.mark.parametrize("told", ["", "0", "2.5", "many", "9" * 400])
def test_cores_that_a_space_does_not_tell_are_those_of_the_machine(told: str) -> None:
    threads = Settings.from_environment({"SPACE_ID": "a/b", "CPU_CORES": told}).threads
    assert threads == Settings.from_environment({}).threads
