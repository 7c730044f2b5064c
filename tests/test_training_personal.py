"""What looks like personal data is seen, and numbers of other kinds are not. All of it is made up."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crossfade.training.personal import KINDS, is_card, is_iban, personal_kinds

SEEN = {
    "e-mail": ["Write to jo.doe+x@post.example.", "<a@b.co>", "mailto:A_B@sub.domain.example?x"],
    "IBAN": ["DE89 3704 0044 0532 0130 00", "GB82WEST12345698765432", "to NL91ABNA0417164300, please"],
    "card number": ["4111 1111 1111 1111", "5500-0055-5555-5559", "paid with 378282246310005."],
    "US social security number": ["My SSN is 123-45-6789."],
    "phone number": ["+1 (415) 555-0100", "call 415-555-0100", "+49 30 1234567", "+442071234567", "030 1234 5678"],
}
NOT_SEEN = [
    "",
    "On 2025-03-03 at 12:30 I paid $1,850.00 for 12 months.",
    "2025-03-03 1200",
    "03.04.2025 and 03-04-2025",
    "10 000 000 000 and 1.000.000.000",
    "192.168.100.100",
    "3107.50-3108",
    "Trace TW-48213, order 123456789012",
    "a@b, @name and x @ y.com",
    "4111 1111 1111 1112",
    "0000 0000 0000 0000",
    "GB83WEST12345698765432",
    "000-12-3456, 666-12-3456, 912-12-3456, 123-00-4567, 123-45-0000",
    "version 1.2.3-4, pages 10-20, 30-40",
]


@pytest.mark.parametrize(("kind", "text"), [(kind, text) for kind, texts in SEEN.items() for text in texts])
def test_personal_data_are_seen_as_what_they_are(kind: str, text: str) -> None:
    assert personal_kinds(text) == (kind,)


@pytest.mark.parametrize("text", NOT_SEEN)
def test_numbers_of_other_kinds_are_not_personal_data(text: str) -> None:
    assert personal_kinds(text) == ()


def test_all_kinds_in_one_text_are_told_once_each() -> None:
    assert personal_kinds("\n".join(text for texts in SEEN.values() for text in texts)) == KINDS


@given(digits=st.text("0123456789", min_size=12, max_size=18), place=st.integers(0, 17), other=st.integers(1, 9))
def test_one_wrong_digit_is_no_card_number(digits: str, place: int, other: int) -> None:
    (check,) = [last for last in "0123456789" if is_card(digits + last)] or [None]
    if check is None or place >= len(digits):
        return  # all digits alike are none
    wrong = digits[:place] + str((int(digits[place]) + other) % 10) + digits[place + 1 :]
    assert not is_card(wrong + check)


@given(account=st.text("0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ", min_size=11, max_size=30), delta=st.integers(1, 96))
def test_of_the_check_digits_of_an_iban_one_pair_is_right(account: str, delta: int) -> None:
    right = [n for n in range(2, 99) if is_iban(f"DE{n:02d}{account}")]
    assert len(right) == 1
    assert not is_iban(f"DE{(right[0] - 2 + delta) % 97 + 2:02d}{account}")


@given(text=st.text(max_size=200))
def test_any_text_is_looked_through(text: str) -> None:
    assert set(personal_kinds(text)) <= set(KINDS)
