"""The rule that chooses a mode: found where there is one, never invented, judged where it was not fitted."""

from __future__ import annotations

import json
import random
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from crossfade.advisor.advise import advise
from crossfade.errors import QuestionError
from crossfade.evaluation.auto import Rule, Signs, fit, signs_of
from crossfade.evaluation.automatic import choose, read_automatic
from crossfade.evaluation.export import to_json, to_markdown
from crossfade.evaluation.measure import make_columns
from crossfade.evaluation.measured_on import measured_on
from crossfade.evaluation.questions import EvalQuestion
from crossfade.evaluation.reading import read_report
from crossfade.evaluation.report import Report, build_report
from crossfade.evaluation.results import Found, Result
from crossfade.evaluation.run import Column, Run
from crossfade.types import Query
from fake_engine import FakeRetriever, fake_pipeline, passage


def signs(score: float) -> Signs:
    return Signs(score, 0.0, 5.0)


def test_a_rule_is_found_where_one_mode_is_right_below_and_another_above() -> None:
    scores = [n / 100 for n in range(100)]
    right = {"base": [float(s < 0.5) for s in scores], "rag": [float(s >= 0.5) for s in scores]}
    tokens = {"base": [10.0] * 100, "rag": [100.0] * 100}
    rule = fit([signs(s) for s in scores], right, tokens)
    assert rule == Rule("best_score", 0.5, "base", "rag")
    assert (rule.choose(signs(0.4)), rule.choose(signs(0.5))) == ("base", "rag")
    assert rule.why(signs(0.4)) == "base: the best passage's score, 0.4, is below 0.5."


def test_a_fixed_mode_stays_where_no_rule_is_better() -> None:
    right = {"base": [0.0] * 20, "rag": [1.0] * 20}
    rule = fit([signs(n / 20) for n in range(20)], right, {"base": [1.0] * 20, "rag": [9.0] * 20})
    assert (rule.below, rule.above) == ("rag", "rag")
    assert "no sign" in rule.why(signs(0.1))


def test_of_modes_that_are_equally_right_the_one_with_fewest_tokens_is_taken() -> None:
    right = {"rag": [1.0] * 9, "base": [1.0] * 9}
    rule = fit([signs(n) for n in range(9)], right, {"rag": [9.0] * 9, "base": [1.0] * 9})
    assert (rule.below, rule.above) == ("base", "base")


def test_nothing_to_fit_on_is_told() -> None:
    with pytest.raises(ValueError, match="nothing to fit"):
        fit([], {"base": []}, {"base": []})


def test_signs_are_of_the_passages_and_the_words() -> None:
    question = "What is the fee?"
    best, next_one = replace(passage(1), score=0.5, dense=0.6), replace(passage(2), score=0.2, dense=0.7)
    assert signs_of(question, [best, next_one]) == Signs(0.5, 0.3, 4.0, 0.7)
    assert signs_of(question, [replace(best, dense=None)]) == Signs(0.5, 0.5, 4.0)
    assert signs_of(question, []) == Signs(0.0, 0.0, 4.0)


@pytest.mark.parametrize(
    ("question", "amount", "yes_or_no"),
    [
        ("How much is a wire?", 1, 0),
        ("When does it close?", 1, 0),
        ("Is there a fee when I travel?", 1, 1),
        ("Does Harbor Checking have one?", 0, 1),
        ("Who signs?", 0, 0),
        ("Isabel asks: who signs?", 0, 0),
        ("每月费用是多少？", 1, 0),
        ("可以在国外用吗？", 0, 1),
    ],
)
def test_the_kind_of_a_question_is_a_sign(question: str, amount: float, yes_or_no: float) -> None:
    found = signs_of(question, [])
    assert (found.amount, found.yes_or_no) == (amount, yes_or_no)


def test_a_rule_is_found_where_the_kind_of_question_or_its_nearness_decides() -> None:
    kinds = [signs_of(f"{'Is it' if n % 2 else 'Who is'} number {n}?", []) for n in range(40)]
    right = {"base": [float(n % 2) for n in range(40)], "rag": [float(not n % 2) for n in range(40)]}
    tokens = dict.fromkeys(right, [1.0] * 40)
    assert fit(kinds, right, tokens) == Rule("yes_or_no", 1.0, "rag", "base")
    near = [replace(signs(1.0), nearness=n / 40) for n in range(40)]
    right = {"base": [float(n < 20) for n in range(40)], "rag": [float(n >= 20) for n in range(40)]}
    assert fit(near, right, tokens) == Rule("nearness", 0.5, "base", "rag")


def report(*, planted: bool, count: int = 400, seed: int = 0, auto: bool = False) -> Report:
    """Base is right without good passages and rag with them, where planted; else both by the same coin."""
    draw = random.Random(seed)
    questions, base, rag = [], [], []
    for n in range(count):
        questions.append(EvalQuestion(f"q{n}", f"Question {n}?", n + 1, answers=("x",), answerable=True))
        score, coin = draw.random(), draw.random() < 0.5
        good = (score < 0.5, score >= 0.5) if planted else (coin, draw.random() < 0.5)
        passages = (Found("d", "D", "text", 0, 4, score),)
        base.append(Result("x" if good[0] else "y", prompt_tokens=10))
        rag.append(Result("x" if good[1] else "y", passages, prompt_tokens=100))
    columns = (Column("base", "base"), Column("rag", "rag"))
    run = Run(tuple(questions), columns, {"base": tuple(base), "rag": tuple(rag)}, 0, 1.0)
    return build_report(run, about={}, auto=auto)


