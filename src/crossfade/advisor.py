"""Which of fine-tuning, RAG and ICL a person needs: from a report where there is one, else from general experience.

Pure. What was measured goes first: only a mode that nothing was measured to beat is recommended, and among those the
answers to the nine questions choose, then the cost. Every reason points to a figure of the report or to an answer.
Without a report the advice is the field's: try ICL first, retrieve facts that are missing or change, train form, skill
and jargon; and it says that it is no measurement.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from crossfade.errors import QuestionError
from crossfade.interview import check_answers
from crossfade.types import mode_name, mode_switches

FEW_QUESTIONS = 50
"""Below so many questions an interval is some 25 points wide."""
FEW_OF_A_KIND, MUCH = 3, 0.4
"""How many errors of one cause are worth a step: the commonest cause from so many on, others from this share on."""
EXAMPLES = 200
"""So many examples an adapter wants to begin with; measured here, more keep paying."""
ALIKE = 1.1
"""Costs within so much of the least are taken for the same."""
PAYS = 0.05
"""A gain of examples in the prompt from which on training is likely to pay."""


@dataclass(frozen=True, slots=True)
class Reason:
    """A sentence and what it rests on: `report`, `answer: KEY`, or `experience`."""

    text: str
    source: str


@dataclass(frozen=True, slots=True)
class Advice:
    """What to use and why. `mode` is a mode's name, `column` the report's name of it, empty without a report.

    `measured` tells whether a report decided. `setup` is what it takes to have it, `per_thousand` what 1,000 questions
    cost, `changes` what would change the advice, `steps` what to do next, the most useful first.
    """

    mode: str
    column: str
    measured: bool
    headline: str
    reasons: tuple[Reason, ...]
    setup: str
    per_thousand: str
    changes: tuple[str, ...]
    steps: tuple[str, ...]


def advise(report: Mapping[str, Any] | None, answers: Mapping[str, str] | None = None) -> Advice:
    """Advice from a report as JSON (or None) and the answers by question. Raises QuestionError for a broken one."""
    given = check_answers(answers or {})
    if report is None:
        return _from_experience(given)
    try:
        modes = {m["column"]["name"]: m for m in report["modes"] if m["right"]}
        best = [name for name in report["best"] if name in modes]
        pairs, effects = list(report["pairs"]), list(report["effects"])
        if not best:
            advice = _from_experience(given)
            step = "Give questions with answers, labels, objects or rules: this report could score none."
            if modes:
                step = "Run the evaluation to its end: no question was answered by every mode yet."
            return replace(advice, steps=(step, *advice.steps))
        return _from_report(modes, best, pairs, effects, given)
    except (LookupError, TypeError, ValueError, AttributeError) as error:
        raise QuestionError(f"This is no report of crossfade eval ({error!r}). Give its report.json.") from error


def _from_report(
    modes: Mapping[str, Mapping[str, Any]],
    best: Sequence[str],
    pairs: Sequence[Mapping[str, Any]],
    effects: Sequence[Mapping[str, Any]],
    given: Mapping[str, str],
) -> Advice:
    chosen, why = _choose(modes, best, given)
    figures = modes[chosen]
    mode = figures["column"]["mode"]
    fine_tune, rag, icl = mode_switches(mode) or (False, False, False)
    right = figures["right"]
    reasons = [Reason(f"{chosen} was right in {_estimate(right)} of {right['n']} questions.", "report")]
    for pair in pairs:
        if chosen == pair["first"] and pair["settled"]:
            gap = pair["estimate"]
            reasons.append(
                Reason(
                    f"It beats {pair['second']} by {100 * gap['mean']:.0f} points "
                    f"[{100 * gap['low']:.0f}, {100 * gap['high']:.0f}]: {pair['gained']} questions gained, "
                    f"{pair['lost']} lost.",
                    "report",
                )
            )
    reasons += [r for r in why if r.source != "report"] + [r for r in why if r.source == "report"]
    for effect in effects:
        if effect["having"] == chosen:
            reasons.append(
                Reason(
                    f"{effect['switch'][0].upper()}{effect['switch'][1:]} fixed {len(effect['fixed'])} questions and "
                    f"broke {len(effect['broke'])} against {effect['without']}.",
                    "report",
                )
            )
    others = [name for name in best if name != chosen]
    headline = f"Use {chosen}."
    if others:
        headline = f"Use {chosen} for now: it cannot be told from {', '.join(others)}, and {_because(why)}."
    return Advice(
        mode=mode,
        column=chosen,
        measured=True,
        headline=headline,
        reasons=tuple(reasons),
        setup=_setup(fine_tune, rag, icl, float(figures.get("training_seconds") or 0)),
        per_thousand=_per_thousand(figures),
        changes=tuple(_changes(modes, best, pairs, chosen, given)),
        steps=tuple(_steps(modes, best, pairs, chosen, given)),
    )


def _choose(
    modes: Mapping[str, Mapping[str, Any]], best: Sequence[str], given: Mapping[str, str]
) -> tuple[str, list[Reason]]:
    """One of the modes that nothing beats: by what was answered, then by tokens or seconds; and why."""
    left, why = list(best), list[Reason]()

    def keep(wanted: int, on: bool, reason: Reason) -> None:
        nonlocal left
        kept = [name for name in left if (mode_switches(modes[name]["column"]["mode"]) or (0, 0, 0))[wanted] == on]
        if kept and len(kept) < len(left):
            left = kept
            why.append(reason)

    if given.get("sources") in ("yes", "some"):
        keep(1, True, Reason("people have to see where an answer comes from", "answer: sources"))
    if given.get("precision") == "changing":
        keep(1, True, Reason("documents can follow facts that change", "answer: precision"))
    if given.get("skill") == "no":
        keep(0, False, Reason("there is nobody to train and look after an adapter", "answer: skill"))
    if given.get("rollout") == "hours":
        keep(0, False, Reason("it can be changed within hours, without training", "answer: rollout"))
    if len(left) > 1:
        by, what = ("prompt_tokens", "fewest tokens") if given.get("cost") == "many" else ("seconds", "least time")
        least = min(modes[name][by] for name in left)
        near = [name for name in left if modes[name][by] <= ALIKE * least]
        left = sorted(near, key=lambda name: (_switched_on(modes[name]), modes[name][by], name))
        simpler = modes[left[0]][by] > least or len({_switched_on(modes[name]) for name in near}) > 1
        told = f"it takes {what} of those" if not simpler else f"it takes least to set up of those with {what}"
        why.append(Reason(told, "answer: cost" if given.get("cost") == "many" else "report"))
    return left[0], why


def _switched_on(figures: Mapping[str, Any]) -> int:
    """How many of the three switches a column has on."""
    return sum(mode_switches(figures["column"]["mode"]) or ())


def _because(why: Sequence[Reason]) -> str:
    return why[0].text if why else "it stands first"


def _changes(
    modes: Mapping[str, Mapping[str, Any]],
    best: Sequence[str],
    pairs: Sequence[Mapping[str, Any]],
    chosen: str,
    given: Mapping[str, str],
) -> list[str]:
    """What would change the advice: more evidence, or a need that the best mode does not serve, with its price."""
    found = []
    close = [p for p in pairs if {p["first"], p["second"]} <= set(best) and chosen in (p["first"], p["second"])]
    if more := [p["more"] for p in close if p["more"]]:
        found.append(f"{max(more):,} more questions may name a winner among {', '.join(best)}.")
    fine_tune, rag, _ = mode_switches(modes[chosen]["column"]["mode"]) or (False, False, False)
    for lacks, need, on in (
        (not rag and given.get("sources") == "yes", "sources have to be shown", (1, True)),
        (fine_tune and given.get("skill") == "no", "nobody can look after an adapter", (0, False)),
    ):
        index, wanted = on
        others = [n for n in modes if (mode_switches(modes[n]["column"]["mode"]) or (0, 0, 0))[index] == wanted]
        if lacks and others:
            other = max(others, key=lambda n: modes[n]["right"]["mean"])
            price = 100 * (modes[chosen]["right"]["mean"] - modes[other]["right"]["mean"])
            costs = f"it costs {price:.0f} points" if price >= 0.5 else "it costs next to nothing"
            found.append(f"Where {need}, {other} is the best that was measured; {costs}.")
    found.append("Other documents, another adapter or another base: measure again and compare the two reports.")
    return found


def _steps(
    modes: Mapping[str, Mapping[str, Any]],
    best: Sequence[str],
    pairs: Sequence[Mapping[str, Any]],
    chosen: str,
    given: Mapping[str, str],
) -> list[str]:
    """What to do next, from the errors of the chosen mode, the evidence, and what was not measured."""
    figures = modes[chosen]
    n = figures["right"]["n"]
    causes = dict(figures["causes"])
    wrong = sum(causes.values())
    steps = []
    tuned_further = "the adapter further" if (mode_switches(figures["column"]["mode"]) or (False,))[0] else "an adapter"
    if failed := sum(m["failed"] for m in modes.values()):
        steps.append(f"{failed} answers failed and are left out: read why, and run again; the rest is kept.")
    if more := [p["more"] for p in pairs if chosen in (p["first"], p["second"]) and p["second"] in best and p["more"]]:
        steps.append(f"Add {max(more):,} questions: then a difference of the size seen would be settled.")
    elif n < FEW_QUESTIONS:
        steps.append(f"Add {FEW_QUESTIONS - n} questions: {n} leave an interval of {_width(figures['right'])} points.")
    advice = {
        "not retrieved": "mend the documents, their headings, or how many passages are shown, before you tune",
        "not used": f"train {tuned_further} on questions with passages that help and passages that do not",
        "invented": "train on questions whose answer is absent, and turn RAG on where documents have the answer",
        "refused": "train on more questions whose answer is in the passages",
        "format": "enforce the schema, or train on more examples of the form",
        "wrong": "read them: labels and fields that are mixed up want examples that differ by nothing else",
    }
    for place, (cause, count) in enumerate(sorted(causes.items(), key=lambda item: -item[1])):
        if cause in advice and count >= (FEW_OF_A_KIND if place == 0 else max(FEW_OF_A_KIND, MUCH * wrong)):
            steps.append(f"{count} of {wrong} failures were {_called(cause)}: {advice[cause]}.")
    tuned = any((mode_switches(m["column"]["mode"]) or (0, 0, 0))[0] for m in modes.values())
    gained = [p for p in pairs if _is_icl_gain(modes, p)]
    if not tuned:
        if gained:
            gain = max(100 * p["estimate"]["mean"] for p in gained)
            steps.append(
                f"ICL gained {gain:.0f} points, so tuning is likely to pay: collect {EXAMPLES} examples and measure an "
                "adapter."
            )
        elif given.get("data") == "hundreds" and given.get("skill") != "no":
            steps.append("You have the examples: train an adapter and measure fine-tune and hybrid beside these modes.")
    measured = {m["column"]["mode"] for m in modes.values()}
    if "icl" not in measured and not any(name.endswith("icl") for name in measured):
        steps.append("Measure ICL too: it costs a few examples, and what it gains tells whether tuning can help.")
    if not any((mode_switches(name) or (0, 0, 0))[1] for name in measured) and given.get("precision") in (
        "stable",
        "changing",
    ):
        steps.append("Measure RAG: the facts that you need are in documents, and no mode here was given any.")
    if not steps:
        steps.append("Serve it, keep the questions, and run them again whenever documents, adapter or base change.")
    return steps


def _is_icl_gain(modes: Mapping[str, Mapping[str, Any]], pair: Mapping[str, Any]) -> bool:
    """Whether a pair shows that examples alone were turned on and gained."""
    first, second = (mode_switches(modes[pair[side]]["column"]["mode"]) for side in ("first", "second"))
    if not first or not second or pair["estimate"]["mean"] < PAYS or not pair["settled"]:
        return False
    return first[:2] == second[:2] and first[2] and not second[2]


def _called(cause: str) -> str:
    return {"format": "of the wrong form", "wrong": "a wrong label or field", "refused": "refused wrongly"}.get(
        cause, cause
    )


def _from_experience(given: Mapping[str, str]) -> Advice:
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
    if icl and wants_form:
        blocked = (
            ("data", "There are too few examples to train on; as many as fit go into the prompt.")
            if given.get("data") in (None, "none", "tens")
            else ("skill", "Nobody can look after an adapter; examples in the prompt are changed by anyone.")
            if given.get("skill") == "no"
            else ("rollout", "It has to work within hours; examples in the prompt do.")
        )
        because(blocked[1], blocked[0])
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
    if given.get("data") in ("none", "tens"):
        steps.append(f"Collect examples: from {EXAMPLES} on an adapter is worth a try.")
    return Advice(
        mode=mode,
        column="",
        measured=False,
        headline=f"Start with {mode}, and measure. This is general experience: nothing was measured on your questions.",
        reasons=tuple(reasons),
        setup=_setup(fine_tune, rag, icl, 0.0),
        per_thousand="Not known before it is measured.",
        changes=("A measurement on your own questions, whatever it shows.",),
        steps=tuple(steps),
    )


def _setup(fine_tune: bool, rag: bool, icl: bool, training_seconds: float) -> str:
    parts = []
    if fine_tune:
        took = f", which took {training_seconds / 60:.0f} minutes" if training_seconds else ""
        parts.append(f"an adapter: examples and a training{took}, again when the task changes")
    if rag:
        parts.append("documents and an index, refreshed when they change")
    if icl:
        parts.append("some worked examples")
    return f"It takes {'; '.join(parts)}." if parts else "It takes nothing but the model."


def _per_thousand(figures: Mapping[str, Any]) -> str:
    tokens = figures["prompt_tokens"] + figures["new_tokens"]
    told = f"1,000 questions take {figures['machine_seconds'] * 1000 / 60:.0f} minutes of this machine and "
    told += f"{tokens / 1000:.2f} million tokens"
    return f"{told}, {figures['money']:.2f} by your prices." if figures["money"] else f"{told}."


def _estimate(right: Mapping[str, Any]) -> str:
    return f"{right['mean']:.0%} [{right['low']:.0%}, {right['high']:.0%}]"


def _width(right: Mapping[str, Any]) -> str:
    return f"{100 * (right['high'] - right['low']):.0f}"
