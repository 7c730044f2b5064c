"""Questions to begin with, for each corpus that comes with Crossfade: they show base failing and each mode helping."""

from __future__ import annotations

from dataclasses import dataclass

from crossfade.ui.controls import Catalog


@dataclass(frozen=True, slots=True)
class Suggestion:
    """A question, the task of the corpus and the mode that it is asked in, and the text on what that shows."""

    text: str
    task: str
    mode: str = "hybrid"
    shows: str = "chat.shows_hybrid"


SUGGESTIONS: dict[str, tuple[Suggestion, ...]] = {
    "tidewell": (
        Suggestion("How much is the monthly fee for Harbor Checking?", "answer", "base", "chat.shows_base"),
        Suggestion("What is the annual fee of the Pearl Travel Card?", "answer", "rag", "chat.shows_rag"),
        Suggestion("Which crypto coins does Tidewell Bank sell?", "answer", "hybrid", "chat.shows_hybrid"),
        Suggestion(
            "My Coral card was stolen on 4 May 2026 and someone spent 85 dollars. Please hurry. Ada Fenn, RT-20417",
            "ticket",
            "icl",
            "chat.shows_icl",
        ),
        Suggestion(
            "Someone took 240 dollars from my checking account on 3 March 2026 and it was not me. Please hurry. "
            "Nora Quill, case TB-40719",
            "ticket",
            "fine-tune",
            "chat.shows_ticket",
        ),
        Suggestion(
            "A shop charged my Pearl Credit Card twice. What should I do now?", "voice", "fine-tune", "chat.shows_voice"
        ),
    ),
}


def suggestions_of(catalog: Catalog) -> tuple[Suggestion, ...]:
    """The questions for the corpus that is shown first."""
    names = catalog.names()
    return SUGGESTIONS.get(names[0][1], ()) if names else ()
