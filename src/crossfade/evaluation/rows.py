"""Score answers to rows by what their responses are: labels, JSON objects, or text. Pure."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from typing import Any

from crossfade.evaluation.metrics import exact_match, label_of, macro_f1, parse_object, token_f1
from crossfade.training.guess import MOST_LABELS


def kind_of(wanted: Sequence[str]) -> str:
    """`label`, `json` or `text`: what the responses are."""
    if wanted and all(isinstance(_json(text), dict) for text in wanted):
        return "json"
    distinct = set(wanted)
    few = 1 < len(distinct) <= MOST_LABELS and 2 * len(distinct) <= len(wanted)
    return "label" if few and all(len(text) <= 60 for text in distinct) else "text"


def score_rows(answers: Sequence[str], wanted: Sequence[str], *, kind: str = "") -> dict[str, float]:
    """The scores of answers, the one to rank by first.

    Labels: macro-F1, accuracy, and that of always naming the commonest label. Objects: the micro F1 of their (field,
    value) pairs, exact, the share that parses as an object, and of whole objects that are right. Text: the mean token
    F1 and exact match of SQuAD. Raises ValueError for no rows.
    """
    if not wanted:
        raise ValueError("there are no rows to score")
    count = len(wanted)
    kind = kind or kind_of(wanted)
    if kind == "label":
        labels = sorted(set(wanted))
        given = [label_of(answer, labels) for answer in answers]
        return {
            "macro-F1": macro_f1(given, wanted),
            "accuracy": sum(a == b for a, b in zip(given, wanted, strict=True)) / count,
            "majority": Counter(wanted).most_common(1)[0][1] / count,
        }
    if kind == "json":
        objects = [parse_object(answer) for answer in answers]
        gold = [_json(text) for text in wanted]
        return {
            "slot F1": _slot_f1([found or {} for found in objects], gold),
            "valid JSON": sum(found is not None for found in objects) / count,
            "whole object": sum(a == b for a, b in zip(objects, gold, strict=True)) / count,
        }
    pairs = list(zip(answers, wanted, strict=True))
    return {
        "token F1": sum(token_f1(a, [b]) for a, b in pairs) / count,
        "exact match": sum(exact_match(a, [b]) for a, b in pairs) / count,
    }


def _slot_f1(given: Sequence[dict[str, Any]], gold: Sequence[dict[str, Any]]) -> float:
    found = told = true = 0
    for mine, wanted in zip(given, gold, strict=True):
        a, b = ({(k, json.dumps(v, sort_keys=True)) for k, v in one.items()} for one in (mine, wanted))
        found, told, true = found + len(a & b), told + len(a), true + len(b)
    return 2 * found / (told + true) if told + true else 1.0


def _json(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return None
