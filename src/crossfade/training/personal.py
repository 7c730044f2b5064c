"""Find what may be personal data in a text, by simple patterns. Tells kinds and never the values; knows no rows.

Simple patterns miss names and addresses, and what they find may be made up. They are a reason to look, and no proof.
"""

from __future__ import annotations

import re

KINDS = ("e-mail", "IBAN", "card number", "US social security number", "phone number")
_EMAIL = re.compile(r"(?<![\w.+-])[\w.+-]{1,64}@[\w-]{1,63}(?:\.[\w-]{1,63}){1,4}")
_IBAN = re.compile(r"(?<!\w)[A-Z]{2}\d{2}(?: ?[A-Z0-9]){11,30}(?!\w)")
_CARD = re.compile(r"(?<![\d.,-])[2-6]\d{3}(?:[ -]?\d){9,15}(?![\d.,-]*\d)")
_SSN = re.compile(r"(?<![\d-])(?!000|666|9)\d{3}-(?!00)\d{2}-(?!0000)\d{4}(?![\d-])")
"""The areas, groups and serials that are never given out are passed over (https://www.ssa.gov/employer/randomization.html)."""
_PHONE = re.compile(
    r"(?<![\w.,/$€£+-])(?:\+\d{1,3}[ .-]?)?(?:\(\d{1,5}\)[ .-]?)?\d{2,5}(?:[ .-]\d{2,8}){1,4}(?![\w-]|[.,]\d)"
    r"|(?<![\w+])\+\d{8,15}(?!\w)"
)
_NO_PHONE = re.compile(
    r"(?:\d{4}-\d{2}-\d{2}|\d{2}[.-]\d{2}[.-]\d{4})\b.*|\d{1,3}(?:[ .]\d{3})+|(?:\d{1,3}\.){3}\d{1,3}"
    r"|\d+\.\d+-\d+(?:\.\d+)?|\d{3}-\d{2}-\d{4}"
)
"""A date, a number in groups of three, an address of a computer, two amounts with a dash between them, and what is
written like a social security number and is none."""


def personal_kinds(text: str) -> tuple[str, ...]:
    """The kinds of personal data that a text seems to hold, in the order of `KINDS`."""
    found: set[str] = set()

    def take(kind: str, pattern: re.Pattern[str], check: object = None) -> None:
        nonlocal text
        test = check if callable(check) else lambda _: True

        def blank(match: re.Match[str]) -> str:
            if not test(match[0]):
                return match[0]
            found.add(kind)
            return " _ "  # what was a card number is no phone number too

        text = pattern.sub(blank, text)

    take("e-mail", _EMAIL)
    take("IBAN", _IBAN, is_iban)
    take("card number", _CARD, is_card)
    take("US social security number", _SSN)
    take("phone number", _PHONE, _is_phone)
    return tuple(kind for kind in KINDS if kind in found)


def is_iban(text: str) -> bool:
    """Whether the check digits of an IBAN are right (ISO 13616, ISO 7064 MOD 97-10)."""
    letters = text.replace(" ", "")
    turned = letters[4:] + letters[:4]
    return 15 <= len(letters) <= 34 and int("".join(str(int(sign, 36)) for sign in turned)) % 97 == 1


def is_card(text: str) -> bool:
    """Whether the check digit of a card number of 13 to 19 digits is right (ISO/IEC 7812, Luhn)."""
    digits = [int(sign) for sign in text if sign.isdecimal()]
    doubled = [sum(divmod(2 * digit, 10)) for digit in digits[-2::-2]]
    return 13 <= len(digits) <= 19 and len(set(digits)) > 1 and (sum(doubled) + sum(digits[-1::-2])) % 10 == 0


def _is_phone(text: str) -> bool:
    digits = sum(sign.isdecimal() for sign in text)
    return 9 <= digits <= 15 and not _NO_PHONE.fullmatch(text)
