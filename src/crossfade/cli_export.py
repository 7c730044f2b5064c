"""`crossfade adapters export | push`: adapters for use elsewhere."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from crossfade.adapters.written import weighted
from crossfade.cli_common import AsJson, Base
from crossfade.errors import AdapterError
from crossfade.settings import Settings, variable
from crossfade.terminal import Bar, print_json, say, tell


def export(
    parts: Annotated[
        list[str], typer.Argument(help="An adapter, or several, each NAME or NAME:WEIGHT.", metavar="NAME")
    ],
    to: Annotated[
        str, typer.Option("--to", help="folder or gguf, both with the base inside; or adapter-gguf, without it.")
    ],
    out: Annotated[Path, typer.Option("--out", help="The folder or file to write.")],
    base: Base = "",
    as_json: AsJson = False,
) -> None:
    """Write an adapter, or a blend, merged into its base: a Hugging Face folder or a GGUF; or alone, as a GGUF."""
    from crossfade.adapters.registry import adapters_of
    from crossfade.training.export import export as export_files

    settings = Settings.from_environment().asked_for(base, "")
    registry = adapters_of(settings)
    chosen = tuple((registry.find(name), weight) for name, weight in map(weighted, parts))
    made = export_files(settings, chosen, to=to, out=out, progress=Bar(), report=lambda line: tell(f"{line} ..."))
    files = [made] if made.is_file() else sorted(made.iterdir())
    size = sum(path.stat().st_size for path in files)
    if as_json:
        names = [{"name": adapter.name, "weight": weight} for adapter, weight in chosen]
        print_json({"parts": names, "to": to, "path": str(made), "bytes": size})
    else:
        say(f"{made}  {size / 1e6:.1f} MB")


def push(
    name: Annotated[str, typer.Argument(help="The adapter.", metavar="NAME")],
    repo: Annotated[str, typer.Option("--repo", help="The repository on the hub, owner/name.")],
    token_env: Annotated[
        str, typer.Option("--token-env", help="The environment variable that holds the hub's token.")
    ] = "HF_TOKEN",
    public: Annotated[bool, typer.Option("--public", help="Make a new repository public.")] = False,
    as_json: AsJson = False,
) -> None:
    """Push an adapter to a model hub, that of HF_ENDPOINT where it is set; a new repository is private."""
    from crossfade.adapters.push import push_adapter
    from crossfade.adapters.registry import adapters_of

    adapter = adapters_of(Settings.from_environment()).find(name)
    token = variable(token_env)
    if not token:
        raise AdapterError(f"A push needs the hub's token, and {token_env} is not set. Set it, or name another one.")
    address = push_adapter(adapter, repo, token=token, private=not public)
    if as_json:
        print_json({"name": name, "repository": repo, "address": address, "sha256": adapter.sha256})
    else:
        say(address)
