"""Another model on a server that speaks OpenAI's chat completions, asked one prompt at a time.

Knows nothing of what is asked. The key goes to the address that was given and to no other: a redirect is an error.
"""

from __future__ import annotations

import json
import re
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache
from http.client import HTTPException
from typing import Any

from crossfade import public_address
from crossfade.errors import EngineError
from crossfade.types import Message

PAUSE = 2.0
"""Seconds before a second try, where the server names no other number."""
LONGEST_PAUSE = 60.0
"""Seconds that a server may ask to be left alone; more is taken for this."""
MOST_BYTES = 10_000_000
"""Of one reply. An answer of the longest context in use has a tenth of it."""
_PASSING = (408, 425, 429, *range(500, 600))
"""Statuses that may be gone a moment later; 401 or 404 stay what they are."""


@dataclass(frozen=True, slots=True)
class Completion:
    """What the model said, stripped, why it ended (OpenAI's `finish_reason`), and with what words it refused, if so."""

    text: str
    finish: str = ""
    refusal: str = ""


@dataclass(frozen=True, slots=True)
class ChatServer:
    """A model on a server: `url` up to and without `/chat/completions`. `who` is what errors call it.

    `public_only` is for an address that a visitor gave: one of this machine or of its network is not asked.
    """

    url: str
    model: str
    key: str = field(default="", repr=False)
    who: str = "server"
    public_only: bool = False

    def __post_init__(self) -> None:
        """Raises EngineError for an address that is none, or that holds a password or a query."""
        try:
            parts = urllib.parse.urlsplit(self.url)
            good = parts.scheme in ("http", "https") and bool(parts.hostname) and not re.search(r"\s", self.url)
            good = good and (parts.port is None or parts.port > 0)
        except ValueError:
            good = False
        if not good:
            raise EngineError(
                f"The {self.who}'s address {self.url!r} is not allowed; it is such as http://localhost:8000/v1."
            )
        if parts.username is not None or parts.password is not None or parts.query or parts.fragment:
            # Not quoted: it may hold the key, and an address is shown and kept where a key is not.
            raise EngineError(f"The {self.who}'s address may hold no name, password or query; a key is given apart.")

    def complete(
        self,
        messages: Sequence[Message],
        *,
        max_tokens: int,
        temperature: float = 0.0,
        timeout: float = 60.0,
        tries: int = 1,
        pause: float = PAUSE,
    ) -> Completion:
        """The model's answer to messages, asked for again after `pause` seconds where that may help.

        `timeout` is in seconds for one try. Raises EngineError where no try is answered; its text never quotes what
        was sent.
        """
        body = {
            "model": self.model,
            "messages": [{"role": message.role, "content": message.content} for message in messages],
            "temperature": temperature,
            "max_tokens": max_tokens,
        }
        for tries_left in reversed(range(max(1, tries))):
            try:
                return _completion(self._post(body, timeout))
            except urllib.error.HTTPError as error:
                error.close()
                if not tries_left or error.code not in _PASSING:
                    raise EngineError(f"The {self.who} at {self.url} answered with status {error.code}.") from error
                time.sleep(_asked_pause(error, pause))
            except (OSError, HTTPException, ValueError, LookupError, TypeError, AttributeError) as error:
                # Not its text: that may quote what was sent, the key included.
                if not tries_left:
                    raise EngineError(
                        f"The {self.who} at {self.url} gave no answer ({type(error).__name__})."
                    ) from error
                time.sleep(pause)
        raise AssertionError("the last try returns or raises")

    def _post(self, body: dict[str, Any], timeout: float) -> Any:
        """The reply's JSON. A server that sends a byte now and then is given up too: the time is that of the whole."""
        request = urllib.request.Request(
            f"{self.url.rstrip('/')}/chat/completions",
            data=json.dumps(body).encode(),
            headers={
                "Content-Type": "application/json",
                **({"Authorization": f"Bearer {self.key}"} if self.key else {}),
            },
        )
        until, data = time.monotonic() + timeout, bytearray()
        with _opener(self.public_only).open(request, timeout=timeout) as reply:
            while part := reply.read1(65_536):
                data += part
                if time.monotonic() > until:
                    raise TimeoutError
                if len(data) > MOST_BYTES:
                    raise ValueError("the reply is too long")
        return json.loads(data)


def _completion(reply: Any) -> Completion:
    choice = reply["choices"][0]
    said = choice["message"]["content"]
    if said is not None and not isinstance(said, str):
        raise TypeError("the content is no text")
    texts = (said or "", choice.get("finish_reason") or "", choice["message"].get("refusal") or "")
    for text in texts:
        text.encode()  # half a character, which JSON can hold, could neither be shown nor kept
    return Completion(texts[0].strip(), *texts[1:])


def _asked_pause(error: urllib.error.HTTPError, pause: float) -> float:
    """The seconds that the server asks to wait, in the form of a number; `pause` where it does not."""
    told = error.headers.get("Retry-After", "") if error.headers else ""
    return min(float(told), LONGEST_PAUSE) if re.fullmatch(r"\d{1,9}", told) else pause


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """A redirect is an error: followed, it would carry the key to another server."""

    def redirect_request(self, *_: Any) -> None:
        return None


@cache
def _opener(public_only: bool) -> urllib.request.OpenerDirector:
    return urllib.request.build_opener(_NoRedirect, *(public_address.HANDLERS if public_only else ()))
