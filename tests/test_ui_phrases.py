"""What the core says in English is said in Chinese: every advice there is, the status line, the nine questions."""

from __future__ import annotations

import itertools
import random
import re
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path

import pytest

pytest.importorskip("gradio")

from crossfade.advisor.advice import Advice
from crossfade.advisor.advise import advise
from crossfade.advisor.interview import INTERVIEW
from crossfade.evaluation.auto import SIGNS, Rule, Signs
from crossfade.evaluation.export import to_html
from crossfade.evaluation.measured_on import CHANGED
from crossfade.evaluation.page_words import WORDS, Reader
from crossfade.evaluation.prices import Prices
from crossfade.evaluation.report import verdicts
from crossfade.evaluation.scoring import CAUSES
from crossfade.evaluation.tags import TAGS_TOLD
from crossfade.ui.language import texts
from crossfade.ui.phrases import fixed_parts, said
from report_kit import report_of
from test_advisor import measured, with_causes, with_form

SOURCE = Path(__file__).resolve().parents[1] / "src" / "crossfade"


def is_chinese(text: str) -> bool:
    """Whether nothing of it reads as English: modes, numbers and names are all that stays in Latin letters."""
    words = re.findall(r"[A-Za-z]{2,}", re.sub(r"crossfade eval|worse than|\+icl|fine-tune", "", text))
    known = {"base", "icl", "rag", "hybrid", "auto", "schema", "ICL", "RAG", "MB", "the", "adapter", "examples"}
    return bool(re.search(r"[\u4e00-\u9fff]", text)) and set(words) <= known


def sentences(advice: Advice) -> Iterator[str]:
    yield from (advice.headline, advice.setup, advice.per_thousand, *advice.steps, *advice.changes)
    for reason in advice.reasons:
        yield from (reason.text, reason.source)


def test_english_stays_and_what_is_not_known_stays() -> None:
    assert said("en", "ready") == "ready"
    assert said("zh", "Cannot read <b>it</b>.") == "Cannot read <b>it</b>."
    assert said("zh", "") == ""


def test_values_are_kept_word_for_word_and_sentences_in_sentences_are_said_too() -> None:
    assert said("zh", "ready, 3 adapters; refused: ready, {x}") == "就绪，3 个适配器；被拒绝：ready, {x}"
    assert said("zh", "ready, 3 adapters; context 4,096 tokens") == "就绪，3 个适配器；上下文 4,096 个词元"
    assert said("zh", "Index of it's {a}") == "it's {a} 的索引"


@pytest.mark.parametrize("question", INTERVIEW, ids=lambda question: question.key)
def test_each_question_its_why_and_its_answers_are_said(question: object) -> None:
    assert all(is_chinese(said("zh", t)) for t in (question.text, question.why, *question.options.values()))  # type: ignore[attr-defined]


@pytest.mark.parametrize("sign", SIGNS)
@pytest.mark.parametrize("above", ["hybrid", "rag"])
def test_what_auto_chose_and_why_is_said(sign: str, above: str) -> None:
    rule = Rule(sign, 0.5, "rag", above)
    for value in (0.0, 1.0):
        signs = Signs(**{f.name: value for f in fields(Signs)})
        why = f"Auto chose {rule.why(signs)}"
        assert is_chinese(said("zh", why))
        since = f"{why} Since auto was measured, these have changed: {'; '.join(CHANGED.values())}. Measure again."
        assert is_chinese(said("zh", since))


def test_every_advice_of_experience_is_said() -> None:
    for answers in itertools.product(*[(None, *question.options) for question in INTERVIEW]):
        given = {q.key: a for q, a in zip(INTERVIEW, answers, strict=True) if a}
        if random.Random(repr(answers)).random() < 0.01:
            assert [text for text in sentences(advise(None, given)) if not is_chinese(said("zh", text))] == []


def test_every_advice_of_a_report_is_said() -> None:
    chance = random.Random(7)
    causes = ("not_retrieved", "not_used", "invented", "refused", "format", "wrong")
    modes = ("base", "icl", "rag", "fine-tune", "hybrid")
    for _ in range(24):
        chosen = chance.sample(modes, chance.randint(1, 5))
        report = measured({mode: chance.choice((0.3, 0.5, 0.52, 0.9)) for mode in chosen}, chance.choice((20, 100)))
        for mode in chosen:
            report = with_causes(report, mode, **{cause: chance.randint(0, 9) for cause in causes})
        if chance.random() < 0.5:
            report = with_form(report, **{mode.replace("-", "_"): chance.randint(0, 15) for mode in chosen})
        given = {q.key: chance.choice([*q.options]) for q in INTERVIEW if chance.random() < 0.6}
        assert [text for text in sentences(advise(report, given)) if not is_chinese(said("zh", text))] == []


@pytest.mark.parametrize(
    "line",
    [
        "getting it",
        "download 12 of 84 MB",
        "download 3 MB",
        "unpack 1 of 84 MB",
        "waiting 0 MB",
        "starting",
        "loading torch and the weights",
        "40 of 300 passages",
        "ready (rag is new)",
        "ready, 3 adapters; context 4,096 tokens",
        "ready, 2 adapters; context 4,096 tokens; refused: base; made for an unknown base: base",
        "left out",
        "not made",
    ],
)
def test_what_the_status_tells_is_said(line: str) -> None:
    assert said("zh", line) != line


def test_every_word_of_them_is_one_that_the_core_says() -> None:
    files = (path for path in SOURCE.rglob("*.py") if path.parent.name != "ui")
    code = set(re.findall(r"\w+", "\n".join(path.read_text(encoding="utf-8") for path in files)))
    for key, entry in texts().items():
        if key.startswith("said."):
            assert set(re.findall(r"\w+", " ".join(fixed_parts(entry["en"])))) <= code | {"The"}, key


def test_a_report_s_page_is_said() -> None:
    good, bad = [True] * 50 + [False] * 10, [True] * 15 + [False] * 45
    reports = [
        report_of({"base": bad, "rag": good}, prices=Prices(prompt=1.0)),
        report_of({"base": good, "hybrid": good[::-1]}),
        report_of({"base": [None, *good], "rag": [*good, True]}, auto=True),
        report_of({"base": good}),
        report_of({"base": [None]}),
    ]
    for report in reports:
        asked: list[str] = []

        def said_and_kept(text: str, asked: list[str] = asked) -> str:
            asked.append(text)
            return said("zh", text)

        page = to_html(report, Reader("zh", said_and_kept))
        assert "正确" in page
        same = {text for text in asked if said("zh", text) == text}
        names = {"", "RAG", "ICL", *(f.column.name for f in report.modes)}
        assert same - names == set()
        assert [said("zh", text) for text in verdicts(report) if not is_chinese(said("zh", text))] == []


def test_every_word_of_a_page_and_every_score_is_said() -> None:
    scores = "words;exact match;token F1;refused rightly;rules kept;breaks length;contains an answer;parses;valid"
    scores += ";field F1;supported;MRR;recall@3;citation precision;citation recall;accuracy;macro-F1;majority accuracy"
    for text in (*WORDS.values(), TAGS_TOLD, "tag", *CAUSES, *CAUSES.values(), *scores.split(";")):
        assert said("zh", text) != text, text
