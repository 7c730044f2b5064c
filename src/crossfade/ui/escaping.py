"""Text as HTML. Every character that could mean something to HTML, Markdown or a template becomes a reference."""

from __future__ import annotations

import re

_SPECIAL = re.compile(r"[^A-Za-z0-9 ,;\u00a1-\ud7ff\uf900-\uffef]")


def escape(text: str) -> str:
    """The text as it stands, safe in HTML, in Markdown and in an attribute's value."""
    return _SPECIAL.sub(lambda match: f"&#{ord(match[0])};", text.replace("\r\n", "\n"))
