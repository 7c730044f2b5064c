"""Modes and their names, and what a passage says of its source."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crossfade.types import MODES, Passage, Query, mode_name, mode_switches


@settings(deadline=None)
@given(st.booleans(), st.booleans(), st.booleans())
def test_mode_switches_is_the_inverse_of_mode_name(fine_tune: bool, rag: bool, icl: bool) -> None:
    assert mode_switches(mode_name(fine_tune=fine_tune, rag=rag, icl=icl)) == (fine_tune, rag, icl)


def test_the_eight_combinations_have_eight_names() -> None:
    sides = (False, True)
    names = {mode_name(fine_tune=f, rag=r, icl=i) for f in sides for r in sides for i in sides}
    assert len(names) == 8
    assert set(MODES) < names
    assert {"rag+icl", "fine-tune+icl", "hybrid+icl"} < names


@pytest.mark.parametrize("mode", MODES)
def test_a_named_mode_means_its_own_switches(mode: str) -> None:
    switches = {
        "base": (False, False, False),
        "icl": (False, False, True),
        "rag": (False, True, False),
        "fine-tune": (True, False, False),
        "hybrid": (True, True, False),
    }
    assert mode_switches(mode) == switches[mode]


@settings(deadline=None)
@given(st.text(max_size=20))
def test_any_other_text_is_no_mode(text: str) -> None:
    switches = mode_switches(text)
    assert (
        switches is None or mode_name(fine_tune=switches[0], rag=switches[1], icl=switches[2]) == text.strip().lower()
    )


def test_spaces_and_capitals_do_not_change_a_mode() -> None:
    assert mode_switches("  Hybrid+ICL ") == mode_switches("hybrid+icl")


@settings(deadline=None)
@given(st.booleans(), st.booleans(), st.sampled_from([(), (("domain", 1.0),), (("style", 0.6), ("domain", 1.0))]))
def test_fine_tuning_is_on_exactly_when_the_blend_is_not_empty(
    rag: bool, icl: bool, blend: tuple[tuple[str, float], ...]
) -> None:
    query = Query("q", corpus="c", task="t", blend=blend, rag=rag, icl=icl)
    assert mode_switches(query.mode) == (bool(blend), rag, icl)


@pytest.mark.parametrize(("heading", "source"), [("Fees", "Harbor > Fees"), ("", "Harbor"), ("Harbor", "Harbor")])
def test_a_source_names_title_and_heading_once(heading: str, source: str) -> None:
    assert Passage("text", "harbor", "Harbor", heading, 0, 4, 0.5).source == source