def test_a_planted_rule_is_found_and_holds_on_the_other_half() -> None:
    judged = report(planted=True).auto
    assert judged
    assert judged.auto_right > 0.9
    assert judged.difference.first == "auto"
    assert judged.difference.settled
    assert judged.auto_tokens < 100
    assert judged.difference.estimate.n == sum(judged.chosen.values())
    assert judged.difference.estimate.n == 400


def test_noise_is_no_rule_that_is_settled_on_the_other_half() -> None:
    judged = report(planted=False).auto
    assert judged
    assert not judged.difference.settled


def test_few_questions_make_no_rule() -> None:
    assert report(planted=True, count=20).auto is None


def test_a_rule_is_not_judged_on_what_it_was_fitted_on() -> None:
    """On noise a rule looks better where it was fitted; judged on the other half it must be right by chance."""
    judged = [report(planted=False, count=120, seed=seed).auto for seed in range(12)]
    assert sum(found.auto_right for found in judged if found) / 12 == pytest.approx(0.5, abs=0.04)


def test_auto_is_a_column_beside_the_fixed_modes() -> None:
    made = report(planted=True, auto=True)
    assert [f.column.name for f in made.modes] == ["base", "rag", "auto"]
    judged = made.auto
    assert judged
    assert made.grid["auto"] == tuple(made.grid[name][n] for n, name in enumerate(judged.choices))
    auto = made.modes[-1]
    assert auto.right
    assert (auto.right.mean, auto.right.n) == (judged.auto_right, 400)
    assert auto.prompt_tokens == pytest.approx(judged.auto_tokens)
    assert made.best == ("auto",)
    assert {d.second for d in made.pairs if d.first == "auto"} == {"base", "rag"}
    assert made.auto == report(planted=True).auto, "it changes nothing of what the others are"
    assert "| auto |" in to_markdown(made)
    assert read_report(to_json(made)) == made


def test_auto_that_cannot_be_judged_is_no_column_and_says_why() -> None:
    made = report(planted=True, count=20, auto=True)
    assert list(made.grid) == ["base", "rag"]
    assert "each half needs 15" in made.about["auto"]


def test_auto_needs_two_modes_to_choose_from() -> None:
    assert [c.name for c in make_columns(["base", " Auto", "rag"], [])] == ["base", "rag"]
    for modes in (["auto"], ["base", "auto"]):
        with pytest.raises(QuestionError, match="name two"):
            make_columns(modes, [])


def test_auto_is_advised_where_it_alone_is_not_beaten_and_takes_all_that_its_modes_take() -> None:
    advice = advise(json.loads(to_json(report(planted=True, auto=True))))
    assert (advice.column, advice.setup) == ("auto", "It takes documents and an index, refreshed when they change.")
    tied = advise(json.loads(to_json(report(planted=False, auto=True))))
    assert tied.column != "auto"


def test_without_scored_questions_there_is_nothing_to_judge() -> None:
    columns = (Column("base", "base"), Column("rag", "rag"))
    run = Run((EvalQuestion("q", "?", 1),), columns, {"base": (Result("x"),), "rag": (Result("x"),)}, 0, 1.0)
    assert build_report(run, about={}).auto is None


def as_plain(found: Report) -> dict[str, Any]:
    plain: dict[str, Any] = json.loads(to_json(found))
    plain["about"] |= {"corpus": "bank", "task": "answer"}
    return plain


def test_a_question_is_answered_in_the_mode_that_the_rule_chooses(tmp_path: Path) -> None:
    automatic = read_automatic(as_plain(report(planted=True)))
    assert automatic
    query = Query("What is the fee?", "bank", "answer")
    for score, mode in ((0.1, "base"), (0.9, "rag")):
        passages = [replace(passage(1), score=score)]
        pipeline = fake_pipeline(tmp_path, retriever=FakeRetriever(passages))
        chosen, found, why = choose(pipeline, query, automatic)
        assert (chosen.mode, found) == (mode, tuple(passages))
        assert why.startswith(f"Auto chose {mode}: the best passage's score, {score}")


def test_what_has_changed_since_the_rule_was_fitted_is_said_beside_the_answer(tmp_path: Path) -> None:
    pipeline, query = fake_pipeline(tmp_path), Query("What is the fee?", "bank", "answer")
    corpus = pipeline.corpus("bank")
    plain = as_plain(report(planted=True))
    for mode in plain["modes"]:
        mode["column"]["blend"] = [["domain", 1.0]]
    now = measured_on(pipeline.engine, corpus, corpus.task("answer"), ["domain"])
    assert now["adapters"].startswith("domain ")

    def why(**measured: str) -> str:
        automatic = read_automatic({**plain, "about": {**plain["about"], **measured}})
        assert automatic
        return choose(pipeline, query, automatic)[2]

    assert "Since" not in why(**now)
    assert "Since" not in why(), "an old report kept none of it"
    told = why(**{**now, "adapters": "domain 000000000000", "documents": "0"})
    assert told.endswith("these have changed: the documents; the adapters. Measure again.")
    assert "the examples" in why(**{**now, "examples": "0"})


def test_a_rule_is_for_its_own_corpus_and_task_alone(tmp_path: Path) -> None:
    automatic = read_automatic(as_plain(report(planted=True)))
    assert automatic
    with pytest.raises(QuestionError, match="fitted on task 'answer' of 'bank'"):
        choose(fake_pipeline(tmp_path), Query("What?", "bank", "ticket"), automatic)


def test_a_report_without_a_rule_has_none_and_a_broken_one_is_told() -> None:
    plain = as_plain(report(planted=True))
    assert read_automatic({**plain, "auto": None}) is None
    for broken in ({}, {**plain, "auto": {"rule": {"sign": "magic"}}}, {**plain, "modes": []}, {**plain, "about": {}}):
        with pytest.raises(QuestionError, match="no report"):
            read_automatic(broken)
