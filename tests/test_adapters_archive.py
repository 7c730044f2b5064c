"""Adapters as zip files: packed and taken in they are the same; what is crafted costs neither disk nor memory."""

from __future__ import annotations

import os
import stat
import tracemalloc
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

import handmade_adapters as made
from crossfade.adapters.archive import MAX_ENTRIES, pack, take_in
from crossfade.adapters.peft_files import CARD_FILE, CONFIG_FILE, WEIGHTS_FILE, AdapterFiles, read_adapter
from crossfade.adapters.registry import Registry, scan
from crossfade.errors import AdapterError

FEW = 8_000_000
"""Bytes of memory that looking at an archive may take."""


@pytest.fixture
def adapter(tmp_path: Path) -> AdapterFiles:
    return read_adapter(made.write(tmp_path / "from" / "json", card={"purpose": "Tickets", "rows": 5}))


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """Where adapters are taken in."""
    return tmp_path / "mine"


def left_in(place: Path) -> set[str]:
    """All but the locks, which stay."""
    return {p.name for p in place.glob("*") if not p.name.endswith(".lock")}


@contextmanager
def little_memory() -> Iterator[None]:
    tracemalloc.start()
    try:
        yield
        assert tracemalloc.get_traced_memory()[1] < FEW
    finally:
        tracemalloc.stop()


def write_zip(path: Path, entries: dict[str, bytes], *, attributes: int = 0, kind: int = zipfile.ZIP_STORED) -> Path:
    with zipfile.ZipFile(path, "w", kind) as archive:
        for name, data in entries.items():
            entry = zipfile.ZipInfo(name)
            entry.external_attr, entry.compress_type = attributes << 16, kind
            archive.writestr(entry, data)
    return path


def contents(adapter: AdapterFiles, place: str = "json/") -> dict[str, bytes]:
    return {f"{place}{path.name}": path.read_bytes() for path in adapter.folder.iterdir()}


def add_raw(path: Path, name: str, data: bytes, *, claims: int, crc: int = 0) -> Path:
    """Append an entry of deflated data that claims so many bytes unpacked."""
    with zipfile.ZipFile(path, "a") as archive:
        entry = zipfile.ZipInfo(name)
        entry.compress_type, entry.file_size, entry.compress_size = zipfile.ZIP_DEFLATED, claims, len(data)
        entry.CRC, entry.header_offset = crc, archive.start_dir
        assert archive.fp
        archive.fp.seek(archive.start_dir)
        archive.fp.write(entry.FileHeader(zip64=claims > 2**32) + data)
        archive.start_dir = archive.fp.tell()
        archive.filelist.append(entry)
        archive._didModify = True  # type: ignore[attr-defined]
    return path


def ten_gigabytes() -> bytes:
    """A deflate stream of 10 GB of zeros, 10 MB long."""
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    packer.compress(bytes(1_000_000))
    packer.flush(zlib.Z_FULL_FLUSH)
    return (packer.compress(bytes(1_000_000)) + packer.flush(zlib.Z_FULL_FLUSH)) * 10_000


def test_packed_and_taken_in_under_another_name_it_is_the_same_adapter(
    adapter: AdapterFiles, place: Path, tmp_path: Path
) -> None:
    packed = pack(adapter, tmp_path / "json.zip")
    taken = take_in(packed, place, registry=Registry(), name="tickets")
    assert (taken.sha256, taken.card, taken.name) == (adapter.sha256, adapter.card, "tickets")
    assert take_in(packed, place, registry=scan(place)).name == "json"
    assert set(scan(place).adapters) == {"json", "tickets"}
    assert left_in(place) == {"json", "tickets"}


def test_the_same_adapter_gives_the_same_bytes_and_nothing_but_its_files(adapter: AdapterFiles, tmp_path: Path) -> None:
    (adapter.folder / "evil.py").write_text("raise SystemExit")
    first = pack(adapter, tmp_path / "1.zip").read_bytes()
    for path in adapter.folder.iterdir():
        os.utime(path, (1, 1))
    assert pack(adapter, tmp_path / "2.zip").read_bytes() == first
    names = zipfile.ZipFile(tmp_path / "1.zip").namelist()
    assert names == [f"json/{name}" for name in (CONFIG_FILE, WEIGHTS_FILE, CARD_FILE)]


def test_a_file_that_is_there_is_kept_unless_it_is_to_be_replaced(adapter: AdapterFiles, tmp_path: Path) -> None:
    out = tmp_path / "json.zip"
    out.write_text("mine")
    with pytest.raises(AdapterError, match="exists already"):
        pack(adapter, out)
    assert out.read_text() == "mine"
    assert zipfile.is_zipfile(pack(adapter, out, replace=True))
    with pytest.raises(AdapterError, match="exists already"):
        pack(adapter, tmp_path, replace=True)


