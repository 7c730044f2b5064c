"""The one door that files come in by: bounded, and out of the served cache at once. Knows nothing of what they hold.

Gradio keeps whatever is sent to its upload route and serves it again by its path, so what an event is given is moved
away first. What no event ever asks for is removed by the page's `delete_cache`, within `KEPT_SECONDS` and one round.
"""

from __future__ import annotations

import shutil
import tempfile
import time
from collections import deque
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from starlette.datastructures import Headers
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from crossfade.errors import CrossfadeError
from crossfade.ui.served import was_made

UPLOAD_LIMIT = 200_000_000
"""The bytes of one upload: an adapter's zip, or a file of training data."""
AT_ONCE = 4
"""So many uploads may be on their way at a time."""
KEPT_SECONDS = 3600
"""How long Gradio's cache keeps a file that nobody took or that was made for a download."""
CACHE_ROUND_SECONDS = 600
HOURLY_LIMIT = 10 * UPLOAD_LIMIT
"""The bytes of all uploads within KEPT_SECONDS: what nobody takes fills no more of the disk."""
_ENVELOPE = 100_000
"""What a form adds to its file, in bytes, at most."""


class UploadDoor:
    """Lets through uploads up to the limits, and refuses every other form with files."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._under_way = 0
        self._taken: deque[tuple[float, int]] = deque()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = Headers(scope=scope) if scope["type"] == "http" else {}
        is_upload = scope["type"] == "http" and scope["path"].rstrip("/").endswith("/upload")
        if not is_upload and not headers.get("content-type", "").lower().lstrip().startswith("multipart/"):
            await self._app(scope, receive, send)
            return
        if (
            refusal := self._refusal(headers.get("content-length", ""))
            if is_upload
            else (404, "No file is taken here.")
        ):
            await PlainTextResponse(refusal[1], status_code=refusal[0])(scope, receive, send)
            return
        self._under_way += 1
        self._taken.append((time.monotonic(), int(headers["content-length"])))
        try:
            await self._app(scope, receive, send)
        finally:
            self._under_way -= 1

    def _refusal(self, length: str) -> tuple[int, str] | None:
        """Why an upload of that length, as it is announced, is not taken now; the server lets nobody send more."""
        if not length.isdecimal() or len(length) > 15:
            return 411, "An upload must say how long it is."
        if int(length) > UPLOAD_LIMIT + _ENVELOPE:
            return 413, f"The file is too large: at most {UPLOAD_LIMIT // 1_000_000} MB are taken here."
        if self._under_way >= AT_ONCE:
            return 503, "Other files are on their way. Try again in a moment."
        while self._taken and self._taken[0][0] < time.monotonic() - KEPT_SECONDS:
            self._taken.popleft()
        if sum(size for _, size in self._taken) + int(length) > HOURLY_LIMIT:
            return 429, "Too much was uploaded within the last hour. Try again later, or use the command line."
        return None


@contextmanager
def taken_out_together(uploaded: Sequence[str], names: Collection[str]) -> Iterator[Path]:
    """A private folder with those of the uploaded files that have one of the names; removed at the end, as all are.

    The browser sends a folder's files without their places in it. Raises CrossfadeError where a name stands twice, as
    that of two adapters side by side does, and where nothing arrived.
    """
    sent = [Path(path) for path in dict.fromkeys(uploaded) if not was_made(path)]
    with tempfile.TemporaryDirectory(prefix="crossfade-upload-") as folder:
        try:
            wanted = [path for path in sent if path.name in names and path.is_file()]
            if twice := [path.name for path in wanted if sum(other.name == path.name for other in wanted) > 1]:
                raise CrossfadeError(f"The folder holds {twice[0]} more than once. Choose the folder of one adapter.")
            if not wanted:
                raise CrossfadeError(f"None of {', '.join(names)} arrived. Choose the folder of an adapter.")
            for path in wanted:
                shutil.move(path, Path(folder) / path.name)
            yield Path(folder)
        finally:
            for path in sent:
                path.unlink(missing_ok=True)


@contextmanager
def taken_out(uploaded: str | None) -> Iterator[Path]:
    """The uploaded file in a private folder, where nobody is served it; removed at the end unless it was moved on.

    Raises CrossfadeError where there is none any more.
    """
    with tempfile.TemporaryDirectory(prefix="crossfade-upload-") as folder:
        if not uploaded or was_made(uploaded) or not Path(uploaded).is_file():
            raise CrossfadeError("The file did not arrive. Choose it again.")
        place = Path(folder) / Path(uploaded).name
        shutil.move(uploaded, place)
        yield place
