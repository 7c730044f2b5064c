"""Advice from general experience, by the nine answers alone: what the field says where nothing was measured."""

from __future__ import annotations

from collections.abc import Mapping

from crossfade.advisor.advice import EXAMPLES, Advice, Reason, setup_of
from crossfade.types import mode_name


def from_experience(given: Mapping[str, str]) -> Advice:
    """The field's advice by the nine answers alone."""
    reasons: list[Reason] = []

    def because(text: str, key: str) -> bool:
        reasons.append(Reason(text, f"answer: {key}" if key else "experience"))
        return True

    rag = False
    if given.get("precision") == "changing":
        rag = because(
            "Facts that change belong in documents: an index is refreshed, an adapter trained anew.", "precision"
        )
    elif given.get("precision") == "stable":
        rag = because("Facts that the model never saw are found in documents.", "precision")
    if given.get("sources") in ("some", "yes"):
        rag = because("Only passages can be shown as sources.", "sources")
    wants_form = given.get("form") == "yes" or given.get("edge_cases") == "yes" or given.get("instructions") == "yes"
    can_train = given.get("data") == "hundreds" and given.get("skill") != "no" and given.get("rollout") != "hours"
    fine_tune = False
    if wants_form or (given.get("cost") == "many" and can_train):
        key = next((k for k in ("form", "edge_cases", "instructions") if given.get(k) == "yes"), "cost")
        if can_train:
            text = {
                "form": "Form is what training teaches best.",
                "edge_cases": "Cases that no prompt mends can be shown in training.",
                "instructions": "What has to be kept each time is trained, not asked for.",
                "cost": "A trained model needs no examples in the prompt: each question is cheaper.",
            }[key]
            fine_tune = because(text, key)
    icl = not fine_tune
    if icl and wants_form and given.get("data") in ("none", "tens"):
        because("There are too few examples to train on; as many as fit go into the prompt.", "data")
    elif icl and wants_form and given.get("skill") == "no":
        because("Nobody can look after an adapter; examples in the prompt are changed by anyone.", "skill")
    elif icl and wants_form and given.get("rollout") == "hours":
        because("It has to work within hours; examples in the prompt do.", "rollout")
    elif icl:
        because("Try ICL first: examples cost least, and what they gain tells whether tuning can help.", "")
    if icl and given.get("data") == "none":
        icl = False
    mode = mode_name(fine_tune=fine_tune, rag=rag, icl=icl)
    steps = [
        "Collect 50 questions with accepted answers and run crossfade eval: this advice is general experience, no "
        "measurement."
    ]
    if given.get("data") == "none":
        steps.append("Write five worked examples: they turn ICL on, the cheapest remedy there is.")
    if fine_tune:
        steps.append("Measure ICL too: it costs a few examples, and what it gains tells whether tuning can help.")
    if given.get("data") in ("none", "tens"):
        steps.append(f"Collect examples: from {EXAMPLES} on an adapter is worth a try.")
    return Advice(
        mode=mode,
        column="",
        measured=False,
        headline=f"Start with {mode}, and measure. This is general experience: nothing was measured on your questions.",
        reasons=tuple(reasons),
        setup=setup_of(fine_tune, rag, icl, 0.0),
        per_thousand="Not known before it is measured.",
        changes=("A measurement on your own questions, whatever it shows.",),
        steps=tuple(steps),
    )
