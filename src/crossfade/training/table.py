"""Read a file of rows, whatever its kind: JSONL, JSON, CSV, TSV, Parquet. Knows no form of training data.

A row that cannot be read is listed with its line and why, and the others are read. What spoils the whole file is an
error: another kind of file, another encoding, no rows, too many bytes or rows. JSONL and CSV are read line by line and
a JSON file item by item, so that memory holds the rows and at most the text of one file of the allowed size.
"""

from __future__ import annotations

import csv
import importlib
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from crossfade.errors import TrainingError
from crossfade.training.json_items import json_items

MOST_BYTES = 100_000_000
"""The largest file that is read; in Parquet, bytes are those unpacked. Training on so much takes days on a CPU, and
comparing its rows with each other 4 GB of memory."""
MOST_ROWS = 500_000
"""The most rows that are read: millions of tiny ones fit into the bytes, and not into memory."""
TOLD_EVERY = 5_000
_DELIMITERS = ",;\t|"
_KIND_NAMES: dict[type, str] = {list: "a list", str: "a text", bool: "true or false", type(None): "null"}
_EMPTY = "the line is empty"


@dataclass(frozen=True, slots=True)
class Record:
    """One row: the line on which it begins, from 1 (in Parquet the number of the row), and its values by column."""

    line: int
    values: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Broken:
    """A row that cannot be used: its line and, in one clause, why."""

    line: int
    why: str


@dataclass(frozen=True, slots=True)
class Table:
    """The rows of a file, those that cannot be read, and the names of all columns in the order of appearance."""

    name: str
    records: tuple[Record, ...]
    broken: tuple[Broken, ...]
    columns: tuple[str, ...]


Reader = Callable[[Path], Iterator[Record | Broken]]
"""Reads the rows of one kind of file."""


def read_table(path: Path, *, lines: bool = False, progress: Callable[[int], None] = lambda rows: None) -> Table:
    """Read the rows of a .jsonl, .json, .csv, .tsv or .parquet file.

    With `lines` a .txt file is read too: each line that is not empty is a row of the one column `prompt`. Raises
    TrainingError for another kind of file, a text that is not UTF-8 (naming the line), a file without a row that can be
    read, more than `MOST_BYTES` or `MOST_ROWS`, and JSON that breaks off. `progress` is told of the rows so far; what
    it raises ends the reading.
    """
    read = _reader(path, _KINDS | {".txt": _plain} if lines else _KINDS)
    records: list[Record] = []
    broken: list[Broken] = []
    columns: dict[str, None] = {}
    try:
        for row in _without_the_last_empty(read(path)):
            if isinstance(row, Broken):
                broken.append(row)
            else:
                records.append(row)
                columns.update(dict.fromkeys(row.values))
            if (rows := len(records) + len(broken)) % TOLD_EVERY == 0:
                progress(rows)
            if rows > MOST_ROWS:
                raise TrainingError(f"{path.name} has more than {MOST_ROWS:,} rows. Take a sample of them.")
    except OSError as error:
        raise TrainingError(f"{path} cannot be read: {error}.") from error
    if not records:
        first = f" The first: line {broken[0].line}, {broken[0].why}." if broken else ""
        raise TrainingError(f"{path.name} has no rows that can be read.{first} Give a prompt and a response in each.")
    return Table(path.name, tuple(records), tuple(broken), tuple(columns))


def _reader(path: Path, kinds: dict[str, Reader]) -> Reader:
    read = kinds.get(path.suffix.lower())
    if read is None:
        raise TrainingError(
            f"{path.name} is of another kind. Allowed: {', '.join(kinds)}. Save the rows as one of these, from a "
            "spreadsheet as CSV."
        )
    if not path.is_file():
        raise TrainingError(f"There is no file {path}. Give one of {', '.join(kinds)}.")
    if (size := path.stat().st_size) > MOST_BYTES:
        raise TrainingError(
            f"{path.name} has {size / 1e6:,.1f} MB; at most {MOST_BYTES / 1e6:,.1f} MB are read. Take a sample of its "
            "rows, or split it."
        )
    with path.open("rb") as file:
        head = file.read(4096)
    if head.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise TrainingError(f"{path.name}, line 1: the encoding is UTF-16. Save the file as UTF-8.")
    if b"\0" in head and read is not _parquet:
        raise TrainingError(f"{path.name} is no text, whatever its name says. Save the rows as JSONL or CSV in UTF-8.")
    return read


def _without_the_last_empty(rows: Iterator[Record | Broken]) -> Iterator[Record | Broken]:
    """The rows without the empty lines at the end, which is how some editors close a file."""
    empty: list[Broken] = []
    for row in rows:
        if isinstance(row, Broken) and row.why == _EMPTY and len(empty) < MOST_ROWS:
            empty.append(row)
            continue
        yield from empty
        empty = []
        yield row


def _lines(path: Path) -> Iterator[str]:
    """The lines of a text with their ends, without a byte order mark. Only a line feed ends a line."""
    with path.open("rb") as file:
        for number, line in enumerate(file, start=1):
            try:
                yield line.decode("utf-8-sig" if number == 1 else "utf-8")
            except UnicodeDecodeError as error:
                raise _not_utf8(path, number, error) from None


def _not_utf8(path: Path, line: int, error: UnicodeDecodeError) -> TrainingError:
    column = len(error.object[: error.start].rpartition(b"\n")[2].decode("utf-8", "replace")) + 1
    return TrainingError(
        f"{path.name}, line {line}, column {column}: the byte 0x{error.object[error.start]:02x} is not UTF-8. Save the "
        "file as UTF-8, in a spreadsheet as 'CSV UTF-8'."
    )


