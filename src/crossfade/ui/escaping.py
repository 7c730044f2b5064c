"""Text that becomes no markup. Pure; knows nothing of answers or of the page.

Every character that could mean something to HTML, to Markdown or to a template is written as a numeric character
reference, line ends too: the result is one line without a blank, which a Markdown renderer takes for one block of HTML
and leaves alone.
"""

from __future__ import annotations

import re

_SPECIAL = re.compile(r"[^A-Za-z0-9 ,;\u00a1-\ud7ff\uf900-\uffef]")


def escape(text: str) -> str:
    """The text as it stands, safe in HTML, in Markdown and in an attribute's value."""
    return _SPECIAL.sub(lambda match: f"&#{ord(match[0])};", text.replace("\r\n", "\n"))
