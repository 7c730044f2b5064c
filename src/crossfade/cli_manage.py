"""`crossfade adapters rename | delete | enable | disable | pack | add`: what is done with the files of adapters."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import typer

from crossfade.cli_common import AsJson
from crossfade.errors import AdapterError
from crossfade.settings import Settings
from crossfade.terminal import print_json, printable, say

Name = Annotated[str, typer.Argument(help="The adapter.", metavar="NAME")]


def rename(
    old: Annotated[str, typer.Argument(help="An adapter of your own, or a base that you trained.", metavar="OLD")],
    new: Annotated[str, typer.Argument(help="Its new name: up to 64 of a-z, 0-9, - and _.", metavar="NEW")],
    as_json: AsJson = False,
) -> None:
    """Rename an adapter of your own, or a base that you trained whole."""
    from crossfade.adapters.manage import rename as rename_files
    from crossfade.adapters.own_bases import rename_base

    settings = Settings.from_environment()
    folder = rename_base(settings, old, new=new) if _is_base(settings, old) else rename_files(settings, old, new=new)
    _tell({"name": new, "was": old, "folder": str(folder)}, f"{old} is now {new}: {folder}", as_json=as_json)


def delete(
    name: Name,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    as_json: AsJson = False,
) -> None:
    """Delete an adapter of your own, or a base that you trained whole, after asking; there is no way back."""
    from crossfade.adapters.manage import delete as delete_files
    from crossfade.adapters.manage import own_folder
    from crossfade.adapters.own_bases import delete_base
    from crossfade.adapters.registry import adapters_of

    settings = Settings.from_environment()
    whole = _is_base(settings, name)
    folder = settings.my_bases / name if whole else own_folder(settings, name, registry=adapters_of(settings))
    if not yes:
        if not sys.stdin.isatty():
            raise AdapterError(f"Nobody can be asked whether {name!r} may go for good. Say so by --yes.")
        if not typer.confirm(printable(f"Delete {folder} for good?"), err=True):
            raise AdapterError(f"{'Base' if whole else 'Adapter'} {name!r} was kept.")
    (delete_base if whole else delete_files)(settings, name)
    _tell({"name": name, "deleted": True}, f"{name} is deleted.", as_json=as_json)


def enable(name: Name, as_json: AsJson = False) -> None:
    """Serve an adapter again that was disabled; a running app sees it at its next start."""
    _switch(name, enabled=True, as_json=as_json)


def disable(name: Name, as_json: AsJson = False) -> None:
    """Keep an adapter, a shipped one too, and serve it no more."""
    _switch(name, enabled=False, as_json=as_json)


def pack(
    name: Name,
    out: Annotated[Path, typer.Option("--out", help="The zip file to write.")],
    replace: Annotated[bool, typer.Option("--replace", help="Replace a file of that name.")] = False,
    as_json: AsJson = False,
) -> None:
    """Write an adapter as one zip file, which `adapters add` takes in anywhere."""
    from crossfade.adapters.archive import pack as pack_files
    from crossfade.adapters.registry import adapters_of

    adapter = adapters_of(Settings.from_environment()).find(name)
    path = pack_files(adapter, out, replace=replace)
    size = path.stat().st_size
    facts = {"name": name, "file": str(path), "bytes": size, "sha256": adapter.sha256}
    _tell(facts, f"{path}  {size / 1e6:.1f} MB", as_json=as_json)


def add(
    path: Annotated[Path, typer.Argument(help="A zip file, or a folder in PEFT's form.", metavar="PATH")],
    name: Annotated[str, typer.Option("--name", help="Its name here; by default its own.")] = "",
    as_json: AsJson = False,
) -> None:
    """Take an adapter in from a zip or a folder, checked: its weights, configuration and card, and nothing else."""
    from crossfade.adapters.archive import take_in
    from crossfade.adapters.registry import adapters_of

    settings = Settings.from_environment()
    made = take_in(path, settings.my_adapters, registry=adapters_of(settings), name=name)
    facts = {"name": made.name, "folder": str(made.folder), "sha256": made.sha256, "purpose": made.purpose}
    _tell(facts, f"{made.folder}  {made.sha256[:12]}  {made.purpose}", as_json=as_json)


def _is_base(settings: Settings, name: str) -> bool:
    """Whether a base is meant: an adapter of that name goes first."""
    from crossfade.adapters.own_bases import is_own_base
    from crossfade.adapters.registry import adapters_of

    return name not in adapters_of(settings).names and is_own_base(settings, name)


def _switch(name: str, *, enabled: bool, as_json: bool) -> None:
    from crossfade.adapters.manage import set_enabled

    set_enabled(Settings.from_environment(), name, enabled=enabled)
    _tell({"name": name, "enabled": enabled}, f"{name} is {'enabled' if enabled else 'disabled'}.", as_json=as_json)


def _tell(facts: Mapping[str, object], line: str, *, as_json: bool) -> None:
    if as_json:
        print_json(facts)
    else:
        say(line)
