"""The nine questions behind "do I need fine-tuning?", each with why it is asked and what may be answered. Pure data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from crossfade.errors import QuestionError


@dataclass(frozen=True, slots=True)
class InterviewQuestion:
    """One question. `options` are the answers by key, with the words for people; skipping it is always allowed."""

    key: str
    text: str
    why: str
    options: Mapping[str, str]


_NEED = {"no": "No", "some": "It would help", "yes": "It decides"}

INTERVIEW = (
    InterviewQuestion(
        "precision",
        "Must answers be right in a domain that a general model does not know?",
        "Facts that a model never saw come from documents or from training; no wording of a prompt brings them.",
        {
            "no": "No, general knowledge is enough",
            "stable": "Yes, and its facts seldom change",
            "changing": "Yes, and its facts change",
        },
    ),
    InterviewQuestion(
        "form",
        "Is there a behaviour, style or format that every answer has to have?",
        "Form is what training teaches best, and what retrieval does not bring.",
        _NEED,
    ),
    InterviewQuestion(
        "edge_cases",
        "Are there cases that go wrong however you word the prompt?",
        "Such cases can be shown in training; a longer prompt mends one and breaks another.",
        {"no": "No, or not tried yet", "yes": "Yes, I have tried"},
    ),
    InterviewQuestion(
        "instructions",
        "Does the model have to keep instructions each time, without someone looking?",
        "A small model forgets instructions; training and an enforced schema do not rely on its reading them.",
        _NEED,
    ),
    InterviewQuestion(
        "cost",
        "How many questions a day, and does their price or speed matter?",
        "Passages and examples are paid for with each question, training once.",
        {"few": "Few, the price is no matter", "many": "Thousands, or each second counts"},
    ),
    InterviewQuestion(
        "rollout",
        "How soon must a new task or new fact be in use?",
        "Examples and documents are changed in minutes; training takes data and hours.",
        {"hours": "Within hours", "weeks": "Within weeks"},
    ),
    InterviewQuestion(
        "data",
        "How many good examples of question and answer do you have, or can you collect?",
        "Training learns what its examples show. Under some tens it learns them by heart.",
        {"none": "None", "tens": "Some tens", "hundreds": "A hundred or more"},
    ),
    InterviewQuestion(
        "sources",
        "Must people see where an answer comes from?",
        "Only an answer from passages can name them; what was trained has no source.",
        _NEED,
    ),
    InterviewQuestion(
        "skill",
        "Is there someone with the time to collect data, train, and train again when things change?",
        "An adapter is looked after like software: who made it must be able to make it again.",
        {"no": "No", "yes": "Yes"},
    ),
)
"""In the order in which they are asked."""


def check_answers(answers: Mapping[str, str]) -> dict[str, str]:
    """The answers that were given, skipped ones left out. Raises QuestionError for an unknown question or answer."""
    known = {question.key: question for question in INTERVIEW}
    given = {}
    for key, answer in answers.items():
        if key not in known:
            raise QuestionError(f"Unknown question {key!r}. Known: {', '.join(known)}.")
        if answer in ("", "skip", None):
            continue
        if answer not in known[key].options:
            raise QuestionError(f"{key} is answered {answer!r}; allowed are {', '.join(known[key].options)}, or skip.")
        given[key] = answer
    return given
