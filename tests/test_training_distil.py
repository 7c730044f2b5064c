"""A teacher's answers as rows: nothing is asked twice, nothing is lost, and nothing that is no answer is written."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from threading import Event
from typing import Any

import pytest

from chat_stub import ChatStub, chat_stub
from cli_kit import Crossfade
from crossfade.chat_server import ChatServer, Completion
from crossfade.errors import TrainingError
from crossfade.training.distil import MOST_FAILURES, Distilled, Distilling, distil
from crossfade.training.forms import to_examples
from crossfade.training.guess import guess
from crossfade.training.prompt_file import Asked
from crossfade.training.table import read_table
from crossfade.training.teacher import Answers, Teacher

PROMPTS = tuple(Asked(line, f"What is {line}?") for line in range(1, 7))


@pytest.fixture
def server() -> Iterator[ChatStub]:
    with chat_stub() as made:
        made.reply = lambda body: (200, f"{body['messages'][-1]['content']} It is so.")
        yield made


class Room:
    """A folder with rows and kept answers, and a teacher."""

    def __init__(self, folder: Path, server: ChatStub) -> None:
        self.out, self.answers = folder / "made" / "rows.jsonl", Answers(folder / "teachers")
        self.teacher = Teacher(server=ChatServer(server.url, "big", "secret", who="teacher"), pause=0)

    def distil(self, prompts: tuple[Asked, ...] = PROMPTS, **more: Any) -> Distilled:
        return distil(prompts, self.teacher, self.out, answers=self.answers, **more)

    def rows(self) -> list[dict[str, str]]:
        return [json.loads(line) for line in self.out.read_text(encoding="utf-8").splitlines()]


@pytest.fixture
def room(tmp_path: Path, server: ChatStub) -> Room:
    return Room(tmp_path, server)


def test_each_prompt_becomes_a_row_that_names_its_teacher(room: Room, server: ChatStub) -> None:
    assert room.distil() == Distilled(6, 0, 6, 0, (), ())
    rows = sorted(room.rows(), key=lambda row: row["prompt"])
    assert [(row["prompt"], row["response"]) for row in rows] == [(p.text, f"{p.text} It is so.") for p in PROMPTS]
    assert {row["teacher"] for row in rows} == {"big"}
    assert set(server.keys) == {"Bearer secret"}
    assert not any("secret" in line for line in room.out.read_text().splitlines())


def test_the_rows_are_read_as_prompt_and_response(room: Room) -> None:
    room.distil((*PROMPTS, Asked(7, "Own?", "Be kind.")))
    table = read_table(room.out)
    mapping = guess(table)
    assert (mapping.form, mapping.prompt, mapping.response, mapping.system) == ("pair", "prompt", "response", "system")
    examples, broken = to_examples(table, mapping)
    assert (len(examples), broken) == (7, ())
    (own,) = [e for e in examples if len(e.row.messages) == 2]
    assert own.row.messages[0].content == "Be kind."


def test_what_is_there_is_not_asked_again_and_what_is_new_is(room: Room, server: ChatStub) -> None:
    room.distil(PROMPTS[:4])
    before = room.out.read_bytes()
    made = room.distil()
    assert (made.there, made.written, made.left, len(server.asked)) == (4, 2, 0, 6)
    assert room.out.read_bytes().startswith(before)
    assert len({row["prompt"] for row in room.rows()}) == 6


def test_a_row_is_enough_to_go_on_and_so_is_a_kept_answer(room: Room, server: ChatStub, tmp_path: Path) -> None:
    room.distil()
    elsewhere = Room(tmp_path, server)
    elsewhere.answers = Answers(tmp_path / "empty")
    assert elsewhere.distil().there == 6
    room.out.unlink()
    made = room.distil()
    assert (made.written, made.kept, len(server.asked), len(room.rows())) == (6, 6, 6, 6)


@pytest.mark.parametrize("cut", range(1, 40, 7))
def test_a_row_that_a_kill_cut_off_is_written_anew(room: Room, server: ChatStub, cut: int) -> None:
    room.distil()
    whole = room.out.read_bytes()
    room.out.write_bytes(whole[:-cut])
    room.distil()
    assert sorted(room.out.read_bytes().splitlines()) == sorted(whole.splitlines())
    assert len(server.asked) == 6


def test_rows_of_one_s_own_stay_even_without_a_last_line_end(room: Room) -> None:
    room.out.parent.mkdir()
    room.out.write_text('{"prompt": "mine", "response": "too"}')
    room.distil(PROMPTS[:1])
    assert [row["prompt"] for row in room.rows()] == ["mine", PROMPTS[0].text]


@pytest.mark.parametrize(
    "change", [{"instructions": "Be brief."}, {"max_tokens": 9}, {"temperature": 0.5}, {"model": "bigger"}]
)
def test_other_settings_are_another_request(room: Room, server: ChatStub, change: dict[str, Any]) -> None:
    room.distil(PROMPTS[:1])
    if "model" in change:
        room.teacher = replace(room.teacher, server=replace(room.teacher.server, **change))
    else:
        room.teacher = replace(room.teacher, **change)
    assert room.distil(PROMPTS[:1]).written == 1
    assert len(server.asked) == len(room.rows()) == 2
    room.teacher = replace(room.teacher, timeout=7)
    assert room.distil(PROMPTS[:1]).there == 1, "a time limit changes no answer"


def test_a_prompt_that_stands_twice_is_asked_once(room: Room, server: ChatStub) -> None:
    assert room.distil((*PROMPTS, replace(PROMPTS[0], line=9))).total == 6
    assert len(server.asked) == 6


def test_instructions_go_to_the_teacher_alone_and_a_row_s_own_win(room: Room, server: ChatStub) -> None:
    room.teacher = replace(room.teacher, instructions="Be brief.")
    room.distil((PROMPTS[0], Asked(7, "Own?", "Be kind.")), at_once=1)
    assert [body["messages"][0]["content"] for body in server.asked] == ["Be brief.", "Be kind."]
    assert [row.get("system") for row in room.rows()] == [None, "Be kind."]


REJECTED: dict[str, tuple[Any, str]] = {
    "empty": ("  ", "empty"),
    "too long": ({"message": {"content": "And so"}, "finish_reason": "length"}, "longer than 512 tokens"),
    "filtered": ({"message": {"content": "x"}, "finish_reason": "content_filter"}, "refused"),
    "refusal": ({"message": {"content": None, "refusal": "No."}}, "refused: 'No.'"),
    "sorry": ("I'm sorry, but I can’t help with that.", "refused"),
    "cannot": ("I cannot assist with this request.", "refused"),
    "as an AI": ("As an AI language model, I have no view.", "refused"),
}


@pytest.mark.parametrize("kind", REJECTED)
def test_what_is_no_answer_is_listed_and_not_written(room: Room, server: ChatStub, kind: str) -> None:
    said, why = REJECTED[kind]
    server.reply = lambda body: (200, said if "3" in body["messages"][-1]["content"] else "So.")
    made = room.distil()
    assert (made.written, made.left, [row.line for row in made.rejected]) == (5, 0, [3])
    assert why in made.rejected[0].why
    again = room.distil()
    assert again.rejected == made.rejected
    assert len(server.asked) == (7 if kind == "empty" else 6), "an empty answer is a mishap, and asked for again"


@pytest.mark.parametrize("text", ["I am sorry to hear that. We can help.", "Sorry, we close at 5.", "I can't wait!"])
def test_an_answer_that_only_sounds_like_a_refusal_is_one(text: str, room: Room) -> None:
    assert room.teacher.why_not(Completion(text, "stop")) == ""


def test_one_failure_is_tried_again_and_unseen(room: Room, server: ChatStub) -> None:
    failed: list[str] = []

    def once(body: dict[str, Any]) -> tuple[int, Any]:
        text = body["messages"][-1]["content"]
        if text in failed:
            return 200, "So."
        failed.append(text)
        return 503, ""

    server.reply = once
    assert room.distil() == Distilled(6, 0, 6, 0, (), ())
    assert len(server.asked) == 12


def test_a_prompt_that_fails_does_not_end_the_others_and_is_left_for_the_next_run(room: Room, server: ChatStub) -> None:
    server.reply = lambda body: (400, "") if "3" in body["messages"][-1]["content"] else (200, "So.")
    made = room.distil()
    assert (made.written, made.left, [row.line for row in made.failed]) == (5, 1, [3])
    assert "status 400" in made.failed[0].why
    server.reply = lambda _: (200, "So.")
    assert (room.distil().written, len(room.rows())) == (1, 6)


def test_a_teacher_that_is_down_is_soon_asked_no_more(room: Room, server: ChatStub) -> None:
    server.reply = lambda _: (401, "")
    made = room.distil(tuple(Asked(n, f"{n}?") for n in range(50)), at_once=1)
    assert (made.written, made.left) == (0, 50)
    assert MOST_FAILURES <= len(made.failed) == len(server.asked) <= MOST_FAILURES + 1, "one more was on its way"


def test_as_many_are_on_their_way_together_as_asked_for(room: Room, server: ChatStub) -> None:
    together, most = set[str](), 0

    def slow(body: dict[str, Any]) -> tuple[int, Any]:
        nonlocal most
        text = body["messages"][-1]["content"]
        together.add(text)
        most = max(most, len(together))
        time.sleep(0.1)
        together.discard(text)
        return 200, "So."

    server.reply = slow
    room.distil(at_once=3)
    assert 1 < most <= 3


def test_a_stop_writes_what_was_on_its_way_and_the_next_run_goes_on(room: Room, server: ChatStub) -> None:
    stop = Event()

    def answer(body: dict[str, Any]) -> tuple[int, Any]:
        if len(server.asked) == 3:
            stop.set()
        return 200, "So."

    server.reply = answer
    made = room.distil(at_once=1, stop=stop)
    assert (made.written, made.left, len(room.rows())) == (3, 3, 3)
    assert room.distil().written == 3
    assert len(server.asked) == 6


def test_progress_counts_up_to_all_with_the_time_left(room: Room) -> None:
    room.distil(PROMPTS[:2])
    told: list[Distilling] = []
    room.distil(progress=told.append)
    assert [(p.done, p.total) for p in told] == [(3, 6), (4, 6), (5, 6), (6, 6)]
    assert told[0].seconds_left > 0
    assert told[-1].seconds_left == 0


@pytest.mark.parametrize(("name", "text", "why"), [("a.csv", "", "a .jsonl file"), ("a.jsonl", "x\n{}\n", "line 1")])
def test_a_file_that_rows_cannot_be_added_to_is_told(room: Room, name: str, text: str, why: str) -> None:
    room.out = room.answers.folder.with_name(name)
    room.out.write_text(text)
    with pytest.raises(TrainingError, match=why):
        room.distil()
    assert room.out.read_text() == text


def test_a_kept_answer_that_is_broken_is_asked_for_again(room: Room, server: ChatStub) -> None:
    room.distil(PROMPTS[:1])
    (kept,) = room.answers.folder.rglob("*.json")
    kept.write_text("{")
    room.out.unlink()
    assert room.distil(PROMPTS[:1]).written == 1
    assert len(server.asked) == 2


@pytest.fixture
def words(tmp_path: Path, server: ChatStub, monkeypatch: pytest.MonkeyPatch) -> tuple[str, ...]:
    (tmp_path / "prompts.txt").write_text("One?\nTwo?\n")
    monkeypatch.setenv("CROSSFADE_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("CROSSFADE_TEACHER_KEY", "sk-env")
    return ("data", "distil", "--prompts", str(tmp_path / "prompts.txt"), "--teacher", server.url, "--model", "big")


def test_the_command_writes_rows_that_the_report_accepts(
    run: Crossfade, words: tuple[str, ...], server: ChatStub, tmp_path: Path
) -> None:
    found = run(*words)
    assert found.code == 0
    assert "2 rows written; 0 were there." in found.out
    assert "2 of 2 prompts" in found.err
    assert set(server.keys) == {"Bearer sk-env"}
    assert "sk-env" not in found.out + found.err
    told = json.loads(run("data", "report", str(tmp_path / "prompts.answered.jsonl"), "--rough", "--json").out)
    assert (told["usable"], told["mapping"]["response"], told["errors"]) == (2, "response", 0)
    assert json.loads(run(*words, "--json").out)["there"] == 2


def test_the_command_lists_what_it_did_not_write_and_ends_with_1_where_prompts_are_left(
    run: Crossfade, words: tuple[str, ...], server: ChatStub
) -> None:
    server.reply = lambda body: (404, "") if "One" in body["messages"][-1]["content"] else (200, "")
    found = run(*words)
    assert found.code == 1
    assert "Not answered: line 1, The teacher at" in found.out
    assert "Answered, and not written: line 2, the answer is empty." in found.out
    assert "1 of 2 prompts are left" in found.out


def test_the_key_is_not_sent_where_a_redirect_leads(run: Crossfade, words: tuple[str, ...], server: ChatStub) -> None:
    with chat_stub() as other:
        server.headers["Location"] = f"{other.url}/chat/completions"
        server.reply = lambda _: (302, "")
        assert "status 302" in run(*words).out
        assert other.keys == []


@pytest.mark.parametrize("ended_by", [signal.SIGKILL, signal.SIGINT])
def test_a_run_that_was_ended_goes_on_and_asks_again_for_what_was_on_its_way_at_most(
    ended_by: signal.Signals, run: Crossfade, words: tuple[str, ...], server: ChatStub, tmp_path: Path
) -> None:
    (tmp_path / "prompts.txt").write_text("".join(f"What is {n}?\n" for n in range(12)))
    out, going = tmp_path / "rows.jsonl", Event()

    def answer(body: dict[str, Any]) -> tuple[int, Any]:
        if len(server.asked) > 6:
            going.wait(30)
        return 200, "So."

    server.reply = answer
    code = "from crossfade.cli import main; main()"
    process = subprocess.Popen([sys.executable, "-c", code, *words, "--out", str(out), "--at-once", "2"])
    until = time.monotonic() + 60
    while time.monotonic() < until and (not out.exists() or out.read_bytes().count(b"\n") < 5):
        time.sleep(0.02)
    process.send_signal(ended_by)
    going.set()
    assert process.wait(30) == (1 if ended_by == signal.SIGINT else -signal.SIGKILL)
    there = out.read_bytes().count(b"\n")
    assert there >= 5
    found = json.loads(run(*words, "--out", str(out), "--json").out)
    assert (found["there"] + found["written"], found["left"]) == (12, 0)
    assert found["there"] >= there - 1
    assert len({json.loads(line)["prompt"] for line in out.read_text().splitlines()}) == 12
    assert len(server.asked) <= 12 + 2


@pytest.mark.parametrize(
    ("more", "why"),
    [
        (("--teacher", "localhost"), "The teacher's address 'localhost' is not allowed"),
        (("--prompts", "none.txt"), "There is no file none.txt"),
        (("--out", "rows.csv"), "a .jsonl file"),
        (("--prompt-column", "ask"), "no column 'ask'"),
    ],
)
def test_what_cannot_be_done_is_one_line(
    run: Crossfade, words: tuple[str, ...], more: tuple[str, ...], why: str
) -> None:
    assert why in run(*words, *more).error()
