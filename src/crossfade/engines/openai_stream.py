"""Speak the OpenAI chat protocol over HTTP/1.1, and stop at once. Knows no adapters and no model.

The standard library's client is used because its socket is at hand before the first byte of the answer has come:
shutting it down is the only way to stop a server that is still reading the prompt.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.client import HTTPConnection, HTTPException, HTTPResponse
from socket import SHUT_RDWR, socket
from threading import Event
from typing import Any
from urllib.parse import urlsplit

from crossfade.errors import EngineError
from crossfade.types import Generation

SILENCE = 120.0
"""Seconds without a byte after which a server is taken for hung."""
CHAT = "/v1/chat/completions"


def post(address: str, path: str, body: dict[str, Any], *, timeout: float = 30.0) -> dict[str, Any]:
    """The JSON reply to a JSON request. Raises EngineError with the server's own reason."""
    with _request(address, path, body, timeout=timeout) as response:
        reply: dict[str, Any] = json.loads(response.read())
        return reply


def complete(address: str, body: dict[str, Any]) -> dict[str, Any]:
    """One chat completion, not streamed. Raises EngineError."""
    return post(address, CHAT, body, timeout=SILENCE)


def stream_events(
    address: str,
    body: dict[str, Any],
    *,
    stop: Event,
    began: float,
    adapters: tuple[tuple[str, float, str], ...],
) -> Iterator[Generation]:
    """Growing generations of one streamed chat completion; the last has `finish`, and the server's token counts.

    `began` is the `time.perf_counter()` that seconds count from. When `stop` is set the connection is shut down and
    the last generation says `cancelled`. Its counts are true where the server tells `prompt_progress` and `timings` as
    llama.cpp does; elsewhere its prompt tokens are None, its new tokens the number of pieces that came.
    Raises EngineError where the server fails, falls silent or breaks off.
    """
    body = body | {"stream": True, "stream_options": {"include_usage": True}}
    text, new, first, finish = "", 0, 0.0, ""
    likely = 0.0 if body.get("logprobs") else None
    usage: dict[str, Any] = {}
    progress: dict[str, Any] = {}
    try:
        with _request(address, CHAT, body, stop=stop, timeout=SILENCE) as response:
            for chunk in _chunks(response):
                usage = chunk.get("usage") or usage
                progress = chunk.get("prompt_progress") or progress
                for choice in chunk.get("choices") or ():
                    finish = choice.get("finish_reason") or finish
                    if likely is not None:
                        scored = (choice.get("logprobs") or {}).get("content") or ()
                        likely += sum(token["logprob"] or 0.0 for token in scored)
                    piece = (choice.get("delta") or {}).get("content") or ""
                    if not piece:
                        continue
                    # A piece is several tokens where each alone is no whole character.
                    text, new = text + piece, (chunk.get("timings") or {}).get("predicted_n", new + 1)
                    first = first or time.perf_counter() - began
                    yield Generation(
                        text=text,
                        prompt_tokens=progress.get("total"),
                        cached_tokens=progress.get("cache"),
                        new_tokens=new,
                        seconds_to_first=first,
                        seconds=time.perf_counter() - began,
                        adapters=adapters,
                        log_probability=likely,
                    )
    except EngineError:
        if not stop.is_set():
            raise
    if stop.is_set() and not usage:
        finish = "cancelled"
    elif not finish:
        raise EngineError("The model broke off in the middle of an answer. Ask again.")
    seconds = time.perf_counter() - began
    details = usage.get("prompt_tokens_details") or {}
    yield Generation(
        text=text,
        prompt_tokens=usage.get("prompt_tokens", progress.get("total")),
        cached_tokens=details.get("cached_tokens", progress.get("cache")),
        new_tokens=usage.get("completion_tokens", new),
        seconds_to_first=first or seconds,
        seconds=seconds,
        finish=finish,
        adapters=adapters,
        log_probability=likely,
    )


def _chunks(response: HTTPResponse) -> Iterator[dict[str, Any]]:
    """The JSON events of a server-sent stream until `[DONE]`."""
    while line := response.readline():
        if not line.startswith(b"data: "):
            continue
        data = line[6:].strip()
        if data == b"[DONE]":
            return
        chunk = json.loads(data)
        if not isinstance(chunk, dict):
            raise ValueError(f"an event that is no object: {data[:80]!r}")
        if "error" in chunk:
            raise EngineError(f"The model failed: {_message(chunk['error'])}")
        yield chunk


@contextmanager
def _request(
    address: str, path: str, body: dict[str, Any], *, timeout: float, stop: Event | None = None
) -> Iterator[HTTPResponse]:
    """An open response with status 200; its connection is closed on leaving, and shut down when `stop` is set."""
    parts = urlsplit(address)
    connection = HTTPConnection(parts.hostname or "127.0.0.1", parts.port, timeout=timeout)
    done = Event()
    try:
        connection.connect()
        assert isinstance(connection.sock, socket)
        if stop is not None:
            threading.Thread(target=_shut_down_on, args=(stop, done, connection.sock), daemon=True).start()
        connection.request("POST", path, json.dumps(body), {"Content-Type": "application/json", "Connection": "close"})
        with connection.getresponse() as response:  # it owns the socket by now: only its end frees the slot
            if response.status != 200:
                raise EngineError(f"The model refused the request: {_reason(response)}")
            yield response
    except TimeoutError as error:
        raise EngineError(
            f"The model gave no answer for {timeout:.0f} s. Ask again; restart it if this stays."
        ) from error
    except (OSError, HTTPException, ValueError) as error:
        raise EngineError(f"The connection to the model broke ({error}). Ask again.") from error
    finally:
        done.set()
        connection.close()


def _shut_down_on(stop: Event, done: Event, sock: socket) -> None:
    """Wait until the request is done; shut its socket down if `stop` is set before."""
    while not done.wait(0.1):
        if stop.is_set():
            with suppress(OSError):  # closed already: nothing left to stop
                sock.shutdown(SHUT_RDWR)
            return


def _reason(response: HTTPResponse) -> str:
    data = response.read(10_000)
    try:
        return _message(json.loads(data)["error"])
    except (ValueError, KeyError, TypeError):
        return f"status {response.status}, {data[:200].decode('utf-8', 'replace')}"


def _message(error: object) -> str:
    """The text of an error, which some servers send as an object and others as a string."""
    return str(error.get("message", error) if isinstance(error, dict) else error)[:500]