def _plain(path: Path) -> Iterator[Record | Broken]:
    for number, line in enumerate(_lines(path), start=1):
        if text := line.strip():
            yield Record(number, {"prompt": text})


def _jsonl(path: Path) -> Iterator[Record | Broken]:
    for number, line in enumerate(_lines(path), start=1):
        if not line.strip():
            yield Broken(number, _EMPTY)
            continue
        try:
            yield _row(number, json.loads(line))
        except json.JSONDecodeError as error:
            yield Broken(number, f"column {error.colno}: not JSON ({error.msg})")
        except (ValueError, RecursionError):
            yield Broken(number, "a number is too long or the nesting too deep")


def _json(path: Path) -> Iterator[Record | Broken]:
    data = path.read_bytes()
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise _not_utf8(path, data.count(b"\n", 0, error.start) + 1, error) from None
    del data
    if _is_jsonl(text):
        yield from _jsonl(path)
        return
    for line, value in json_items(text, path.name):
        yield _row(line, value)


def _is_jsonl(text: str) -> bool:
    """Whether a .json file has one object in each line, as many do."""
    first, _, rest = text.lstrip().partition("\n")
    if not first.startswith("{") or not rest.lstrip().startswith("{"):
        return False
    try:
        return isinstance(json.loads(first), dict)
    except (ValueError, RecursionError):
        return False


def _row(line: int, value: Any) -> Record | Broken:
    if not isinstance(value, dict):
        return Broken(line, f"an object is expected, not {_KIND_NAMES.get(type(value), 'a number')}")
    if not value:
        return Broken(line, "the object is empty")
    try:
        json.dumps(value, ensure_ascii=False, allow_nan=False).encode()
    except UnicodeEncodeError:
        return Broken(line, "a text holds half of a character")
    except ValueError:
        return Broken(line, "it holds NaN or Infinity, which JSON does not know")
    return Record(line, value)


def _csv(path: Path) -> Iterator[Record | Broken]:
    """Rows of text. A cell may hold line ends where it is quoted; a row's line is its first."""
    reader, header = _opened(path)
    if not header:
        return
    while True:
        line = reader.line_num + 1
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            why = _not_csv(error)
            if reader.line_num > line:
                why = f"{why}; with it the lines up to {reader.line_num} are left out"
            yield Broken(line, why)
            continue
        if len(cells) == len(header):
            yield Record(line, dict(zip(header, cells, strict=True)))
        elif cells:
            yield Broken(
                line, f"it has {len(cells)} cells and the header {len(header)}; quote texts that hold the delimiter"
            )
        else:
            yield Broken(line, _EMPTY)


def _not_csv(error: csv.Error) -> str:
    """What is wrong with a row that the library does not read, in one clause."""
    if "field limit" in str(error):
        most = csv.field_size_limit()
        return f"a text has more than {most:,} characters; shorten it, or look for a quote that is not closed"
    return f"not CSV ({error}); look for a quote that is not closed"


def _opened(path: Path) -> tuple[Any, list[str]]:
    """A reader that stands after the header, and the header's names.

    The delimiter is that which cuts the header into most names: unlike the rows, a header holds no running text.
    """
    first = next(_lines(path), "")
    try:
        delimiter = max(_DELIMITERS, key=lambda sign: len(next(csv.reader([first], delimiter=sign), [])))
        reader = csv.reader(_lines(path), delimiter=delimiter, strict=True)
        header = [name.strip() or f"column {number}" for number, name in enumerate(next(reader, []), start=1)]
    except csv.Error as error:
        raise TrainingError(
            f"{path.name}, line 1: the header is not CSV ({error}). Save the file anew, in a spreadsheet as 'CSV "
            "UTF-8'."
        ) from error
    if twice := sorted({name for name in header if header.count(name) > 1}):
        raise TrainingError(f"{path.name}, line 1: the column {twice[0]!r} stands there twice. Name each column once.")
    return reader, header


def _parquet(path: Path) -> Iterator[Record | Broken]:
    try:
        parquet = importlib.import_module("pyarrow.parquet")
    except ImportError:
        raise TrainingError(
            f"{path.name}: Parquet needs pyarrow: pip install pyarrow. Or save the rows as JSONL."
        ) from None
    try:
        file = parquet.ParquetFile(path)
        unpacked = sum(file.metadata.row_group(i).total_byte_size for i in range(file.metadata.num_row_groups))
        if unpacked > MOST_BYTES:
            raise TrainingError(f"{path.name} unpacks to {unpacked / 1e6:,.1f} MB. Take a sample of its rows.")
        number = 0
        for batch in file.iter_batches(batch_size=1000):
            for values in batch.to_pylist():
                number += 1
                yield _of_parquet(number, values)
    except (ValueError, TypeError, NotImplementedError) as error:  # pyarrow's own errors are kinds of these
        raise TrainingError(f"{path.name} is no Parquet file: {error}. Save the rows as JSONL.") from error


def _of_parquet(number: int, values: dict[str, Any]) -> Record | Broken:
    """A row with what JSON has no form for as text: dates and decimals, and bytes, which some writers make of texts."""
    try:
        return _row(
            number, json.loads(json.dumps(values, default=lambda v: v.decode() if type(v) is bytes else str(v)))
        )
    except UnicodeDecodeError:
        return Broken(number, "it holds bytes that are no text in UTF-8")


_KINDS: dict[str, Reader] = {
    ".jsonl": _jsonl,
    ".ndjson": _jsonl,
    ".json": _json,
    ".csv": _csv,
    ".tsv": _csv,
    ".parquet": _parquet,
}
