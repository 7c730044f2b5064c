"""A model on a server: what is sent, what is read, what is tried again, and where the key never goes."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from threading import Thread
from typing import Any

import pytest

from chat_stub import ChatStub, chat_stub
from crossfade.chat_server import ChatServer, Completion
from crossfade.errors import EngineError
from crossfade.types import Message

ASKED = (Message("system", "Be kind."), Message("user", "Hi"))


@pytest.fixture
def server() -> Iterator[ChatStub]:
    with chat_stub() as made:
        yield made


def test_messages_settings_and_key_are_sent_and_the_answer_is_read(server: ChatStub) -> None:
    server.reply = lambda _: (200, {"message": {"content": " Hello. \n"}, "finish_reason": "stop"})
    made = ChatServer(server.url, "big", "secret").complete(ASKED, max_tokens=9, temperature=0.5)
    assert made == Completion("Hello.", "stop")
    (body,) = server.asked
    assert body["messages"] == [{"role": "system", "content": "Be kind."}, {"role": "user", "content": "Hi"}]
    assert (body["model"], body["max_tokens"], body["temperature"]) == ("big", 9, 0.5)
    assert server.keys == ["Bearer secret"]
    ChatServer(server.url, "big").complete(ASKED, max_tokens=9)
    assert server.keys[1] is None


def test_a_refusal_is_no_text(server: ChatStub) -> None:
    server.reply = lambda _: (200, {"message": {"content": None, "refusal": "No."}, "finish_reason": "stop"})
    assert ChatServer(server.url, "big").complete(ASKED, max_tokens=9) == Completion("", "stop", "No.")


@pytest.mark.parametrize(("status", "times"), [(500, 2), (429, 2), (503, 2), (401, 1), (404, 1), (302, 1)])
def test_what_may_pass_is_tried_again_and_a_redirect_is_never_followed(
    server: ChatStub, status: int, times: int
) -> None:
    server.reply = lambda _: (status, "Yes.")
    with pytest.raises(EngineError, match=f"The teacher at .* status {status}"):
        ChatServer(server.url, "big", "secret", who="teacher").complete(ASKED, max_tokens=9, tries=2, pause=0)
    assert len(server.asked) == times


def test_a_second_try_may_be_answered_after_the_pause_that_the_server_asks_for(server: ChatStub) -> None:
    server.headers["Retry-After"] = "0"
    server.reply = lambda _: (200, "Yes.") if len(server.asked) > 1 else (429, "")
    assert ChatServer(server.url, "big").complete(ASKED, max_tokens=9, tries=2, pause=30).text == "Yes."


@pytest.mark.parametrize("said", [7, {"message": {}}, {"text": "old"}, {"message": "Yes."}, ["Yes."]])
def test_a_reply_of_another_form_is_an_error(server: ChatStub, said: Any) -> None:
    server.reply = lambda _: (200, said)
    with pytest.raises(EngineError, match="gave no answer"):
        ChatServer(server.url, "big").complete(ASKED, max_tokens=9)


@pytest.mark.parametrize(
    ("url", "why"),
    [
        *((url, "is not allowed") for url in ("file:///etc/passwd", "localhost/v1", "http://", "http://a:80a/v1")),
        *(
            (url, "may hold no name")
            for url in ("https://me:sk-1@host/v1", "https://host/v1?key=sk-1", "http://h/#sk-1")
        ),
    ],
)
def test_an_address_that_is_none_or_holds_a_key_is_refused_and_the_key_is_not_told(url: str, why: str) -> None:
    with pytest.raises(EngineError, match=why) as told:
        ChatServer(url, "big")
    assert "sk-1" not in str(told.value)


def test_no_error_tells_the_key() -> None:
    server = ChatServer("http://127.0.0.1:9/v1", "big", "sk-secret\r")
    assert "sk-secret" not in repr(server)
    with pytest.raises(EngineError) as told:
        server.complete(ASKED, max_tokens=9)
    assert "sk-secret" not in str(told.value)


def test_a_server_that_sends_a_byte_now_and_then_is_given_up_in_time() -> None:
    listening = socket.create_server(("127.0.0.1", 0))

    def drip() -> None:
        peer, _ = listening.accept()
        with peer:
            peer.recv(65_536)
            peer.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
            try:
                for _ in range(100):
                    peer.sendall(b" ")
                    time.sleep(0.02)
            except OSError:
                pass  # hung up on

    thread = Thread(target=drip, daemon=True)
    thread.start()
    began = time.monotonic()
    with pytest.raises(EngineError, match="TimeoutError"):
        ChatServer(f"http://127.0.0.1:{listening.getsockname()[1]}/v1", "big").complete(
            ASKED, max_tokens=9, timeout=0.3
        )
    assert time.monotonic() - began < 1.5
    thread.join()
    listening.close()
