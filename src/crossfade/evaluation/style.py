"""Check the rules of a written voice. Pure; the rules come from a corpus's task."""

from __future__ import annotations

import re

from crossfade.corpora.rules import Rules


def broken_rules(text: str, rules: Rules) -> tuple[str, ...]:
    """The names of the rules that a reply breaks: length, opening, address, sentences, shouting, words, closing."""
    text = text.strip()
    body = text.removeprefix(rules.opening)
    sentences = re.split(r"(?<=[.!?])\s+", text)
    last = text.splitlines()[-1] if text else ""
    step = last.removeprefix(rules.closing)
    low, high = rules.words
    avoided = "|".join(map(re.escape, rules.avoid))
    kept = {
        "length": not high or low <= len(text.split()) <= high,
        "opening": text.startswith(rules.opening),
        "address": not rules.address
        or bool(re.search(r"\b(we|us|our)\b", body, re.I) and re.search(r"\b(you|your)\b", body, re.I)),
        "sentences": not rules.sentence_words or all(len(s.split()) <= rules.sentence_words for s in sentences),
        "shouting": not rules.calm or ("!" not in text and not re.search(r"\b[A-Z]{3,}\b", text)),
        "words": not avoided or not re.search(rf"\b({avoided})\b", text, re.I),
        "closing": not rules.closing
        or (
            "\n" in text
            and last.startswith(rules.closing)
            and text.count(rules.closing.strip()) == 1
            and (not rules.closing_words or 1 <= len(step.split()) <= rules.closing_words)
        ),
    }
    return tuple(name for name, good in kept.items() if not good)
