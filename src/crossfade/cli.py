"""The command line. Heavy libraries are imported inside the commands, so that `--help` answers at once.

Answers go to standard output, progress and errors to standard error; the exit code is 0, 1 for an error that is told
in one line, 2 for words that are no command.
"""

from __future__ import annotations

import logging
import sys
from dataclasses import replace
from typing import Annotated

import typer

from crossfade import __version__
from crossfade.cli_abstain import abstain
from crossfade.cli_adapters import adapters
from crossfade.cli_advise import advise, changes
from crossfade.cli_ask import ask, compare
from crossfade.cli_build import build
from crossfade.cli_builders import compose, distil, format_
from crossfade.cli_common import AsJson, Base, EngineName, started
from crossfade.cli_data import data_app
from crossfade.cli_draft import draft
from crossfade.cli_eval import evaluate
from crossfade.cli_export import export, push
from crossfade.cli_feedback import feedback
from crossfade.cli_manage import add, delete, disable, enable, pack, rename
from crossfade.cli_methods import compare_methods
from crossfade.cli_train import train_app
from crossfade.errors import CorpusError, CrossfadeError
from crossfade.settings import Settings
from crossfade.terminal import Bar, Printable, print_json, printable, say

app = typer.Typer(
    name="crossfade",
    help="Fine-tune, retrieve, or prompt? Ask one question in every mode, and train adapters from your own data.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


def main() -> None:
    """The entry point: an error of ours becomes one line and exit code 1."""
    handler = logging.StreamHandler()
    handler.setFormatter(Printable("%(levelname)s: %(message)s"))
    logging.basicConfig(level=logging.WARNING, handlers=[handler])
    try:
        app()
    except CrossfadeError as error:
        sys.exit(f"crossfade: {printable(' '.join(str(error).split()))}")
    except KeyboardInterrupt:
        sys.exit(130)
    except BrokenPipeError:
        sys.stderr.close()
        sys.exit(0)


app.command()(ask)
app.command()(compare)


@app.command()
def index(
    corpus: Annotated[str, typer.Argument(help="The corpus.")] = "tidewell",
    search: Annotated[str, typer.Option("--search", help="Show the passages found for this question.")] = "",
    as_json: AsJson = False,
) -> None:
    """Build or refresh the index of a corpus."""
    with started() as startup:
        found = startup.index(startup.corpus(corpus))
        if found.unsaved:
            raise CorpusError(found.unsaved)
        passages = [
            {"source": p.source, "document": p.document, "score": p.score, "text": p.text}
            for p in (found.retrieve(search) if search else ())
        ]
        facts = {
            "corpus": corpus,
            "passages": len(found.passages),
            "rebuilt": found.rebuilt,
            "embedded": found.embedded,
        }
        if as_json:
            print_json({**facts, "found": passages})
            return
        typer.echo(f"{corpus}: {facts['passages']} passages, {found.rebuilt or 'nothing to do'}")
        for row in passages:
            say(f"\n{row['score']:.4f}  {row['source']}\n{row['text']}")


@app.command()
def models(
    fetch: Annotated[str, typer.Option("--fetch", help="Fetch this model now.")] = "", as_json: AsJson = False
) -> None:
    """List the models that have names, or fetch one."""
    from crossfade.models.catalogue import CATALOGUE
    from crossfade.models.fetch import fetch as fetch_model

    if fetch:
        path = str(fetch_model(fetch, Settings.from_environment().home, progress=Bar()))
        if as_json:
            print_json({"name": fetch, "path": path})
        else:
            typer.echo(path)
        return
    rows = [
        {"name": m.name, "kind": m.kind, "title": m.title, "licence": m.licence, "measured": m.measured, "note": m.note}
        for m in CATALOGUE
    ]
    if as_json:
        print_json(rows)
    for row in rows if not as_json else ():
        note = row["note"] if row["measured"] else f"{row['note']} Not measured here."
        typer.echo(f"{row['name']:<20} {row['kind']:<9} {row['title']} ({row['licence']}). {note}")


@app.command()
def serve(
    host: Annotated[str, typer.Option(help="The address to listen on.")] = "",
    port: Annotated[int | None, typer.Option(min=0, max=65535)] = None,
    base: Base = "",
    engine: EngineName = "",
) -> None:
    """Start the app in the browser."""
    from crossfade.startup import Startup

    settings = Settings.from_environment().asked_for(base, engine)
    settings = replace(settings, host=host or settings.host, port=settings.port if port is None else port)
    logging.getLogger("crossfade").setLevel(logging.INFO)
    startup = Startup(settings)
    startup.start()
    from crossfade.ui.app import serve as serve_ui

    serve_ui(startup, settings)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"crossfade {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Fine-tune, retrieve, or prompt? Ask one question in every mode, and train adapters from your own data."""


data_app.command()(compose)
data_app.command()(distil)
data_app.command("format")(format_)
data_app.command()(feedback)
app.add_typer(data_app, name="data")
train_app.command("compare")(compare_methods)
app.add_typer(train_app, name="train")
app.command("eval")(evaluate)
app.command()(advise)
app.command()(changes)
app.command()(draft)
for command in (build, abstain, rename, delete, enable, disable, pack, add, export, push):
    adapters.command()(command)
app.add_typer(adapters)
