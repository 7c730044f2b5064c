"""The OpenAI client against a stub server that behaves badly: in time, a clear error or what there was."""

from __future__ import annotations

import json
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from threading import Event
from typing import Any

import pytest

from crossfade.engines import openai_stream
from crossfade.engines.openai_stream import complete, post, stream_events
from crossfade.errors import EngineError
from crossfade.types import Generation

Behaviour = Callable[[socket.socket], None]
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n"
USAGE = {"prompt_tokens": 7, "completion_tokens": 9, "prompt_tokens_details": {"cached_tokens": 5}}


class Stub:
    """A server on loopback that reads one request a connection and then does as told."""

    def __init__(self) -> None:
        self.behaviour: Behaviour = lambda _: None
        self.released, self.ended = Event(), Event()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.address = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            with connection:
                self._read_request(connection)
                self.behaviour(connection)
            self.ended.set()

    def _read_request(self, connection: socket.socket) -> None:
        """To its end: closing a socket with bytes unread would reset it."""
        head, _, body = connection.recv(65536).partition(b"\r\n\r\n")
        length = int(head.lower().partition(b"content-length: ")[2].split(b"\r\n")[0])
        while len(body) < length:
            body += connection.recv(65536)

    def hang(self, connection: socket.socket) -> None:
        """Say nothing until the client goes or the test ends."""
        connection.settimeout(0.05)
        while not self.released.is_set():
            try:
                if not connection.recv(65536):
                    return
            except TimeoutError:
                continue
            except OSError:
                return

    def close(self) -> None:
        self.released.set()
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()


@pytest.fixture
def stub(monkeypatch: pytest.MonkeyPatch) -> Iterator[Stub]:
    monkeypatch.setattr(openai_stream, "SILENCE", 0.4)
    server = Stub()
    yield server
    server.close()


def event(data: object) -> bytes:
    return b"data: " + (data if isinstance(data, bytes) else json.dumps(data).encode()) + b"\n\n"


def piece(text: str, finish: str | None = None) -> bytes:
    return event({"choices": [{"delta": {"content": text} if text else {}, "finish_reason": finish}]})


def sends(*parts: bytes, then: Behaviour = lambda _: None) -> Behaviour:
    def behave(connection: socket.socket) -> None:
        connection.sendall(b"".join(parts))
        then(connection)

    return behave


def reset(connection: socket.socket) -> None:
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def ask(stub: Stub, stop: Event | None = None) -> Iterator[Generation]:
    return stream_events(stub.address, {}, stop=stop or Event(), began=time.perf_counter(), adapters=(("a", 1.0, "f"),))


def failure(stub: Stub, *, within: float = 5.0) -> str:
    """The text of the EngineError that asking ends in."""
    began = time.monotonic()
    with pytest.raises(EngineError) as caught:
        list(ask(stub))
    assert time.monotonic() - began < within
    return str(caught.value)


def test_a_good_stream_grows_and_ends_with_the_servers_counts(stub: Stub) -> None:
    last = event({"choices": [], "usage": USAGE})
    stub.behaviour = sends(
        HEAD, b": a comment\n\n", piece("He"), piece("llo"), piece("", "stop"), last, event(b"[DONE]")
    )
    first, second, end = ask(stub)
    assert (first.text, second.text, end.text) == ("He", "Hello", "Hello")
    assert (first.finish, second.finish, end.finish) == ("", "", "stop")
    assert (end.prompt_tokens, end.cached_tokens, end.new_tokens) == (7, 5, 9)
    assert 0 < end.seconds_to_first <= end.seconds
    assert end.adapters == (("a", 1.0, "f"),)


def test_a_status_500_is_told_with_the_servers_reason(stub: Stub) -> None:
    for body, reason in (
        (b'{"error": {"message": "out of cheese"}}', "out of cheese"),
        (b'{"error": "no cheese"}', "no cheese"),
        (b"<html>bad gateway", "status 500"),
    ):
        head = f"HTTP/1.1 500 Oops\r\nContent-Length: {len(body)}\r\n\r\n".encode()
        stub.behaviour = sends(head, body)
        assert reason in failure(stub)
        with pytest.raises(EngineError, match=reason):
            complete(stub.address, {})


def test_a_server_that_hangs_is_given_up_after_the_silence(stub: Stub) -> None:
    stub.behaviour = stub.hang
    assert "no answer" in failure(stub)
    stub.behaviour = sends(HEAD, piece("He"), then=stub.hang)
    assert "no answer" in failure(stub)
    stub.behaviour = stub.hang
    with pytest.raises(EngineError, match="no answer"):
        post(stub.address, "/tokenize", {}, timeout=0.2)


