"""Renaming, deleting and switching adapters: what ships stays, what is killed in between is whole or gone."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import handmade_adapters as made
from crossfade.adapters.facts import Score, facts_of
from crossfade.adapters.manage import delete, is_own, rename, set_enabled
from crossfade.adapters.peft_files import CARD_FILE, WEIGHTS_FILE, read_adapter
from crossfade.adapters.registry import adapters_of
from crossfade.errors import AdapterError
from crossfade.settings import Settings

KILLED = """
import os, signal, sys
from pathlib import Path
from crossfade.adapters import manage
from crossfade.settings import Settings

root, action, kill_at = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
moments = iter(range(100))

def killing(call):
    def wrapped(*names, **options):
        if next(moments) == kill_at:
            os.kill(os.getpid(), signal.SIGKILL)
        call(*names, **options)
    return wrapped

os.replace, os.rename, Path.touch, Path.unlink = map(killing, (os.replace, os.rename, Path.touch, Path.unlink))
settings = Settings(home=root / "home", corpora=root, adapters=root / "shipped")
manage.delete(settings, "mine") if action == "delete" else manage.rename(settings, "mine", new="ours")
"""


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """A shipped adapter `json`, and one of a person's own, `mine`."""
    settings = Settings(home=tmp_path / "home", corpora=tmp_path, adapters=tmp_path / "shipped")
    made.write(settings.adapters / "json")
    made.write(settings.my_adapters / "mine", made.matrices(seed=1), card={"purpose": "My own"})
    return settings


def files(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir() if not path.name.endswith(".lock")}


def test_a_renamed_adapter_is_the_same_one_under_its_new_name(settings: Settings) -> None:
    before = adapters_of(settings).get("mine")
    folder = rename(settings, "mine", new="ours")
    after = adapters_of(settings)
    assert (after.get("ours").sha256, after.get("ours").folder) == (before.sha256, folder)
    assert after.names == ("json", "ours")
    assert files(settings.my_adapters) == {"ours"}


def test_a_deleted_adapter_is_gone_with_what_was_derived_from_it(settings: Settings) -> None:
    sha256 = adapters_of(settings).get("mine").sha256
    twins = settings.home / "adapters"
    twins.mkdir()
    for name in (f"{sha256}-llama-4-2-1.gguf", f"{sha256}-llama-4-2-1.gguf.verified.json", "other.gguf"):
        (twins / name).touch()
    delete(settings, "mine")
    assert adapters_of(settings).names == ("json",)
    assert files(settings.my_adapters) == set()
    assert files(twins) == {"other.gguf"}


def test_the_twin_of_an_adapter_that_another_one_equals_stays(settings: Settings) -> None:
    made.write(settings.my_adapters / "copy", made.matrices(seed=1))
    twin = settings.home / "adapters" / f"{adapters_of(settings).get('mine').sha256}-llama.gguf"
    twin.parent.mkdir()
    twin.touch()
    delete(settings, "mine")
    assert twin.exists()


def test_a_disabled_adapter_is_listed_apart_and_enabled_again_it_is_as_before(settings: Settings) -> None:
    before = adapters_of(settings)
    for name in ("json", "mine"):
        set_enabled(settings, name, enabled=False)
        set_enabled(settings, name, enabled=False)
    found = adapters_of(settings)
    assert (found.adapters, found.refused, found.disabled) == ({}, {}, before.adapters)
    with pytest.raises(AdapterError, match=r"'json' is disabled.*crossfade adapters enable json"):
        found.get("json")
    assert found.find("json") == before.get("json")
    for name in ("json", "mine"):
        set_enabled(settings, name, enabled=True)
    assert adapters_of(settings) == before


def test_a_disabled_adapter_stays_disabled_under_its_new_name_and_a_deleted_name_is_free_again(
    settings: Settings,
) -> None:
    set_enabled(settings, "mine", enabled=False)
    rename(settings, "mine", new="ours")
    assert set(adapters_of(settings).disabled) == {"ours"}
    delete(settings, "ours")
    made.write(settings.my_adapters / "ours")
    assert set(adapters_of(settings).adapters) == {"json", "ours"}


def test_what_ships_is_neither_renamed_nor_deleted(settings: Settings) -> None:
    for act in (lambda: delete(settings, "json"), lambda: rename(settings, "json", new="j")):
        with pytest.raises(AdapterError, match="ships with Crossfade: it can be disabled"):
            act()
    assert adapters_of(settings).names == ("json", "mine")


@pytest.mark.parametrize("name", ["json", "mine", "broken", "My Own", "../x", "", "a" * 65])
def test_a_name_that_is_taken_or_not_allowed_is_refused(settings: Settings, name: str) -> None:
    (made.write(settings.my_adapters / "broken") / WEIGHTS_FILE).unlink()
    with pytest.raises(AdapterError, match=r"exists already|not allowed"):
        rename(settings, "mine", new=name)
    assert adapters_of(settings).get("mine")


