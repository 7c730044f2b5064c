"""`crossfade data feedback`: thumbs and votes as rows to train on, of everybody who used this machine."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from crossfade.cli_common import AsJson
from crossfade.errors import TrainingError
from crossfade.settings import Settings
from crossfade.terminal import print_json, say


def feedback(
    out: Annotated[Path, typer.Option("--out", help="The .jsonl that the rows go to.")],
    replace: Annotated[bool, typer.Option("--replace", help="Replace a file of that name.")] = False,
    as_json: AsJson = False,
) -> None:
    """Make rows from the thumbs in the chat and the votes in the comparison: answers that were liked or won, and better
    answers that people wrote.

    Of several about one prompt the newest decides. Each row says in which mode, by which adapters and when its answer
    was made. What people wrote may be personal: look at the rows before you train on them or pass them on.
    """
    from crossfade.history.database import Database
    from crossfade.history.opinions import Opinions
    from crossfade.training.row_file import check_free, write_rows

    check_free(out, replace=replace)
    path = Settings.from_environment().history
    if not path.is_file():
        raise TrainingError(f"There are no thumbs or votes yet: {path} is not there. Judge answers first.")
    database = Database(path)
    try:
        made = Opinions(database).rows(None)
    finally:
        database.close()
    if not made.rows:
        raise TrainingError(
            f"None of the {made.thumbs:,} thumbs and {made.votes:,} votes in {path} gives a row. Like an answer, write "
            "a better answer, or vote for the best of a comparison."
        )
    write_rows(out, made.rows, replace=replace)
    if as_json:
        counts = {"rows": len(made.rows), "thumbs": made.thumbs, "votes": made.votes}
        print_json({"out": str(out), **counts, "left_out": made.left_out})
        return
    say(f"{out}: {len(made.rows):,} rows of {made.thumbs:,} thumbs and {made.votes:,} votes.")
    for why, count in made.left_out.items():
        say(f"{count:>6,}  {why}")
