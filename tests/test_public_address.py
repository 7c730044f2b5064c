"""A visitor's address may not lead into this machine's network: which addresses are asked, and that others are not."""

from __future__ import annotations

import socket
from typing import Any

import pytest

from crossfade import public_address
from crossfade.chat_server import ChatServer
from crossfade.errors import EngineError
from crossfade.public_address import is_loopback, is_public
from crossfade.types import Message

INSIDE = [
    "127.0.0.1",
    "0.0.0.0",
    "10.1.2.3",
    "172.16.0.1",
    "192.168.1.1",
    "169.254.169.254",
    "100.64.0.1",
    "224.0.0.1",
    "240.0.0.1",
    "255.255.255.255",
    "::1",
    "::",
    "fe80::1%eth0",
    "fc00::1",
    "ff02::1",
    "::ffff:127.0.0.1",
    "::ffff:10.0.0.1",
    "64:ff9b::7f00:1",
    "2002:7f00:1::",
    "no address",
]


@pytest.mark.parametrize("address", INSIDE)
def test_what_is_of_this_network_is_not_public(address: str) -> None:
    assert not is_public(address)


@pytest.mark.parametrize("address", ["1.1.1.1", "8.8.8.8", "2606:4700:4700::1111", "::ffff:8.8.8.8"])
def test_what_is_of_the_internet_is_public(address: str) -> None:
    assert is_public(address)


@pytest.mark.parametrize(
    ("host", "loopback"),
    [("127.0.0.1", True), ("localhost", True), ("::1", True), ("0.0.0.0", False), ("10.0.0.2", False), ("", False)],
)
def test_who_reaches_a_page(host: str, loopback: bool) -> None:
    assert is_loopback(host) is loopback


@pytest.fixture
def listener() -> Any:
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0.2)
        yield server


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "2130706433", "0x7f.1"])
@pytest.mark.parametrize("scheme", ["http", "https"])
def test_no_spelling_of_an_inner_address_is_connected_to(listener: Any, scheme: str, host: str) -> None:
    url = f"{scheme}://{host}:{listener.getsockname()[1]}/v1"
    with pytest.raises(EngineError, match="visitors may not have asked"):
        ChatServer(url, "m", key="secret", public_only=True).complete((Message("user", "Hi"),), max_tokens=1)
    with pytest.raises(TimeoutError):
        listener.accept()


def test_a_name_that_leads_both_out_and_in_is_not_connected_to(monkeypatch: pytest.MonkeyPatch) -> None:
    places = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, 80)) for address in ("1.1.1.1", "10.0.0.1")]
    monkeypatch.setattr(public_address.socket, "getaddrinfo", lambda *_, **__: places)
    monkeypatch.setattr(public_address.socket, "create_connection", lambda *_: pytest.fail("it was connected to"))
    with pytest.raises(EngineError, match=r"rebind\.example is an address of this machine"):
        public_address.connect(("rebind.example", 80))


def test_what_was_looked_at_is_what_is_connected_to(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        public_address.socket, "getaddrinfo", lambda *_, **__: [(socket.AF_INET, 1, 6, "", ("1.1.1.1", 80))]
    )
    asked: list[Any] = []
    monkeypatch.setattr(public_address.socket, "create_connection", lambda place, *_: asked.append(place))
    public_address.connect(("teacher.example", 80), 5.0)
    assert asked == [("1.1.1.1", 80)]


def test_no_proxy_is_asked_in_between(monkeypatch: pytest.MonkeyPatch, listener: Any) -> None:
    monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{listener.getsockname()[1]}")
    monkeypatch.setattr(public_address.socket, "getaddrinfo", lambda *_, **__: [])
    with pytest.raises(EngineError, match="gave no answer"):
        ChatServer("http://teacher.example/v1", "m", public_only=True).complete((Message("user", "Hi"),), max_tokens=1)
    with pytest.raises(TimeoutError):
        listener.accept()
