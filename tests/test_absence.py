"""When the documents do not tell: the signs, what is fitted on them, the file, and what a prompt gains by it."""

from __future__ import annotations

import json
import math
import random
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crossfade.corpora.absence import MOST, SIGNS, Absence, Sign, read_absence, write_absence
from crossfade.corpora.registry import read_corpus
from crossfade.errors import CorpusError, TrainingError
from crossfade.evaluation.absence import choose_strength, fit
from crossfade.retrieval.signs import signs
from crossfade.types import Query
from fake_engine import TOML, FakeRetriever, fake_pipeline, write_corpus

SAYS = "The documents do not say."
FLAT = Absence(SAYS, {name: Sign(0.0, 1.0, 0.0) for name in SIGNS}, 0.0, 1.0, 0.0)
KNOWN = {"fee": 9, "card": 2, "wire": 1}


def seen(
    question: str, *, closest: float = 0.5, words: tuple[str, ...] = (), found: tuple[str, ...] = ()
) -> dict[str, float]:
    return signs(question, closest=closest, words=words, found=[found], texts_with=KNOWN, texts=10)


def drawn(count: int, *, seed: int = 0) -> tuple[list[dict[str, float]], list[bool]]:
    """Signs of which the closest passage tells something and the others nothing, with the truth."""
    draw = random.Random(seed)
    absent = [draw.random() < 0.4 for _ in range(count)]
    return [{name: draw.gauss(-1.2 * (name == SIGNS[0]) * a, 1.0) for name in SIGNS} for a in absent], absent


@pytest.mark.parametrize(
    ("question", "kind"),
    [
        ("Can I pay abroad?", "asks yes or no"),
        ("How many cards may I hold?", "asks how much"),
        ("What is the annual fee?", "asks how much"),
        ("Which branch is open?", "asks who or where"),
        ("When does the wire arrive?", ""),
        ("Why candles?", ""),
    ],
)
def test_a_question_is_of_its_kind(question: str, kind: str) -> None:
    assert [name for name in SIGNS[3:] if seen(question)[name]] == ([kind] if kind else [])


def test_words_count_by_how_rare_they_are_and_unknown_ones_are_counted() -> None:
    common = seen("x", words=("fee", "wire"), found=("fee",))["words covered"]
    rare = seen("x", words=("fee", "wire"), found=("wire",))["words covered"]
    assert 0 < common < rare < 1
    assert seen("x", words=("fee",), found=("fee", "card"))["words covered"] == 1
    assert seen("x", words=("fee", "crypto", "crypto"))["unknown words"] == 1
    assert seen("x")["words covered"] == 0


def test_signs_are_those_that_a_file_names() -> None:
    assert tuple(seen("Is it?")) == SIGNS


def test_what_is_fitted_knows_the_sign_that_tells() -> None:
    made = fit(*drawn(2_000), says=SAYS)
    weights = {name: sign.weight for name, sign in made.signs.items()}
    assert max(weights, key=lambda name: abs(weights[name])) == SIGNS[0]
    assert weights[SIGNS[0]] < -0.3
    assert all(abs(weight) < 0.15 for name, weight in weights.items() if name != SIGNS[0])


def test_its_log_odds_are_those_of_the_truth_on_average() -> None:
    values, absent = drawn(2_000)
    made = fit(values, absent, says=SAYS)
    chances = [1 / (1 + math.exp(-made.log_odds(v))) for v in values]
    assert sum(chances) / len(chances) == pytest.approx(sum(absent) / len(absent), abs=0.002)


def test_the_chosen_strength_keeps_to_what_is_allowed_and_says_more_than_the_model_alone() -> None:
    made = fit(*drawn(2_000), says=SAYS)
    values, absent = drawn(400, seed=1)
    draw = random.Random(2)
    own = [draw.gauss(1.0 * a - 1.0, 1.0) for a in absent]
    chosen, said, elsewhere = choose_strength(made, values, own, absent, allowed=0.1)
    told = [o + chosen.leaning(v) > 0 for o, v in zip(own, values, strict=True)]
    assert sum(t for t, a in zip(told, absent, strict=True) if a) / sum(absent) == pytest.approx(said, abs=0.01)
    assert sum(t for t, a in zip(told, absent, strict=True) if not a) / absent.count(False) == pytest.approx(elsewhere)
    assert elsewhere <= 0.1
    bound = sorted((o for o, a in zip(own, absent, strict=True) if not a), reverse=True)[int(0.1 * absent.count(False))]
    assert said > sum(o > bound for o, a in zip(own, absent, strict=True) if a) / sum(absent)


def test_signs_that_tell_nothing_are_refused() -> None:
    values, absent = drawn(400)
    made = fit(values, absent, says=SAYS)
    perfect = [5.0 if a else -5.0 for a in absent]
    with pytest.raises(TrainingError, match="help nothing"):
        choose_strength(made, values, perfect, absent, allowed=0.1)


def test_too_few_questions_of_a_kind_are_told() -> None:
    with pytest.raises(TrainingError, match=r"0 of 50 questions have no answer.*Add questions"):
        fit(drawn(50)[0], [False] * 50, says=SAYS)


@given(st.floats(-50, 50), st.floats(0.1, 10), st.floats(-20, 20))
def test_a_leaning_is_bounded_and_grows_with_the_log_odds(constant: float, strength: float, threshold: float) -> None:
    lower = Absence(SAYS, FLAT.signs, constant, strength, threshold)
    higher = Absence(SAYS, FLAT.signs, constant + 1, strength, threshold)
    none = dict.fromkeys(SIGNS, 0.0)
    assert -MOST <= lower.leaning(none) <= higher.leaning(none) <= MOST


def test_what_is_written_is_read_again(tmp_path: Path) -> None:
    made = fit(*drawn(200), says=SAYS)
    write_absence(tmp_path / "absence.json", made, about={"rows": "domain.jsonl"})
    assert read_absence(tmp_path / "absence.json") == made
    assert made.opening == "The"


@pytest.mark.parametrize("change", [{"signs": {}}, {"constant": "much"}, {"says": " "}, {"strength": math.inf}])
def test_a_broken_file_is_told(tmp_path: Path, change: dict[str, object]) -> None:
    path = tmp_path / "absence.json"
    write_absence(path, FLAT, about={})
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(CorpusError, match=r"absence\.json cannot be read .*crossfade absence"):
        read_absence(path)


def test_a_prompt_with_passages_leans_and_one_without_does_not(tmp_path: Path) -> None:
    write_corpus(tmp_path)
    folder = tmp_path / "bank"
    (folder / "corpus.toml").write_text(
        TOML.replace('adapter = "domain"', 'adapter = "domain"\nabsence = "absence.json"')
    )
    write_absence(folder / "absence.json", Absence(SAYS, FLAT.signs, 1.5, 2.0, 0.5), about={})
    retriever = FakeRetriever()
    retriever.signs = lambda question, passages: dict.fromkeys(SIGNS, 0.0)  # type: ignore[attr-defined]
    pipeline = fake_pipeline(tmp_path, retriever=retriever)
    with_passages = pipeline.ask(Query("What is the fee?", "bank", "answer", rag=True)).prompt
    assert with_passages
    assert (with_passages.opening, with_passages.leaning) == ("The", 2.0)
    without = pipeline.ask(Query("What is the fee?", "bank", "answer")).prompt
    assert without
    assert (without.opening, without.leaning) == ("", 0.0)
    assert read_corpus(tmp_path, "bank").tasks["ticket"].absence is None
