"""A person's own files of rows: what there is, what was sent or pasted, and free names.

They lie in the home's `data`; where others open the page, each visitor's lie in a folder of their own in it, named as
stores name an owner. What lies in `data` itself, as from a command, is offered to nobody there.
"""

from __future__ import annotations

import hashlib
import itertools
import re
import shutil
from pathlib import Path

import gradio as gr

from crossfade.errors import TrainingError
from crossfade.settings import Settings
from crossfade.ui.language import say
from crossfade.ui.owner import NO_COOKIE, person_of
from crossfade.ui.uploads import taken_out

ENDINGS = [".jsonl", ".json", ".csv", ".tsv", ".parquet"]
PASTED = "pasted"
"""Stands for what was pasted, where a file is chosen; no file is called so, for want of an ending."""
MOST_CHARACTERS = 2_000_000


class RowFiles:
    """The files of one folder of `root`: a visitor's own, or that which is there for None; without a cookie none."""

    def __init__(self, root: Path, person: str | None = None) -> None:
        self._root, self.person = root, person

    @property
    def folder(self) -> Path:
        """Where they lie. Raises TrainingError for a visitor whose browser keeps no cookie."""
        if self.person == "":
            raise TrainingError(NO_COOKIE)
        return self._root / (self.person or "")

    def names(self) -> list[str]:
        """The files' names, the newest first."""
        if self.person == "":
            return []
        found = [path for path in self.folder.glob("[!.]*") if path.suffix in ENDINGS]
        return [path.name for path in sorted(found, key=lambda path: path.stat().st_mtime, reverse=True)]

    def offered(self, language: str, *, endings: tuple[str, ...] = (), pasted: bool = True) -> list[tuple[str, str]]:
        """The files to choose from, of some endings alone where they are named, and what was pasted."""
        files = [(name, name) for name in self.names() if not endings or name.endswith(endings)]
        return [*files, *([(say(language, "training.pasted_choice"), PASTED)] if pasted else [])]

    def keep(self, sent: str) -> str:
        """Take a file that was sent, under a plain name, out of the folder that the page's server reads from.

        Its new name. Raises TrainingError, OSError.
        """
        name = _plain(Path(sent).name)
        self.folder.mkdir(parents=True, exist_ok=True)
        target = self.free(name)
        with taken_out(sent) as private:
            shutil.move(private, target)
        return target.name

    def delete(self, name: str | None, language: str) -> None:
        """Delete one of the files. Raises TrainingError for another name, OSError."""
        self._own(name or "", language).unlink(missing_ok=True)

    def free(self, name: str) -> Path:
        """A path of that name that is not taken: a number is put in before its ending."""
        path = self.folder / name
        names = itertools.chain([path], (path.with_stem(f"{path.stem}-{number}") for number in itertools.count(2)))
        return next(path for path in names if not path.exists())

    def path(self, source: str | None, pasted: str | None, language: str, *, ending: str = "") -> Path:
        """The file of the rows; pasted ones become one, a `.jsonl`, `.json` or `.csv` where no ending is given.

        Raises TrainingError.
        """
        if source and source != PASTED:
            return self._own(source, language)
        text = (pasted or "").strip()
        if not text:
            raise TrainingError(say(language, "training.no_rows"))
        if len(text) > MOST_CHARACTERS:
            raise TrainingError(
                say(language, "training.too_much_pasted", given=f"{len(text):,}", most=f"{MOST_CHARACTERS:,}")
            )
        self.folder.mkdir(parents=True, exist_ok=True)
        # By what it says: an order that waits is carried out on these rows, whatever is pasted meanwhile.
        name = f"pasted-{hashlib.sha256(text.encode()).hexdigest()[:10]}"
        path = self.folder / f"{name}{ending or {'{': '.jsonl', '[': '.json'}.get(text[0], '.csv')}"
        path.write_text(text + "\n", encoding="utf-8")
        return path

    def _own(self, name: str, language: str) -> Path:
        """The file of that name; one that is another's is not there."""
        if name not in self.names():
            raise TrainingError(say(language, "training.file_gone", file=name))
        return self.folder / name


def files_of(request: gr.Request | None, settings: Settings) -> RowFiles:
    """The files of rows of who asks; None stands for a page that is being built."""
    return RowFiles(settings.home / "data", person_of(request, settings))


def _plain(name: str) -> str:
    """A plain name for a file that was sent. Raises TrainingError for another kind."""
    path = Path(re.sub(r"[^A-Za-z0-9._-]+", "-", Path(name).name).lstrip(".-") or "rows")
    if path.suffix.lower() not in ENDINGS:
        raise TrainingError(f"rows are read from {', '.join(ENDINGS)}")
    return f"{path.stem[:60]}{path.suffix.lower()}"
