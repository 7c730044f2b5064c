"""The wheel as `pip install .` leaves it: the command is there and finds the corpora and adapters that it ships."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

import pytest

pytest.importorskip("hatchling")

ROOT = Path(__file__).resolve().parents[1]
CORPORA = """
import json
from crossfade.corpora.registry import list_corpora, read_corpus
from crossfade.settings import Settings
root = Settings.from_environment().corpora
print(json.dumps([str(root), {name: len(read_corpus(root, name).documents) for name in list_corpora(root)}]))
"""


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The `bin` of a venv with the built wheel, which borrows the other libraries from the venv of the tests."""
    root = tmp_path_factory.mktemp("installed")
    python = [sys.executable, "-m"]
    subprocess.run([*python, "hatchling", "build", "-t", "wheel", "-d", root], cwd=ROOT, check=True)
    (wheel,) = root.glob("*.whl")
    venv.create(root / "venv", with_pip=False, symlinks=True)
    (packages,) = (root / "venv").glob("lib/python*/site-packages")
    binaries = root / "venv" / "bin"
    install = ["install", "-q", "--no-deps", "--no-index", "--no-compile", wheel]
    subprocess.run([*python, "pip", "--python", binaries / "python", *install], check=True)
    # A .pth file in a borrowed folder is not read, so that a checkout that was installed there stays out.
    (packages / "borrowed.pth").write_text(sysconfig.get_path("purelib") + "\n", encoding="utf-8")
    return binaries


def output(installed: Path, *command: str) -> str:
    """What a command of the venv prints, run outside the checkout and without settings."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("CROSSFADE_", "PYTHON"))}
    environment["CROSSFADE_HOME"] = str(installed.parent / "home")
    done = subprocess.run(
        [installed / command[0], *command[1:]],
        cwd=installed,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.slow
def test_the_installed_command_finds_the_shipped_adapters(installed: Path) -> None:
    rows = {row["name"]: row for row in json.loads(output(installed, "crossfade", "adapters", "--json"))}
    assert set(rows) == {path.parent.name for path in ROOT.glob("adapters/[!.]*/adapter_config.json")}
    for name, row in rows.items():
        assert "refused" not in row
        assert Path(row["folder"]).is_relative_to(installed.parent), name


@pytest.mark.slow
def test_the_installed_package_finds_the_shipped_corpora(installed: Path) -> None:
    root, corpora = json.loads(output(installed, "python", "-c", CORPORA))
    assert Path(root).is_relative_to(installed.parent)
    assert corpora == {
        path.parent.name: len(list(path.parent.glob("docs/*.md"))) for path in ROOT.glob("corpora/*/corpus.toml")
    }
