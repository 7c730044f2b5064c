"""What form, instructions and edge cases ask of modes that were measured: figures first, experience where none is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from crossfade.advisor.advice import EXAMPLES, Reason

Figures = Mapping[str, Mapping[str, Any]]
"""What each column of a report scored and cost, by its name, with its `switches` (fine_tune, rag, icl)."""
SLACK = 0.03
"""Shares of answers of a broken form that are nearer than this are taken for the same."""
NEEDS = {
    "form": "the form decides",
    "instructions": "instructions have to be kept each time",
    "edge_cases": "some cases go wrong however the prompt is worded",
}
"""The answers that speak for training, in words, by question."""
TAUGHT = {
    "form": "form is what training teaches best, and these questions do not measure it",
    "instructions": "what has to be kept each time is trained, not asked for, and these questions do not measure it",
}


def broken_form(figures: Mapping[str, Any]) -> tuple[int, int] | None:
    """How many answers broke the form, and of how many; None where the questions ask for no schema, rules or label."""
    scores = [figures["scores"][name] for name in ("valid", "rules kept") if name in figures["scores"]]
    if scores:
        return sum(round(s["n"] * (1 - s["mean"])) for s in scores), sum(s["n"] for s in scores)
    if figures["labels"]:
        return int(figures["causes"].get("format", 0)), int(figures["right"]["n"])
    return None


def preferred(
    modes: Figures, left: Sequence[str], effects: Sequence[Mapping[str, Any]], given: Mapping[str, str]
) -> tuple[list[str], list[Reason]]:
    """Those of the modes that serve the needs best, all where none does, and why the others went."""
    kept, why = list(left), list[Reason]()
    for key in ("form", "instructions"):
        if given.get(key) in ("some", "yes"):
            fewer, reason = _of_best_form(modes, kept, key, decides=given[key] == "yes")
            if fewer and len(fewer) < len(kept):
                kept, why = fewer, [*why, reason]
    if given.get("edge_cases") == "yes":
        mended = {e["having"]: e for e in effects if _mends(e) and e["having"] in kept}
        if mended and len(mended) < len(kept):
            kept = [name for name in kept if name in mended]
            effect = max((mended[name] for name in kept), key=lambda e: len(e["fixed"]) - len(e["broke"]))
            told = f"of the cases that {effect['without']} gets wrong its adapter fixed {len(effect['fixed'])}"
            why.append(Reason(f"{told}, and it broke {len(effect['broke'])}", "answer: edge_cases"))
    return kept, why


def needs_change(modes: Figures, chosen: str, given: Mapping[str, str]) -> list[str]:
    """Which mode keeps the form better than the one chosen, where that is a need, and what it costs."""
    own = broken_form(modes[chosen])
    if own is None or not any(given.get(key) == "yes" for key in TAUGHT):
        return []
    shares = {name: _share(found) for name in modes if (found := broken_form(modes[name]))}
    other = min(shares, key=lambda name: (shares[name], -modes[name]["right"]["mean"]))
    if shares[other] >= shares[chosen] - SLACK:
        return []
    price = 100 * (modes[chosen]["right"]["mean"] - modes[other]["right"]["mean"])
    costs = f"it costs {price:.0f} points" if price >= 0.5 else "it costs next to nothing"
    return [
        f"Where form goes before all, {other} breaks it least, in {shares[other]:.0%} of its answers against "
        f"{shares[chosen]:.0%}; {costs}."
    ]


def needs_steps(
    modes: Figures, chosen: str, effects: Sequence[Mapping[str, Any]], given: Mapping[str, str]
) -> list[str]:
    """What to do next for needs that the report does not settle."""
    steps = []
    own = broken_form(modes[chosen])
    wanted = [words for key, words in NEEDS.items() if given.get(key) == "yes"]
    formal = any(given.get(key) == "yes" for key in TAUGHT)
    if formal and own is None:
        steps.append("Give questions with an object, a schema or a label, or a task with rules: form was not measured.")
    if given.get("instructions") == "yes" and own and own[0]:
        steps.append(
            f"{own[0]} of {own[1]} answers broke the form, and nobody looks: enforce the schema, or check each answer "
            "before it is used."
        )
    tuned = any(figures["switches"][0] for figures in modes.values())
    may_train = given.get("skill") != "no" and given.get("rollout") != "hours"
    if wanted and not tuned and may_train and given.get("data") != "hundreds":
        steps.append(f"No adapter was measured, and {wanted[0]}: collect {EXAMPLES} examples, train, and measure it.")
    of_adapters = [effect for effect in effects if effect["switch"] == "the adapter"]
    if given.get("edge_cases") == "yes" and of_adapters and not any(map(_mends, of_adapters)):
        steps.append(
            "The adapter fixed no more cases than it broke: add those that go wrong to its training, and measure again."
        )
    return steps


def _of_best_form(modes: Figures, left: Sequence[str], key: str, *, decides: bool) -> tuple[list[str], Reason]:
    """Those of the modes that broke the form least; the tuned ones where form is a need and was not measured."""
    found = {name: broken_form(modes[name]) for name in left}
    told = {name: counts for name, counts in found.items() if counts}
    if len(told) < len(left):
        kept = [name for name in left if decides and modes[name]["switches"][0]]
        return kept, Reason(TAUGHT[key], f"answer: {key}")
    least = min(told, key=lambda name: _share(told[name]))
    kept = [name for name in left if _share(told[name]) <= _share(told[least]) + SLACK]
    broke, count = told[least]
    words = f"{NEEDS[key]}, and {least} broke the form in {broke} of {count} answers, fewer than others"
    return kept, Reason(words, f"answer: {key}")


def _share(counts: tuple[int, int]) -> float:
    return counts[0] / counts[1]


def _mends(effect: Mapping[str, Any]) -> bool:
    return effect["switch"] == "the adapter" and len(effect["fixed"]) > len(effect["broke"])
