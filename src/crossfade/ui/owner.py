"""Whose page it is: a random id in a cookie that only this browser holds, later the login. Knows nothing of stores."""

from __future__ import annotations

import hashlib
import re
import secrets

import gradio as gr
from starlette.datastructures import MutableHeaders
from starlette.requests import HTTPConnection
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from crossfade.public_address import serves_others
from crossfade.settings import Settings

COOKIE = "crossfade_owner"
YEAR_SECONDS = 365 * 24 * 3600
NO_COOKIE = "Nothing is kept for a browser that keeps no cookie. Allow cookies, then try again."
_TOKEN = re.compile(r"[A-Za-z0-9_-]{43}")


class OwnerCookie:
    """Gives a browser that opens the page its id. Scripts cannot read it, and no other site can send it along.

    Behind HTTPS the page may stand in another site's frame, as on Spaces: then the cookie is kept apart for that site
    (`Partitioned`), since a plain one would not be sent.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or not is_page(scope):
            await self._app(scope, receive, send)
            return
        connection = HTTPConnection(scope)
        if _TOKEN.fullmatch(connection.cookies.get(COOKIE, "")):
            await self._app(scope, receive, send)
            return
        header = _cookie(secure=_is_secure(connection))

        async def send_with_cookie(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).append("set-cookie", header)
            await send(message)

        await self._app(scope, receive, send_with_cookie)


def is_page(scope: Scope) -> bool:
    """Whether a request is for the page itself, not for one of its files or events."""
    return str(scope["path"]).rstrip("/") == str(scope.get("root_path", "")).rstrip("/")


def owner_of(request: gr.Request | HTTPConnection) -> str:
    """What stores call the owner of this page: a hash of its id, so that a stolen file opens no conversation.

    Empty where the browser keeps no cookie: then nothing is kept and nothing is found.
    """
    token = str(request.cookies.get(COOKIE, ""))
    return hashlib.sha256(token.encode()).hexdigest() if _TOKEN.fullmatch(token) else ""


def person_of(request: gr.Request | None, settings: Settings) -> str | None:
    """Whose files, runs and adapters a page is for: an owner, "" for nobody's, or None for all there are.

    At one's own machine they are all one's own, those of the command line too, whatever the browser. A page that others
    open has those of its visitor alone; `request` is None while it is built, for all of them.
    """
    if not serves_others(settings):
        return None
    return owner_of(request) if request else ""


def _is_secure(connection: HTTPConnection) -> bool:
    forwarded = connection.headers.get("x-forwarded-proto", "").split(",")[0].strip()
    return (forwarded or connection.url.scheme) == "https"


def _cookie(*, secure: bool) -> str:
    kept = "SameSite=None; Secure; Partitioned" if secure else "SameSite=Lax"
    return f"{COOKIE}={secrets.token_urlsafe(32)}; Path=/; Max-Age={YEAR_SECONDS}; HttpOnly; {kept}"
