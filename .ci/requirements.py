"""Print requirements.txt: what pyproject.toml names for the chat. Spaces install it before the checkout is there."""

from __future__ import annotations

import sys
import tomllib
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[1] / "pyproject.toml"
HEAD = "# Made by `make requirements` from pyproject.toml, for Hugging Face Spaces. Change it there."


def requirements(project: str) -> str:
    """The lines of requirements.txt for the text of a pyproject.toml. The package itself is not among them."""
    dependencies = tomllib.loads(project)["project"]["dependencies"]
    return "\n".join([HEAD, *dependencies]) + "\n"


if __name__ == "__main__":
    sys.stdout.write(requirements(PROJECT.read_text(encoding="utf-8")))
