"""Laws of finding what training and judging share, with embeddings whose cosines are set by hand."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from crossfade.training.overlap import SAME_FACT, SAME_MEANING, overlaps
from hashing_embedder import HashingEmbedder

QUESTIONS = [
    "What is the monthly fee of Harbor Checking for students?",
    "How long does an international wire take to Japan?",
    "Who may open a joint account at a branch?",
    "Until what time can I reach the desk on Saturday?",
    "Which documents prove my address when I move house?",
]


def rows(*questions: str) -> list[dict[str, Any]]:
    return [{"question": question} for question in questions]


def by_angle(texts: Sequence[str]) -> NDArray[np.float32]:
    """Unit vectors in a plane: the number that ends a text is its cosine with a text without one."""
    cosines = [float(last) if (last := text.split()[-1])[0].isdigit() else 1.0 for text in texts]
    return np.array([[c, math.sqrt(1 - c * c)] for c in cosines], dtype=np.float32)


def orthogonal(texts: Sequence[str]) -> NDArray[np.float32]:
    """No text means what another means: words alone decide."""
    return np.zeros((len(texts), 2), dtype=np.float32)


@pytest.mark.parametrize("change", [str, str.upper, lambda t: t.replace(" ", "  "), lambda t: t.strip("?") + " please"])
def test_the_same_question_is_found_however_it_is_written(change: Any) -> None:
    training = rows(*(change(q) for q in QUESTIONS))
    found = overlaps(training, rows(*QUESTIONS), orthogonal)
    assert [(o.training, o.judging) for o in found] == [(n, n) for n in range(len(QUESTIONS))]
    assert all("trigrams" in o.why for o in found)


def test_questions_that_share_neither_words_nor_meaning_are_not_found() -> None:
    assert overlaps(rows(*QUESTIONS[:3]), rows(*QUESTIONS[3:]), orthogonal) == []


def test_a_paraphrase_is_found_from_the_given_cosine_on() -> None:
    judging = rows("judged")
    for cosine in (0.0, SAME_MEANING - 0.01):
        assert overlaps(rows(f"taught {cosine}"), judging, by_angle) == []
    for cosine in (SAME_MEANING + 0.01, 1.0):
        (found,) = overlaps(rows(f"taught {cosine}"), judging, by_angle)
        assert "cosine" in found.why


def fact(question: str, **more: Any) -> dict[str, Any]:
    return {"question": question, **more}


def test_a_fact_is_found_by_document_and_answer_when_the_wording_is_like() -> None:
    judging = [fact("judged", answers=["$7", "7 dollars"], documents=["harbor"])]
    like, unlike = SAME_FACT + 0.01, SAME_FACT - 0.01

    def found(cosine: float, answer: str, document: str) -> bool:
        return bool(overlaps([fact(f"taught {cosine}", answer=answer, documents=[document])], judging, by_angle))

    assert found(like, "It is $7 a month.", "harbor")
    assert found(like, "7 dollars", "harbor")
    assert not found(unlike, "$7", "harbor")
    assert not found(like, "$7", "keel")
    assert not found(like, "$70", "harbor")
    assert not found(like, "$7.50", "harbor")


def test_a_message_counts_as_a_question() -> None:
    message = "You took a fee of seven dollars from my account last week, why?"
    assert len(overlaps([{"message": message}], [{"message": message}], orthogonal)) == 1


@pytest.mark.parametrize(("training", "judging"), [([], rows("q")), (rows("q"), []), ([], [])])
def test_nothing_shares_nothing(training: list[dict[str, Any]], judging: list[dict[str, Any]]) -> None:
    assert overlaps(training, judging, by_angle) == []


def test_each_training_row_is_told_once_at_most() -> None:
    found = overlaps(rows(QUESTIONS[0]), rows(QUESTIONS[0], QUESTIONS[0].lower()), orthogonal)
    assert [o.training for o in found] == [0]


def test_the_order_of_the_rows_does_not_change_what_is_found() -> None:
    embed = HashingEmbedder().embed
    mixed = [*QUESTIONS[:3], "Is there a fee for a wire?", "How long is the desk open on Saturday?"] * 20
    training, judging = rows(*mixed), rows(*QUESTIONS)
    found = {training[o.training]["question"] for o in overlaps(training, judging, embed)}
    random.Random(1).shuffle(training)
    judging.reverse()
    assert {training[o.training]["question"] for o in overlaps(training, judging, embed)} == found
    assert set(QUESTIONS[:3]) <= found
