"""The last comparison of each owner: it comes back to that one alone, until it is cleared."""

from __future__ import annotations

from pathlib import Path

import pytest

from crossfade.history.comparisons import Comparisons
from crossfade.history.database import Database


@pytest.fixture
def kept(tmp_path: Path) -> Comparisons:
    return Comparisons(Database(tmp_path / "history.sqlite"))


def test_the_last_one_comes_back_after_a_restart_to_its_owner_alone(kept: Comparisons, tmp_path: Path) -> None:
    for name in ("first", "second"):
        kept.begin("ann", name, f"{name} content")
    kept.begin("", "nobody's", "content")
    again = Comparisons(Database(tmp_path / "history.sqlite"))
    assert again.last("ann") == ("second", "second content")
    for other in ("bob", "", "%", "ANN"):
        assert again.last(other) is None


def test_it_grows_until_another_one_begins_or_it_is_cleared(kept: Comparisons) -> None:
    kept.begin("ann", "first", "half")
    kept.grow("ann", "first", "whole")
    kept.grow("bob", "first", "planted")
    assert kept.last("ann") == ("first", "whole")
    kept.begin("ann", "second", "half")
    kept.grow("ann", "first", "late")
    kept.clear("bob")
    assert kept.last("ann") == ("second", "half")
    kept.clear("ann")
    kept.grow("ann", "second", "late")
    assert kept.last("ann") is None
