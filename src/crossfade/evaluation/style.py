"""Check the rules of a written voice. Pure; the rules are those of the task `voice` of `corpora/tidewell`."""

from __future__ import annotations

import re

OPENING = "Good to hear from you."
CLOSING = "Next step: "
MIN_WORDS, MAX_WORDS, MAX_SENTENCE, MAX_STEP = 25, 70, 20, 15
AVOIDED = (
    "unfortunately",
    "please note",
    "kindly",
    "utilize",
    "regret",
    "inconvenience",
    "policy",
    "customer",
    "hesitate",
    "simply",
    "just",
    "sorry",
)


def broken_rules(text: str) -> tuple[str, ...]:
    """The names of the rules that a reply breaks: length, opening, address, sentences, shouting, words, next step."""
    text = text.strip()
    body = text.removeprefix(OPENING)
    sentences = re.split(r"(?<=[.!?])\s+", text)
    last = text.splitlines()[-1] if text else ""
    step = last.removeprefix(CLOSING)
    rules = {
        "length": MIN_WORDS <= len(text.split()) <= MAX_WORDS,
        "opening": text.startswith(OPENING),
        "address": bool(re.search(r"\b(we|us|our)\b", body, re.I) and re.search(r"\b(you|your)\b", body, re.I)),
        "sentences": all(len(s.split()) <= MAX_SENTENCE for s in sentences),
        "shouting": "!" not in text and not re.search(r"\b[A-Z]{3,}\b", text),
        "words": not re.search(rf"\b({'|'.join(AVOIDED)})\b", text, re.I),
        "next step": "\n" in text
        and last.startswith(CLOSING)
        and text.count(CLOSING.strip()) == 1
        and 1 <= len(step.split()) <= MAX_STEP,
    }
    return tuple(name for name, kept in rules.items() if not kept)
