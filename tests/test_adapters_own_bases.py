"""The bases that a person trained whole: what is told of each, renaming and deleting."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

import pytest

import handmade_adapters
import handmade_bases
from crossfade.adapters.own_bases import delete_base, own_bases, rename_base
from crossfade.adapters.ownership import set_owner
from crossfade.errors import AdapterError
from crossfade.settings import Settings

CARD = {"method": "full", "base": "smollm2-135m", "purpose": "Talks", "data": "d.jsonl", "rows": 40}


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """A base `mine` of a person's own, and an adapter `json`."""
    settings = Settings(home=tmp_path / "home", corpora=tmp_path, adapters=tmp_path / "shipped")
    handmade_adapters.write(settings.adapters / "json")
    handmade_bases.write(settings.my_bases / "mine", card=CARD | {"held_out_loss": [[0, 2.0], [9, 0.5]]})
    return settings


def names(settings: Settings) -> list[str]:
    return [base.name for base in own_bases(settings)]


def test_a_base_is_told_of_by_its_card_its_weights_and_their_hash(settings: Settings) -> None:
    (base,) = own_bases(settings)
    facts = base.facts
    assert facts is not None
    assert (facts.name, facts.purpose, facts.method, facts.base) == ("mine", "Talks", "full", "smollm2-135m")
    assert (facts.data, facts.rows, facts.loss_before, facts.loss_after) == ("d.jsonl", 40, 2.0, 0.5)
    assert (facts.bytes, facts.sha256) == (7, hashlib.sha256(b"weights").hexdigest())


def test_one_that_cannot_be_chatted_with_is_told_with_why_and_can_be_deleted(settings: Settings) -> None:
    (settings.my_bases / "mine" / "tokenizer.json").unlink()
    (base,) = own_bases(settings)
    assert base.facts is None
    assert "it lacks tokenizer" in base.refused
    delete_base(settings, "mine")
    assert own_bases(settings) == ()


def test_a_card_that_is_broken_or_not_there_keeps_no_base_from_being_listed(settings: Settings) -> None:
    (settings.my_bases / "mine" / "card.json").write_text("{")
    handmade_bases.write(settings.my_bases / "other")
    assert [(base.name, base.facts.method) for base in own_bases(settings) if base.facts] == [
        ("mine", "full"),
        ("other", "full"),
    ]


def test_a_renamed_base_is_the_same_one_and_its_owner_s(settings: Settings) -> None:
    set_owner(settings.my_bases / "mine", "ann")
    (before,) = own_bases(settings)
    folder = rename_base(settings, "mine", new="ours")
    (after,) = own_bases(settings)
    assert (after.name, after.folder, after.owner) == ("ours", folder, "ann")
    assert before.facts
    assert after.facts == replace(before.facts, name="ours")


def test_a_deleted_base_leaves_nothing_but_its_lock(settings: Settings) -> None:
    handmade_bases.write(settings.my_bases / "other")
    delete_base(settings, "mine")
    assert {path.name for path in settings.my_bases.iterdir()} <= {"other", ".mine.lock"}


def test_the_base_that_answers_is_neither_renamed_nor_deleted(settings: Settings) -> None:
    settings = settings.with_base(str(settings.my_bases / "mine"))
    with pytest.raises(AdapterError, match="'mine' is the one that answers here"):
        delete_base(settings, "mine")
    with pytest.raises(AdapterError, match="is the one that answers here"):
        rename_base(settings, "mine", new="ours")
    assert names(settings) == ["mine"]


@pytest.mark.parametrize("name", ["nobody", "", ".", "..", "../my-bases/mine", ".mine.lock"])
def test_nothing_but_a_base_is_deleted(settings: Settings, name: str) -> None:
    with pytest.raises(AdapterError, match=r"Unknown base .* Known: mine"):
        delete_base(settings, name)
    assert names(settings) == ["mine"]


@pytest.mark.parametrize(
    ("new", "told"), [("../x", "not allowed"), ("", "not allowed"), ("json", "already"), ("other", "already")]
)
def test_a_name_that_is_not_allowed_or_is_taken_is_refused(settings: Settings, new: str, told: str) -> None:
    handmade_bases.write(settings.my_bases / "other")
    with pytest.raises(AdapterError, match=told):
        rename_base(settings, "mine", new=new)
    assert names(settings) == ["mine", "other"]


def test_a_disk_that_refuses_is_told(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("os.replace", refuse)
    with pytest.raises(AdapterError, match=r"Base 'mine' cannot be deleted: .*Permission denied.*writable"):
        delete_base(settings, "mine")
