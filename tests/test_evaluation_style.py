"""Each rule of the voice is broken alone, and a good reply breaks none."""

from __future__ import annotations

import pytest

from crossfade.evaluation.style import broken_rules

GOOD = (
    "Good to hear from you. We keep your card safe while you look for it. You can freeze it yourself in the app, and "
    "we lift the freeze when you ask us.\nNext step: Open the Tideline app and freeze the card."
)


def test_a_good_reply_breaks_no_rule() -> None:
    assert broken_rules(GOOD) == ()


@pytest.mark.parametrize(
    ("old", "new", "rule"),
    [
        ("We keep your card safe while you look for it. You can freeze it yourself in the app, and we", "We", "length"),
        ("Good to hear", "Great to hear", "opening"),
        ("for it.", "for it, and " + "then " * 16 + "rest.", "sentences"),
        ("for it.", "for it!", "shouting"),
        ("the app", "the APP", "shouting"),
        ("for it.", "for it, simply.", "words"),
        ("\nNext step: ", " Next step: ", "next step"),
        ("Open the Tideline app and freeze the card.", "Open it and " + "wait " * 14 + "there.", "next step"),
    ],
)
def test_each_rule_is_noticed(old: str, new: str, rule: str) -> None:
    assert old in GOOD
    assert rule in broken_rules(GOOD.replace(old, new))


def test_no_rule_asks_for_more_than_is_told() -> None:
    assert broken_rules(GOOD.removesuffix(".")) == (), "the rules that every mode is given name no full stop"


def test_the_address_needs_both_sides() -> None:
    text = GOOD.replace("We keep", "They keep").replace("and we lift", "and they lift").replace("ask us", "ask them")
    assert "address" in broken_rules(text)


def test_an_empty_reply_breaks_rules_and_nothing_is_raised() -> None:
    assert "opening" in broken_rules("")
