"""Files that are made for a download, which Gradio serves by their path: each to its owner alone.

A path has random bits that nobody guesses, and names the owner: whoever else comes by it, as from a log or a screen,
gets nothing. The page's `delete_cache` removes the files within the hour.
"""

from __future__ import annotations

import re
import secrets
import shutil
from pathlib import Path

import gradio as gr
from starlette.requests import HTTPConnection
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from crossfade.ui.owner import owner_of

_OF = re.compile("of-([0-9a-f]{64})", re.IGNORECASE)


def place_for(request: gr.Request, cache: str, name: str) -> Path:
    """A path in Gradio's cache for a file that is made for who asks; its folder is there. Raises OSError."""
    owner = owner_of(request)  # a browser without a cookie has the random bits alone
    folder = Path(cache, *([f"of-{owner}"] if owner else []), secrets.token_hex(32))
    folder.mkdir(parents=True)
    return folder / name


def copy_for(request: gr.Request, cache: str, path: Path) -> Path:
    """A copy of a file where Gradio serves it to who asks. Raises OSError."""
    return Path(shutil.copyfile(path, place_for(request, cache, path.name)))


def was_made(path: str) -> bool:
    """Whether a path is of a file that was made for a download: nobody sent it."""
    return bool(_OF.search(path))


class DownloadDoor:
    """Refuses to everybody else what was made for an owner."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        owners = set(_OF.findall(str(scope["path"]))) if scope["type"] == "http" else set()
        if owners and {owner.lower() for owner in owners} != {owner_of(HTTPConnection(scope))}:
            await PlainTextResponse("There is no such file.", status_code=404)(scope, receive, send)
            return
        await self._app(scope, receive, send)