def test_an_adapter_that_changed_since_it_was_read_is_not_packed(adapter: AdapterFiles, tmp_path: Path) -> None:
    made.write(adapter.folder, made.matrices(seed=7))
    with pytest.raises(AdapterError, match="changed while it was packed"):
        pack(adapter, tmp_path / "out" / "json.zip")
    assert left_in(tmp_path / "out") == set()


@pytest.mark.parametrize("inside", ["", "json/", "a/b/json/"])
def test_an_adapter_is_found_in_an_archive_wherever_it_lies(
    adapter: AdapterFiles, place: Path, tmp_path: Path, inside: str
) -> None:
    entries = contents(adapter, inside) | {
        f"{inside}evil.py": b"raise SystemExit",
        f"{inside}pytorch_model.bin": b"a pickle",
        "README.md": b"# Hi",
        f"__MACOSX/{inside}._{CONFIG_FILE}": b"\0",
        f"{inside}checkpoint-5/{CONFIG_FILE}": b"{}",
    }
    taken = take_in(write_zip(tmp_path / "json.zip", entries), place, registry=Registry())
    assert (taken.name, taken.sha256) == ("json", adapter.sha256)
    assert {p.name for p in taken.folder.iterdir()} == {CONFIG_FILE, WEIGHTS_FILE, CARD_FILE}


def test_a_folder_is_taken_in_without_what_lies_beside_and_without_following_links(
    adapter: AdapterFiles, place: Path
) -> None:
    (adapter.folder / "evil.py").write_text("raise SystemExit")
    taken = take_in(adapter.folder, place, registry=Registry(), name="mine")
    assert {p.name for p in taken.folder.iterdir()} == {CONFIG_FILE, WEIGHTS_FILE, CARD_FILE}
    (adapter.folder / CARD_FILE).unlink()
    (adapter.folder / CARD_FILE).symlink_to("/etc/hostname")
    with pytest.raises(AdapterError, match="is a link, which is not followed"):
        take_in(adapter.folder, place, registry=Registry(), name="other")
    assert left_in(place) == {"mine"}


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("../evil.txt", "leads out"),
        ("a/../../evil.txt", "leads out"),
        ("/etc/evil", "leads out"),
        ("C:\\evil", "leads out"),
        ("..\\evil", "leads out"),
        ("more.zip", "an archive itself"),
        ("more.TAR", "an archive itself"),
        ("more.tar.gz", "an archive itself"),
    ],
)
def test_an_archive_with_an_entry_that_has_no_place_there_is_refused(
    adapter: AdapterFiles, place: Path, tmp_path: Path, name: str, why: str
) -> None:
    path = write_zip(tmp_path / "a.zip", contents(adapter) | {name: b"x"})
    with pytest.raises(AdapterError, match=why):
        take_in(path, place, registry=Registry())
    assert not place.exists(), "nothing was unpacked"
    assert not list(tmp_path.parent.glob("evil*"))


@pytest.mark.parametrize("kind", [stat.S_IFLNK, stat.S_IFIFO, stat.S_IFCHR])
def test_links_and_devices_are_refused(adapter: AdapterFiles, place: Path, tmp_path: Path, kind: int) -> None:
    path = write_zip(tmp_path / "a.zip", contents(adapter), attributes=kind | 0o777)
    with pytest.raises(AdapterError, match="a link or a device"):
        take_in(path, place, registry=Registry())
    assert not place.exists()


