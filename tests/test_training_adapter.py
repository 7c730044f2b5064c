"""From rows to an adapter's folder with its card, on the tiny Llama; and the adapters that ship with Crossfade."""

from __future__ import annotations

import hashlib
import json
import os
import resource
import shlex
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from crossfade.adapters.peft_config import CONFIG_FILE
from crossfade.adapters.peft_files import CARD_FILE, WEIGHTS_FILE, read_adapter
from crossfade.adapters.registry import scan
from crossfade.cli import main
from crossfade.corpora.registry import read_corpus, read_rows
from crossfade.errors import ModelError, TrainingError
from crossfade.models.catalogue import find_model
from crossfade.models.hf_folder import hf_folder
from crossfade.settings import Settings
from crossfade.training.adapter import Order, train_adapter
from crossfade.training.record import LoraSettings
from crossfade.training.rows import TaskData
from fake_engine import FakeEngine, FakeRetriever, patch_startup, write_corpus

if TYPE_CHECKING:
    from tiny_models import TinyModel

pytestmark = pytest.mark.filterwarnings("ignore")  # the training libraries warn of each other's old names

CARD_FIELDS = {
    *("purpose", "task", "corpus", "method", "base", "base_sha256", "data", "data_file_sha256", "data_sha256"),
    *("rows", "rows_too_long", "held_out_rows", "settings", "trainable_parameters", "precision", "device"),
    *("minutes", "tokens_per_second", "train_loss", "held_out_loss", "command", "scores"),
}
NEWER = {"peak_memory_mb", "kept_step", "run"}
"""Fields that the cards of adapters do not have that were trained before there were such."""
SHIPPED = Settings.from_environment({}).adapters
SETTINGS = LoraSettings(rank=4, alpha=8, epochs=2, batch=16, learning_rate=1e-2, max_tokens=256)
QUESTIONS = 40
LEFT = {"bank", ".bank.lock"}
"""What a run leaves in the folder it writes to, done or failed, where `bank` was there before."""


@pytest.fixture(scope="module")
def tiny_llama(tmp_path_factory: pytest.TempPathFactory) -> TinyModel:
    """A tiny Llama without the adapters that other tests need, whose training takes longer than all of these."""
    pytest.importorskip("peft")
    from tiny_models import build

    return build("llama", tmp_path_factory.mktemp("llama"))


@pytest.fixture
def order(tmp_path: Path) -> Order:
    """An order for an adapter `bank` of a small corpus."""
    write_corpus(tmp_path / "corpora")
    rows = [{"question": f"What is the fee of account {n}?", "answer": f"It is ${n}."} for n in range(QUESTIONS)]
    data = tmp_path / "rows.jsonl"
    data.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    corpus = read_corpus(tmp_path / "corpora", "bank")
    return Order(
        name="bank",
        purpose="Knows the fees",
        source=TaskData(data, corpus, corpus.task("answer")),
        out=tmp_path / "out",
        command="crossfade train ...",
        settings=SETTINGS,
    )


def train(order: Order, tiny: TinyModel, **more: Any) -> Path:
    given: dict[str, Any] = {"base": "tiny", "base_sha256": tiny.identity, "finder": FakeRetriever(), **more}
    given.setdefault("runs", data_of(order).parent / "trainings")
    from tiny_models import one_thread

    with one_thread():
        return train_adapter(order, base_folder=tiny.folder, **given)


def data_of(order: Order) -> Path:
    assert isinstance(order.source, TaskData)
    return order.source.path


def left_of(order: Order) -> set[str]:
    return {path.name for path in order.out.iterdir()}


