"""Putting an adapter folder in another one's place: killed or refused at any moment, one of the two is there, whole."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

import handmade_adapters as made
from crossfade.adapters.peft_files import read_adapter
from crossfade.adapters.registry import scan
from crossfade.adapters.swap import put, workplace
from crossfade.errors import AdapterError

PUT_AND_BE_KILLED = """
import os, shutil, signal, sys
from pathlib import Path
from crossfade.adapters.swap import put, workplace

new, folder, kill_at = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
moments, rename = iter(range(100)), os.replace

def moment():
    if next(moments) == kill_at:
        os.kill(os.getpid(), signal.SIGKILL)

def replace(*names):
    moment()
    rename(*names)
    moment()

os.replace = replace
with workplace(folder) as scratch:
    shutil.copytree(new, scratch / folder.name)
    put(scratch / folder.name, folder)
"""


@pytest.fixture
def two(tmp_path: Path) -> tuple[Path, Path]:
    """An adapter `a` that is in its place, and the one that shall replace it."""
    return made.write(tmp_path / "adapters" / "a"), made.write(tmp_path / "new" / "a", made.matrices(seed=1))


def left_of(folder: Path) -> set[str]:
    return {p.name for p in folder.parent.iterdir()}


def test_killed_before_or_after_any_rename_the_next_scan_finds_the_old_or_the_new(two: tuple[Path, Path]) -> None:
    folder, new = two
    hashes = [read_adapter(path).sha256 for path in two]
    found, hidden = [], 0
    for moment in range(6):  # three renames: the old one aside, the new one in, the old one away
        command = [sys.executable, "-c", PUT_AND_BE_KILLED, str(new), str(folder), str(moment)]
        assert subprocess.run(command, timeout=60, check=False).returncode == -9
        hidden += not folder.exists()
        registry = scan(folder.parent)
        assert registry.refused == {}
        found.append(hashes.index(registry.get("a").sha256))
        with workplace(folder):
            assert len(left_of(folder)) == 3, "the adapter, the lock, and this scratch folder"
        if found[-1]:
            made.write(folder)
    assert found == [0, 0, 0, 1, 1, 1]
    assert hidden == 2, "it was killed while neither was in its place"


@pytest.mark.parametrize("failure", [OSError(errno.ENOSPC, "No space left on device"), KeyboardInterrupt()])
def test_where_the_second_rename_fails_the_old_one_is_back(
    two: tuple[Path, Path], failure: BaseException, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder, new), rename = two, os.replace
    before = read_adapter(folder)

    def replace(source: Path, target: Path) -> None:
        if source == new:
            raise failure
        rename(source, target)

    monkeypatch.setattr(os, "replace", replace)
    with pytest.raises(type(failure)), workplace(folder):
        put(new, folder)
    assert read_adapter(folder) == before
    assert left_of(folder) == {"a", ".a.lock"}


def test_a_new_run_removes_what_killed_runs_of_that_name_left_and_nothing_else(tmp_path: Path) -> None:
    for name in (".a.0", ".a.1", ".ab.0", "b"):
        made.write(tmp_path / name / "a")
    with workplace(tmp_path / "a"):
        pass
    assert {p.name for p in tmp_path.iterdir()} == {".a.lock", ".ab.0", "b"}


def test_two_processes_do_not_make_one_adapter_at_a_time(tmp_path: Path) -> None:
    with workplace(tmp_path / "a") as scratch, workplace(tmp_path / "b"):
        with pytest.raises(AdapterError, match="Another process is making"), workplace(tmp_path / "a"):
            pass
        assert scratch.is_dir()


def test_an_adapter_that_is_being_replaced_by_a_living_process_is_left_to_it(two: tuple[Path, Path]) -> None:
    folder, _ = two
    with workplace(folder):
        os.replace(folder, folder.with_name(".a.old"))
        assert scan(folder.parent) == scan()
    assert set(scan(folder.parent).adapters) == {"a"}