@pytest.mark.parametrize("kind", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_compression_that_unpacks_without_a_bound_is_refused(
    adapter: AdapterFiles, place: Path, tmp_path: Path, kind: int
) -> None:
    path = write_zip(tmp_path / "a.zip", contents(adapter), kind=kind)
    with pytest.raises(AdapterError, match="use deflate or none"):
        take_in(path, place, registry=Registry())


@pytest.mark.parametrize("name", [WEIGHTS_FILE, CARD_FILE, "README.md"])
def test_ten_gigabytes_of_zeros_are_refused_before_a_byte_is_unpacked(
    adapter: AdapterFiles, place: Path, tmp_path: Path, name: str
) -> None:
    others = {key: data for key, data in contents(adapter).items() if not key.endswith(name)}
    path = add_raw(write_zip(tmp_path / "a.zip", others), f"json/{name}", ten_gigabytes(), claims=10**10)
    with little_memory(), pytest.raises(AdapterError, match="as a bomb does"):
        take_in(path, place, registry=Registry())
    assert not place.exists()


def test_ten_gigabytes_that_claim_to_be_few_unpack_to_few(adapter: AdapterFiles, place: Path, tmp_path: Path) -> None:
    others = {key: data for key, data in contents(adapter).items() if not key.endswith(CARD_FILE)}
    crc = zlib.crc32(bytes(5000))
    path = add_raw(write_zip(tmp_path / "a.zip", others), f"json/{CARD_FILE}", ten_gigabytes(), claims=5000, crc=crc)
    with little_memory(), pytest.raises(AdapterError):
        take_in(path, place, registry=Registry())
    assert left_in(place) == set()


def test_large_files_that_do_not_shrink_are_bounded_together(
    adapter: AdapterFiles, place: Path, tmp_path: Path
) -> None:
    path = write_zip(tmp_path / "a.zip", contents(adapter))
    for number in range(3):
        add_raw(path, f"{number}.dat", b"x" * 9_000_000, claims=800_000_000)
    with little_memory(), pytest.raises(AdapterError, match=r"unpacks to 2,4\d\d,\d\d\d,\d\d\d bytes; allowed are 2,"):
        take_in(path, place, registry=Registry())


@pytest.mark.parametrize("count", [MAX_ENTRIES, 30_000])
def test_too_many_entries_are_refused_in_little_memory(
    adapter: AdapterFiles, place: Path, tmp_path: Path, count: int
) -> None:
    path = write_zip(tmp_path / "a.zip", contents(adapter) | {f"{n}": b"" for n in range(count)})
    with little_memory(), pytest.raises(AdapterError, match=r"allowed are 200|table of contents has"):
        take_in(path, place, registry=Registry())
    assert not place.exists()


def test_a_card_beyond_a_megabyte_is_refused(adapter: AdapterFiles, place: Path, tmp_path: Path) -> None:
    entries = contents(adapter) | {f"json/{CARD_FILE}": os.urandom(1_000_001)}
    with pytest.raises(AdapterError, match=r"its card\.json has 1,000,001 bytes"):
        take_in(write_zip(tmp_path / "a.zip", entries), place, registry=Registry())
    (adapter.folder / CARD_FILE).write_bytes(os.urandom(1_000_001))
    with pytest.raises(AdapterError, match="more than 1,000,000 bytes"):
        take_in(adapter.folder, place, registry=Registry())
    assert left_in(place) == set()


@pytest.mark.parametrize("cut", [60, 1000, 9_000])
def test_a_cut_or_altered_archive_is_told_and_leaves_nothing(
    adapter: AdapterFiles, place: Path, tmp_path: Path, cut: int
) -> None:
    path = pack(adapter, tmp_path / "json.zip")
    whole = path.read_bytes()
    path.write_bytes(whole[:cut] + bytes([whole[cut] ^ 255]) + whole[cut + 1 :])
    with pytest.raises(AdapterError, match=r"no whole zip file|refused"):
        take_in(path, place, registry=Registry())
    path.write_bytes(whole[:-cut])
    with pytest.raises(AdapterError, match=r"neither a folder nor a zip|no whole zip file"):
        take_in(path, place, registry=Registry())
    assert left_in(place) == set()


def test_what_is_no_adapter_is_told(adapter: AdapterFiles, place: Path, tmp_path: Path) -> None:
    (tmp_path / "text.zip").write_text("hello")
    os.mkfifo(tmp_path / "pipe")
    two = contents(adapter, "a/") | contents(adapter, "b/")
    pickled = {f"a/{CONFIG_FILE}": made.config().__repr__().encode(), "a/adapter_model.bin": b"a pickle"}
    for path, why in (
        (tmp_path / "nothing", "There is no"),
        (tmp_path / "text.zip", "neither a folder nor a zip"),
        (tmp_path / "pipe", "neither a folder nor a zip"),
        (tmp_path, "not allowed|is missing"),
        (write_zip(tmp_path / "empty.zip", {}), f"has no {CONFIG_FILE}"),
        (write_zip(tmp_path / "two.zip", two), "holds 2 adapters side by side"),
        (write_zip(tmp_path / "pickled.zip", pickled), "is missing"),
        (write_zip(tmp_path / "half.zip", {f"json/{CONFIG_FILE}": b"{"}), "is missing"),
    ):
        with pytest.raises(AdapterError, match=why):
            take_in(path, place, registry=Registry())
    assert left_in(place) == set()


@pytest.mark.parametrize("name", ["json", "My Name", "../up", "a/b"])
def test_a_name_that_is_taken_or_not_allowed_is_refused(adapter: AdapterFiles, place: Path, name: str) -> None:
    registry = Registry(adapters={"json": adapter})
    with pytest.raises(AdapterError, match=r"exists already|not allowed"):
        take_in(adapter.folder, place, registry=registry, name=name)
    assert not place.exists()


def test_a_name_that_is_taken_says_how_to_give_another(adapter: AdapterFiles, place: Path) -> None:
    with pytest.raises(AdapterError, match=r"exists already.*--name"):
        take_in(adapter.folder, place, registry=Registry(adapters={"json": adapter}))
