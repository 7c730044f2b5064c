"""What is made once is on the disk before it has its name, and is believed only as long as it is what was recorded."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from crossfade.models import once
from crossfade.models.once import make_once
from damage import DAMAGES, Damage

BYTES = bytes(range(256)) * 64
Make = Callable[[Path], None]


def make_file(part: Path) -> None:
    part.write_bytes(BYTES)


def make_folder(part: Path) -> None:
    (part / "deep").mkdir(parents=True)
    (part / "one").write_bytes(BYTES)
    (part / "deep" / "two").write_bytes(BYTES)


def contents(target: Path) -> dict[str, bytes]:
    files = [target] if target.is_file() else [p for p in target.rglob("*") if p.is_file()]
    return {str(path.relative_to(target)): path.read_bytes() for path in files}


@pytest.mark.parametrize("make", [make_file, make_folder])
def test_every_file_is_on_the_disk_before_the_target_has_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, make: Make
) -> None:
    target, synced, named = tmp_path / "target", set[int](), []
    fsync, rename = os.fsync, os.replace

    def watch_fsync(file: int) -> None:
        synced.add(os.fstat(file).st_ino)
        fsync(file)

    def watch_rename(old: Path, new: Path) -> None:
        if new == target:
            named.append(set(synced))
        rename(old, new)

    monkeypatch.setattr(os, "fsync", watch_fsync)
    monkeypatch.setattr(os, "replace", watch_rename)
    make_once(target, make)
    inodes = {p.stat().st_ino for p in (target, *target.rglob("*")) if p.is_file()}
    assert len(inodes) == len(contents(target))
    (before,) = named
    assert inodes <= before


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize(("make", "name"), [(make_file, ""), (make_folder, "deep/two")])
def test_what_was_cut_or_altered_is_made_again_whole(tmp_path: Path, make: Make, name: str, damage: Damage) -> None:
    target = make_once(tmp_path / "target", make)
    whole = contents(target)
    damage(target / name)
    assert contents(target) != whole
    make_once(target, make)
    assert contents(target) == whole


@pytest.mark.parametrize("record", ["", "{", "[]", "{}", '{".": {"size": "big"}}'])
def test_without_a_record_that_can_be_read_it_is_made_again(tmp_path: Path, record: str) -> None:
    target = make_once(tmp_path / "target", make_file)
    target.write_bytes(b"of another day")
    target.with_name("target.verified.json").write_text(record, encoding="utf-8")
    make_once(target, make_file)
    assert target.read_bytes() == BYTES


def test_what_did_not_change_is_not_read_and_a_copy_is_read_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[Path] = []
    hashed = once.file_sha256

    def watch(path: Path) -> str:
        read.append(path)
        return hashed(path)

    def never(_: Path) -> None:
        pytest.fail("it was made again")

    make_once(tmp_path / "home" / "target", make_file)
    copy = shutil.copytree(tmp_path / "home", tmp_path / "copy") / "target"
    monkeypatch.setattr(once, "file_sha256", watch)
    make_once(copy, never)
    assert read == [copy]
    # The clock ticks between the file and its record, as it does for a file that takes time to hash.
    for target in (copy, tmp_path / "home" / "target"):
        record = target.with_name("target.verified.json")
        later = target.stat().st_ctime_ns
        while record.stat().st_ctime_ns <= later:
            os.utime(record)
        read.clear()
        make_once(target, never)
        assert read == []


@pytest.mark.skipif(sys.platform == "win32", reason="there is no SIGKILL")
def test_killed_between_the_name_and_the_record_it_is_made_again(tmp_path: Path) -> None:
    code = (
        "import os, signal, sys\n"
        "from pathlib import Path\n"
        "from crossfade.models import once\n"
        "once._record = lambda *_: os.kill(os.getpid(), signal.SIGKILL)\n"
        "once.make_once(Path(sys.argv[1]), lambda part: part.write_bytes(b'first'))\n"
    )
    target = tmp_path / "target"
    killed = subprocess.run([sys.executable, "-c", code, str(target)], check=False)
    assert killed.returncode == -signal.SIGKILL
    assert target.read_bytes() == b"first"
    make_once(target, make_file)
    assert target.read_bytes() == BYTES
    assert not list(tmp_path.glob("*.part-*"))
