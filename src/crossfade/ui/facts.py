"""The line of facts under an answer, and what its mode is in words. Pure; knows nothing of how an answer is made."""

from __future__ import annotations

import re

from crossfade.abstention import probability
from crossfade.types import Answer
from crossfade.ui.escaping import escape
from crossfade.ui.language import say

HASH_DIGITS = 10
SHOWN_WITHHELD = 200
"""So many characters of an answer that was withheld are told."""

_MODES = {
    "base": "answer.mode_base",
    "icl": "answer.mode_icl",
    "rag": "answer.mode_rag",
    "rag+icl": "answer.mode_rag_icl",
    "fine-tune": "answer.mode_fine_tune",
    "fine-tune+icl": "answer.mode_fine_tune_icl",
    "hybrid": "answer.mode_hybrid",
    "hybrid+icl": "answer.mode_hybrid_icl",
}
_ENDINGS = {"stop": "", "length": "answer.ended_length", "cancelled": "answer.ended_stopped"}
_LEFT_OUT = {
    "passages": "answer.left_out_passages",
    "earlier turns": "answer.left_out_turns",
    "examples": "answer.left_out_examples",
}
_COUNTED = re.compile(r"(\d+) of (\d+) (.+)")
"""How `prompts.build` tells what it left out."""


def mode_words(mode: str, *, language: str = "en") -> str:
    """What a mode gives the model, in a few words. Raises KeyError for an unknown mode."""
    return say(language, _MODES[mode])


def facts_html(answer: Answer, *, language: str = "en") -> str:
    """The line of facts: mode, adapters with their hashes, tokens, seconds, what was left out."""
    made = answer.generation
    facts = [f'<span class="cf-badge">{escape(answer.query.mode)}</span>']
    for name, weight, sha256 in made.adapters:
        scale = "" if weight == 1 else f" x {weight:g}"
        facts.append(
            f'<span class="cf-adapter" title="sha256 {escape(sha256)}">{escape(name + scale)} '
            f"<code>{escape(sha256[:HASH_DIGITS])}</code></span>"
        )
    if made.finish:
        if made.prompt_tokens is not None:
            told = say(language, "answer.prompt_tokens", count=f"{made.prompt_tokens:,}")
            if made.cached_tokens is not None:
                told += say(language, "answer.cached", count=f"{made.cached_tokens:,}")
            facts.append(f"<span>{escape(told)}</span>")
        facts.append(_fact(say(language, "answer.new_tokens", count=f"{made.new_tokens:,}")))
        if made.new_tokens:
            seconds = seconds_words(answer.seconds_to_first, language=language)
            facts.append(_fact(say(language, "answer.first_token", seconds=seconds)))
        facts.append(_fact(say(language, "answer.in_all", seconds=seconds_words(answer.seconds, language=language))))
        if ending := _ENDINGS.get(made.finish, made.finish):
            told = say(language, ending) if made.finish in _ENDINGS else ending
            facts.append(f'<span class="cf-ending">{escape(told)}</span>')
    if made.withheld:
        held, cut = f"{100 * probability(made):.0f}", " …" if len(made.withheld) > SHOWN_WITHHELD else ""
        told = say(language, "answer.withheld", answer=made.withheld[:SHOWN_WITHHELD] + cut, percent=held)
        facts.append(f'<span class="cf-withheld" dir="auto">{escape(told)}</span>')
    if answer.prompt and (turns := answer.prompt.turns):
        facts.append(_fact(say(language, "answer.turn" if turns == 1 else "answer.turns", count=turns)))
    if answer.prompt and answer.prompt.left_out:
        told = left_out_words(answer.prompt.left_out, language=language)
        facts.append(f'<span class="cf-left">{escape(told)}</span>')
    return f'<div class="cf-facts">{"".join(facts)}</div>'


def left_out_words(left_out: tuple[str, ...], *, language: str = "en") -> str:
    """What did not fit into the prompt, as a sentence."""
    parts = []
    for told in left_out:
        match = _COUNTED.fullmatch(told)
        known = match is not None and match[3] in _LEFT_OUT
        parts.append(say(language, _LEFT_OUT[match[3]], left=match[1], all=match[2]) if match and known else told)
    return say(language, "answer.left_out", what=("、" if language == "zh" else ", ").join(parts))


def seconds_words(seconds: float, *, language: str = "en") -> str:
    """A time taken, with two digits after the point below ten seconds."""
    return say(language, "answer.seconds", count=f"{seconds:.2f}" if seconds < 10 else f"{seconds:.0f}")


def _fact(text: str) -> str:
    return f"<span>{escape(text)}</span>"
