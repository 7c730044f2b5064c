"""Citations in an answer, and the panel that shows a passage in its document."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

gr = pytest.importorskip("gradio")

from crossfade.corpora.registry import Document  # noqa: E402
from crossfade.types import Answer, Generation, Passage, Query  # noqa: E402
from crossfade.ui.citations import answer_key, cited_html, passages_html, unwrapped  # noqa: E402
from crossfade.ui.sources import SHOWN_AROUND, SourcePanel, answers_in, panel_html  # noqa: E402
from test_ui_render import Reader  # noqa: E402
from ui_kit import built  # noqa: E402

DOCUMENT = (
    "# Harbor\n\n## Fees\n\nThe monthly fee is\n$7. It is waived at $1,500.\n\n## Age\n\nYou must be 18 or older.\n"
)
FEES = "The monthly fee is\n$7. It is waived at $1,500."
START = DOCUMENT.index(FEES)
FIRST = Passage("Wires take 2 days.", "wires", "Wires", "Time", 0, 18, 0.9, 0.7, 1, 8.0, 2)
SECOND = Passage(FEES, "harbor", "Harbor", "Fees", START, START + len(FEES), 0.5, 0.61, 4, None, None)


def answer(text: str, **changes: Any) -> Answer:
    made = Answer(
        query=Query("What is the fee?", "bank", "answer", rag=True),
        passages=(FIRST, SECOND),
        generation=Generation(text, finish="stop"),
    )
    return replace(made, **changes)


def buttons(text: str) -> list[str]:
    """The class and what follows the key of each button."""
    found = re.findall(r'<button type="button" class="([a-z -]+)" value="[0-9a-f]{16}\.([0-9.-]+)"', text)
    return [f"{kind.removeprefix('cf-cite').strip()} {value}".strip() for kind, value in found]


def test_a_supported_sentence_gets_the_number_of_its_passage_and_says_who_found_it() -> None:
    shown = cited_html(answer("The monthly fee is $7. Wires take 2 days."))
    assert buttons(shown) == ["cf-found 2.0", "cf-found 1.23"]
    assert any("found by the program" in title for title in Reader(shown).titles)
    assert "cf-unsupported" not in shown


def test_what_the_model_cites_is_its_own_citation_where_there_is_such_a_passage() -> None:
    shown = cited_html(answer("The monthly fee is $7 [2]. It is waived at $1,500 [9]."))
    assert buttons(shown) == ["2.0", "cf-found 2.27"]
    assert "[9]" in Reader(shown).text
    assert any("cited by the model" in title for title in Reader(shown).titles)


def test_a_sentence_that_no_passage_supports_is_marked_for_eyes_and_ears() -> None:
    shown = cited_html(answer("The monthly fee is $9. Wires take 2 days."))
    assert shown.count('class="cf-unsupported"') == 1
    assert "The monthly fee is $9. (not found in the passages)" in Reader(shown).text
    assert "在段落中未找到依据" in cited_html(answer("The monthly fee is $9."), language="zh")


@pytest.mark.parametrize("text", ["The documents do not say what a boat costs.", "Yes.", ""])
def test_what_claims_nothing_is_not_marked(text: str) -> None:
    assert "cf-unsupported" not in cited_html(answer(text))


def test_each_passage_can_be_opened() -> None:
    assert buttons(passages_html(answer("Yes."))) == ["cf-open 1.-1", "cf-open 2.-1"]


@settings(deadline=None, max_examples=60)
@given(st.text())
def test_unwrapping_keeps_every_place(text: str) -> None:
    assert len(unwrapped(text)) == len(text)


def test_answers_are_found_however_a_state_keeps_them() -> None:
    @dataclass
    class Turn:
        text: str
        answer: Answer | None
        versions: dict[str, list[Answer]]

    one, two, three = answer("a"), answer("b"), answer("c")
    state = ([Turn("x", one, {"v": [two]})], (), None, {"deep": (Turn("y", None, {}), [three])})
    assert list(answers_in(state)) == [one, two, three]


def test_keys_tell_answers_apart() -> None:
    made = [answer("a"), answer("b"), answer("a", passages=(SECOND,)), answer("a", query=Query("Q", "bank", "answer"))]
    assert len({answer_key(one) for one in made}) == 4
    assert answer_key(answer("a")) == answer_key(answer("a"))


# the panel


def opened(asked: Any, *states: Any, text: str = DOCUMENT, language: str = "en") -> str:
    corpus = SimpleNamespace(name="bank", documents=(Document("harbor", "Harbor", text, "0"),))

    def make() -> SourcePanel:
        with gr.Blocks():
            return SourcePanel(SimpleNamespace(corpora=(corpus,)))  # type: ignore[arg-type]

    request = SimpleNamespace(cookies={"crossfade_language": language}, headers={})
    return built(make)._open(request, SimpleNamespace(asked=asked), *states)  # type: ignore[arg-type]


def test_the_panel_shows_the_passage_in_its_document_with_what_supports_the_sentence() -> None:
    made = answer("The monthly fee is $7.")
    shown = opened(f"{answer_key(made)}.2.0", [made])
    assert "<mark>The monthly fee is &#36;7&#46;</mark>" in shown
    read = Reader(shown)
    for part in ("[2] Harbor > Fees", "The answer says", "You must be 18 or older.", "0.610, place 4", "not ranked"):
        assert part in read.text
    assert "place 2" in read.text
    assert "第 4 位" in Reader(opened(f"{answer_key(made)}.2.0", [made], language="zh")).text


def test_what_supports_the_other_sentences_is_marked_too_and_all_of_it_where_the_passage_is_opened_for_itself() -> None:
    made = answer("It is waived at $1,500. The monthly fee is $7.")
    first, second = "The monthly fee is &#36;7&#46;", "It is waived at &#36;1,500&#46;"
    shown = panel_html(made, "", number=2, sentence=0)
    assert f"<mark>{second}</mark>" in shown
    assert f"<mark class=cf-also>{first}</mark>" in shown
    assert "Fainter" in Reader(shown).text
    whole = panel_html(made, "", number=2, sentence=-1)
    assert whole.count("<mark class=cf-also>") == 2
    assert "found what the answer says" in Reader(whole).text
    assert "mark" not in Reader(panel_html(made, "", number=1, sentence=-1)).tags


def test_a_passage_that_does_not_support_the_sentence_says_so() -> None:
    made = answer("The monthly fee is $7 [1].")
    shown = Reader(panel_html(made, "", number=1, sentence=0))
    assert "mark" not in shown.tags
    assert "did not find this" in shown.text


@pytest.mark.parametrize(
    "asked",
    ["", "../../etc/passwd", None, ["x"], {"asked": 1}, f"{'0' * 16}.1.0", "{key}.3.0", "{key}.0.0", "{key}.1.0.x"],
)
def test_what_is_not_among_the_sessions_answers_opens_nothing(asked: Any) -> None:
    made = answer("The monthly fee is $7.")
    if isinstance(asked, str):
        asked = asked.replace("{key}", answer_key(made))
    assert "no longer on this page" in Reader(opened(asked, [made])).text
    assert "no longer on this page" in Reader(opened(f"{answer_key(made)}.2.0", [], ())).text


def test_a_document_that_changed_or_went_shows_the_passage_alone() -> None:
    made = answer("The monthly fee is $7.")
    for number, text in ((2, DOCUMENT.replace("$7", "$8")), (1, DOCUMENT)):
        read = Reader(opened(f"{answer_key(made)}.{number}.-1", [made], text=text)).text
        assert "has changed since" in read
        assert "You must be 18" not in read
    assert "$7" in Reader(opened(f"{answer_key(made)}.2.-1", [made], text="")).text


def test_a_very_long_document_is_shown_in_part() -> None:
    made = answer("The monthly fee is $7.")
    shown = Reader(opened(f"{answer_key(made)}.2.0", [made], text=DOCUMENT + "word " * 20_000)).text
    assert len(shown) < SHOWN_AROUND + 2_000
    assert "more characters" in shown


@settings(deadline=None, max_examples=60)
@given(st.text(max_size=80), st.text(max_size=80))
def test_no_document_changes_what_the_panel_is_made_of(text: str, around: str) -> None:
    passage = Passage(text or "x", around, around, text, len(around), len(around) + len(text or "x"), 0.5)
    made = Answer(Query(text, "bank", "answer"), (passage,), generation=Generation(around, finish="stop"))
    shown = panel_html(made, f"{around}{text or 'x'}{around}", number=1, sentence=0)
    read = Reader(shown)
    assert set(read.tags) <= {"div", "h2", "button", "p", "blockquote", "dl", "dt", "dd", "mark", "b"}
    assert set(read.names) <= {"class", "role", "aria-label", "id", "type", "title", "tabindex", "dir"}
    assert "\n" not in shown
