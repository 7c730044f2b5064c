"""Advice from a report: only what nothing was measured to beat, and of that what the answers and the cost choose."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from crossfade.advisor.advice import EXAMPLES, Advice, Reason, setup_of
from crossfade.advisor.needs import Figures, needs_change, needs_steps, preferred
from crossfade.evaluation.auto import AUTO

FEW_QUESTIONS = 50
"""Below so many questions an interval is some 25 points wide."""
FEW_OF_A_KIND, MUCH = 3, 0.4
"""How many errors of one cause are worth a step: the commonest cause from so many on, others from this share on."""
ALIKE = 1.1
"""Costs within so much of the least are taken for the same."""
WORTH_IT = 0.1
"""A share of tokens that auto has to save to be spoken of."""
PAYS = 0.05
"""A gain of examples in the prompt from which on training is likely to pay."""


def from_report(
    modes: Figures,
    best: Sequence[str],
    pairs: Sequence[Mapping[str, Any]],
    effects: Sequence[Mapping[str, Any]],
    given: Mapping[str, str],
) -> Advice:
    """Advice from the parts of a report: figures by column, the columns that nothing beats, pairs, effects."""
    chosen, why = _choose(modes, best, effects, given)
    figures = modes[chosen]
    fine_tune, rag, icl = _switches(figures)
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
    if len(modes) == 1:
        headline = f"Use {chosen} for now: nothing else was measured."
    elif others:
        headline = f"Use {chosen} for now: it cannot be told from {', '.join(others)}, and {_because(why)}."
    return Advice(
        mode=figures["column"]["mode"],
        column=chosen,
        measured=True,
        headline=headline,
        reasons=tuple(reasons),
        setup=setup_of(fine_tune, rag, icl, float(figures.get("training_seconds") or 0)),
        per_thousand=_per_thousand(figures),
        changes=tuple(_changes(modes, best, pairs, chosen, given)),
        steps=tuple(_steps(modes, best, pairs, chosen, given, needs_steps(modes, chosen, effects, given))),
    )


def _choose(
    modes: Figures, best: Sequence[str], effects: Sequence[Mapping[str, Any]], given: Mapping[str, str]
) -> tuple[str, list[Reason]]:
    """One of the modes that nothing beats: by what was answered, then by tokens or seconds; and why."""
    # Auto needs all that its modes need: it is advised where it alone is left.
    left, why = [name for name in best if not _is_auto(modes[name])] or list(best), list[Reason]()

    def keep(wanted: int, on: bool, reason: Reason) -> None:
        nonlocal left
        kept = [name for name in left if _switches(modes[name])[wanted] == on]
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
    left, served = preferred(modes, left, effects, given)
    why += served
    if len(left) > 1:
        by, what = ("prompt_tokens", "fewest tokens") if given.get("cost") == "many" else ("seconds", "least time")
        least = min(modes[name][by] for name in left)
        near = [name for name in left if modes[name][by] <= ALIKE * least]
        left = sorted(near, key=lambda name: (_switched_on(modes[name]), modes[name][by], name))
        simpler = modes[left[0]][by] > least or len({_switched_on(modes[name]) for name in near}) > 1
        told = f"it takes {what} of those" if not simpler else f"it takes least to set up of those with {what}"
        why.append(Reason(told, "answer: cost" if given.get("cost") == "many" else "report"))
    return left[0], why


def _switches(figures: Mapping[str, Any]) -> tuple[bool, bool, bool]:
    """A column's switches (fine_tune, rag, icl)."""
    fine_tune, rag, icl = figures["switches"]
    return fine_tune, rag, icl


def _is_auto(figures: Mapping[str, Any]) -> bool:
    return bool(figures["column"]["mode"] == AUTO)


def _switched_on(figures: Mapping[str, Any]) -> int:
    """How many of the three switches a column has on."""
    return sum(_switches(figures))


def _because(why: Sequence[Reason]) -> str:
    return why[0].text if why else "it stands first"


