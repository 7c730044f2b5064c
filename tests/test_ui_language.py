"""The page's languages: every text in each, and whose choice counts."""

from __future__ import annotations

import re
import string
from types import SimpleNamespace
from typing import Any

import pytest

pytest.importorskip("gradio")

from crossfade.ui import language


def request(chosen: str = "", accepted: str = "") -> Any:
    cookies = {language.COOKIE: chosen} if chosen else {}
    return SimpleNamespace(cookies=cookies, headers={"accept-language": accepted} if accepted else {})


def fields(text: str) -> set[str]:
    return {name for _, name, _, _ in string.Formatter().parse(text) if name is not None}


def test_every_text_is_there_in_every_language_with_the_same_values() -> None:
    for key, entry in language.texts().items():
        assert set(entry) == set(language.LANGUAGES), key
        assert all(text.strip() for text in entry.values()), key
        assert len({frozenset(fields(text)) for text in entry.values()}) == 1, key


def test_a_chinese_text_is_chinese() -> None:
    same = [key for key, entry in language.texts().items() if not re.search(r"[\u4e00-\u9fff]", entry["zh"])]
    assert same == []


def test_every_key_that_the_code_names_is_there_and_every_text_is_used() -> None:
    source = "\n".join(path.read_text(encoding="utf-8") for path in language.FOLDER.parent.glob("*.py"))
    texts = {key for key in language.texts() if not language.is_said(key)}
    stems = "|".join({key.split(".")[0] for key in texts})
    named = set(re.findall(rf'"((?:{stems})\.[a-z0-9_]+)"', source))
    assert named - texts == set()
    assert texts - named == set()


@pytest.mark.parametrize(
    ("chosen", "accepted", "shown"),
    [
        ("", "", "en"),
        ("", "zh-CN,zh;q=0.9,en;q=0.8", "zh"),
        ("", "de-DE,zh;q=0.5,en;q=0.3", "zh"),
        ("", "de-DE,fr;q=0.5", "en"),
        ("en", "zh-CN", "en"),
        ("zh", "en-US", "zh"),
        ("<script>", "zh", "zh"),
    ],
)
def test_the_readers_choice_goes_before_the_browsers_languages(chosen: str, accepted: str, shown: str) -> None:
    assert language.language_of(request(chosen, accepted)) == shown


def test_an_unknown_text_is_an_error_at_once() -> None:
    with pytest.raises(KeyError):
        language.label("chat.nothing")
