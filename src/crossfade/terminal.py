"""What the commands write: text that cannot command a terminal, JSON, and the progress of a download."""

from __future__ import annotations

import json
import logging
import re
import sys
from typing import Any

import typer

_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")


def printable(text: str) -> str:
    """The text with its control characters written out, such as `\\x1b`, line ends and tabs kept.

    A model, a document or an adapter's card could otherwise command the terminal: clear it, or write over a line.
    """
    return _CONTROL.sub(lambda match: f"\\x{ord(match[0]):02x}", text)


def say(line: str) -> None:
    """A line of the answer, on standard output."""
    typer.echo(printable(line))


def tell(line: str) -> None:
    """A line beside the answer, on standard error."""
    typer.echo(printable(line), err=True)


def print_json(value: Any) -> None:
    """A value for programs, on standard output."""
    typer.echo(json.dumps(value, indent=2, ensure_ascii=False))


class Printable(logging.Formatter):
    """Log lines as `printable` text: they name files and adapters."""

    def format(self, record: logging.LogRecord) -> str:
        """The record's line."""
        return printable(super().format(record))


class Bar:
    """Progress of a download on standard error: one line that is written over."""

    def __call__(self, stage: str, done: int, total: int) -> None:
        """Show the stage with the bytes done, `total` being 0 where it is not known."""
        share = f"{done / total:4.0%} of {total / 1e6:.0f} MB" if total else f"{done / 1e6:.0f} MB"
        end = "\r" if sys.stderr.isatty() else "\n"
        if sys.stderr.isatty() or done == total:
            sys.stderr.write(f"{stage:<10} {share}{end}")


class Line:
    """How far work is, on a line of a terminal that is written over; elsewhere nothing is told."""

    def __call__(self, stage: str, done: int = 0, total: int = 0) -> None:
        """Show the stage with how much of it is done."""
        self._write(f"{stage}: {done:,} of {total:,}" if total else stage)

    def clear(self) -> None:
        """Make room for the answer."""
        self._write("")

    def _write(self, text: str) -> None:
        if sys.stderr.isatty():
            sys.stderr.write(f"\r{text:<78}\r")
            sys.stderr.flush()