def with_another_seed(order: Order) -> Order:
    return replace(order, replace=True, settings=replace(SETTINGS, seed=1))


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_the_card_tells_what_made_the_adapter(order: Order, tiny_llama: TinyModel) -> None:
    data = sha256(data_of(order))
    folder = train(order, tiny_llama, progress=lambda _: data_of(order).write_text("edited while it trains"))
    assert {path.name for path in folder.iterdir()} == {CONFIG_FILE, WEIGHTS_FILE, CARD_FILE}
    assert left_of(order) == LEFT
    assert folder.stat().st_mode & 0o777 == 0o755
    adapter = scan(order.out).get("bank")
    card = adapter.card
    assert set(card) == CARD_FIELDS | NEWER
    assert (adapter.purpose, card["task"], card["corpus"]) == ("Knows the fees", "answer", "bank")
    assert (card["method"], card["base"], adapter.base_sha256) == ("lora", "tiny", tiny_llama.identity)
    assert (card["data"], card["data_file_sha256"]) == ("rows.jsonl", data)
    assert card["settings"] == asdict(SETTINGS)
    assert card["held_out_rows"] > 0
    assert card["rows"] + card["held_out_rows"] == QUESTIONS
    assert [step for step, _ in card["train_loss"]] == list(range(1, 1 + 2 * -(-card["rows"] // 16)))
    assert card["held_out_loss"][-1][1] < card["held_out_loss"][0][1]
    assert card["trainable_parameters"] == sum(rank * (i + o) for i, o, rank, _ in adapter.modules.values())


def test_the_card_of_a_training_that_goes_on_tells_what_it_began_from(order: Order, tiny_llama: TinyModel) -> None:
    first = read_adapter(train(order, tiny_llama))
    assert isinstance(order.source, TaskData)
    drawn = replace(order.source, max_rows=9)
    second = read_adapter(train(replace(order, name="more", start=first, source=drawn), tiny_llama))
    assert second.card["rows"] == 9
    assert second.card["start"]["sha256"] == first.sha256
    assert second.card["start"]["command"] == first.card["command"]
    other = replace(first, card={**first.card, "base_sha256": "f" * 64})
    with pytest.raises(TrainingError, match="was trained for the base ffffffffffff"):
        train(replace(order, name="other", start=other), tiny_llama)


def test_rows_that_the_corpus_is_judged_by_are_not_learned_unless_a_sentence_says_why(
    order: Order, tiny_llama: TinyModel
) -> None:
    assert isinstance(order.source, TaskData)
    judged = order.source.corpus.folder / "eval.jsonl"
    judged.write_text('{"question": "Is there a fee?"}\n{"question": "Who may open  the SAFE?"}\n')
    other, asked = {"question": "What is a wire?", "answer": "A transfer."}, "Who may open the safe?"
    for row in ({"question": asked, "answer": "Jo."}, {"question": "Whose is it?", "answer": "Jo.", "reworded": asked}):
        data_of(order).write_text(f"{json.dumps(other)}\n{json.dumps(row)}\n")
        with pytest.raises(
            TrainingError, match=r"judging set asks, .*\(line 2 and eval.jsonl, line 2: the texts are the same"
        ):
            train(order, tiny_llama)
    why = "It is a rehearsal, and nothing is judged."
    allowed = replace(order.source, despite_overlap=why)
    rows = allowed.rows(finder=None, count=lambda _: 1, limit=256, seed=0)
    assert rows.report is not None
    assert why in rows.report["findings"][0]["text"]


def test_an_adapter_is_replaced_only_when_asked(order: Order, tiny_llama: TinyModel) -> None:
    old = read_adapter(train(order, tiny_llama))
    with pytest.raises(TrainingError, match="give --replace"):
        train(replace(order, settings=replace(SETTINGS, seed=1)), tiny_llama)
    assert read_adapter(old.folder) == old
    new = read_adapter(train(with_another_seed(order), tiny_llama))
    assert (new.folder, new.card["settings"]["seed"]) == (old.folder, 1)
    assert new.sha256 != old.sha256
    assert new.card["data_sha256"] == old.card["data_sha256"]
    assert left_of(order) == LEFT


def test_what_a_killed_run_had_moved_aside_is_not_replaced_unasked(order: Order, tiny_llama: TinyModel) -> None:
    old = read_adapter(train(order, tiny_llama))
    os.replace(old.folder, order.out / ".bank.old")
    with pytest.raises(TrainingError, match="give --replace"):
        train(order, tiny_llama)
    assert read_adapter(old.folder) == old
    assert left_of(order) == LEFT


@pytest.mark.parametrize("failure", [PermissionError(13, "Permission denied"), KeyboardInterrupt()])
def test_where_the_new_one_cannot_take_its_place_the_old_one_keeps_it(
    order: Order, tiny_llama: TinyModel, failure: BaseException, monkeypatch: pytest.MonkeyPatch
) -> None:
    old, rename = read_adapter(train(order, tiny_llama)), os.replace

    def fail_at_the_last(source: Path, target: Path) -> None:
        if target == old.folder and source != order.out / ".bank.old":
            assert not old.folder.exists(), "the old one is aside"
            raise failure
        rename(source, target)

    monkeypatch.setattr(os, "replace", fail_at_the_last)
    told = TrainingError if isinstance(failure, OSError) else KeyboardInterrupt
    with pytest.raises(told, match="Permission denied" if isinstance(failure, OSError) else ""):
        train(with_another_seed(order), tiny_llama)
    assert read_adapter(old.folder) == old
    assert left_of(order) == LEFT


KILLED = """
import os, signal, sys
from pathlib import Path
from crossfade.corpora.registry import read_corpus
from crossfade.training.adapter import Order, train_adapter
from crossfade.training.record import LoraSettings
from crossfade.training.rows import TaskData

from crossfade.training.rows import TaskData

root, base = Path(sys.argv[1]), Path(sys.argv[2])
rename = os.replace

def die_after_the_first(source, target):
    rename(source, target)
    if Path(source) == root / "out" / "bank":
        os.kill(os.getpid(), signal.SIGKILL)

os.replace = die_after_the_first
corpus = read_corpus(root / "corpora", "bank")
order = Order(
    name="bank", purpose="", source=TaskData(root / "rows.jsonl", corpus, corpus.task("answer")), out=root / "out",
    command="", settings=LoraSettings(epochs=1, max_tokens=256), replace=True,
)
train_adapter(order, runs=root / "trainings", base_folder=base, base="tiny", base_sha256="", finder=None)
"""


def test_killed_between_the_renames_the_old_one_is_back_at_the_next_scan(order: Order, tiny_llama: TinyModel) -> None:
    old = read_adapter(train(order, tiny_llama))
    command = [sys.executable, "-W", "ignore", "-c", KILLED, str(order.out.parent), str(tiny_llama.folder)]
    one_thread = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, capture_output=True, text=True, timeout=280, check=False, env=one_thread)
    assert done.returncode == -9, done.stderr
    assert not old.folder.exists()
    assert len(left_of(order)) == 3, "the old one aside, the new one unfinished, the lock"
    assert scan(order.out).get("bank") == old
    train(with_another_seed(order), tiny_llama)
    assert left_of(order) == LEFT


@contextmanager
def a_disk_with_room_for(size: int) -> Iterator[None]:
    """No file gets longer than so many bytes, as on a disk that runs full."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)


@pytest.mark.parametrize("room", [4_000, 400], ids=["no room for the weights", "nor for the configuration"])
def test_a_disk_that_is_full_after_the_training_is_told_and_costs_nothing_that_was_there(
    order: Order, tiny_llama: TinyModel, room: int
) -> None:
    old = read_adapter(train(order, tiny_llama))
    with (
        pytest.raises(TrainingError, match=r"written to .*bank.*File too large.*Free some space"),
        fails_at_the_end(room) as progress,
    ):
        train(with_another_seed(order), tiny_llama, progress=progress)
    assert read_adapter(old.folder) == old
    assert left_of(order) == LEFT


@contextmanager
def fails_at_the_end(room: int) -> Iterator[Any]:
    """A progress that lets the disk run full after the last step."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)

    def progress(at: Any) -> None:
        if at.step == at.steps:
            resource.setrlimit(resource.RLIMIT_FSIZE, (room, limits[1]))

    try:
        yield progress
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)


def test_a_place_that_cannot_be_written_is_told(order: Order, tiny_llama: TinyModel) -> None:
    order.out.write_text("a file, no folder")
    with pytest.raises(TrainingError, match=r"out.*another --out"):
        train(order, tiny_llama)


def test_a_base_that_is_broken_on_disk_is_told(order: Order, tiny_llama: TinyModel, tmp_path: Path) -> None:
    import shutil

    base = Path(shutil.copytree(tiny_llama.folder, tmp_path / "base"))
    with (base / "model.safetensors").open("r+b") as file:
        file.truncate(1000)
    with pytest.raises(TrainingError, match=r"The base in .* cannot be loaded.*Remove that folder"):
        train(order, replace(tiny_llama, folder=base))
    assert left_of(order) == {".bank.lock"}


def test_a_disk_without_room_for_the_converted_base_is_told(tiny_llama: TinyModel, tmp_path: Path) -> None:
    with a_disk_with_room_for(100_000), pytest.raises(ModelError, match="cannot be kept in"):
        hf_folder(tiny_llama.gguf, tmp_path)
    assert not [path for path in (tmp_path / "models" / "hf").iterdir() if path.is_dir()]
    assert (hf_folder(tiny_llama.gguf, tmp_path) / "model.safetensors").stat().st_size > 100_000


def test_the_command_tells_what_it_does_and_prints_one_json_object(
    order: Order, tiny_llama: TinyModel, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    patch_startup(monkeypatch, engine=lambda: FakeEngine(adapters=()))
    home = data_of(order).parent
    for name, value in (("HOME", home / "home"), ("CORPORA", home / "corpora"), ("ADAPTERS", home / "none")):
        monkeypatch.setenv(f"CROSSFADE_{name}", str(value))
    options = {
        "--data": data_of(order),
        "--corpus": "bank",
        "--name": "bank",
        "--base": tiny_llama.gguf,
        "--out": order.out,
    }
    arguments = ["train", *(str(part) for pair in options.items() for part in pair), "--max-tokens", "256", "--json"]
    monkeypatch.setattr(sys, "argv", ["crossfade", *arguments])
    with pytest.raises(SystemExit) as ended:
        main()
    out, err = capsys.readouterr()
    assert not ended.value.code, err
    told = json.loads(out)
    made = read_adapter(Path(told["folder"]))
    assert made.folder == order.out / "bank"
    assert (told["name"], told["sha256"]) == ("bank", made.sha256)
    assert {key: value for key, value in made.card.items() if key != "train_loss"}.items() <= told.items()
    assert told["base_sha256"] == tiny_llama.identity
    assert shlex.split(told["command"]) == ["crossfade", *arguments]
    steps = ["Fetching the base", "Converting the base", "Making the rows", "step "]
    assert sorted(err.index(step) for step in steps) == [err.index(step) for step in steps]


@pytest.mark.filterwarnings("ignore")
def test_the_shipped_adapters_are_trained_again_for_another_base(
    order: Order,
    tiny_llama: TinyModel,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    from tiny_models import build

    assert isinstance(order.source, TaskData)
    data = order.source.corpus.folder / "train" / "rows.jsonl"
    data.parent.mkdir()
    data.write_bytes(data_of(order).read_bytes())
    source = replace(order.source, path=data, numbers=1)
    shipped = read_adapter(train(replace(order, source=source, out=tmp_path / "shipped"), tiny_llama))
    qwen2 = build("qwen2", tmp_path / "qwen2")
    patch_startup(monkeypatch, engine=lambda: FakeEngine(adapters=()))
    for name, value in (
        ("HOME", tmp_path / "home"),
        ("CORPORA", tmp_path / "corpora"),
        ("ADAPTERS", tmp_path / "shipped"),
    ):
        monkeypatch.setenv(f"CROSSFADE_{name}", str(value))
    arguments = ["adapters", "build", "--base", str(qwen2.gguf), "--json"]
    monkeypatch.setattr(sys, "argv", ["crossfade", *arguments])
    with pytest.raises(SystemExit) as ended:
        main()
    out, err = capsys.readouterr()
    assert not ended.value.code, err
    (told,) = json.loads(out)
    made = read_adapter(Path(told["folder"]))
    assert made.folder == tmp_path / "home" / "my-adapters" / "bank-qwen2"
    assert made.base_sha256 == qwen2.identity != shipped.base_sha256
    assert made.card["settings"] == shipped.card["settings"]
    assert made.card["mix"] == shipped.card["mix"] == {"numbers": 1}
    assert made.card["rows"] == shipped.card["rows"]
    assert made.card["data_file_sha256"] == shipped.card["data_file_sha256"]
    assert made.card["held_out_loss"][-1][1] < made.card["held_out_loss"][0][1]
    monkeypatch.setattr(sys, "argv", ["crossfade", *arguments])
    with pytest.raises(SystemExit) as again:
        main()
    assert "--replace" in str(again.value.code), "nothing is trained twice unasked"


@pytest.mark.parametrize("name", ["domain", "json", "style"])
def test_a_shipped_adapter_is_small_whole_and_names_what_made_it(name: str) -> None:
    folder = SHIPPED / name
    assert sum(path.stat().st_size for path in folder.iterdir()) <= 10_000_000
    card = read_adapter(folder).card
    assert set(card) - {"start"} - NEWER == CARD_FIELDS
    assert [field for field in CARD_FIELDS - {"rows_too_long"} if not card[field]] == []
    assert "eval" in card["scores"], "measured on the judging set"
    assert card["base_sha256"] == find_model(card["base"]).sha256
    root = SHIPPED.parent
    data = root / "corpora" / card["corpus"] / "train" / card["data"]
    assert len(read_rows(data)) > 0
    assert card["data_file_sha256"] == sha256(data), f"{data.name} has changed since; train again: {card['command']}"
    words = shlex.split(card["command"])
    assert words[:2] == ["crossfade", "train"]
    assert (root / words[words.index("--data") + 1], words[words.index("--name") + 1]) == (data, name)
    task = read_corpus(root / "corpora", card["corpus"]).task(card["task"])
    assert task.adapter == name


def test_no_other_adapter_ships_than_those_three() -> None:
    found = scan(SHIPPED)
    assert (set(found.adapters), found.refused) == ({"domain", "json", "style"}, {})
