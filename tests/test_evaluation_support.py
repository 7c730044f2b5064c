"""The rule for "a passage supports this sentence", and what it reads in a text."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crossfade.evaluation import claims
from crossfade.evaluation.quantities import quantities
from crossfade.evaluation.results import Found
from crossfade.evaluation.support import check, supported

TEXT = (
    "The monthly fee for Harbor Checking is $7. It is waived if the average\nbalance is $1,500 or more.\n\n"
    "The daily limit is $300 and the monthly limit is $6,000. A payment cannot be cancelled once it has arrived. "
    "Branches open at 3 p.m. on Fridays. A box holds ten checks, and a fee of 4% is added."
)
HARBOR = Found("harbor", "Harbor Checking > Fees", TEXT, 0, len(TEXT), 0.9)


def holds(sentence: str, question: str = "") -> bool:
    held, checked = supported(sentence, [HARBOR], question)
    return checked == held == 1


@pytest.mark.parametrize(
    ("true", "false"),
    [
        ("The monthly fee for Harbor Checking is $7.", "The monthly fee for Harbor Checking is $8."),
        ("The monthly fee is seven dollars.", "The monthly fee is eight dollars."),
        ("The monthly fee for Harbor Checking is $7.", "The monthly fee for Harbor Plus Checking is $7."),
        ("The monthly limit is $6,000.", "The daily limit is $6,000."),
        ("The daily limit is 300 dollars.", "The monthly limit is 300 dollars."),
        ("A payment cannot be cancelled once it has arrived.", "A payment can be cancelled once it has arrived."),
        ("Branches open at 15:00 on Fridays.", "Branches open at 3:00 on Fridays."),
        ("A fee of 4 percent is added.", "A fee of $4 is added."),
        ("A box holds 10 checks.", "A box holds 10 blue marbles."),
    ],
)
def test_numbers_names_denials_and_words_must_stand_together(true: str, false: str) -> None:
    assert holds(true)
    assert not holds(false)


def test_a_short_answer_is_read_with_its_question() -> None:
    assert holds("$6,000.", "What is the monthly limit?")
    assert not holds("$6,000.", "What is the daily limit?")


@pytest.mark.parametrize("text", ["", "Yes.", "No!", "[1]", "...", "Yes. It is."])
def test_what_claims_nothing_is_not_checked(text: str) -> None:
    assert check(text, [HARBOR], "Is there a fee?") == ()


@settings(deadline=None, max_examples=60)
@given(st.text(max_size=200), st.text(max_size=200))
def test_any_text_is_checked_at_its_own_places(answer: str, text: str) -> None:
    passage = Found("d", "T", text, 0, len(text), 0.5)
    end = 0
    for one in check(answer, [passage, HARBOR]):
        assert end <= one.start < one.end <= len(answer)
        end = one.end
        if one.passage is not None:
            assert 0 <= one.begin < one.stop <= len([passage, HARBOR][one.passage].text)


@pytest.mark.parametrize("number", range(7))
def test_each_sentence_of_a_passage_supports_itself_at_its_place(number: int) -> None:
    places = claims.spans(TEXT)
    assert len(places) == 6
    begin, stop = places[number % 6]
    (one,) = check(" ".join(TEXT[begin:stop].split()), [Found("x", "X", "Nothing of it.", 0, 14, 1.0), HARBOR])
    assert (one.passage, one.begin, one.stop) == (1, begin, stop)


def test_without_passages_nothing_is_supported() -> None:
    assert supported("The fee is $7. It is waived at $1,500.", []) == (0, 2)


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("It is $2.50. It is due at 8 a.m. Then it ends.", 3),
        ("Ask Dr. Smith of St. Mary. He knows.", 2),
        ("1. First one\n2. Second one", 2),
        ("It is $25. [1] It takes 2 days [2].", 2),
        ("费用是25美元。需要两天。", 2),
        ("One line\nthat goes on.\n\nAnother", 2),
    ],
)
def test_sentences_end_where_a_reader_says_so(text: str, count: int) -> None:
    assert len(claims.spans(text)) == count


@pytest.mark.parametrize(
    ("left", "right", "same"),
    [
        ("$7", "seven dollars", True),
        ("$7", "7", True),
        ("$7", "7%", False),
        ("200000 dollars", "$200,000", True),
        ("$0.9 million", "$900,000", True),
        ("twenty-one days", "21 days", True),
        ("noon", "12 p.m.", True),
        ("3:30 pm", "15:30", True),
        ("4 per cent", "4%", True),
        ("8 a.m.", "8 p.m.", False),
        ("ſix", "6", True),
    ],
)
def test_quantities_are_compared_by_what_they_mean(left: str, right: str, same: bool) -> None:
    (one,), (other,) = quantities(left), quantities(right)
    assert one.agrees(other) is same
    assert other.agrees(one) is same


def test_long_runs_of_blanks_take_no_time_to_speak_of() -> None:
    hostile: Any = Found("h", "H", "a" + " " * 50_000 + "." * 2_000 + " and" * 3_000, 0, 1, 0.1)
    assert supported("The fee is $7 and it is waived.", [hostile]) == (0, 1)
