from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from filelock import FileLock

from crossfade.corpora.registry import Corpus, read_corpus
from crossfade.errors import CorpusError
from crossfade.retrieval import Index, Recipe, build_index, load_index, open_index
from crossfade.retrieval.index import searchable
from hashing_embedder import HashingEmbedder

QUESTION = "What is the monthly fee?"
FILES = ("manifest", "passages", "vectors")


class Place:
    """A corpus in a folder that tests may change, and the folder of its index."""

    def __init__(self, root: Path) -> None:
        self.docs = root / "corpora" / "bank" / "docs"
        self.docs.mkdir(parents=True)
        self.root = root
        self.folder = root / "indexes" / "bank"
        head = 'title = "Bank"\ndefault_task = "answer"\n[tasks.answer]\ninstructions = "Answer."\n'
        (self.docs.parent / "corpus.toml").write_text(head, encoding="utf-8")
        self.write("fees", "# Fees\n\n## Monthly\n\nThe monthly fee is $8.\n\n## Late\n\nA late payment costs $25.\n")
        self.write("wires", "# Wires\n\nA wire takes 2 days.\n\n## Recall\n\nA recall costs $35.\n")

    def write(self, name: str, text: str) -> None:
        (self.docs / f"{name}.md").write_text(text, encoding="utf-8")

    @property
    def corpus(self) -> Corpus:
        return read_corpus(self.root / "corpora", "bank")

    def load(self, embedder: HashingEmbedder | None = None, **options: Recipe) -> Index:
        return load_index(self.corpus, embedder or HashingEmbedder(), self.folder, **options)

    def file(self, kind: str) -> Path:
        (path,) = self.folder.glob(f"{kind}*")
        return path


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


def ids(place: Place) -> dict[tuple[str, str], int]:
    rows = json.loads(place.file("passages").read_text(encoding="utf-8"))
    return {(row["document"], row["key"]): row["id"] for row in rows}


def fits(corpus: Corpus, folder: Path) -> bool:
    try:
        open_index(corpus, HashingEmbedder(), folder)
    except CorpusError:
        return False
    return True


def test_save_then_load_is_identity_and_embeds_nothing(place: Place) -> None:
    made = place.load()
    embedder = HashingEmbedder()
    again = place.load(embedder)
    assert (made.rebuilt, again.rebuilt) == ("new", "")
    assert embedder.embedded == []
    assert again.passages == made.passages
    assert again.retrieve(QUESTION, k=4) == made.retrieve(QUESTION, k=4)
    assert open_index(place.corpus, embedder, place.folder).passages == made.passages


def test_only_what_changed_is_embedded_again_and_the_reason_names_it(place: Place) -> None:
    place.load()
    before = ids(place)
    place.write("fees", "# Fees\n\n## Monthly\n\nThe monthly fee is $9.\n\n## Late\n\nA late payment costs $25.\n")
    place.write("cards", "# Cards\n\nA card is free.\n")
    (place.docs / "wires.md").unlink()
    embedder = HashingEmbedder()
    index = place.load(embedder)
    assert index.rebuilt == "documents changed: cards added, fees changed, wires removed"
    assert sorted(embedder.embedded) == ["Cards\nA card is free.", "Fees\nMonthly\nThe monthly fee is $9."]
    assert index.embedded == 2
    after = ids(place)
    kept = before.keys() & after.keys()
    assert len(kept) == 1
    assert all(before[key] == after[key] for key in kept)
    assert min(after[key] for key in after.keys() - kept) > max(before.values())
    assert index.retrieve(QUESTION, k=9) == build_index(place.corpus, embedder, place.root / "other").retrieve(
        QUESTION, k=9
    )


def test_an_id_is_never_given_twice(place: Place) -> None:
    place.load()
    used = dict.fromkeys(ids(place).values(), "first")
    for number in range(4):
        place.write("fees", f"# Fees\n\nThe fee is ${number}00 now.\n")
        place.load()
        new = set(ids(place).values()) - {i for i, key in used.items() if key == "first"}
        assert new.isdisjoint(i for i, key in used.items() if key not in ("first", number))
        used |= dict.fromkeys(new, number)
    assert len(used) == 8


def test_text_that_moves_within_its_document_keeps_its_vector_and_has_its_new_place(place: Place) -> None:
    place.load()
    text = (place.docs / "wires.md").read_text(encoding="utf-8")
    place.write("wires", text.replace("# Wires\n", "# Wires\n\n\n\n"))
    embedder = HashingEmbedder()
    index = place.load(embedder)
    assert embedder.embedded == []
    documents = {document.name: document.text for document in place.corpus.documents}
    assert all(documents[p.document][p.start : p.end] == p.text for p in index.passages)


