"""Conversations as files: what goes out comes in again, and a file from anybody does no harm."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from crossfade.errors import StorageError
from crossfade.history import export
from crossfade.history.conversations import Kept
from crossfade.history.export import Words, from_json, plain, readable, to_json, to_markdown
from history_kit import DOMAIN, failed, turn

WORDS = Words("Question", "Answer", "Sources", "Error:")


def kept(title: str = "Fees") -> Kept:
    return Kept(title, (turn("What is the fee?", blend=DOMAIN), failed("Next?")), created=5.0)


@settings(deadline=None)
@given(title=st.text(min_size=1, max_size=50), said=st.text())
def test_what_is_exported_comes_in_again(title: str, said: str) -> None:
    whole = Kept(title, (turn("q", said=said),), created=5.0, id="mine", keys=("k",))
    (again,) = from_json(to_json([whole]))
    assert again.turns == whole.turns
    assert (again.id, again.keys, again.created) == ("", (), 5.0)


def test_a_schema_does_not_travel() -> None:
    hostile = replace(turn("q"), schema={"pattern": "(a+)+$"}, form="yaml")
    text = to_json([Kept("t", (hostile,))])
    assert "(a+)+" not in text
    told = json.loads(text)
    told["conversations"][0]["turns"][0]["schema"] = {"pattern": "(a+)+$"}
    (back,) = from_json(json.dumps(told))
    assert (back.turns[0].schema, back.turns[0].form) == (None, "yaml")


def spoiled(change: Callable[[dict[str, Any]], Any]) -> str:
    told = json.loads(to_json([kept()]))
    change(told)
    return json.dumps(told)


def first(told: dict[str, Any]) -> dict[str, Any]:
    turn: dict[str, Any] = told["conversations"][0]["turns"][0]
    return turn


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "no file of exported conversations"),
        ("PK\x03\x04", "no file of exported conversations"),
        ("[]", "no file of exported conversations"),
        ('{"format": "crossfade conversations", "version": 1, "conversations": []}', "no turn"),
        (spoiled(lambda t: t.update(format="else")), "format 'else'"),
        (spoiled(lambda t: t.update(version=2)), "version 2"),
        (spoiled(lambda t: first(t)["query"].pop("text")), r"conversations\.0\.turns\.0\.query\.text"),
        (spoiled(lambda t: first(t)["query"].update(rag="perhaps")), r"query\.rag"),
        (spoiled(lambda t: first(t).update(answer=None)), "turn 1 has neither"),
        (spoiled(lambda t: first(t)["answer"]["generation"].update(finish="")), "does not end"),
        (spoiled(lambda t: first(t)["query"]["sampling"].update(max_new_tokens=10**9)), "max_new_tokens"),
        (spoiled(lambda t: first(t)["query"]["sampling"].update(temperature=-1)), "temperature"),
        (spoiled(lambda t: first(t)["query"]["sampling"].update(seed=-1)), "seed"),
        (spoiled(lambda t: first(t)["answer"]["query"].update(blend=[["domain", 99]])), "weight"),
        (spoiled(lambda t: first(t)["answer"]["passages"][0].update(score=float("nan"))), "number that is none"),
        (spoiled(lambda t: first(t)["answer"].update(seconds_before=float("inf"))), "number that is none"),
        (spoiled(lambda t: first(t)["query"].update(text="\ud800")), "no file of exported conversations"),
    ],
)
def test_another_file_is_refused_in_a_sentence(text: str, why: str) -> None:
    with pytest.raises(StorageError, match=why) as refused:
        from_json(text)
    assert len(str(refused.value)) < 400


def test_a_file_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    text = to_json([kept(), kept()])
    for name, limit in (("MOST_BYTES", 100), ("MOST_CONVERSATIONS", 1), ("MOST_TURNS", 3)):
        with monkeypatch.context() as patch:
            patch.setattr(export, name, limit)
            with pytest.raises(StorageError):
                from_json(text)
            with pytest.raises(StorageError, match="one by one"):
                to_json([kept(), kept()])
    assert from_json(text)


@settings(deadline=None)
@given(text=st.text(alphabet=st.sampled_from("<>&[]()!*_`#|~-+=1. \n\\a$:/"), max_size=60))
def test_nothing_in_markdown_is_markup(text: str) -> None:
    commonmark = pytest.importorskip("markdown_it")
    shown = commonmark.MarkdownIt("commonmark", {"html": True}).render(f"{plain(text)}\n")
    assert set(found := _tags(shown)) <= {"p", "br"}, (shown, found)


@settings(deadline=None, max_examples=400)
@given(text=st.text(alphabet=st.sampled_from('<>&[]()!*_`#|~-+=1. \n\\a$:/"\r'), max_size=60))
@example("` ![x](http://evil) `")
@example("`\n` ![x](http://evil) `")
@example("[x\\](http://evil)")
@example("- ```\n  a")
@example("[a]: http://evil\n\n[a]")
def test_nothing_of_an_answer_in_markdown_loads_or_leads_or_stays_open(text: str) -> None:
    commonmark = pytest.importorskip("markdown_it")
    shown = commonmark.MarkdownIt("commonmark", {"html": True}).enable("table").render(f"{readable(text)}\n\nend\n")
    assert shown.endswith("<p>end</p>\n")
    assert not set(_tags(shown)) & {"a", "img", "b"}, shown
    assert shown.count("a") >= text.count("a"), "and it is all there"


def test_an_answer_s_markdown_is_kept() -> None:
    text = "# Fees\n\n- **Harbor** is $7\n- see [x](http://y)\n\n```python\nif a[1] < b:\n    c()\n"
    made = readable(text)
    assert "# Fees" in made
    assert "- **Harbor** is \\$7  \n- see [x\\](http://y)" in made
    assert made.endswith("```python\nif a[1] < b:\n    c()\n\n```")
    assert readable("It is $7.") == "It is \\$7."


def _tags(html: str) -> list[str]:
    import re

    return re.findall(r"<([a-z]+[0-9]?)", html)


def test_markdown_is_for_reading() -> None:
    text = to_markdown([kept("<img src=x>")], WORDS)
    assert "# &lt;img src=x&gt;" in text
    assert "**Question**\n\nWhat is the fee?" in text
    assert "**Answer** (hybrid, domain x 1 ababababab)\n\nSeven dollars." in text
    assert "1. Fees &gt; Monthly" in text
    assert "**Error:** The engine fell over." in text
