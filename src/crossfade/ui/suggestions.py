"""Questions to begin with, for each corpus that comes with Crossfade: they show base failing and each mode helping."""

from __future__ import annotations

from dataclasses import dataclass

from crossfade.ui.controls import Catalog


@dataclass(frozen=True, slots=True)
class Suggestion:
    """A question, and the task of the corpus that it is asked in."""

    text: str
    task: str


SUGGESTIONS: dict[str, tuple[Suggestion, ...]] = {
    "tidewell": (
        Suggestion("How much is the monthly fee for Harbor Checking?", "answer"),
        Suggestion("What is the annual fee of the Pearl Travel Card?", "answer"),
        Suggestion("I got a text called Foghorn. What happens if I do not answer it?", "answer"),
        Suggestion("Which crypto coins does Tidewell Bank sell?", "answer"),
        Suggestion("A shop charged my Pearl Credit Card twice. What should I do now?", "voice"),
        Suggestion(
            "Someone took 240 dollars from my checking account on 3 March 2026 and it was not me. Please hurry. "
            "Nora Quill, case TB-40719",
            "ticket",
        ),
    ),
}


def suggestions_of(catalog: Catalog) -> tuple[Suggestion, ...]:
    """The questions for the corpus that is shown first."""
    names = catalog.names()
    return SUGGESTIONS.get(names[0][1], ()) if names else ()