def test_the_same_text_in_two_documents_is_found_in_both(place: Place) -> None:
    shutil.copy(place.docs / "fees.md", place.docs / "again.md")
    embedder = HashingEmbedder()
    index = place.load(embedder)
    assert len(index.passages) == 6
    assert len(embedder.embedded) == 4
    assert {p.document for p in index.retrieve(QUESTION, k=2)} == {"fees", "again"}
    assert {p.document for p in place.load().retrieve(QUESTION, k=2)} == {"fees", "again"}


def test_another_embedder_means_another_index(place: Place) -> None:
    place.load()
    assert place.load(HashingEmbedder(identity="2" * 64)).rebuilt == "embedder changed"
    assert place.load(HashingEmbedder(identity="2" * 64, dimensions=32)).rebuilt == "files damaged"
    assert place.load(HashingEmbedder(identity="2" * 64, dimensions=32)).rebuilt == ""


def test_another_passage_size_means_another_index(place: Place) -> None:
    place.write("long", "# Long\n\n" + "This sentence has six words now. " * 40)
    assert len(place.load().passages) < len(place.load(recipe=Recipe(size=50)).passages)
    assert place.load().rebuilt == "settings changed"


@pytest.mark.parametrize("kind", FILES)
@pytest.mark.parametrize("keep", [0.0, 0.5, 0.99])
def test_a_truncated_file_is_noticed_and_mended(place: Place, kind: str, keep: float) -> None:
    whole = place.load().retrieve(QUESTION, k=4)
    path = place.file(kind)
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * keep)])
    with pytest.raises(CorpusError, match="files damaged"):
        open_index(place.corpus, HashingEmbedder(), place.folder)
    index = place.load()
    assert index.rebuilt == "files damaged"
    assert index.retrieve(QUESTION, k=4) == whole
    assert place.load().rebuilt == ""


