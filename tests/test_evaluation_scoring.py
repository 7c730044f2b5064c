"""What a result scores, and why a wrong one is wrong; the measures against published definitions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crossfade.corpora.rules import Rules
from crossfade.evaluation import metrics
from crossfade.evaluation.questions import EvalQuestion
from crossfade.evaluation.results import Found, Result
from crossfade.evaluation.scoring import CAUSES, Cell, label_scores, score
from crossfade.evaluation.support import cited, sentences, supported

FEES = Found("fees", "Fees > Wires", "An outgoing wire costs $25 and takes 2 days.", 0, 44, 0.9)
HOURS = Found("hours", "Hours", "Branches close at 5 p.m. on Friday.", 0, 35, 0.5)
REFUSAL = "The documents do not say."


def asked(**more: Any) -> EvalQuestion:
    return EvalQuestion(id="q", text="How much is an outgoing wire?", line=1, **more)


def answer(text: str, *passages: Found) -> Result:
    return Result(text=text, passages=passages, finish="stop")


WIRE = asked(answers=("$25",), documents=("fees",), answerable=True)


@pytest.mark.parametrize(
    ("question", "result", "right", "cause"),
    [
        (WIRE, answer("It costs $25.", FEES), True, ""),
        (WIRE, answer("It costs $30.", FEES), False, "not used"),
        (WIRE, answer("It costs $30.", HOURS), False, "not retrieved"),
        (WIRE, answer("It costs $30."), False, "invented"),
        (WIRE, answer(REFUSAL, FEES), False, "refused"),
        (WIRE, answer(REFUSAL, HOURS), False, "not retrieved"),
        (WIRE, answer(REFUSAL), False, "refused"),
        (WIRE, answer("$25 " + "and so on " * 20, FEES), False, "format"),
        (WIRE, Result(error="It broke."), False, "failed"),
        (asked(answerable=False), answer(REFUSAL, HOURS), True, ""),
        (asked(answerable=False), answer("It costs $30.", HOURS), False, "invented"),
        (asked(), answer("Anything"), None, ""),
        (asked(), Result(error="It broke."), None, "failed"),
        (asked(answers=("$25",), answerable=True), answer("$30", HOURS), False, "not retrieved"),
        (asked(answers=("$25",), answerable=True), answer("$30", FEES), False, "not used"),
        (asked(answerable=True), answer(REFUSAL), None, ""),
        (WIRE, answer("It is $30", Found("fees", "Fees", "Opening is free.", 0, 9, 1.0)), False, "not retrieved"),
        (asked(answers=("yes",), documents=("fees",), answerable=True), answer("No", FEES), False, "not used"),
    ],
)
def test_an_answer_is_right_or_has_a_cause(
    question: EvalQuestion, result: Result, right: bool | None, cause: str
) -> None:
    found = score(question, result)
    assert (found.right, found.cause) == (right, cause)
    assert found.cause in ("", *CAUSES)


def test_retrieval_and_citations_are_scored_where_documents_are_named() -> None:
    values = score(WIRE, answer("It costs $25 [2]. It takes 2 days [1][7].", HOURS, FEES)).values
    assert (values["recall@k"], values["MRR"]) == (1.0, 0.5)
    assert (values["citation precision"], values["citation recall"]) == (pytest.approx(1 / 3), 1.0)
    assert values["supported"] == 1.0
    named = score(WIRE, answer("It costs $25.", HOURS, FEES), passages=3).values
    assert (named["recall@3"], "recall@k" in named) == (1.0, False), "it names how many were asked for"
    assert "recall@k" not in score(WIRE, answer("$25")).values, "without passages nothing was retrieved"


def test_a_refusal_says_nothing_that_a_passage_could_support() -> None:
    for passages in ((FEES,), (HOURS,), ()):
        assert "supported" not in score(WIRE, answer(REFUSAL, *passages), rag=True).values
    assert score(WIRE, answer("It costs $30.", FEES)).values["supported"] == 0.0


SCHEMA = {"type": "object", "required": ["a"], "properties": {"a": {"type": "integer"}}}


@pytest.mark.parametrize(
    ("text", "right", "cause", "valid", "f1"),
    [
        ('{"a": 1}', True, "", 1.0, 1.0),
        ('{"a": 2}', False, "wrong", 1.0, 0.0),
        ('{"a": "1"}', False, "format", 0.0, 0.0),
        ("a: 1", False, "format", 0.0, 0.0),
    ],
)
def test_an_object_is_scored_for_form_and_fields_apart(
    text: str, right: bool, cause: str, valid: float, f1: float
) -> None:
    found = score(asked(object={"a": 1}), answer(text), schema=SCHEMA)
    assert (found.right, found.cause) == (right, cause)
    assert (found.values["valid"], found.values["field F1"]) == (valid, f1)


def test_a_schema_of_the_question_goes_before_the_task_s() -> None:
    question = asked(schema={"type": "object", "required": ["b"]})
    assert score(question, answer('{"b": 1}'), schema=SCHEMA).right
    assert not score(question, answer('{"a": 1}'), schema=SCHEMA).right


def test_a_voice_is_scored_by_its_rules() -> None:
    rules = Rules(words=(2, 4), opening="Hello")
    assert score(asked(), answer("Hello to you"), rules=rules).right
    broken = score(asked(), answer("Go"), rules=rules)
    assert (broken.right, broken.cause) == (False, "format")
    assert {"breaks length", "breaks opening"} <= set(broken.values)


def test_accepted_answers_are_scored_beside_the_rules_and_change_nothing_of_what_is_right() -> None:
    rules = Rules(words=(2, 40), opening="Hello")
    told = score(WIRE, answer("Hello, it costs $25, " + "and so on " * 10), rules=rules)
    assert told.right
    assert (told.values["contains an answer"], told.values["refused wrongly"]) == (1.0, 0.0)
    assert 0 < told.values["token F1"] < 1
    invented = score(WIRE, answer("Hello, it costs $30."), rules=rules)
    assert (invented.right, invented.values["contains an answer"]) == (True, 0.0)
    long = score(WIRE, answer("Hello, it costs $25, " + "and so on " * 20), rules=rules)
    assert (long.right, long.values["contains an answer"]) == (False, 0.0), "it is longer than the voice allows"
    refusal = score(asked(answerable=False), answer(f"Hello. {REFUSAL}"), rules=rules)
    assert (refusal.right, refusal.values["refused rightly"]) == (True, 1.0)
    assert not {"token F1", "contains an answer", "refused rightly"} & set(
        score(asked(), answer("Hi"), rules=rules).values
    )


LABELS = ("positive", "negative", "not negative")


@pytest.mark.parametrize(
    ("text", "label"),
    [
        ("Positive.", "positive"),
        ("It is positive", "positive"),
        ("positive or negative", ""),
        ("unclear", ""),
        ("not negative", "not negative"),
    ],
)
def test_a_label_is_the_answer_or_the_only_one_it_names(text: str, label: str) -> None:
    assert metrics.label_of(text, LABELS) == label


@pytest.mark.parametrize(
    ("text", "labels", "label"),
    [
        ("The answer is A", "ABCD", "A"),
        ("", "ABCD", ""),
        ("-1", ["+1", "-1"], "-1"),
        ("Label: card fraud", ["card", "card fraud"], "card fraud"),
        ("card, or card fraud", ["card", "card fraud"], ""),
    ],
)
def test_a_label_may_be_an_article_a_sign_or_part_of_another(text: str, labels: Sequence[str], label: str) -> None:
    assert metrics.label_of(text, labels) == label


@pytest.mark.parametrize(
    "text",
    [
        "The passages do not mention who designed the logo.",
        "The documents do not contain this.",
        "I don't know.",
        "The document does not say.",
        "The documents don't tell us",
        "That is not stated in the passages.",
        "文档中没有说明。",
        "文档没有提到谁设计了标志。",
        "抱歉，资料里并未提及。",
        "这些段落都没有给出答案。",
        "根据上下文无法回答。",
        "文件没说",
    ],
)
def test_a_refusal_may_use_words_of_its_own(text: str) -> None:
    assert metrics.is_refusal(text)


@pytest.mark.parametrize(
    "text",
    [
        "It is not refunded.",
        "The bank does not say hello first.",
        "No, not in the app.",
        "没有手续费。",
        "文件未签字时不能退款。",
        "不能在应用里回答安全问题。",
    ],
)
def test_an_answer_that_denies_something_is_no_refusal(text: str) -> None:
    assert not metrics.is_refusal(text)


def test_rag_that_found_nothing_has_a_recall_of_0_and_a_wrong_refusal_is_a_refusal() -> None:
    nothing = score(WIRE, answer(REFUSAL), rag=True)
    assert (nothing.values["recall@k"], nothing.values["MRR"], nothing.cause) == (0.0, 0.0, "not retrieved")
    assert score(WIRE, answer("It costs $30."), rag=True).cause == "not retrieved"
    late = score(WIRE, answer(REFUSAL, HOURS))
    assert (Cell(answer(REFUSAL, HOURS), late).state, late.cause) == ("refused", "not retrieved")


def test_no_number_is_too_long_to_score() -> None:
    for form, text in (("json", '{"a": ' + "9" * 400 + "}"), ("markdown", "- a: " + "9" * 5000), ("yaml", "a: {1: x}")):
        assert score(asked(object={"a": 1}, form=form), answer(text)).right is False


def test_labels_are_scored_beside_the_majority() -> None:
    true, told = ["a", "a", "a", "b"], ["a", "a", "b", "b"]
    rows = [(asked(label=label), answer(text)) for label, text in zip(true, told, strict=True)]
    found = label_scores(rows, ["a", "b"])
    assert found["accuracy"] == 0.75
    assert found["macro-F1"] == pytest.approx((0.8 + 2 / 3) / 2)
    assert (found["majority accuracy"], found["majority macro-F1"]) == (0.75, pytest.approx((6 / 7) / 2))


@pytest.mark.parametrize(
    ("text", "accepted", "exact", "f1"),
    [
        ("the Denver Broncos", ["Denver Broncos"], True, 1.0),
        ("Denver Broncos team", ["Denver Broncos"], False, 0.8),
        ("Carolina Panthers", ["Denver Broncos", "Panthers"], False, 2 / 3),
        ("to to be", ["to be be"], False, 2 / 3),
        ("", ["x"], False, 0.0),
        ("", [""], True, 1.0),
        ("北京市", ["北京"], False, 0.8),
        ("东京 2020", ["东京2020"], False, 1.0),
        ("The U.S. e-mail", ["US email"], True, 1.0),
        ("cafe\u0301", ["caf\u00e9"], True, 1.0),
    ],
)
def test_exact_match_and_f1_are_those_of_squad_and_cjk_counts_by_characters(
    text: str, accepted: Sequence[str], exact: bool, f1: float
) -> None:
    assert metrics.exact_match(text, accepted) is exact
    assert metrics.token_f1(text, accepted) == pytest.approx(f1)


@given(st.text(max_size=60), st.text(max_size=60))
def test_f1_is_symmetric_and_one_for_the_same(a: str, b: str) -> None:
    assert metrics.token_f1(a, [b]) == pytest.approx(metrics.token_f1(b, [a]))
    assert metrics.token_f1(a, [a]) == 1.0


def test_a_chinese_answer_is_found_inside_an_answer_and_its_length_is_counted() -> None:
    assert metrics.contains_answer("费用是25美元。", ["25美元"])
    assert metrics.contains_answer("每月费用是1,000元。", ["1000元"])
    assert metrics.contains_answer("温度是-5度", ["-5度"])
    assert not metrics.contains_answer("温度是-5度", ["5度"])
    assert metrics.word_count("费用是二十五美元") == 4
    assert not metrics.contains_answer("费" * 80 + "25美元", ["25美元"])


@pytest.mark.parametrize(
    ("text", "held", "checked"),
    [
        ("An outgoing wire costs $25.", 1, 1),
        ("An outgoing wire costs $30.", 0, 1),
        ("Wires take 2 days. Branches close on Friday.", 2, 2),
        ("It costs $25. The manager signs every transfer personally.", 1, 2),
        ("", 0, 0),
        ("How much?", 0, 0),
    ],
)
def test_a_sentence_is_supported_by_a_passage_with_its_numbers_and_most_of_its_words(
    text: str, held: int, checked: int
) -> None:
    assert supported(text, [FEES, HOURS], "How much?") == (held, checked)


def test_citations_are_numbers_in_brackets_and_no_part_of_a_sentence() -> None:
    assert cited("So [2], and [2] or [9] and [0].", 3) == [1, -1, -1]
    assert sentences("It is $25 [1]. It takes 2 days [2].") == ["It is $25 .", "It takes 2 days ."]
