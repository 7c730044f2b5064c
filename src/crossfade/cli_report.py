"""How `crossfade eval` shows and writes its reports: one of a single task, or several with a table of all."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from crossfade.errors import SettingsError
from crossfade.terminal import say, tell

if TYPE_CHECKING:
    from crossfade.evaluation.page_words import Reader
    from crossfade.evaluation.report import Report


def reader_of(language: str) -> Reader | None:
    """Who reads a report's page in another language than English. Raises SettingsError for an unknown one."""
    if language == "en":  # what says it in another one loads the page's libraries
        return None
    from crossfade.evaluation.page_words import Reader
    from crossfade.ui.language import LANGUAGES
    from crossfade.ui.phrases import said

    if language not in LANGUAGES:
        raise SettingsError(f"--language {language!r} is not known; write one of {', '.join(LANGUAGES)}.")
    return Reader(language, partial(said, language))


def show_reports(
    title: str, reports: Mapping[str, Report], *, out: Path | None, as_json: bool, reader: Reader | None = None
) -> None:
    """Print reports by task, as tables or as JSON, and write every form into the folder `out`. Raises SettingsError.

    `reader` is that of the HTML page; all else is in English.
    """
    from crossfade.evaluation.export import EXPORTS, EXPORTS_OF_SEVERAL, several_to_html, to_html
    from crossfade.evaluation.several import BEST, Several, overview

    several = Several(title, reports)
    (first, *others) = reports.values()
    if others:
        texts = {ending: export(several) for ending, export in EXPORTS_OF_SEVERAL.items() if out or ending == "json"}
    else:
        texts = {ending: export(first) for ending, export in EXPORTS.items() if out or ending == "json"}
    if out and reader:
        texts["html"] = several_to_html(several, reader) if others else to_html(first, reader)
    if as_json:
        sys.stdout.write(texts["json"])
    else:
        for name, report in reports.items():
            if others:
                say(f"{name}\n")
            _show(report)
            if others:
                say("\n")
        if others:
            header, rows = overview(several)
            _table(header, rows)
            say(f"* {BEST}")
    if out:
        for ending, text in texts.items():
            _write(out, f"report.{ending}", text)
        tell(f"Written to {out}: {', '.join(f'report.{ending}' for ending in texts)}.")


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    widths = [max(len(line[i]) for line in [header, *rows]) for i in range(len(header))]
    for line in [header, *rows]:
        say("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())


def _show(report: Report) -> None:
    """The table of modes, best first, then the differences and the verdict."""
    from crossfade.evaluation.wording import auto_line, effect_line, mode_table, pair_line

    header, rows = mode_table(report)
    _table(header, rows)
    say("")
    for pair in report.pairs:
        if pair.first in report.best[:1]:
            say(pair_line(pair))
    for effect in report.effects:
        say(effect_line(effect))
    if report.auto:
        say(f"auto: {auto_line(report.auto)}")
    say(f"\n{report.verdict}")


def _write(folder: Path, name: str, text: str) -> None:
    """Write a file beside and rename it into place. Raises SettingsError."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        beside = folder / f".{name}.part"
        beside.write_text(text, encoding="utf-8", newline="")
        beside.replace(folder / name)
    except OSError as error:
        raise SettingsError(f"{folder / name} cannot be written: {error}. Give another folder with --out.") from error
