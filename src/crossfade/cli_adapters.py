"""The commands `crossfade adapters`: list them, and write a blend as one of its own."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from shlex import quote
from typing import Annotated, Any

import typer

from crossfade.errors import AdapterError
from crossfade.settings import Settings
from crossfade.terminal import print_json, say

adapters = typer.Typer(name="adapters", invoke_without_command=True, rich_markup_mode=None)

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@adapters.callback()
def show(context: typer.Context, as_json: AsJson = False) -> None:
    """List the adapters, and the bases that you trained whole: method, rank, size, hash, purpose.

    It says which adapters are disabled or refused, with the reason, and how a base is chatted with.
    """
    if context.invoked_subcommand:
        return
    from crossfade.adapters.facts import facts_of
    from crossfade.adapters.own_bases import own_bases
    from crossfade.adapters.registry import adapters_of

    settings = Settings.from_environment()
    found, bases = adapters_of(settings), own_bases(settings)
    rows: list[dict[str, Any]] = [
        {**asdict(facts_of(a)), "folder": str(a.folder), "enabled": a.name in found.adapters}
        for a in (*found.adapters.values(), *found.disabled.values())
    ]
    refused = [{"name": name, "refused": why} for name, why in found.refused.items()]
    refused += [{"name": base.name, "refused": base.refused} for base in bases if base.refused]
    whole = [
        {
            **asdict(base.facts),
            "folder": str(base.folder),
            "command": f"crossfade serve --base {quote(str(base.folder))}",
        }
        for base in bases
        if base.facts
    ]
    if as_json:
        print_json([*rows, *whole, *refused])
        return
    for row in rows:
        off = "" if row["enabled"] else "disabled: "
        made = f"{row['method']:<8} rank {row['rank']:<4} {row['bytes'] / 1e6:6.1f} MB"
        say(f"{row['name']:<12} {row['sha256'][:12]}  {made}  {off}{row['purpose']}")
    for row in whole:
        made = f"{row['method']:<8} a base    {row['bytes'] / 1e6:6.1f} MB"
        say(f"{row['name']:<12} {row['sha256'][:12]}  {made}  {row['purpose']}; chat with it: {row['command']}")
    for row in refused:
        say(f"{row['name']:<12} refused: {row['refused']}")


@adapters.command()
def blend(
    parts: Annotated[list[str], typer.Argument(help="Adapters, each NAME or NAME:WEIGHT.", metavar="NAME[:WEIGHT]...")],
    out: Annotated[str, typer.Option("--out", help="The new adapter's name, or the path of its folder.")],
    replace: Annotated[bool, typer.Option("--replace", help="Replace an adapter of that name.")] = False,
    as_json: AsJson = False,
) -> None:
    """Write a blend of adapters as one adapter that does exactly the same."""
    from crossfade.adapters.blending import write_blend
    from crossfade.adapters.registry import adapters_of, scan
    from crossfade.adapters.written import weighted

    settings = Settings.from_environment()
    registry = adapters_of(settings)
    chosen = tuple((registry.get(name), weight) for name, weight in map(weighted, parts))
    place = Path(out) if "/" in out else settings.my_adapters / out
    if "/" not in out and out in scan(settings.adapters).adapters:
        raise AdapterError(f"{out!r} is the name of an adapter that ships with Crossfade. Choose another name.")
    made = write_blend(chosen, place, replace=replace)
    if as_json:
        print_json({"name": made.name, "folder": str(made.folder), "sha256": made.sha256, **made.card})
    else:
        say(f"{made.folder}  {made.sha256[:12]}  {made.purpose}")