@pytest.mark.parametrize("kind", FILES[1:])
def test_any_changed_byte_is_noticed(place: Place, kind: str) -> None:
    place.load()
    path = place.file(kind)
    data = path.read_bytes()
    for position in range(0, len(data), max(1, len(data) // 25)):
        path.write_bytes(data[:position] + bytes([data[position] ^ 1]) + data[position + 1 :])
        with pytest.raises(CorpusError, match="files damaged"):
            open_index(place.corpus, HashingEmbedder(), place.folder)


def test_no_changed_byte_of_the_manifest_gives_wrong_passages_or_a_crash(place: Place) -> None:
    right = place.load().retrieve(QUESTION, k=4)
    path = place.file("manifest")
    data = path.read_bytes()
    for position in range(0, len(data), 7):
        path.write_bytes(data[:position] + bytes([data[position] ^ 1]) + data[position + 1 :])
        assert place.load().retrieve(QUESTION, k=4) == right
        assert place.load().rebuilt == ""


@pytest.mark.parametrize("kind", FILES[1:])
def test_a_missing_file_is_noticed(place: Place, kind: str) -> None:
    place.load()
    place.file(kind).unlink()
    assert place.load().rebuilt == "files damaged"


@pytest.mark.parametrize("manifest", ["[]", "null", "{}", '{"files": 3}', '{"files": {"../../x": "y"}}', "\x00"])
def test_a_manifest_that_is_none_is_noticed(place: Place, manifest: str) -> None:
    place.load()
    place.file("manifest").write_text(manifest, encoding="utf-8")
    assert place.load().rebuilt == "files damaged"


def test_the_index_of_another_corpus_is_not_taken_for_this_one(place: Place, tmp_path: Path) -> None:
    other = Place(tmp_path / "other")
    other.write("fees", "# Fees\n\nEverything is free.\n")
    other.load()
    shutil.copytree(other.folder, place.folder)
    index = place.load()
    assert index.rebuilt == "documents changed: fees changed"
    assert not any("free" in passage.text for passage in index.passages)


BUILD_AND_DIE = """
import os, signal, sys
sys.path[:0] = [{tests!r}]
from pathlib import Path
from test_retrieval_store import HashingEmbedder, load_index, read_corpus
import crossfade.retrieval.store as store
left = {calls}
def dying(name):
    real = getattr(os, name)
    def call(*arguments, **options):
        global left
        left -= 1
        if left < 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return real(*arguments, **options)
    setattr(os, name, call)
for name in ("replace", "fsync", "unlink"):
    dying(name)
root = Path({root!r})
load_index(read_corpus(root / "corpora", "bank"), HashingEmbedder(), root / "indexes" / "bank")
"""


@pytest.mark.parametrize("calls", range(9))
def test_a_kill_at_any_write_leaves_the_old_index_or_the_new(place: Place, calls: int) -> None:
    old = place.load().passages
    old_corpus = place.corpus
    assert old_corpus.documents
    place.write("fees", "# Fees\n\nThe fee is $9.\n\n## New\n\nA new thing costs $3.\n")
    code = BUILD_AND_DIE.format(tests=str(Path(__file__).parent), calls=calls, root=str(place.root))
    code_of_exit = subprocess.run([sys.executable, "-c", code]).returncode
    assert code_of_exit == (-signal.SIGKILL if calls < 8 else 0)
    embedder = HashingEmbedder()
    openable = [corpus for corpus in (old_corpus, place.corpus) if fits(corpus, place.folder)]
    assert len(openable) == 1
    assert (openable[0] is old_corpus) == (open_index(openable[0], embedder, place.folder).passages == old)
    index = place.load(embedder)
    assert index.rebuilt in ("", "documents changed: fees changed")
    assert {p.text for p in index.passages if p.document == "fees"} == {"The fee is $9.", "A new thing costs $3."}


def test_nothing_is_left_over_after_a_rebuild_but_what_is_not_ours(place: Place) -> None:
    place.load()
    (place.folder / "notes.txt").write_text("mine", encoding="utf-8")
    abandoned = place.folder / "manifest.jsonabc.new"
    abandoned.write_text("half", encoding="utf-8")
    os.utime(abandoned, (0, 0))
    place.write("fees", "# Fees\n\nNo fee.\n")
    place.load()
    assert {path.name.partition("-")[0] for path in place.folder.iterdir()} == {
        "manifest.json",
        "passages",
        "vectors",
        "notes.txt",
    }
    assert len(list(place.folder.iterdir())) == 4


def test_progress_counts_up_and_raising_from_it_cancels_and_changes_nothing(place: Place) -> None:
    place.load()
    place.write("many", "# Many\n\n" + "".join(f"## Part {n}\n\nNumber {n} is here.\n\n" for n in range(70)))
    before = {path: path.read_bytes() for path in place.folder.iterdir()}

    def cancel(done: int, total: int) -> None:
        assert total == 70
        if done:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        load_index(place.corpus, HashingEmbedder(), place.folder, cancel)
    assert {path: path.read_bytes() for path in place.folder.iterdir()} == before
    seen: list[tuple[int, int]] = []
    load_index(place.corpus, HashingEmbedder(), place.folder, lambda done, total: seen.append((done, total)))
    assert seen == [(0, 70), (32, 70), (64, 70), (70, 70)]


def test_a_folder_that_cannot_be_written_is_named(place: Place) -> None:
    place.folder.parent.write_text("a file where a folder should be", encoding="utf-8")
    index = place.load()
    assert re.search(r"cannot be written to .*indexes.*CROSSFADE_HOME", index.unsaved)
    assert index.retrieve("What is the monthly fee?")[0].document == "fees", "it is there in memory"


def test_a_full_disk_is_named_and_leaves_the_old_index(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    place.load()
    before = {path: path.read_bytes() for path in place.folder.iterdir()}
    place.write("fees", "# Fees\n\nNo fee.\n")

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    index = place.load()
    assert "No space left" in index.unsaved
    assert "No fee" in index.retrieve("fee")[0].text
    assert {path: path.read_bytes() for path in place.folder.iterdir()} == before


def test_another_process_that_tidies_too_does_not_fail_the_writing(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    place.load()
    place.write("fees", "# Fees\n\nNo fee.\n")
    glob = Path.glob

    def gone(self: Path, pattern: str) -> list[Path]:
        found = [*glob(self, pattern)]
        return [*found, self / "passages-gone.json"] if pattern.startswith("passages") else found

    monkeypatch.setattr(Path, "glob", gone)
    assert place.load().unsaved == ""
    assert place.load().rebuilt == ""


def test_two_processes_do_not_write_one_index_at_once(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("crossfade.retrieval.store._PATIENCE", 0.1)
    place.folder.parent.mkdir(parents=True)
    with FileLock(place.folder.with_name(f".{place.folder.name}.lock")):
        assert "cannot be written" in place.load().unsaved
    assert place.load().unsaved == ""


def test_opening_without_an_index_says_how_to_build_one(place: Place) -> None:
    with pytest.raises(CorpusError, match=r"new.*crossfade index"):
        open_index(place.corpus, HashingEmbedder(), place.folder)
    assert not place.folder.exists()


def test_stored_vectors_are_those_of_the_searchable_texts(place: Place) -> None:
    index = place.load()
    embedder = HashingEmbedder()
    for row, passage in enumerate(index.passages):
        vector = embedder.embed([searchable(passage)])[0]
        assert index.nearest(vector, depth=1) == [row]
        assert np.isclose(np.linalg.norm(vector), 1)
