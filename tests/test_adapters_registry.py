"""Scanning folders for adapters: the sound ones by name, the others with their reason."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

import handmade_adapters as made
from crossfade.adapters.peft_files import WEIGHTS_FILE
from crossfade.adapters.registry import scan
from crossfade.errors import AdapterError


def test_a_broken_adapter_is_listed_with_its_reason_and_hides_no_other(tmp_path: Path) -> None:
    made.write(tmp_path / "good")
    made.write(tmp_path / "cut")
    (tmp_path / "cut" / WEIGHTS_FILE).write_bytes(b"\0" * 20)
    made.write(tmp_path / "Bad Name")
    registry = scan(tmp_path)
    assert set(registry.adapters) == {"good"}
    assert set(registry.refused) == {"cut", "Bad Name"}
    with pytest.raises(AdapterError, match=WEIGHTS_FILE):
        registry.get("cut")


def test_an_unknown_name_is_answered_with_the_known_ones(tmp_path: Path) -> None:
    made.write(tmp_path / "style")
    made.write(tmp_path / "json")
    with pytest.raises(AdapterError, match=r"'jsn'.*json, style"):
        scan(tmp_path).get("jsn")
    with pytest.raises(AdapterError, match="none"):
        scan(tmp_path / "empty").get("json")


def test_the_first_root_stays_where_two_have_one_name(tmp_path: Path) -> None:
    first = made.write(tmp_path / "a" / "style")
    made.write(tmp_path / "b" / "style", made.matrices(seed=1))
    made.write(tmp_path / "b" / "json")
    registry = scan(tmp_path / "a", tmp_path / "b", tmp_path / "missing")
    assert registry.get("style").folder == first
    assert set(registry.adapters) == {"style", "json"}


def test_what_is_no_adapter_folder_is_passed_over(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    (tmp_path / "empty").mkdir()
    made.write(tmp_path / ".style.part-1" / "inner")
    assert scan(tmp_path) == scan()


def test_names_that_start_with_a_dot_are_passed_over(tmp_path: Path) -> None:
    made.write(tmp_path / ".style.4cmouv_1")
    made.write(tmp_path / "style")
    registry = scan(tmp_path)
    assert (set(registry.adapters), registry.refused) == ({"style"}, {})


@contextmanager
def without_privileges() -> Iterator[Path]:
    """A folder outside of pytest's private ones, to be read as a user who may not read everything."""
    with TemporaryDirectory() as name:
        folder, root = Path(name), os.geteuid() == 0
        if root:
            os.chown(folder, 65534, 65534)
            os.seteuid(65534)
        try:
            yield folder
        finally:
            for path in folder.glob("*"):
                path.chmod(0o755)
            if root:
                os.seteuid(0)


def test_a_folder_that_may_not_be_read_is_refused_with_its_reason() -> None:
    with without_privileges() as root:
        made.write(root / "good")
        made.write(root / "private").chmod(0)
        registry = scan(root)
        assert set(registry.adapters) == {"good"}
        assert list(registry.refused) == ["private"]
        assert "Permission denied" in registry.refused["private"]
        assert "Make it readable" in registry.refused["private"]


def test_what_cannot_be_put_back_is_refused_with_what_to_do() -> None:
    with without_privileges() as root:
        made.write(root / ".lost.old")
        root.chmod(0o555)
        registry = scan(root)
        root.chmod(0o755)
        assert registry.adapters == {}
        assert f"Rename it to {root / 'lost'}" in registry.refused["lost"]
        assert set(scan(root).adapters) == {"lost"}