def _changes(
    modes: Figures,
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
    for name in (name for name in best if name != chosen and _is_auto(modes[name])):
        fixed, auto = (m["prompt_tokens"] + m["new_tokens"] for m in (modes[chosen], modes[name]))
        if auto < (1 - WORTH_IT) * fixed:
            found.append(
                f"Where tokens are dear, auto takes {1 - auto / fixed:.0%} fewer than {chosen}; it needs the modes "
                "that it chooses among."
            )
    fine_tune, rag, _ = _switches(modes[chosen])
    for lacks, need, on in (
        (not rag and given.get("sources") == "yes", "sources have to be shown", (1, True)),
        (fine_tune and given.get("skill") == "no", "nobody can look after an adapter", (0, False)),
    ):
        index, wanted = on
        others = [n for n in modes if _switches(modes[n])[index] == wanted and not _is_auto(modes[n])]
        if lacks and others:
            other = max(others, key=lambda n: modes[n]["right"]["mean"])
            price = 100 * (modes[chosen]["right"]["mean"] - modes[other]["right"]["mean"])
            costs = f"it costs {price:.0f} points" if price >= 0.5 else "it costs next to nothing"
            found.append(f"Where {need}, {other} is the best that was measured; {costs}.")
    found += needs_change(modes, chosen, given)
    found.append("Other documents, another adapter or another base: measure again and compare the two reports.")
    return found


def _steps(
    modes: Figures,
    best: Sequence[str],
    pairs: Sequence[Mapping[str, Any]],
    chosen: str,
    given: Mapping[str, str],
    needed: Sequence[str],
) -> list[str]:
    """What to do next, from the errors of the chosen mode, the evidence, the needs, and what was not measured."""
    figures = modes[chosen]
    n = figures["right"]["n"]
    causes = dict(figures["causes"])
    wrong = sum(causes.values())
    steps = []
    tuned_further = "the adapter further" if _switches(figures)[0] else "an adapter"
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
        "format": "enforce the schema where there is one, or train on more examples of the form",
        "wrong": "read them: labels and fields that are mixed up want examples that differ by nothing else",
    }
    for place, (cause, count) in enumerate(sorted(causes.items(), key=lambda item: -item[1])):
        if cause in advice and count >= (FEW_OF_A_KIND if place == 0 else max(FEW_OF_A_KIND, MUCH * wrong)):
            steps.append(f"{count} of {wrong} failures were {_called(cause)}: {advice[cause]}.")
    steps += needed
    tuned = any(_switches(m)[0] for m in modes.values())
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
    if not any(_switches(m)[2] for m in modes.values()):
        steps.append("Measure ICL too: it costs a few examples, and what it gains tells whether tuning can help.")
    needs_facts = given.get("precision") in ("stable", "changing")
    if needs_facts and not any(_switches(m)[1] for m in modes.values()):
        steps.append("Measure RAG: the facts that you need are in documents, and no mode here was given any.")
    if not steps:
        steps.append("Serve it, keep the questions, and run them again whenever documents, adapter or base change.")
    return steps


def _is_icl_gain(modes: Figures, pair: Mapping[str, Any]) -> bool:
    """Whether a pair shows that examples alone were turned on and gained."""
    if any(_is_auto(modes[pair[side]]) for side in ("first", "second")):
        return False
    first, second = (_switches(modes[pair[side]]) for side in ("first", "second"))
    alone = first[:2] == second[:2] and first[2] and not second[2]
    return alone and bool(pair["settled"]) and pair["estimate"]["mean"] >= PAYS


def _called(cause: str) -> str:
    return {"format": "of the wrong form", "wrong": "a wrong label or field", "refused": "refused wrongly"}.get(
        cause, cause
    )


def _per_thousand(figures: Mapping[str, Any]) -> str:
    tokens = figures["prompt_tokens"] + figures["new_tokens"]
    told = f"1,000 questions take {figures['machine_seconds'] * 1000 / 60:.0f} minutes of this machine and "
    told += f"{tokens / 1000:.2f} million tokens"
    return f"{told}, {figures['money']:.2f} by your prices." if figures["money"] else f"{told}."


def _estimate(right: Mapping[str, Any]) -> str:
    return f"{right['mean']:.0%} [{right['low']:.0%}, {right['high']:.0%}]"


def _width(right: Mapping[str, Any]) -> str:
    return f"{100 * (right['high'] - right['low']):.0f}"
