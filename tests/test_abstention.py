"""When an answer gives way: what a card may tell, where it holds, what is shown, and how the probability is chosen."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from threading import Event
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import handmade_adapters
from cli_kit import Crossfade
from crossfade.abstention import ABSENT, CARD_KEY, Abstention, abstention_of, probability
from crossfade.evaluation.abstaining import Held, threshold
from crossfade.evaluation.questions import EvalQuestion
from crossfade.evaluation.results import Result, Store
from crossfade.evaluation.run import Column
from crossfade.evaluation.run import run as run_modes
from crossfade.evaluation.scoring import score
from crossfade.trace import answer_as_dict
from crossfade.types import Answer, Generation, Query, Sampling
from fake_engine import FakeEngine, fake_pipeline

RULE = Abstention(ABSENT, 0.3, "answer")
HYBRID = Query("What is the fee?", "bank", "answer", blend=(("domain", 1.0),), rag=True)


def streamed(
    tmp_path: Path, *, held: float = 0.5, query: Query = HYBRID, rule: Abstention | None = RULE
) -> tuple[list[Answer], FakeEngine]:
    engine = FakeEngine()
    engine.held = {"fee": held}
    return list(fake_pipeline(tmp_path, engine=engine, abstention=lambda name: rule).stream(query)), engine


def test_a_likely_answer_is_shown_when_it_has_ended_and_not_before(tmp_path: Path) -> None:
    answers, engine = streamed(tmp_path, held=0.4)
    plain, _ = streamed(tmp_path, rule=None)
    assert len(answers) == len(plain) > 3
    assert {a.generation.text for a in answers[:-1]} == {""}
    last = answers[-1].generation
    assert last.text == plain[-1].generation.text
    assert last.withheld == ""
    assert last.seconds_to_first == last.seconds > plain[-1].generation.seconds_to_first, "the reader waited for all"
    assert [g.generation.new_tokens for g in answers] == [g.generation.new_tokens for g in plain], "it is seen to work"
    assert engine.asked[0].refusal == ABSENT


def test_an_unlikely_answer_gives_way_and_is_told(tmp_path: Path) -> None:
    answers, _ = streamed(tmp_path, held=0.2)
    plain, _ = streamed(tmp_path, rule=None)
    last = answers[-1]
    assert last.generation.text == ABSENT
    assert last.generation.withheld == plain[-1].generation.text
    trace = answer_as_dict(last)
    assert trace["answer"] == ABSENT
    assert trace["withheld"] == {"answer": plain[-1].generation.text, "probability": pytest.approx(0.2)}
    assert "withheld" not in answer_as_dict(plain[-1])


@pytest.mark.parametrize(
    "changes",
    [
        {"rag": False},
        {"icl": True},
        {"blend": ()},
        {"blend": (("domain", 0.6),)},
        {"blend": (("domain", 1.0), ("json", 0.5))},
        {"task": "ticket"},
        {"task": "ticket", "enforce_schema": True},
        {"instructions": "Answer in rhymes."},
        {"sampling": Sampling(temperature=0.7)},
    ],
    ids=str,
)
def test_it_holds_for_nothing_that_it_was_not_measured_on(changes: dict[str, Any], tmp_path: Path) -> None:
    answers, engine = streamed(tmp_path, held=0.01, query=replace(HYBRID, **changes))
    assert answers[-1].generation.text not in ("", ABSENT)
    assert answers[-2].generation.text != "", "it streams"
    assert engine.asked[0].refusal == ""


def test_it_is_asked_of_the_adapter_that_answers(tmp_path: Path) -> None:
    engine = FakeEngine()
    pipeline = fake_pipeline(tmp_path, engine=engine, abstention={"domain": RULE}.get)
    engine.held = {"fee": 0.1}
    assert pipeline.ask(HYBRID).generation.text == ABSENT
    assert pipeline.ask(replace(HYBRID, blend=(("json", 1.0),))).generation.text != ABSENT


def test_an_answer_that_was_stopped_was_not_judged_and_is_not_shown(tmp_path: Path) -> None:
    engine, stop = FakeEngine(), Event()
    stop.set()
    *_, last = fake_pipeline(tmp_path, engine=engine, abstention=lambda name: RULE).stream(HYBRID, stop=stop)
    assert (last.generation.finish, last.generation.text, last.generation.withheld) == ("cancelled", "", "")


@pytest.mark.parametrize(("likely", "text", "held"), [(-1.0, "$7", math.exp(-1)), (None, "$7", 0.0), (0.0, " ", 0.0)])
def test_what_has_no_text_or_no_score_is_not_likely(likely: float | None, text: str, held: float) -> None:
    assert probability(Generation(text, log_probability=likely)) == held


@pytest.mark.parametrize(
    "told",
    [
        None,
        [],
        {},
        {"says": ABSENT, "below": 0.2},
        {"says": " ", "below": 0.2, "task": "answer"},
        {"says": "x" * 201, "below": 0.2, "task": "answer"},
        {"says": "They do not.\n# Say", "below": 0.2, "task": "answer"},
        {"says": "They do \x1b[2J not.", "below": 0.2, "task": "answer"},
        {"says": "Half \ud83d of one.", "below": 0.2, "task": "answer"},
        {"says": [ABSENT], "below": 0.2, "task": "answer"},
        {"says": ABSENT, "below": 0.2, "task": None},
        {"says": ABSENT, "below": True, "task": "answer"},
        {"says": ABSENT, "below": 0, "task": "answer"},
        {"says": ABSENT, "below": 1.5, "task": "answer"},
        {"says": ABSENT, "below": "0.2", "task": "answer"},
        {"says": ABSENT, "below": float("nan"), "task": "answer"},
    ],
    ids=str,
)
def test_a_card_that_tells_nothing_usable_changes_nothing(told: object) -> None:
    assert abstention_of({CARD_KEY: told}) is None


def test_a_card_is_read() -> None:
    assert abstention_of({CARD_KEY: {"says": f" {ABSENT} ", "below": 0.3, "task": "answer", "n": 5}}) == RULE
    assert abstention_of({}) is None


@given(
    st.lists(st.tuples(st.sampled_from([0.0, 0.1, 0.25, 0.5, 0.9, 1.0]), st.booleans()), min_size=1).filter(
        lambda pairs: any(told for _, told in pairs)
    ),
    st.floats(0, 0.9),
)
def test_no_more_than_the_share_is_lost_and_no_higher_probability_would_do(
    pairs: list[tuple[float, bool]], elsewhere: float
) -> None:
    held, told = [p for p, _ in pairs], [yes for _, yes in pairs]
    below = threshold(held, told, elsewhere=elsewhere)
    known = [p for p, yes in pairs if yes]

    def lost(at: float) -> int:
        return sum(p < at for p in known)

    assert lost(below) <= elsewhere * len(known)
    higher = [p for p in held if p >= below]
    if higher:
        next_one = min(higher) + 1e-9
        assert lost(next_one) > elsewhere * len(known) or next_one > min(p for p in known if p >= below)


def test_kept_answers_are_asked_again_where_it_changed(tmp_path: Path) -> None:
    engine = FakeEngine()
    pipeline = fake_pipeline(tmp_path, engine=engine)
    engine.held = {"fee": 0.2}
    questions = [EvalQuestion("1", "What is the fee?", 1, answers=("$7",))]
    columns = [Column("hybrid", "hybrid", (("domain", 1.0),)), Column("rag", "rag")]

    def asked() -> tuple[int, str]:
        with closing(Store(tmp_path / "results.sqlite")) as store:
            found = run_modes(pipeline, Query("", "bank", "answer"), questions, columns, store=store)
        result = found.results["hybrid"][0]
        assert result
        assert bool(result.withheld) == (result.text == ABSENT)
        return found.asked, result.text

    assert asked()[0] == 2
    assert asked()[0] == 0
    pipeline.abstention = lambda name: RULE
    assert asked() == (1, ABSENT), "RAG alone hangs on no adapter"
    pipeline.abstention = lambda name: replace(RULE, below=0.1)
    assert asked()[0] == 1


@pytest.mark.parametrize(
    ("text", "below", "right", "refused"),
    [
        ("It is $7.", 0.3, True, False),
        ("It is $7.", 0.5, False, True),
        ("It is $8.", 0.3, False, False),
        ("The documents do not say if it is $7.", 0.3, False, True),
    ],
)
def test_an_answer_is_right_or_refused_as_an_evaluation_scores_it(
    text: str, below: float, right: bool, refused: bool
) -> None:
    held = Held(EvalQuestion("1", "What is the fee?", 1, answers=("$7",)), text, 0.4)
    assert (held.right(below), held.refused(below)) == (right, refused)
    scored = score(held.question, Result(ABSENT if below > 0.4 else text))
    assert (scored.right, scored.refused) == (right, refused)


ROWS = [
    {"question": "How much is the monthly fee?", "answers": ["domain"]},
    {"question": "How much is the yearly fee?", "answers": ["domain"]},
    {"question": "Who signs?", "answers": []},
    {"question": "Who sings?", "answers": []},
]


@pytest.fixture
def asked(tmp_path: Path) -> Callable[..., str]:
    def write(rows: list[dict[str, Any]]) -> str:
        path = tmp_path / "mine.jsonl"
        path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
        return str(path)

    return write


def test_a_probability_is_chosen_written_and_taken_back(
    run: Crossfade, engine: FakeEngine, asked: Callable[..., str], tmp_path: Path
) -> None:
    engine.held = {"monthly": 0.9, "yearly": 0.4, "signs": 0.2, "sings": 0.6}
    card = tmp_path / "adapters" / "domain" / "card.json"
    before = json.loads(card.read_text(encoding="utf-8"))
    found = run("adapters", "abstain", "domain", asked(ROWS), "--elsewhere", "0", "--json")
    assert found.code == 0, found.err
    told = json.loads(found.out)
    assert told["below"] == pytest.approx(0.3), "half way between 0.2 and the least likely answer that is told"
    assert (told["right"], told["said"], told["elsewhere"], told["n"]) == (1.0, 0.5, 0.0, 4)
    after = json.loads(card.read_text(encoding="utf-8"))
    assert {k: v for k, v in after.items() if k != CARD_KEY} == before
    assert after[CARD_KEY] == {k: v for k, v in told.items() if k != "name"}
    answer = run("ask", "Who signs?", "--adapter", "domain")
    assert answer.out.strip() == ABSENT
    assert "Withheld, hybrid: 'domain" in answer.err
    assert "held 20% likely" in answer.err
    assert ABSENT not in run("ask", "Who sings?", "--adapter", "domain").out
    assert run("adapters", "abstain", "domain", "--off").out == "domain decides by itself.\n"
    assert json.loads(run("adapters", "abstain", "domain", "--off", "--json").out) == {"name": "domain", CARD_KEY: None}
    assert json.loads(card.read_text(encoding="utf-8")) == before
    assert ABSENT not in run("ask", "Who signs?", "--adapter", "domain").out


def test_more_may_be_lost_for_more_refusals(run: Crossfade, engine: FakeEngine, asked: Callable[..., str]) -> None:
    engine.held = {"monthly": 0.9, "yearly": 0.4, "signs": 0.2, "sings": 0.6}
    found = run("adapters", "abstain", "domain", asked(ROWS), "--elsewhere", "0.5")
    assert found.code == 0
    assert found.out.startswith(f"Below a probability of 0.75 answers of domain give way to: {ABSENT}")
    assert "0.5 were right (without giving way 1.000), and 0.5 said that none does; of the others 1.0 did." in found.out


@pytest.mark.parametrize("held", [(3e-5, 2e-5, 1e-5, 4e-5), (0.99999, 0.99998, 0.99996, 0.999995)], ids=str)
def test_probabilities_that_lie_near_each_other_or_near_an_end_are_told_apart(
    run: Crossfade, engine: FakeEngine, asked: Callable[..., str], held: tuple[float, ...]
) -> None:
    engine.held = dict(zip(("monthly", "yearly", "signs", "sings"), held, strict=True))
    told = json.loads(run("adapters", "abstain", "domain", asked(ROWS), "--elsewhere", "0", "--json").out)
    assert held[2] < told["below"] < held[1]
    assert run("ask", "Who signs?", "--adapter", "domain").out.strip() == ABSENT
    assert ABSENT not in run("ask", "How much is the yearly fee?", "--adapter", "domain").out


def test_where_no_probability_parts_the_answers_none_is_written(
    run: Crossfade, engine: FakeEngine, asked: Callable[..., str], tmp_path: Path
) -> None:
    engine.says = " "  # an answer without a text is not likely at all
    assert "No probability parts these answers" in run("adapters", "abstain", "domain", asked(ROWS)).error()
    assert CARD_KEY not in (tmp_path / "adapters" / "domain" / "card.json").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("rows", "reason"),
    [
        (ROWS[:2], "Every question has an answer"),
        (ROWS[2:], "Every question has no answer"),
        ([*ROWS, {"question": "And this?"}], "'And this?' (line 5) does not tell its answer"),
    ],
)
def test_questions_that_nothing_can_be_chosen_by_are_refused(
    run: Crossfade, engine: FakeEngine, asked: Callable[..., str], rows: list[dict[str, Any]], reason: str
) -> None:
    assert reason in run("adapters", "abstain", "domain", asked(rows)).error()
    assert not engine.adapters, "no model is loaded for them"


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["--says", " "], "What is said instead is ' '; it must be one line"),
        (["--says", "x" * 201], "What is said instead is 'xxx"),
        (["--says", "They do not.\x1b[2J"], "What is said instead is 'They do not."),
        (["--corpus", "nowhere"], "Unknown corpus 'nowhere'"),
    ],
)
def test_what_no_card_can_hold_is_refused_before_a_model_is_loaded(
    run: Crossfade, engine: FakeEngine, asked: Callable[..., str], arguments: list[str], reason: str
) -> None:
    assert reason in run("adapters", "abstain", "domain", asked(ROWS), *arguments).error()
    assert not engine.adapters


def test_it_asks_as_ask_does_by_the_task_of_the_adapter(
    run: Crossfade, engine: FakeEngine, asked: Callable[..., str], tmp_path: Path
) -> None:
    handmade_adapters.write(tmp_path / "adapters" / "mine", card={"instructions": "Answer in one word."})
    engine.held = {"fee": 0.9, "si": 0.1}
    told = json.loads(run("adapters", "abstain", "mine", asked(ROWS), "--json").out)
    assert told["task"] == "own-mine", "it was trained under instructions of its own"
    assert run("ask", "Who signs?", "--adapter", "mine").out.strip() == ABSENT
    assert len({(a.prompt.messages[0], a.sampling, a.blend) for a in engine.asked if "signs" in str(a.prompt)}) == 1


def test_a_card_that_cannot_be_written_is_told_in_a_line_before_a_question_is_asked(
    run: Crossfade, engine: FakeEngine, asked: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise PermissionError("the disk is read-only")

    monkeypatch.setattr("crossfade.adapters.swap.tempfile.mkdtemp", refuse)
    for arguments in ([asked(ROWS)], ["--off"]):
        assert (
            "The card of 'domain' cannot be written: the disk is read-only"
            in run("adapters", "abstain", "domain", *arguments).error()
        )
    assert not engine.asked


def test_a_card_that_holds_half_of_a_character_is_changed_and_nothing_else_in_it(
    run: Crossfade, engine: FakeEngine, tmp_path: Path
) -> None:
    card = tmp_path / "adapters" / "domain" / "card.json"
    card.write_text('{"purpose": "half \\ud83d of one, 中文", "abstention": 1}', encoding="utf-8")
    assert run("adapters", "abstain", "domain", "--off").code == 0
    assert json.loads(card.read_text(encoding="utf-8")) == {"purpose": "half \ud83d of one, 中文"}


def test_without_questions_or_adapter_it_says_what_is_missing(run: Crossfade, engine: FakeEngine) -> None:
    assert "No questions were given" in run("adapters", "abstain", "domain").error()
    assert "Cannot read nowhere.jsonl" in run("adapters", "abstain", "domain", "nowhere.jsonl").error()
    assert "Unknown adapter 'nobody'" in run("adapters", "abstain", "nobody", "--off").error()
