"""The pictures of the README: each is made by the script, and each that is made is shown."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("PIL")
pytest.importorskip("playwright.sync_api", reason="the Python package playwright is not installed")

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="module")
def screenshots() -> Any:
    spec = importlib.util.spec_from_file_location("screenshots", ROOT / "docs" / "screenshots.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_readme_shows_every_picture_that_the_script_makes_and_no_other(screenshots: Any) -> None:
    shown = set(re.findall(r"docs/([a-z]+)\.png", (ROOT / "README.md").read_text(encoding="utf-8")))
    assert shown == set(screenshots.PICTURES)
    assert shown == {path.stem for path in (ROOT / "docs").glob("*.png")}


def test_the_pictures_are_small(screenshots: Any) -> None:
    sizes = {path.name: path.stat().st_size for path in (ROOT / "docs").glob("*.png")}
    assert {name: size for name, size in sizes.items() if size > screenshots.MOST_BYTES} == {}