@pytest.mark.parametrize("name", ["nobody", "../shipped/json", "..", "", "*"])
def test_a_name_that_nothing_has_is_told_with_the_known_ones(settings: Settings, name: str) -> None:
    for act in (
        lambda: delete(settings, name),
        lambda: rename(settings, name, new="n"),
        lambda: set_enabled(settings, name, enabled=False),
    ):
        with pytest.raises(AdapterError, match=r"Unknown adapter .* Known: json, mine"):
            act()


def test_a_refused_adapter_of_ones_own_can_be_renamed_and_deleted(settings: Settings) -> None:
    made.write(settings.my_adapters / "My Own")
    made.write(settings.my_adapters / "*")
    made.write(settings.my_adapters / ".mine.old" / "kept")
    assert set(adapters_of(settings).refused) == {"My Own", "*"}
    rename(settings, "My Own", new="my-own")
    delete(settings, "*")
    assert set(adapters_of(settings).adapters) == {"json", "mine", "my-own"}
    assert (settings.my_adapters / ".mine.old" / "kept").exists(), "a name with a star is no pattern"


def test_own_are_those_in_the_own_folder_the_refused_ones_included(settings: Settings) -> None:
    for root in (settings.adapters, settings.my_adapters):
        (made.write(root / f"broken-{root.name}") / WEIGHTS_FILE).unlink()
    registry = adapters_of(settings)
    assert {n for n in registry.names if is_own(settings, n, registry=registry)} == {"mine", "broken-my-adapters"}


@pytest.mark.parametrize("action", ["delete", "rename"])
def test_killed_at_any_moment_the_adapter_is_whole_or_gone_and_never_switched_on(
    settings: Settings, tmp_path: Path, action: str
) -> None:
    sha256, found = adapters_of(settings).get("mine").sha256, []
    for moment in range(4):
        made.write(settings.my_adapters / "mine", made.matrices(seed=1))
        set_enabled(settings, "mine", enabled=False)
        command = [sys.executable, "-c", KILLED, str(tmp_path), action, str(moment)]
        ended = subprocess.run(command, timeout=60, check=False, capture_output=True)
        registry = adapters_of(settings)
        assert set(registry.adapters) == {"json"}, (ended.stderr, "never on")
        assert registry.refused == {}
        found.append("".join(name[0] for name in sorted(registry.disabled)))
        assert {a.sha256 for a in registry.disabled.values()} <= {sha256}
        for name in registry.disabled:
            delete(settings, name)
    if action == "rename":
        assert found[:3] == ["m", "m", "o"], "before the mark, before the rename, before the old mark goes"
    else:
        assert found[:2] == ["m", ""]


def test_a_disk_that_refuses_is_told_and_the_adapter_stays(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*names: object) -> None:
        raise OSError("No space left on device")

    for call in ("replace", "rename"):
        monkeypatch.setattr(os, call, refuse)
    with pytest.raises(AdapterError, match="cannot be deleted: No space"):
        delete(settings, "mine")
    with pytest.raises(AdapterError, match="cannot be renamed: No space"):
        rename(settings, "mine", new="ours")
    assert adapters_of(settings).get("mine")


def test_facts_are_read_from_a_card_and_a_strange_card_gives_none(settings: Settings) -> None:
    card = {
        "purpose": "Tickets",
        "method": "lora",
        "base": "smollm2-135m",
        "data": "json.jsonl",
        "rows": 713,
        "held_out_loss": [[0, 0.9], [5, 0.1], [9, 0.2]],
        "kept_step": 5,
        "abstention": {"says": "No.", "below": 0.2, "task": "ticket"},
        "scores": {"eval": {"base": {"valid": 0.0}, "fine-tune": {"valid": 0.95}, "minus": {"x": [0.1, 0.2]}}},
    }
    facts = facts_of(read_adapter(made.write(settings.my_adapters / "good", card=card)))
    assert (facts.method, facts.base, facts.data, facts.rows, facts.rank) == (
        *("lora", "smollm2-135m", "json.jsonl", 713),
        4,
    )
    assert (facts.loss_before, facts.loss_after, facts.gives_way) == (0.9, 0.1, 0.2)
    assert facts.scores == (Score("eval", "valid", "base", 0.0), Score("eval", "valid", "fine-tune", 0.95))
    assert facts.bytes == (settings.my_adapters / "good" / WEIGHTS_FILE).stat().st_size
    strange = {
        "purpose": ["x"],
        "method": {"a": 1},
        "rows": True,
        "held_out_loss": [[0, "0.9"], 7],
        "scores": {"a": {"b": {"c": {"d": {"e": 1}}}}, "f": 1, "g": {"h": {"i": float("nan")}}},
        "base": "x" * 5000,
        "abstention": {"says": "No.", "below": "always", "task": "ticket"},
    }
    folder = made.write(settings.my_adapters / "strange", card=strange)
    assert "NaN" in (folder / CARD_FILE).read_text()
    facts = facts_of(read_adapter(folder))
    assert (facts.method, facts.rows, facts.loss_before, facts.loss_after, facts.scores) == ("lora", 0, None, None, ())
    assert len(facts.base) <= 200
    assert facts.gives_way == 0
