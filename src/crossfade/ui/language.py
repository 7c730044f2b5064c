"""What the page says, in English and Chinese, read from `texts/*.toml`, one file a subject.

    [send]
    en = "Send"
    zh = "发送"

in `texts/chat.toml` is `chat.send`. What is drawn with the page is a `label`, which the browser replaces by its own
language; what an event draws is `say`, in the language of the request. Both follow the reader's choice, else the
browser's languages, else English.
"""

from __future__ import annotations

import json
import re
import tomllib
from functools import cache
from pathlib import Path
from typing import Any

import gradio as gr
from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from crossfade.ui.owner import YEAR_SECONDS, is_page

FOLDER = Path(__file__).with_name("texts")
LANGUAGES = {"en": "English", "zh": "中文"}
COOKIE = "crossfade_language"
"""Holds the reader's choice; the page's own script writes it."""
THEME = "crossfade-theme"
"""Where a browser remembers whether its reader chose light or dark; Gradio takes that from the address."""


@cache
def texts() -> dict[str, dict[str, str]]:
    """Every text: its key, and what it says in each language."""
    return {
        f"{path.stem}.{key}": entry
        for path in sorted(FOLDER.glob("*.toml"))
        for key, entry in tomllib.loads(path.read_text(encoding="utf-8")).items()
    }


def is_said(key: str) -> bool:
    """Whether a text is known by its English wording, not by its key; see phrases.py."""
    return re.match(r"said(_[a-z]+)?\.", key) is not None


def label(key: str) -> Any:
    """A text of the page as it is first drawn: a label, info, placeholder or button. Raises KeyError."""
    texts()[key]
    return gr.I18n()(key)


def say(language: str, key: str, **values: object) -> str:
    """A text that an event draws, with `{name}` replaced by a value of that name. Raises KeyError."""
    text = texts()[key][language]
    return text.format(**values) if values else text


def language_of(request: gr.Request) -> str:
    """The language of a request: the reader's choice, else the first of the browser's languages that we have."""
    chosen = str(request.cookies.get(COOKIE, ""))
    accepted = str(request.headers.get("accept-language", ""))
    wanted = [chosen, *(part.split(";")[0] for part in accepted.split(","))]
    return next((name for part in wanted if (name := part.strip().lower()[:2]) in LANGUAGES), "en")


def translations() -> Any:
    """All texts that can be labels, for `launch(i18n=...)`."""
    labels = {key: entry for key, entry in texts().items() if not is_said(key)}
    return gr.I18n(**{name: {key: entry[name] for key, entry in labels.items()} for name in LANGUAGES})


class ChoiceFirst:
    """Puts a script before all others of the page: the reader's choice goes before the browser's language and theme.

    Gradio looks at `navigator.language` alone, once, and puts in its own `head=` only after that; so the choice has to
    stand there when Gradio's script begins. It knows `zh-CN`, not `zh`.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or not is_page(scope):
            await self._app(scope, receive, send)
            return
        scope["headers"] = [pair for pair in scope["headers"] if pair[0] != b"accept-encoding"]
        start: Message = {}
        body = b""

        async def send_with_script(message: Message) -> None:
            nonlocal start, body
            if message["type"] == "http.response.start":
                start = message
                return
            body += message.get("body", b"")
            if message.get("more_body"):
                return
            body = body.replace(b"<head>", b"<head>" + _SCRIPT.encode(), 1)
            if "content-length" in (headers := MutableHeaders(scope=start)):
                headers["content-length"] = str(len(body))
            await send(start)
            await send({"type": "http.response.body", "body": body if scope["method"] != "HEAD" else b""})

        await self._app(scope, receive, send_with_script)


_SCRIPT = f"""<script>
(() => {{
  const known = {json.dumps(list(LANGUAGES))}, cookie = {json.dumps(COOKIE)};
  const chosen = document.cookie.split("; ").find((part) => part.startsWith(cookie + "="))?.split("=")[1];
  const wanted = [chosen, ...navigator.languages].map((name) => (name || "").slice(0, 2).toLowerCase());
  const language = wanted.find((name) => known.includes(name)) || "en";
  const locale = {{ zh: "zh-CN" }}[language] || language;
  Object.defineProperty(navigator, "language", {{ get: () => locale }});
  document.documentElement.lang = language;
  const seen = new URL(location);
  const light = (name) => {{
    seen.searchParams.set("__theme", name);
    history.replaceState(history.state, "", seen);
  }};
  try {{ if (localStorage.getItem("{THEME}")) light(localStorage.getItem("{THEME}")); }} catch {{}}
  window.crossfadeTheme = () => {{
    const name = document.body.classList.toggle("dark") ? "dark" : "light";
    light(name);
    try {{ localStorage.setItem("{THEME}", name); }} catch {{}}
  }};
  window.crossfadeLanguage = (name) => {{
    const kept = location.protocol === "https:" ? "SameSite=None; Secure; Partitioned" : "SameSite=Lax";
    document.cookie = `${{cookie}}=${{name}}; Path=/; Max-Age={YEAR_SECONDS}; ${{kept}}`;
    location.reload();
  }};
}})();
</script>"""
