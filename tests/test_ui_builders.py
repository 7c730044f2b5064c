"""Making rows in the page, without a browser: from a corpus, by a teacher, in another format."""

from __future__ import annotations

import html
import json
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from threading import Event
from types import SimpleNamespace
from typing import Any

import pytest

from chat_stub import ChatStub, chat_stub
from ui_kit import built

sys.path.append(str(Path(__file__).parent / "browser"))

pytest.importorskip("gradio")

from crossfade.history.database import Database
from crossfade.history.feedback import Feedback, Thumb
from crossfade.history.kept import keys_of
from crossfade.history.votes import ONE, Vote, Votes
from crossfade.settings import Settings
from crossfade.ui.owner import owner_of
from crossfade.ui.working import Stopped, Told
from history_kit import turn

HOSTILE = "<img src=x onerror=alert(1)>"


def request(language: str = "en", who: str = "") -> Any:
    """A request of a browser that keeps no cookie, or of that of somebody."""
    cookies = {"crossfade_owner": who.ljust(43, "x")} if who else {}
    return SimpleNamespace(cookies=cookies, headers={"accept-language": language})


@pytest.fixture
def part(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    from standin import ROOT, StandIn

    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path / "served"))
    import gradio as gr

    from crossfade.ui.builders import RowBuilders

    settings = Settings(home=tmp_path / "home", corpora=ROOT / "corpora", adapters=tmp_path / "shipped")
    startup = StandIn(settings=settings, adapters=())
    (settings.home / "data").mkdir(parents=True)

    def make() -> Any:
        with gr.Blocks():
            return RowBuilders(startup, source=gr.Dropdown())  # type: ignore[arg-type]

    return built(make)


@pytest.fixture
def teacher() -> Iterator[ChatStub]:
    with chat_stub() as stub:
        stub.reply = lambda body: (200, f"Answer to {body['messages'][-1]['content']}")
        yield stub


def made(part: Any, who: str = "", **given: Any) -> tuple[str, str | None]:
    """What the page says at the end, and the file that is chosen then."""
    values = {name: component.value for name, component in part.fields.items()} | given
    assert list(values) == list(part.fields), "no field of another name"
    for notice, source, _download, key in part._make(request(who=who), *values.values()):  # noqa: B007
        pass
    assert key == "", "the key is forgotten, whatever came"
    return html.unescape(notice), source._constructor_args[0].get("value")


def rows(part: Any, name: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (part._files(None).folder / name).read_text().splitlines()]


def test_a_corpus_and_its_questions_make_rows_of_several_kinds(part: Any) -> None:
    questions = [
        {"question": f"What is fee {n}?", "answer": f"${n}", "documents": ["harbor-checking"], "kind": "fact"}
        for n in (1, 2, 3)
    ]
    questions.append({"question": "Who founded Rome?", "answer": "-", "documents": [], "kind": "absent"})
    (part._files(None).folder / "mine.jsonl").write_text("".join(json.dumps(row) + "\n" for row in questions))
    told, name = made(part, questions="mine.jsonl")
    assert name == "tidewell-mine.jsonl"
    kinds = {row["kind"] for row in rows(part, name)}
    assert {"read", "by heart"} <= kinds
    assert "rows of 4 questions" in told
    assert "without passages" in told
    assert made(part, questions="mine.jsonl")[1] == "tidewell-mine-2.jsonl", "nothing is written over"


@pytest.mark.parametrize("questions", [None, "", "gone.jsonl", "../../secret.jsonl", "tidewell: ../eval.jsonl"])
def test_questions_that_are_not_offered_are_not_read(part: Any, questions: str | None) -> None:
    assert "Choose a file of questions" in made(part, questions=questions)[0]


def test_a_teacher_answers_and_the_same_again_asks_nothing_twice(part: Any, teacher: ChatStub) -> None:
    given = {"way": "teacher", "prompts": "pasted", "typed": f"One\nTwo {HOSTILE}", "address": teacher.url}
    given |= {"model": "big model", "key": "sk-secret"}
    told, name = made(part, **given)
    assert name is not None
    assert "2 rows, 2 of them new" in told
    assert [row["prompt"] for row in sorted(rows(part, name), key=lambda r: r["prompt"])] == ["One", f"Two {HOSTILE}"]
    assert len(teacher.asked) == 2
    assert "2 rows, 0 of them new" in made(part, **given)[0]
    assert len(teacher.asked) == 2
    assert made(part, **given | {"told": "Be brief."})[1] != name, "other words are another file"
    kept = "".join(path.read_text() for path in part._files(None).folder.parent.rglob("*") if path.is_file())
    assert "sk-secret" not in kept


def test_what_a_teacher_does_not_answer_is_a_sentence(part: Any, teacher: ChatStub) -> None:
    given = {"way": "teacher", "prompts": "pasted", "typed": "One", "address": teacher.url, "model": "m"}
    for more, why in (
        ({"address": "file:///etc/passwd"}, "is not allowed"),
        ({"address": "http://me:pass@teacher.example/v1"}, "may hold no name, password"),
        ({"address": ""}, "is not allowed"),
        ({"model": " "}, "name of the teacher's model"),
        ({"typed": ""}, "There are no rows"),
        ({"key": "a b"}, "signs that no key has"),
        ({"prompts": "gone.jsonl"}, "not there any more"),
    ):
        assert why in made(part, **given | more)[0], more
    assert teacher.asked == []


def test_a_page_that_others_can_open_asks_no_address_of_its_own_network(part: Any, teacher: ChatStub) -> None:
    part._startup.settings = replace(part._startup.settings, host="0.0.0.0")
    given = {"way": "teacher", "prompts": "pasted", "typed": "One", "address": teacher.url, "model": "m"}
    told, name = made(part, "ann", **given)
    assert "visitors may not have asked" in told
    assert name is None
    assert teacher.asked == []


