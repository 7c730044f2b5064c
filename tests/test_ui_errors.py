"""Errors of the core on the Chinese page: each has a Chinese text, and real ones are shown in it."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("gradio")

from core_wordings import VALUE, modules, raised, shape, told
from crossfade.adapters.registry import Registry
from crossfade.corpora.own_schema import read_schema
from crossfade.corpora.registry import read_corpus
from crossfade.errors import CrossfadeError
from crossfade.prompts import clean_question
from crossfade.training.table import read_table
from crossfade.ui.answering import sentence
from crossfade.ui.asked import PASTED, questions_of
from crossfade.ui.language import is_said, texts
from crossfade.ui.phrases import said

COMMAND_LINE = {"terminal.py", "ui/app.py"}
"""Beside cli*.py: modules whose errors no visitor of the page can meet, only who starts it."""
COMPOSED = {"said_adapters.shape_and_e", "said_question.and_the"}
"""Texts whose English is put together of pieces that stand apart in the source."""
SAID = {key: entry["en"] for key, entry in texts().items() if is_said(key)}
REACHED = [name for name in modules() if not name.startswith("cli") and name not in COMMAND_LINE]


@pytest.mark.parametrize("module", [name for name in REACHED if list(raised(name))])
def test_each_error_that_a_module_raises_has_a_chinese_text(module: str) -> None:
    known = {shape(english) for english in SAID.values()}
    assert [f"{module}:{line} {wording}" for line, wording in raised(module) if wording not in known] == []


@pytest.mark.parametrize("module", [name for name in REACHED if list(raised(name))])
def test_each_error_is_said_with_its_values_in_it(module: str) -> None:
    for line, wording in raised(module):
        first, *rest = wording.split(VALUE)
        marks = [f"<{number}>" for number in range(len(rest))]
        text = first + "".join(mark + part for mark, part in zip(marks, rest, strict=True))
        chinese = said("zh", text)
        assert re.search(r"[\u4e00-\u9fff]", chinese), f"{module}:{line} {text}"
        assert [mark for mark in marks if mark not in chinese] == [], f"{module}:{line} {chinese}"


def test_no_text_is_kept_for_an_error_that_nothing_raises() -> None:
    core = {wording for module in REACHED for wording in told(module)}
    own = {
        key: text
        for key, text in SAID.items()
        if not key.startswith(("said.", "said_library.")) and key not in COMPOSED
    }
    assert [key for key, text in own.items() if shape(text) not in core] == []


def test_what_is_said_of_the_library_is_what_it_says(tmp_path: Path) -> None:
    for text in ("", "{1", '{"a" 1}', '{"a": 1} 2', '"a', '"\n"', '"\\x"', '"\\u12"'):
        with pytest.raises(json.JSONDecodeError) as error:
            json.loads(text)
        assert said("zh", error.value.msg) != error.value.msg, error.value.msg
        assert not re.search("[a-z]{3,}", said("zh", str(error.value)))
    with pytest.raises(FileNotFoundError) as missing:
        (tmp_path / "A").read_text()
    assert said("zh", str(missing.value)).startswith("没有文件")


def bad_corpus(folder: Path) -> None:
    (folder / "x").mkdir()
    (folder / "x" / "corpus.toml").write_text('title = "X"\ndefault_task = "a"\n[tasks.b]\ninstructions = "I"\n')
    read_corpus(folder, "x")


def bad_rows(folder: Path) -> None:
    (folder / "r.csv").write_bytes("prompt,response\na,b\nc,\xe9\n".encode("latin-1"))
    read_table(folder / "r.csv")


def test_pasted_questions_are_told_by_line_in_chinese(tmp_path: Path) -> None:
    with pytest.raises(CrossfadeError) as error:
        questions_of(None, PASTED, '{"question": "a"}\n{"question": ""}', language="zh")  # type: ignore[arg-type]
    assert sentence(error.value, "zh") == "您的问题，第 2 行：没有问题。请写成文本。"


@pytest.mark.parametrize(
    ("act", "wanted"),
    [
        (lambda folder: Registry({}, {}).get("Z"), "未知适配器 'Z'。可用：无。"),
        (lambda folder: clean_question("a" * 200_000), "问题有 200,000 个字符，最多读取 100,000 个。请缩短。"),
        (lambda folder: clean_question(" "), "问题为空。请写下想问的内容。"),
        (bad_corpus, "{folder}/x/corpus.toml：default_task 为 'a'；已有任务：b。"),
        (bad_rows, "r.csv，第 3 行第 3 列：字节 0xe9 不是 UTF-8。请将文件存为 UTF-8；在电子表格中选“CSV UTF-8”。"),
        (lambda folder: read_schema("[]"), 'schema 应是 JSON 对象，例如 {{"type": "object", "properties": {{}}}}。'),
        (lambda folder: read_schema('{"a": }'), "schema 不是 JSON：此处应有值，第 1 行第 7 列。"),
    ],
)
def test_real_errors_are_shown_in_chinese(act: Callable[[Path], Any], wanted: str, tmp_path: Path) -> None:
    with pytest.raises(CrossfadeError) as error:
        act(tmp_path)
    assert sentence(error.value, "zh") == wanted.format(folder=tmp_path)
    assert sentence(error.value, "en") == str(error.value)