def test_a_connection_that_is_reset_in_mid_stream_is_an_error_after_what_came(stub: Stub) -> None:
    answered = Event()

    def wait_and_reset(connection: socket.socket) -> None:
        answered.wait(5)
        reset(connection)

    stub.behaviour = sends(HEAD, piece("He"), then=wait_and_reset)
    stream = ask(stub)
    assert next(stream).text == "He"
    answered.set()
    with pytest.raises(EngineError, match="broke"):
        list(stream)
    stub.behaviour = reset
    assert "broke" in failure(stub)


def test_an_answer_without_its_end_is_an_error(stub: Stub) -> None:
    stub.behaviour = sends(HEAD, piece("He"))
    assert "middle" in failure(stub)
    stub.behaviour = sends(HEAD, piece("He"), event(b"[DONE]"))
    assert "middle" in failure(stub)


@pytest.mark.parametrize(
    ("data", "named"),
    [
        ({"error": {"code": 500, "message": "no memory"}}, "no memory"),
        ({"error": "no memory"}, "no memory"),
        ({"error": None}, "failed"),
        (b"{", "broke"),
        (b"[1, 2]", "broke"),
        (b"\xff\xfe", "broke"),
    ],
)
def test_an_error_or_nonsense_among_the_events_is_an_engine_error(stub: Stub, data: Any, named: str) -> None:
    stub.behaviour = sends(HEAD, piece("He"), event(data), piece("", "stop"))
    assert named in failure(stub)


def test_events_with_nulls_are_read_as_empty(stub: Stub) -> None:
    nulls = event({"choices": None}) + event({"choices": [{"delta": None, "finish_reason": None}], "usage": None})
    end = event({"choices": [{"delta": None, "finish_reason": "stop"}], "usage": USAGE})
    stub.behaviour = sends(HEAD, nulls, piece("Hi"), end, event(b"[DONE]"))
    assert [g.text for g in ask(stub)] == ["Hi", "Hi"]


def test_a_last_piece_that_comes_with_the_finish_is_kept(stub: Stub) -> None:
    stub.behaviour = sends(HEAD, piece("He"), piece("llo", "length"), event(b"[DONE]"))
    assert [(g.text, g.finish) for g in ask(stub)] == [("He", ""), ("Hello", ""), ("Hello", "length")]


def test_an_error_that_is_kept_does_not_keep_the_connection(stub: Stub) -> None:
    stub.behaviour = sends(HEAD, event({"error": "no"}), then=stub.hang)
    stream = ask(stub)
    with pytest.raises(EngineError) as caught:
        list(stream)
    assert stub.ended.wait(2), "the server would go on generating"
    assert caught.tb is not None


def test_nobody_listening_is_an_engine_error() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with pytest.raises(EngineError, match="broke"):
        list(stream_events(f"http://127.0.0.1:{port}", {}, stop=Event(), began=0.0, adapters=()))


def test_a_stop_ends_a_hanging_answer_within_a_second_without_an_error(
    stub: Stub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(openai_stream, "SILENCE", 30.0)
    stub.behaviour, stop = stub.hang, Event()
    threading.Timer(0.1, stop.set).start()
    began = time.monotonic()
    (end,) = ask(stub, stop)
    assert time.monotonic() - began < 1.1
    assert (end.text, end.finish) == ("", "cancelled")
    assert stub.ended.wait(1), "the server saw the client go"

    stub.ended.clear()
    stub.behaviour, stop = sends(HEAD, piece("He"), then=stub.hang), Event()
    stream = ask(stub, stop)
    assert next(stream).finish == ""
    stop.set()
    began = time.monotonic()
    (end,) = stream
    assert time.monotonic() - began < 1
    assert (end.text, end.finish) == ("He", "cancelled")
    assert stub.ended.wait(1), "the server saw the client go"


def test_a_stopped_answer_has_the_counts_that_the_server_told_or_none(
    stub: Stub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(openai_stream, "SILENCE", 30.0)
    told = event({"choices": [{"delta": {}}], "prompt_progress": {"total": 70, "cache": 50, "processed": 50}})
    smile = event({"choices": [{"delta": {"content": "🎉"}}], "timings": {"predicted_n": 3}})
    for parts, counts in (((told, smile), (70, 50, 3)), ((piece("He"),), (None, None, 1))):
        stub.behaviour, stop = sends(HEAD, *parts, then=stub.hang), Event()
        stream = ask(stub, stop)
        next(stream)
        stop.set()
        (end,) = stream
        assert (end.finish, end.prompt_tokens, end.cached_tokens, end.new_tokens) == ("cancelled", *counts)


def test_a_reader_that_goes_closes_the_connection_and_leaves_no_thread(
    stub: Stub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(openai_stream, "SILENCE", 30.0)
    stub.behaviour, before = sends(HEAD, piece("He"), then=stub.hang), threading.active_count()
    stream = ask(stub)
    assert next(stream).text == "He"
    stream.close()  # type: ignore[attr-defined]
    assert stub.ended.wait(1)
    deadline = time.monotonic() + 2
    while threading.active_count() > before and time.monotonic() < deadline:
        time.sleep(0.01)
    assert threading.active_count() <= before