def test_where_others_open_the_page_rows_are_made_of_one_s_own_files_alone(part: Any) -> None:
    (part._files(None).folder / "earlier.jsonl").write_text('{"prompt": "a", "response": "{}"}\n')
    part._startup.settings = replace(part._startup.settings, host="0.0.0.0")
    hers = part._files(request(who="ann"))
    hers.folder.mkdir()
    (hers.folder / "hers.jsonl").write_text('{"question": "What?", "answer": "That.", "documents": []}\n')
    for name in ("hers.jsonl", "earlier.jsonl"):
        assert "not there any more" in made(part, "bob", way="format", rows=name)[0]
        given = {"way": "teacher", "prompts": name, "address": "https://teacher.example/v1", "model": "m"}
        assert "not there any more" in made(part, "bob", **given)[0]
        assert "Choose a file of questions" in made(part, "bob", questions=name)[0]
    told, name = made(part, "ann", questions="hers.jsonl")
    assert name == "tidewell-hers.jsonl", told
    assert set(hers.names()) == {"hers.jsonl", name}
    assert part._files(request(who="bob")).names() == []


def test_rows_are_written_anew_and_what_has_no_object_is_listed(part: Any) -> None:
    text = "".join(
        json.dumps({"message": f"Message {n}", "ticket": {"product": "loan", "amount": n}}) + "\n" for n in (1, 2)
    )
    (part._files(None).folder / "tickets.jsonl").write_text(
        text + json.dumps({"message": "Hi", "ticket": HOSTILE}) + "\n"
    )
    told, name = made(part, way="format", rows="tickets.jsonl", to="yaml")
    assert name == "tickets-yaml.jsonl"
    assert [row["ticket"] for row in rows(part, name)] == [f"product: loan\namount: {n}" for n in (1, 2)]
    assert "Line 3" in told
    told, name = made(part, way="format", rows="tickets.jsonl", to="markdown", heading="Case")
    assert rows(part, str(name))[0]["ticket"].startswith("# Case\n")
    (part._files(None).folder / "words.jsonl").write_text('{"prompt": "a", "response": "b"}\n')
    told, name = made(part, way="format", rows="words.jsonl")
    assert "no row that can be written in yaml" in told
    assert name is None


def test_writing_anew_tells_how_far_it_is_and_stops_where_it_is_left(part: Any) -> None:
    row = json.dumps({"message": "Hi", "ticket": {"product": "loan"}}) + "\n"
    (part._files(None).folder / "many.jsonl").write_text(row * 500)
    values = {name: component.value for name, component in part.fields.items()} | {
        "rows": "many.jsonl",
        "way": "format",
    }
    told: list[Told] = []

    def tell(line: Told) -> None:
        told.append(line)
        if line.done >= 200:
            raise Stopped("Stopped.")

    with pytest.raises(Stopped):
        part._work(request(), part._files(None), values, "en")(tell, Event())
    assert (told[-1].done, told[-1].total) == (200, 500)
    assert told[-1].line == "Writing many.jsonl anew: row 200 of 500 …"
    assert part._files(None).names() == ["many.jsonl"]


def test_columns_that_cannot_be_guessed_can_be_named(part: Any, teacher: ChatStub) -> None:
    row = {"frage": "Wer?", "antwort": '{"name": "Ann"}', "mehr": "x"}
    (part._files(None).folder / "fragen.jsonl").write_text(json.dumps(row) + "\n")
    given: dict[str, Any] = {"way": "format", "rows": "fragen.jsonl"}
    assert "cannot be guessed" in made(part, **given)[0]
    told, name = made(part, **given, prompt_column=" frage ", response_column="antwort")
    assert rows(part, str(name))[0]["antwort"] == "name: Ann", told
    given = {"way": "teacher", "prompts": "fragen.jsonl", "address": teacher.url, "model": "m"}
    assert "cannot be guessed. It has frage, antwort, mehr; name one." in made(part, **given)[0]
    told, name = made(part, **given, asked_column="frage")
    assert rows(part, str(name))[0]["prompt"] == "Wer?", told


def test_one_s_own_thumbs_and_votes_make_rows_and_nobody_else_s(part: Any) -> None:
    database = Database(part._startup.settings.history)
    for who in ("ann", "bob"):
        (key,) = keys_of([liked := turn(f"liked by {who}")])
        Feedback(database).give(owner_of(request(who=who)), key, liked, thumb=Thumb(True, "Better."))
        answers = tuple(turn(f"voted by {who}", said=said).answer for said in ("First.", "Second."))
        Votes(database).put(owner_of(request(who=who)), Vote("c", ONE, answers, winner=1))  # type: ignore[arg-type]
    told, name = made(part, "ann", way="feedback")
    assert name == "my-feedback.jsonl"
    assert "2 rows of 1 thumbs and 1 votes" in told
    found = {tuple(turn["content"] for turn in row["messages"][-2:]) for row in rows(part, name)}
    assert found == {("liked by ann", "Better."), ("voted by ann", "Second.")}
    assert made(part, "ann", way="feedback")[1] == "my-feedback-2.jsonl", "nothing is written over"
    assert "No thumb or vote of yours" in made(part, "eve", way="feedback")[0]
    assert "keeps no cookie" in made(part, way="feedback")[0]
    database.close()


def test_choices_speak_chinese_where_the_browser_does(part: Any) -> None:
    assert "语料库及其问题" in str(part._redraw(request("zh"), None)[0].choices)
