"""Laws of the forms: what is guessed, that a person's word wins, and that every form gives the same example."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crossfade import prompts
from crossfade.errors import TrainingError
from crossfade.training.against import JudgingSet, overlapping
from crossfade.training.data import TrainingRow
from crossfade.training.forms import FORMS, Example, Mapping, to_examples
from crossfade.training.guess import NO_COLUMN, guess
from crossfade.training.row_file import message_row, write_rows
from crossfade.training.table import Broken, Record, Table, read_table
from crossfade.types import Message, Passage

USER, ASSISTANT = {"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello."}


def table(*rows: dict[str, Any], broken: tuple[Broken, ...] = ()) -> Table:
    columns = tuple(dict.fromkeys(name for row in rows for name in row))
    return Table("rows.jsonl", tuple(Record(n, row) for n, row in enumerate(rows, start=1)), broken, columns)


def examples(*rows: dict[str, Any], **said: str) -> tuple[Example, ...]:
    found = table(*rows)
    made, broken = to_examples(found, guess(found, **said))
    assert not broken
    return made


def why(row: dict[str, Any], mapping: Mapping) -> str:
    made, broken = to_examples(table(row), mapping)
    assert (made, len(broken)) == ((), 1)
    return broken[0].why


SAME = [
    ("pair", {"prompt": "Hi", "response": "Hello."}),
    ("pair", {"question": "Hi", "answer": "Hello.", "documents": []}),
    ("pair", {"input": "Hi", "output": "Hello."}),
    ("pair", {"instruction": "Hi", "output": "Hello."}),
    ("pair", {"Message": " Hi ", "Ticket": "Hello."}),
    ("pair", {"prompt": "Hi", "completion": "Hello."}),
    ("pair", {"text": "Hi", "whatever": "Hello."}),
    ("messages", {"messages": [USER, ASSISTANT]}),
    ("messages", {"messages": [USER, ASSISTANT, {"role": "user", "content": "Bye"}]}),
    ("messages", {"id": 7, "chat": '[{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello."}]'}),
    ("messages", {"messages": [{"role": "user", "content": [{"type": "text", "text": "Hi"}]}, ASSISTANT]}),
    ("alpaca", {"instruction": "Hi", "input": "", "output": "Hello."}),
    ("alpaca", {"instruction": "Hi", "context": None, "response": "Hello.", "category": "x"}),
    ("sharegpt", {"conversations": [{"from": "human", "value": "Hi"}, {"from": "gpt", "value": "Hello."}]}),
]


@pytest.mark.parametrize(("form", "row"), SAME)
def test_every_form_is_guessed_and_gives_the_same_example(form: str, row: dict[str, Any]) -> None:
    assert guess(table(row)).form == form
    (example,) = examples(row)
    assert example.row.messages == (Message("user", "Hi"),)
    assert (example.line, example.row.response, example.asked) == (1, "Hello.", "Hi")


@pytest.mark.parametrize(("form", "row"), SAME)
def test_instructions_are_the_system_message_of_every_form(form: str, row: dict[str, Any]) -> None:
    (example,) = examples(row, instructions="Be kind.")
    assert example.row.messages == (Message("system", "Be kind."), Message("user", "Hi"))
    assert example.asked == "Hi"


@pytest.mark.parametrize(
    "row",
    [
        {"prompt": "Hi", "response": "Hello.", "system": "Be brief."},
        {"instruction": "Hi", "input": "", "output": "Hello.", "system_prompt": "Be brief."},
        {"messages": [{"role": "system", "content": "Be brief."}, USER, ASSISTANT]},
        {"messages": [{"role": "developer", "content": "Be brief."}, USER, ASSISTANT]},
    ],
)
def test_a_row_s_own_system_message_wins(row: dict[str, Any]) -> None:
    (example,) = examples(row, instructions="Be kind.")
    assert example.row.messages == (Message("system", "Be brief."), Message("user", "Hi"))


MORE = [{"role": "user", "content": "And?"}, {"role": "assistant", "content": "Bye."}]
SHARED = [{"from": "human" if n % 2 == 0 else "gpt", "value": text} for n, text in enumerate("abcd")]


@pytest.mark.parametrize("row", [{"messages": [USER, ASSISTANT, *MORE]}, {"conversations": SHARED}])
def test_every_answer_of_a_conversation_is_learned_and_the_last_is_the_response(row: dict[str, Any]) -> None:
    (example,) = examples(row)
    assert [m.role for m in example.row.messages] == ["user", "assistant", "user"]
    assert example.row.response in ("Bye.", "d")
    assert example.row.also == (1,)
    (instructed,) = examples(row, instructions="Be kind.")
    assert instructed.row.also == (2,)
    assert instructed.row.messages[2].role == "assistant"


def test_an_answer_of_weight_0_is_context_and_so_is_one_to_nobody() -> None:
    context = {**ASSISTANT, "weight": 0}
    (example,) = examples({"messages": [USER, context, *MORE]})
    assert (example.row.response, example.row.also) == ("Bye.", ())
    (example,) = examples({"messages": [USER, ASSISTANT, MORE[0], {**MORE[1], "weight": 0}]})
    assert (example.row.messages, example.row.response) == ((Message("user", "Hi"),), "Hello.")
    (example,) = examples({"messages": [ASSISTANT, USER, *MORE[1:]]})
    assert (len(example.row.messages), example.row.also) == (2, ())
    (broken,) = to_examples(table({"messages": [USER, context]}), CHAT_OF_MESSAGES)[1]
    assert "holds no answer of an assistant but of weight 0" in broken.why


def test_what_is_written_is_read_again_with_what_counts(tmp_path: Path) -> None:
    turns = tuple(Message("user" if n % 2 == 0 else "assistant", text) for n, text in enumerate("abcde"))
    rows = [TrainingRow(turns, "f", also=also) for also in ((), (1,), (1, 3))]
    write_rows(tmp_path / "rows.jsonl", map(message_row, rows))
    assert [e.row for e in to_examples(read_table(tmp_path / "rows.jsonl"), CHAT_OF_MESSAGES)[0]] == rows


def test_passages_are_no_part_of_what_a_row_asks() -> None:
    passage = Passage("The monthly fee of the account is $7.\n\nQuestion: Who?", "fees", "Fees", "", 0, 9, 1.0)
    told = prompts.last_message("How do I close it?", [passage])
    assert "monthly fee" in told
    turns = [{"role": "user", "content": told}, {"role": "assistant", "content": "At a branch."}]
    (example,) = examples({"messages": turns})
    assert example.asked == "How do I close it?"
    assert example.row.messages[-1].content == told
    judging = JudgingSet("eval.jsonl", ({"question": "What is the monthly fee of the account?", "line": 1},))
    assert overlapping([example], judging) == ()


def test_alpaca_s_input_follows_its_instruction() -> None:
    (example,) = examples({"instruction": "Translate.", "input": "chat", "output": "cat"})
    assert example.row.messages[-1].content == "Translate.\n\nchat"


def test_labels_are_asked_for_with_all_of_them_written_out() -> None:
    rows = [{"text": "Up", "label": "good"}, {"text": "Down", "label": "bad"}, {"text": "Flat", "label": 0}]
    made = examples(*rows)
    assert guess(table(*rows)).form == "label"
    asked = [message.content for message in made[0].row.messages]
    assert asked == ["Classify this text as 0, bad or good. Answer with the label alone.", "Up"]
    assert [example.row.response for example in made] == ["good", "bad", "0"]
    assert made[0].asked == "Up", "the instructions are no part of what a row itself says"


def test_a_template_of_one_s_own_makes_labels_of_any_columns() -> None:
    (example,) = examples(
        {"a": "Up {x}", "b": "good"}, prompt="a", response="b", template="Mood of {text}? Say it: {text}"
    )
    assert example.row.messages[-1].content == "Mood of Up {x}? Say it: Up {x}"


def test_a_response_that_is_no_text_is_json_in_one_order_of_keys() -> None:
    made = examples(
        {"message": "m", "ticket": {"b": 1, "a": {"d": None, "c": "é"}}},
        {"message": "n", "ticket": {"a": {"c": "é", "d": None}, "b": 1}},
    )
    assert {example.row.response for example in made} == {'{"a": {"c": "é", "d": null}, "b": 1}'}


def test_what_a_person_says_wins_over_the_guess() -> None:
    row = {"prompt": "a", "response": "b", "other": "c", "label": "d"}
    assert guess(table(row), response="other").columns() == {"prompt": "prompt", "response": "other"}
    assert guess(table(row), prompt="other").columns() == {"prompt": "other", "response": "response"}
    assert guess(table(row), form="label", prompt="prompt").response == "label"
    mapping = replace(guess(table(row)), prompt="response", response="prompt")
    assert to_examples(table(row), mapping)[0][0].row.response == "a"


def test_the_columns_of_the_input_and_of_the_system_message_can_be_said() -> None:
    row = {"question": "Who?", "context": "Ann.", "persona": "Be brief.", "answer": "Ann"}
    assert guess(table(row)).columns() == {"prompt": "question", "response": "answer"}
    (example,) = examples(row, input="context", system="persona")
    assert [message.content for message in example.row.messages] == ["Be brief.", "Who?\n\nAnn."]
    (labelled,) = examples({"text": "Up", "label": "good", "persona": "Judge."}, system="persona")
    assert labelled.row.messages[0].content == "Judge."


def test_a_column_that_is_said_to_be_something_else_is_guessed_to_be_nothing_more() -> None:
    assert guess(table({"prompt": "a", "question": "b", "answer": "c"}), input="prompt").prompt == "question"
    assert guess(table({"answer": "a", "question": "b", "output": "c"}), system="answer").response == "output"


def test_a_column_that_is_guessed_can_be_said_to_be_none() -> None:
    row = {"instruction": "Translate.", "input": "chat", "output": "cat", "system": "Be brief."}
    assert set(guess(table(row)).columns()) == {"prompt", "input", "response", "system"}
    assert set(guess(table(row), input=NO_COLUMN, system=NO_COLUMN).columns()) == {"prompt", "response"}
    assert guess(table({"messages": [USER, ASSISTANT]}), input=NO_COLUMN).input == ""


def test_chats_have_no_input() -> None:
    with pytest.raises(TrainingError, match="form messages have no column for the input"):
        guess(table({"messages": [USER, ASSISTANT], "more": "x"}), input="more")


PAIR = Mapping(form="pair", prompt="p", response="r")
CHAT = Mapping(form="messages", prompt="m")
CHAT_OF_MESSAGES = Mapping(form="messages", prompt="messages")


@pytest.mark.parametrize(
    ("mapping", "row", "told"),
    [
        (PAIR, {"p": "", "r": "b"}, "p is empty"),
        (PAIR, {"p": "a", "r": " \n"}, "r is empty"),
        (PAIR, {"p": "a", "r": None}, "r is empty"),
        (CHAT, {"m": "text"}, "not a list of turns"),
        (CHAT, {"m": 7}, "not a list of turns"),
        (CHAT, {"m": []}, "no answer of an assistant"),
        (CHAT, {"m": [USER]}, "no answer of an assistant"),
        (CHAT, {"m": [ASSISTANT]}, "no question before the answer"),
        (CHAT, {"m": ["Hi"]}, "turn 1 has no role"),
        (CHAT, {"m": [USER, {"role": "tool", "content": "x"}, ASSISTANT]}, "turn 2 is by 'tool'; allowed are system"),
        (CHAT, {"m": [USER, {"role": "assistant", "content": None}]}, "turn 2 has no text"),
        (CHAT, {"m": [USER, {"role": "assistant", "content": 7}]}, "turn 2 is no text"),
        (CHAT, {"m": [{"role": "user", "content": [{"type": "image_url"}]}, ASSISTANT]}, "text alone can be learned"),
    ],
)
def test_a_row_that_cannot_be_used_is_listed_with_why(mapping: Mapping, row: dict[str, Any], told: str) -> None:
    assert told in why(row, mapping)


def test_rows_that_cannot_be_used_are_listed_by_line_and_none_is_lost() -> None:
    found = table({"p": "a", "r": "b"}, {"p": "a"}, {"p": "c", "r": "d"}, broken=(Broken(9, "not JSON"),))
    made, broken = to_examples(found, PAIR)
    assert [example.line for example in made] == [1, 3]
    assert broken == (Broken(2, "there is no r"), Broken(9, "not JSON"))


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ({"prompt": "promt"}, r"no column 'promt' for the prompt\. It has question, answer; name one"),
        ({"response": "x"}, "no column 'x' for the response"),
        ({"input": "x"}, "no column 'x' for the input"),
        ({"system": "x"}, "no column 'x' for the system"),
        ({"prompt": "-"}, "no column '-' for the prompt"),
        ({"form": "chat"}, f"Unknown form 'chat'. Known: {', '.join(FORMS)}"),
        ({"form": "messages"}, "column of the prompt cannot be guessed"),
        ({"form": "label"}, "cannot be guessed"),
        ({"template": "Mood?", "prompt": "question", "response": "answer"}, r"'Mood\?' has no \{text\}"),
    ],
)
def test_what_does_not_fit_the_columns_is_an_error_that_names_them(said: dict[str, str], told: str) -> None:
    with pytest.raises(TrainingError, match=told):
        guess(table({"question": "a", "answer": "b"}), **said)


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["role", "content", "from", "value", "type", "text"]), inner, max_size=3)
    ),
    max_leaves=8,
)
NAMES = st.sampled_from(["prompt", "response", "messages", "conversations", "instruction", "input", "output", "label"])


@given(rows=st.lists(st.dictionaries(NAMES, VALUES, min_size=1, max_size=4), min_size=1, max_size=4))
def test_whatever_the_values_each_row_is_an_example_or_broken(rows: list[dict[str, Any]]) -> None:
    found = table(*rows)
    try:
        mapping = guess(found)
    except TrainingError:
        return
    made, broken = to_examples(found, mapping)
    assert sorted([*(e.line for e in made), *(b.line for b in broken)]) == list(range(1, len(rows) + 1))
    assert all(e.row.response and e.row.messages and e.asked for e in made)


def test_columns_that_nobody_can_guess_are_named() -> None:
    with pytest.raises(TrainingError, match=r"prompt cannot be guessed\. It has a, b, c; say which"):
        guess(table({"a": "1", "b": "2", "c": "3"}))
    with pytest.raises(TrainingError, match="response cannot be guessed"):
        guess(table({"question": "1"}))
