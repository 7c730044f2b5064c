"""What the browser tests of the chat share: its questions, its buttons, and a connection that can be cut."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any
from urllib.parse import urlsplit

SEVEN = "The monthly fee is seven dollars , waived at 1,500 dollars ."
LONG = "word " * 300


def questions(page: Any) -> list[str]:
    return page.page.locator("#chat-log .user-row .cf-text").all_inner_texts()


def value(page: Any, text: str) -> None:
    page.page.wait_for_function(f"document.querySelector('#chat-question textarea').value === {json.dumps(text)}")


def turns(page: Any, count: int) -> None:
    page.page.wait_for_function(f"document.querySelectorAll('#chat-log .user-row').length === {count}")


def act(page: Any, what: str, *, last: bool = True) -> None:
    found = page.page.locator(f"#chat-log .cf-acts > .cf-do-{what}")
    (found.last if last else found.first).click()


class Line:
    """A connection to a server that can be cut, with everything that runs over it, and mended."""

    def __init__(self, target: str) -> None:
        self._target = urlsplit(target)
        self._there = True
        self._open: list[socket.socket] = []
        self._door = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._door.getsockname()[1]}/"
        threading.Thread(target=self._take, daemon=True).start()

    def cut(self) -> None:
        self._there = False
        self.close()

    def mend(self) -> None:
        self._there = True

    def close(self) -> None:
        for one in self._open:
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()
        self._open.clear()

    def end(self) -> None:
        self._there = False
        with suppress(OSError):
            self._door.shutdown(socket.SHUT_RDWR)
        self._door.close()
        self.close()

    def _take(self) -> None:
        with suppress(OSError):
            self._take_all()

    def _take_all(self) -> None:
        while True:
            near, _ = self._door.accept()
            if not self._there:
                near.close()
                continue
            far = socket.create_connection((self._target.hostname, self._target.port))
            self._open += [near, far]
            for pair in ((near, far), (far, near)):
                threading.Thread(target=self._pass, args=pair, daemon=True).start()

    def _pass(self, source: socket.socket, sink: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(65_536):
                sink.sendall(data)
        for one in (source, sink):
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)


@contextmanager
def line_to(url: str) -> Iterator[Line]:
    line = Line(url)
    try:
        yield line
    finally:
        line.end()
