"""Each rule of a voice is broken alone, and a good reply breaks none."""

from __future__ import annotations

import pytest

from crossfade.corpora.rules import Rules, read_rules
from crossfade.evaluation.style import broken_rules

RULES = Rules(
    words=(25, 70),
    sentence_words=20,
    opening="Good to hear from you.",
    closing="Next step: ",
    closing_words=15,
    avoid=("simply", "please note"),
    address=True,
    calm=True,
)
GOOD = (
    "Good to hear from you. We keep your card safe while you look for it. You can freeze it yourself in the app, and "
    "we lift the freeze when you ask us.\nNext step: Open the Tideline app and freeze the card."
)


def test_a_good_reply_breaks_no_rule() -> None:
    assert broken_rules(GOOD, RULES) == ()


@pytest.mark.parametrize(
    ("old", "new", "rule"),
    [
        ("We keep your card safe while you look for it. You can freeze it yourself in the app, and we", "We", "length"),
        ("Good to hear", "Great to hear", "opening"),
        ("for it.", "for it, and " + "then " * 16 + "rest.", "sentences"),
        ("for it.", "for it!", "shouting"),
        ("the app", "the APP", "shouting"),
        ("for it.", "for it, simply.", "words"),
        ("\nNext step: ", " Next step: ", "closing"),
        ("Open the Tideline app and freeze the card.", "Open it and " + "wait " * 14 + "there.", "closing"),
    ],
)
def test_each_rule_is_noticed(old: str, new: str, rule: str) -> None:
    assert old in GOOD
    assert rule in broken_rules(GOOD.replace(old, new), RULES)


def test_no_rule_asks_for_more_than_is_told() -> None:
    assert broken_rules(GOOD.removesuffix("."), RULES) == (), "the rules that every mode is given name no full stop"


def test_the_address_needs_both_sides() -> None:
    text = GOOD.replace("We keep", "They keep").replace("and we lift", "and they lift").replace("ask us", "ask them")
    assert "address" in broken_rules(text, RULES)


def test_an_empty_reply_breaks_rules_and_nothing_is_raised() -> None:
    assert "opening" in broken_rules("", RULES)


@pytest.mark.parametrize("text", ["", "NO!", GOOD, "just\na line"])
def test_no_rules_ask_for_nothing(text: str) -> None:
    assert broken_rules(text, Rules()) == ()


def test_rules_are_read_from_a_table() -> None:
    table = {"words": [25, 70], "avoid": ["simply"], "calm": True, "opening": "Hello."}
    assert read_rules(table) == Rules(words=(25, 70), avoid=("simply",), calm=True, opening="Hello.")


@pytest.mark.parametrize(
    "table",
    [
        {"word": [1, 2]},
        {"words": [2]},
        {"words": [3, 2]},
        {"words": ["a", "b"]},
        {"words": 3},
        {"avoid": [1]},
        {"avoid": "simply"},
        {"calm": 1},
        {"sentence_words": -1},
        {"opening": []},
    ],
)
def test_a_rule_of_another_form_is_told_by_its_name(table: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="rules"):
        read_rules(table)
