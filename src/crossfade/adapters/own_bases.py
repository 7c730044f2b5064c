"""The bases that a person has trained whole: which there are, rename and delete them. Knows no engine.

Each is a folder in the home's `my-bases`, in Hugging Face form, with the card of its training beside the weights. It is
chatted with where Crossfade is started with it as its base.
"""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from crossfade.adapters.facts import AdapterFacts, facts_from
from crossfade.adapters.manage import disk_errors
from crossfade.adapters.ownership import owners_in
from crossfade.adapters.peft_files import NAME, read_card
from crossfade.adapters.registry import adapters_of
from crossfade.adapters.swap import restore, workplace
from crossfade.errors import AdapterError, ModelError
from crossfade.models.fetch import check_folder
from crossfade.models.gguf_file import base_identity
from crossfade.settings import Settings


@dataclass(frozen=True, slots=True)
class OwnBase:
    """One base: `refused` says why it cannot be chatted with, and then `facts` is None. `owner` is "" for nobody's."""

    name: str
    folder: Path
    facts: AdapterFacts | None
    refused: str = ""
    owner: str = ""


def own_bases(settings: Settings) -> tuple[OwnBase, ...]:
    """Every base of a person's own, sorted by name. The first look at one reads it whole, for its hash."""
    root = settings.my_bases
    restore(root)
    owner = owners_in(root)
    folders = sorted(path for path in root.glob("[!.]*") if path.is_dir())
    return tuple(_read(folder, settings.home, owner.get(folder.name, "")) for folder in folders)


def is_own_base(settings: Settings, name: str) -> bool:
    """Whether a base of a person's own has that name."""
    return name in {path.name for path in settings.my_bases.glob("[!.]*") if path.is_dir()}


def answers_here(settings: Settings, folder: Path) -> bool:
    """Whether the base in a folder is the one of these settings."""
    return Path(settings.base) == folder.resolve()


def rename_base(settings: Settings, old: str, *, new: str) -> Path:
    """Rename a base of a person's own and return its folder.

    Raises AdapterError: unknown, in use, a name that is not allowed or is taken, a disk that refuses.
    """
    folder = _to_change(settings, old)
    if not NAME.fullmatch(new):
        raise AdapterError(f"The name {new[:80]!r} is not allowed: use up to 64 of a-z, 0-9, - and _.")
    target = settings.my_bases / new
    with disk_errors(f"Base {old!r} cannot be renamed", settings.home), workplace(folder), workplace(target):
        if target.exists() or new in adapters_of(settings).names:
            raise AdapterError(f"{new!r} is the name of an adapter or a base already. Choose another one.")
        os.rename(folder, target)
    return target


def delete_base(settings: Settings, name: str) -> None:
    """Delete a base of a person's own. Killed at any moment, it is there whole or not at all.

    Raises AdapterError: unknown, in use, a disk that refuses.
    """
    folder = _to_change(settings, name)
    with disk_errors(f"Base {name!r} cannot be deleted", settings.home), workplace(folder) as scratch:
        os.replace(folder, scratch / folder.name)


def _to_change(settings: Settings, name: str) -> Path:
    if not is_own_base(settings, name):
        known = ", ".join(sorted(path.name for path in settings.my_bases.glob("[!.]*") if path.is_dir()))
        raise AdapterError(f"Unknown base {name!r}. Known: {known or 'none'}.")
    folder = settings.my_bases / name
    if answers_here(settings, folder):
        raise AdapterError(f"Base {name!r} is the one that answers here. Start Crossfade with another base first.")
    return folder


def _read(folder: Path, home: Path, owner: str) -> OwnBase:
    card: dict[str, Any] = {}
    with suppress(AdapterError):  # it is chatted with all the same
        card = read_card(folder)
    try:
        check_folder(folder)
        weights = sum(file.stat().st_size for file in folder.glob("*.safetensors"))
        sha256 = base_identity(folder, home)
    except (ModelError, OSError) as error:
        return OwnBase(folder.name, folder, None, str(error), owner)
    facts = facts_from(card, folder.name, method="full", size=weights, sha256=sha256)
    return OwnBase(folder.name, folder, facts, owner=owner)
