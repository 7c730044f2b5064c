"""Laws of reading rows: every kind of file tells the same rows, and what is broken is told with its line."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from crossfade.errors import TrainingError
from crossfade.training.table import Table, read_table

ROWS = [{"prompt": "How much\nis it, really?", "response": "$7"}, {"prompt": 'Who "signs"?', "response": "Jo — häufig"}]


def written(folder: Path, name: str, content: str | bytes) -> Path:
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def as_csv(rows: list[dict[str, Any]], delimiter: str = ",") -> str:
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]), delimiter=delimiter)
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def values(table: Table) -> list[dict[str, Any]]:
    return [record.values for record in table.records]


KINDS = {
    "rows.jsonl": "\n".join(map(json.dumps, ROWS)),
    "rows.ndjson": "\r\n".join(map(json.dumps, ROWS)) + "\r\n\r\n",
    "rows.json": json.dumps(ROWS, indent=1),
    "wrapped.json": json.dumps({"version": 1, "tags": ["a"], "data": ROWS}),
    "lines.json": "\n".join(map(json.dumps, ROWS)),
    "rows.csv": as_csv(ROWS),
    "semicolons.csv": as_csv(ROWS, ";"),
    "rows.tsv": as_csv(ROWS, "\t"),
    "UPPER.CSV": as_csv(ROWS),
}


@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
@pytest.mark.parametrize("name", KINDS)
def test_every_kind_of_file_tells_the_same_rows_with_or_without_a_byte_order_mark(
    name: str, mark: bytes, tmp_path: Path
) -> None:
    table = read_table(written(tmp_path, name, mark + KINDS[name].encode()))
    assert (values(table), table.broken, table.columns) == (ROWS, (), ("prompt", "response"))


def test_parquet_tells_the_same_rows(tmp_path: Path) -> None:
    pyarrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    parquet.write_table(pyarrow.Table.from_pylist(ROWS), tmp_path / "rows.parquet")
    assert values(read_table(tmp_path / "rows.parquet")) == ROWS
    with pytest.raises(TrainingError, match=r"no Parquet file.*Save the rows as JSONL"):
        read_table(written(tmp_path, "false.parquet", "no such thing"))


def test_texts_that_parquet_holds_as_bytes_are_texts_and_other_bytes_a_broken_row(tmp_path: Path) -> None:
    pyarrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    rows = [{"prompt": b"Sch\xc3\xb6n?", "response": "yes"}, {"prompt": b"\xff\xd8", "response": "no"}]
    parquet.write_table(pyarrow.Table.from_pylist(rows), tmp_path / "rows.parquet")
    table = read_table(tmp_path / "rows.parquet")
    assert values(table) == [{"prompt": "Schön?", "response": "yes"}]
    assert [(row.line, row.why) for row in table.broken] == [(2, "it holds bytes that are no text in UTF-8")]


def test_without_pyarrow_parquet_says_how_to_go_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "pyarrow.parquet", None)
    with pytest.raises(TrainingError, match="pip install pyarrow"):
        read_table(written(tmp_path, "rows.parquet", b"PAR1"))


TEXTS = st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\0"), max_size=20)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
@given(rows=st.lists(st.fixed_dictionaries({"prompt": TEXTS, "response": TEXTS}), min_size=1, max_size=5))
def test_what_is_written_as_jsonl_json_and_csv_is_read_back(rows: list[dict[str, str]], tmp_path: Path) -> None:
    lines = "\n".join(json.dumps(row, ensure_ascii=False) for row in rows)
    for name, text in (("a.jsonl", lines), ("a.json", json.dumps(rows, indent=2)), ("a.csv", as_csv(rows))):
        table = read_table(written(tmp_path, name, text))
        assert (values(table), table.broken) == (rows, ())


@pytest.mark.parametrize("name", ["rows.jsonl", "rows.json"])
def test_a_row_s_line_is_where_it_begins(name: str, tmp_path: Path) -> None:
    texts = [json.dumps(row, indent=1) if name.endswith(".json") else json.dumps(row) for row in ROWS * 3]
    text = "[" + ",\n\n".join(texts) + "]" if name.endswith(".json") else "\n".join(texts)
    for record in read_table(written(tmp_path, name, text)).records:
        assert text.split("\n")[record.line - 1].lstrip("[").startswith("{")


def test_a_csv_row_s_line_is_its_first_however_many_it_spans(tmp_path: Path) -> None:
    table = read_table(written(tmp_path, "a.csv", 'prompt,response\n"a\nb\nc",x\nd,y\n'))
    assert [(record.line, record.values["response"]) for record in table.records] == [(2, "x"), (5, "y")]


DAMAGED = st.lists(st.sampled_from([b'"', b",", b"{", b"}", b"[", b"]", b":", b"a", b"\n", b"\r", b"1", b"\t"])).map(
    b"".join
)
GOOD = '{"prompt": "a", "response": "b"}'


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("{broken", "column 2: not JSON"),
        ("[1, 2]", "an object is expected"),
        ('"text"', "an object is expected, not a text"),
        ("7", "an object is expected, not a number"),
        ("{}", "the object is empty"),
        ("", "the line is empty"),
        ('{"prompt": "\\ud83d"}', "half of a character"),
        ('{"prompt": NaN}', "NaN"),
        ("9" * 5000, "too long"),
        ("[" * 100_000, "nesting too deep"),
    ],
)
def test_a_broken_line_is_listed_and_the_others_are_read(line: str, why: str, tmp_path: Path) -> None:
    table = read_table(written(tmp_path, "a.jsonl", f"{GOOD}\n{line}\n{GOOD}\n"))
    assert [record.line for record in table.records] == [1, 3]
    ((number, told),) = [(row.line, row.why) for row in table.broken]
    assert (number, why in told) == (2, True), told


@pytest.mark.parametrize(
    ("rows", "line", "why"),
    [
        ("a,b\nc\nd,e\n", 3, "1 cells and the header 2"),
        ("a,b\nc,d,e\n", 3, "3 cells and the header 2"),
        ("a,b\n\nc,d\n", 3, "the line is empty"),
        ('a,b\n"c"d,e\n', 3, "quote"),
        ('a,b\n"c,d\n', 3, "quote that is not closed"),
        ('a,b\n"c,d\ne,f\ng,"h"\n', 3, "with it the lines up to 5 are left out"),
        (f"a,b\n{'word ' * 30_000},c\n", 3, "a text has more than 131,072 characters; shorten it, or look for a quote"),
    ],
)
def test_a_broken_csv_row_is_listed_and_the_others_are_read(rows: str, line: int, why: str, tmp_path: Path) -> None:
    table = read_table(written(tmp_path, "a.csv", f"prompt,response\n{rows}"))
    assert table.records[0].values == {"prompt": "a", "response": "b"}
    ((number, told),) = [(row.line, row.why) for row in table.broken]
    assert (number, why in told) == (line, True), told


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("notes.docx", "x", r"notes\.docx is of another kind\. Allowed: \.jsonl.*as CSV"),
        ("rows", "x", "another kind"),
        ("sheet.csv", b"PK\x03\x04\x00\x00", "no text, whatever its name"),
        (
            "rows.csv",
            "prompt,response\nSchön,gut\n".encode("latin-1"),
            r"line 2, column 4: the byte 0xf6 is not UTF-8\. Save",
        ),
        ("rows.jsonl", f"{GOOD}\n\n".encode() + b'{"prompt": "\xe9"}', "line 3, column 13: the byte 0xe9"),
        ("rows.json", b'[\n{"prompt":\n"\xe9"}]', "line 3, column 2: the byte 0xe9"),
        ("rows.csv", "prompt,response\na,b\n".encode("utf-16"), "line 1: the encoding is UTF-16"),
        ("rows.jsonl", "", "no rows"),
        ("rows.jsonl", "\n\n", "no rows"),
        ("rows.jsonl", "nonsense\n", r"no rows that can be read\. The first: line 1, column 1: not JSON"),
        ("rows.json", "", "no rows"),
        ("rows.json", "[]", "no rows"),
        ("rows.json", '{"data": []}', "no rows"),
        ("rows.csv", "", "no rows"),
        ("rows.csv", "prompt,response\n", "no rows"),
        ("rows.json", '{"a": 1}', "one such list; there is none"),
        ("rows.json", '{"a": [{}], "b": [{}]}', r"there is several \(a, b\)"),
        ("rows.json", "7", "there is none"),
        ("rows.json", '[{"a": 1},\n{"a": ]', r"line 2, column 7: not JSON"),
        ("rows.json", '[{"a": 1}\n{"a": 2}]', r"line 2, column 1: not JSON \(expected ','\)"),
        ("rows.json", '[{"a": 1}', "not JSON"),
        ("rows.json", '[{"a": 1}]\n[{"a": 2}]', r"line 2, column 1: not JSON \(Extra data\)"),
        ("rows.json", '{"data": [{"a": 1}]}\n}', r"line 2, column 1: not JSON \(Extra data\)"),
        ("rows.json", "[" * 100_000, "nesting too deep"),
        ("rows.csv", "prompt,response\ra,b\rc,d\r", "line 1: the header is not CSV .* Save the file anew"),
        ("rows.csv", "text,text\na,b\n", r"line 1: the column 'text' stands there twice"),
    ],
)
def test_what_spoils_a_whole_file_is_one_clear_error(
    name: str, content: str | bytes, told: str, tmp_path: Path
) -> None:
    with pytest.raises(TrainingError, match=told):
        read_table(written(tmp_path, name, content))


def test_a_file_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="There is no file"):
        read_table(tmp_path / "rows.csv")
    (tmp_path / "folder.csv").mkdir()
    with pytest.raises(TrainingError, match="There is no file"):
        read_table(tmp_path / "folder.csv")


def test_a_file_is_read_up_to_the_largest_size_and_not_beyond(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = written(tmp_path, "a.jsonl", GOOD)
    monkeypatch.setattr("crossfade.training.table.MOST_BYTES", len(GOOD))
    assert len(read_table(path).records) == 1
    monkeypatch.setattr("crossfade.training.table.MOST_BYTES", len(GOOD) - 1)
    with pytest.raises(TrainingError, match=r"at most .* MB are read\. Take a sample"):
        read_table(path)


def test_a_file_of_200_megabytes_is_refused_unread(tmp_path: Path) -> None:
    with (tmp_path / "a.jsonl").open("wb") as file:
        file.truncate(200_000_000)
    with pytest.raises(TrainingError, match=r"a\.jsonl has 200\.0 MB; at most 100\.0 MB are read\. Take a sample"):
        read_table(tmp_path / "a.jsonl")


def test_more_rows_than_allowed_are_refused_broken_ones_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("crossfade.training.table.MOST_ROWS", 2)
    assert len(read_table(written(tmp_path, "a.jsonl", f"{GOOD}\nx")).broken) == 1
    with pytest.raises(TrainingError, match="more than 2 rows"):
        read_table(written(tmp_path, "a.jsonl", f"{GOOD}\nx\n{GOOD}"))
    with pytest.raises(TrainingError, match="more than 2 rows"):
        read_table(written(tmp_path, "a.jsonl", f"{GOOD}\n" + "\n" * 1000))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=150)
@given(name=st.sampled_from(["a.jsonl", "a.json", "a.csv", "a.tsv"]), data=st.binary(max_size=60) | DAMAGED)
def test_whatever_the_bytes_there_are_rows_or_one_clear_error(name: str, data: bytes, tmp_path: Path) -> None:
    path, told, lines = written(tmp_path, name, data), name, [1]
    try:
        table = read_table(path)
        lines = [row.line for row in (*table.records, *table.broken)]
    except TrainingError as error:
        told = str(error)
    assert told.startswith(name)
    assert len(set(lines)) == len(lines) or name == "a.json", "a JSON file may have several rows on a line"
    assert all(1 <= line <= data.count(b"\n") + 1 for line in lines)
