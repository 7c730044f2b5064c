"""An OpenAI-compatible server in this process that says what a test tells it to, and notes what it was asked."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

Reply = Callable[[dict[str, Any]], tuple[int, Any]]
"""From a request's body to a status and what is said: the content, or a whole choice where it is a dict."""


class ChatStub:
    """`asked` has the bodies, `keys` the authorizations, in the order in which they came."""

    def __init__(self, reply: Reply = lambda body: (200, "Yes.")) -> None:
        self.reply, self.headers = reply, dict[str, str]()
        self.asked: list[dict[str, Any]] = []
        self.keys: list[str | None] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                outer.asked.append(body)
                outer.keys.append(self.headers.get("Authorization"))
                status, said = outer.reply(body)
                self.send_response(status)
                elsewhere = {"Location": f"{outer.url}/elsewhere"} if status == 302 else {}
                for name, value in (elsewhere | outer.headers).items():
                    self.send_header(name, value)
                self.end_headers()
                choice = said if isinstance(said, dict) else {"message": {"content": said}}
                self.wfile.write(json.dumps({"choices": [choice]}).encode())

            def do_GET(self) -> None:
                """What a redirect of a POST becomes where it is followed."""
                outer.keys.append(self.headers.get("Authorization"))
                self.send_error(404)

            def log_message(self, *_: Any) -> None: ...

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.http.server_address[1]}/v1"
        self.thread = Thread(target=self.http.serve_forever, args=(0.02,), daemon=True)
        self.thread.start()


@contextmanager
def chat_stub() -> Iterator[ChatStub]:
    """A stub that is closed on leaving."""
    made = ChatStub()
    try:
        yield made
    finally:
        made.http.shutdown()
        made.http.server_close()
        made.thread.join()
