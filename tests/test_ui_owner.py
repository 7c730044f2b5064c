"""Whose page it is: the cookie that is given, and what stores make of it."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

pytest.importorskip("gradio")

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from starlette.testclient import TestClient

from crossfade.ui.owner import COOKIE, OwnerCookie, owner_of


@pytest.fixture
def client() -> TestClient:
    routes = [Route(path, lambda request: PlainTextResponse("page")) for path in ("/", "/other")]
    return TestClient(Starlette(routes=routes, middleware=[Middleware(OwnerCookie)]), base_url="http://page.test")


def request(token: str | None) -> Any:
    return SimpleNamespace(cookies={} if token is None else {COOKIE: token})


def test_a_browser_gets_one_id_and_keeps_it(client: TestClient) -> None:
    header = client.get("/").headers["set-cookie"]
    assert "HttpOnly" in header
    assert "SameSite=Lax" in header
    assert "Secure" not in header
    assert "set-cookie" not in client.get("/").headers
    other = TestClient(client.app).get("/").cookies[COOKIE]
    assert other != client.cookies[COOKIE]


def test_behind_https_the_id_is_sent_in_a_frame_too(client: TestClient) -> None:
    header = client.get("/", headers={"x-forwarded-proto": "https"}).headers["set-cookie"]
    assert {"Secure", "SameSite=None", "Partitioned"} <= set(header.split("; "))


def test_other_addresses_give_none(client: TestClient) -> None:
    assert "set-cookie" not in client.get("/other").headers


def test_a_made_up_id_is_replaced(client: TestClient) -> None:
    assert COOKIE in client.get("/", headers={"cookie": f"{COOKIE}=me"}).headers["set-cookie"]


def test_the_owner_is_a_hash_and_nobody_without_an_id() -> None:
    token = "a" * 43
    assert len(owner_of(request(token))) == 64
    assert token not in owner_of(request(token))
    assert owner_of(request(None)) == owner_of(request("short")) == owner_of(request("")) == ""
