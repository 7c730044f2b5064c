"""Reading corpora: what is there is read, what is broken is told with its file and place."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crossfade.corpora.registry import list_corpora, read_corpus, read_rows
from crossfade.errors import CorpusError
from crossfade.types import Example
from fake_engine import TOML, write_corpus


def test_a_corpus_is_read_as_it_is_written(tmp_path: Path) -> None:
    write_corpus(tmp_path)
    corpus = read_corpus(tmp_path, "bank")
    assert (corpus.name, corpus.title, corpus.default_task, corpus.passages) == ("bank", "Bank", "answer", 2)
    assert (corpus.task("").name, corpus.task("answer").examples, corpus.task("answer").max_new_tokens) == (
        "answer",
        2,
        20,
    )
    assert corpus.task("ticket").schema == {"type": "object"}
    assert (corpus.task("ticket").form, corpus.task("ticket").enforceable) == ("json", {"type": "object"})
    assert corpus.task_of_adapter("json").name == "ticket"
    assert corpus.task_of_adapter("of no task").name == "answer"
    assert corpus.examples == {"answer": (Example("Is there a fee?", "Yes, $7"),)}
    (document,) = corpus.documents
    assert (document.name, document.title) == ("fees", "Fees")
    assert document.text.startswith("# Fees")


def test_documents_come_sorted_and_have_a_title_with_or_without_a_heading(tmp_path: Path) -> None:
    docs = write_corpus(tmp_path) / "docs"
    (docs / "a-plain-note.md").write_text("No heading here.", encoding="utf-8")
    (docs / "zebra.md").write_text("\ufeff## Stripes\n\nBlack and white.", encoding="utf-8")
    documents = read_corpus(tmp_path, "bank").documents
    assert [(d.name, d.title) for d in documents] == [
        ("a-plain-note", "A plain note"),
        ("fees", "Fees"),
        ("zebra", "Stripes"),
    ]


def test_the_hash_of_a_document_changes_with_any_byte(tmp_path: Path) -> None:
    path = write_corpus(tmp_path) / "docs" / "fees.md"
    before = read_corpus(tmp_path, "bank").documents[0].sha256
    assert read_corpus(tmp_path, "bank").documents[0].sha256 == before
    path.write_bytes(path.read_bytes() + b" ")
    assert read_corpus(tmp_path, "bank").documents[0].sha256 != before


def test_an_unknown_corpus_is_told_with_the_known_ones(tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match=r"'bnak'.*none"):
        read_corpus(tmp_path, "bnak")
    write_corpus(tmp_path)
    write_corpus(tmp_path, "shop")
    assert list_corpora(tmp_path) == ["bank", "shop"]
    with pytest.raises(CorpusError, match=r"Unknown corpus 'bnak'. Known: bank, shop\."):
        read_corpus(tmp_path, "bnak")


@pytest.mark.parametrize("name", ["..", "../bank", "bank/../bank", "/etc", "", "Bank", "a" * 65, "bank\n"])
def test_a_name_never_leaves_the_folder_of_corpora(name: str, tmp_path: Path) -> None:
    write_corpus(tmp_path / "inner")
    write_corpus(tmp_path)
    with pytest.raises(CorpusError, match="Unknown corpus"):
        read_corpus(tmp_path / "inner", name)


def test_an_unknown_task_is_told_with_the_known_ones(tmp_path: Path) -> None:
    write_corpus(tmp_path)
    with pytest.raises(CorpusError, match=r"'tikcet' of corpus 'bank'. Known: answer, ticket\."):
        read_corpus(tmp_path, "bank").task("tikcet")


BROKEN_TOML = {
    "not TOML": ("title = = 3\n", "line 1, column 9"),
    "no title": (TOML.replace('title = "Bank"', ""), "'title'"),
    "no default task": (TOML.replace('default_task = "answer"', ""), "'default_task'"),
    "default task unknown": (TOML.replace('default_task = "answer"', 'default_task = "reply"'), "'reply'"),
    "no tasks": ('title = "Bank"\ndefault_task = "answer"\n', "'tasks'"),
    "tasks are no table": ('title = "Bank"\ndefault_task = "answer"\ntasks = 3\n', "tasks.NAME"),
    "a task is no table": ('title = "B"\ndefault_task = "a"\n[tasks]\na = "x"\n', "tasks.NAME"),
    "no instructions": (TOML.replace('instructions = "Write a ticket."', ""), "'instructions'"),
    "no passages": (TOML.replace("passages = 2", "passages = 0"), "passages = 0"),
    "passages in words": (TOML.replace("passages = 2", 'passages = "two"'), "passages = 'two'"),
    "negative tokens": (TOML.replace("max_new_tokens = 20", "max_new_tokens = -1"), "max_new_tokens = -1"),
    "half an example": (TOML.replace("examples = 2", "examples = 0.5"), "examples = 0.5"),
    "questions elsewhere": (TOML.replace("examples = 2", 'questions = "../x.jsonl"'), "questions = '../x.jsonl'"),
    "questions in a number": (TOML.replace("examples = 2", "questions = 3"), "questions = 3"),
    "another form": (
        TOML.replace("examples = 2", 'form = "xml"'),
        "form = 'xml', which must be json, yaml or markdown",
    ),
    "schema missing": (TOML.replace("ticket.schema.json", "nowhere.json"), "nowhere.json"),
}


@pytest.mark.parametrize("case", BROKEN_TOML)
def test_a_broken_corpus_toml_is_told_in_one_line_with_its_path_and_place(case: str, tmp_path: Path) -> None:
    text, told = BROKEN_TOML[case]
    folder = write_corpus(tmp_path, toml=text)
    with pytest.raises(CorpusError) as caught:
        read_corpus(tmp_path, "bank")
    assert told in str(caught.value)
    assert str(folder) in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("data", [b"\xff\xfe\x00", b"title = '\xe9'", b"a=" + b"[" * 5000])
def test_a_corpus_toml_of_other_bytes_is_told(data: bytes, tmp_path: Path) -> None:
    (write_corpus(tmp_path) / "corpus.toml").write_bytes(data)
    with pytest.raises(CorpusError, match=r"corpus\.toml cannot be read"):
        read_corpus(tmp_path, "bank")


@pytest.mark.parametrize(
    "text",
    [
        *("", "{", "[" * 5000, "[]", "null", '"text"'),
        '{"type": "strng"}',
        '{"properties": {"date": {"type": "string", "pattern": "["}}}',
        '{"properties": 3}',
    ],
)
def test_a_broken_schema_is_told_with_its_task(text: str, tmp_path: Path) -> None:
    (write_corpus(tmp_path) / "ticket.schema.json").write_text(text, encoding="utf-8")
    with pytest.raises(CorpusError, match=r"ticket\.schema\.json, the schema of task 'ticket'"):
        read_corpus(tmp_path, "bank")


def test_a_folder_whose_name_is_not_allowed_is_told_so(tmp_path: Path) -> None:
    write_corpus(tmp_path, "Harbor Bank")
    with pytest.raises(CorpusError, match="Harbor Bank cannot be a corpus: name it with up to 64 of a-z"):
        read_corpus(tmp_path, "Harbor Bank")


def test_half_of_a_character_in_a_row_is_told_with_its_line(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text('{"question": "fine \\ud83d\\ude00"}\n{"question": "half \\ud800"}\n', encoding="utf-8")
    with pytest.raises(CorpusError, match=r"rows\.jsonl, line 2: .*half of a character"):
        read_rows(path)


def test_missing_documents_are_told_with_where_they_belong(tmp_path: Path) -> None:
    (write_corpus(tmp_path) / "docs" / "fees.md").unlink()
    with pytest.raises(CorpusError, match=r"has no documents: put Markdown files into .*docs"):
        _ = read_corpus(tmp_path, "bank").documents


@pytest.mark.parametrize("data", [b"", b" \n\t\n", b"\xef\xbb\xbf"])
def test_an_empty_document_is_told_by_name(data: bytes, tmp_path: Path) -> None:
    (write_corpus(tmp_path) / "docs" / "cards.md").write_bytes(data)
    with pytest.raises(CorpusError, match=r"cards\.md is empty"):
        _ = read_corpus(tmp_path, "bank").documents


def test_a_document_that_is_not_utf8_is_told_with_the_byte(tmp_path: Path) -> None:
    (write_corpus(tmp_path) / "docs" / "cards.md").write_bytes("# Café".encode("latin-1"))
    with pytest.raises(CorpusError, match=r"cards\.md is not UTF-8 text \(byte 5\)"):
        _ = read_corpus(tmp_path, "bank").documents


def test_a_folder_in_place_of_a_document_is_told(tmp_path: Path) -> None:
    (write_corpus(tmp_path) / "docs" / "cards.md").mkdir()
    with pytest.raises(CorpusError, match=r"cards\.md cannot be read"):
        _ = read_corpus(tmp_path, "bank").documents


def test_a_corpus_without_examples_has_none(tmp_path: Path) -> None:
    (write_corpus(tmp_path) / "examples.jsonl").unlink()
    assert read_corpus(tmp_path, "bank").examples == {}


@pytest.mark.parametrize(
    "row", [{"task": "answer", "question": "?"}, {"task": "answer", "question": " ", "answer": "x"}, {}]
)
def test_an_incomplete_example_is_told_with_its_line(row: dict[str, str], tmp_path: Path) -> None:
    path = write_corpus(tmp_path) / "examples.jsonl"
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps(row) + "\n")
    with pytest.raises(CorpusError, match=r"examples\.jsonl, line 2: .*task, question and answer"):
        _ = read_corpus(tmp_path, "bank").examples


values = st.recursive(st.none() | st.booleans() | st.integers() | st.text(), lambda inner: st.lists(inner, max_size=3))
rows = st.lists(st.dictionaries(st.text(max_size=5), values, max_size=3), max_size=5)


@settings(deadline=None, max_examples=50)
@given(rows, st.booleans(), st.sampled_from(["\n", "\r\n"]))
def test_rows_that_are_written_are_read_back_whatever_signs_they_hold(
    tmp_path_factory: pytest.TempPathFactory, written: list[dict[str, object]], ascii_only: bool, end: str
) -> None:
    path = tmp_path_factory.mktemp("rows") / "rows.jsonl"
    lines = [json.dumps(row, ensure_ascii=ascii_only) for row in written]
    path.write_bytes("".join(line + end for line in lines).encode("utf-8", "surrogatepass" if ascii_only else "strict"))
    assert read_rows(path) == written


def test_a_line_separator_inside_a_text_does_not_end_a_row(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text('{"question": "one\u2028two\x85three"}\n{"question": "next"}', encoding="utf-8")
    assert [row["question"] for row in read_rows(path)] == ["one\u2028two\x85three", "next"]


@pytest.mark.parametrize(
    ("line", "place"),
    [
        ('{"question": }', "line 2, column 14"),
        ("{'question': 1}", "line 2, column 2"),
        ("", "line 2, column 1"),
        ("[1]", "line 2: expected a JSON object, found list"),
        ("null", "line 2: expected a JSON object, found NoneType"),
        ("[" * 100_000, "line 2: a number is too long or the nesting too deep"),
        ('{"a": ' + "9" * 5000 + "}", "line 2: a number is too long or the nesting too deep"),
    ],
)
def test_the_first_broken_line_is_told_with_line_and_column(line: str, place: str, tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text('{"question": "fine"}\n' + line + "\n{broken too\n", encoding="utf-8")
    with pytest.raises(CorpusError) as caught:
        read_rows(path)
    assert f"{path}, {place}" in str(caught.value)
    assert len(str(caught.value)) < 500


@pytest.mark.parametrize("data", [b'{"a": "\xff"}', None])
def test_a_file_of_rows_that_cannot_be_read_is_told(data: bytes | None, tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    if data is not None:
        path.write_bytes(data)
    with pytest.raises(CorpusError, match=r"Cannot read .*rows\.jsonl"):
        read_rows(path)
