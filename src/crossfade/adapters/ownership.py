"""Whose an adapter or a base is, in a file of its folder, which goes where the folder goes, and into no archive.

Knows no page.
"""

from __future__ import annotations

from pathlib import Path

from crossfade.settings import Settings

OWNER_FILE = ".owner"


def set_owner(folder: Path, owner: str) -> None:
    """Say whose what is in a folder is; nobody's for an empty text. Raises OSError."""
    if owner:
        (folder / OWNER_FILE).write_text(owner, encoding="utf-8")


def owners(settings: Settings) -> dict[str, str]:
    """The owner of each adapter that has one: of those that visitors of the page trained or sent."""
    return owners_in(settings.my_adapters)


def owners_in(root: Path) -> dict[str, str]:
    """The owner of each folder under a root that has one."""
    return {file.parent.name: _read(file) for file in root.glob(f"*/{OWNER_FILE}")}


def _read(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return "?"  # somebody's, and of nobody who asks
