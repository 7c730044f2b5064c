"""Laws of finding what training and judging share, with embeddings whose cosines are set by hand."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from crossfade.training.overlap import SAME_FACT, SAME_MEANING, overlaps, shared_words
from hashing_embedder import HashingEmbedder

QUESTIONS = [
    "What is the monthly fee of Harbor Checking for students?",
    "How long does an international wire take to Japan?",
    "Who may open a joint account at a branch?",
    "Until what time can I reach the desk on Saturday?",
    "Which documents prove my address when I move house?",
]

# Document, judged question, its answer, a paraphrase, and a question of the same product that another answer fits.
LIKENESSES = [
    (
        "harbor-checking",
        "What does Harbor Checking cost a month?",
        "$7",
        "How much is the monthly fee for Harbor Checking?",
        "How old must I be to open Harbor Checking?",
        "18",
    ),
    (
        "first-home-buyers",
        "What's the highest price a house may have if I want to count as a first home buyer?",
        "$480,000",
        "Up to what purchase price do I still qualify as a first-time buyer of a home?",
        "How large is the grant for a first home buyer?",
        "$3,000",
    ),
    (
        "mortgage-payments-and-escrow",
        "In what month does Tidewell go over my escrow account each year?",
        "October",
        "When is the yearly escrow review done?",
        "Do I get interest on the money in my escrow account?",
        "No",
    ),
    (
        "privacy-and-data",
        "You record phone calls to the desk. How long are those recordings stored?",
        "18 months",
        "For how long do you keep the recording of a call with the desk?",
        "How can I get a copy of the data that you hold on me?",
        "Ask in the app",
    ),
    (
        "statements-and-documents",
        "How far back can I find my online bank statements in the Tideline app?",
        "8 years",
        "How many years of statements does the Tideline app show?",
        "How do I switch my statements from paper to the Tideline app?",
        "In the settings",
    ),
    (
        "joint-accounts",
        "I'm leaving a joint account with my ex-flatmate. What do you charge for taking my name off?",
        "$18",
        "What is the fee to remove an owner from a joint account?",
        "How many people may own a joint account?",
        "4",
    ),
    (
        "pearl-secured-card",
        "How many days after the statement closes must I pay my Pearl Secured Card?",
        "22 days",
        "By when is the Pearl Secured Card bill due once the statement has closed?",
        "What deposit does the Pearl Secured Card ask for?",
        "$300",
    ),
    (
        "foreign-currency-cash",
        "I only need about $200 in foreign notes. What order fee will I pay?",
        "$7.50",
        "What fee do you take for a small order of foreign cash?",
        "How many days does an order of foreign cash take?",
        "2 days",
    ),
    (
        "moorings-home-equity-line",
        "Above which rate can the Moorings Home Equity Line never rise, whatever the market does?",
        "17%",
        "What is the rate cap of the Moorings Home Equity Line?",
        "How long is the draw period of the Moorings Home Equity Line?",
        "10 years",
    ),
    (
        "quayside-card-reader",
        "One of my staff lost our Quayside Card Reader on a ferry. What will that cost us?",
        "$45",
        "How much do we pay for a lost Quayside Card Reader?",
        "What does the Quayside Card Reader take from each card payment?",
        "1.6%",
    ),
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


WORDS = st.lists(st.sampled_from(list("abcd")), max_size=9).map(" ".join)


@given(training=st.lists(WORDS, max_size=6), judging=st.lists(WORDS, max_size=6), least=st.sampled_from([0.5, 0.75]))
def test_by_words_alone_the_quick_way_finds_the_rows_that_the_slow_one_does(
    training: list[str], judging: list[str], least: float
) -> None:
    slow = overlaps(rows(*training), rows(*judging), orthogonal, same_words=least)
    quick = shared_words(rows(*training), rows(*judging), same_words=least)
    assert [o.training for o in quick] == [o.training for o in slow]
    assert all("trigrams" in o.why for o in quick)


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


@pytest.fixture(scope="module")
def real_embedder() -> Any:
    from crossfade.settings import Settings
    from crossfade.startup import EMBEDDER, Startup

    settings = Settings.from_environment()
    if not (settings.home / "models" / EMBEDDER).is_dir():
        pytest.skip(f"the embedder is not in {settings.home}; fetch it with: crossfade models --fetch {EMBEDDER}")
    return Startup(settings).open_embedder()


@pytest.mark.slow
def test_ten_real_paraphrases_are_found_and_ten_questions_that_look_alike_are_not(real_embedder: Any) -> None:
    """By meaning alone, without an answer and a document to compare, two of the ten are found."""
    judging = [fact(asked, answers=[answer], documents=[name]) for name, asked, answer, *_ in LIKENESSES]
    paraphrases = [fact(like, answer=answer, documents=[name]) for name, _, answer, like, *_ in LIKENESSES]
    alike = [fact(other, answer=answer, documents=[name]) for name, *_, other, answer in LIKENESSES]
    found = overlaps(paraphrases, judging, real_embedder.embed)
    assert [(o.training, o.judging) for o in found] == [(n, n) for n in range(len(LIKENESSES))]
    assert overlaps(alike, judging, real_embedder.embed) == []
    alone = overlaps(rows(*(row["question"] for row in paraphrases)), judging, real_embedder.embed)
    assert len(alone) >= 2
