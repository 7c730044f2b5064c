"""A model on a server that teaches by its answers, and the folder in which they are kept. Knows no file of rows."""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass
from pathlib import Path

from crossfade.chat_server import PAUSE, ChatServer, Completion
from crossfade.training.prompt_file import Asked
from crossfade.training.run_folder import read_json, write_json
from crossfade.types import Message

_CANNOT = r"(?:can(?:no|['’])t|unable|not able)\b"
_REFUSED = re.compile(
    rf"(?:i['’]m|i am)? ?(?:very |so )?(?:sorry|i apologi[sz]e)\b[^.!?]{{0,40}}\b{_CANNOT}|as an ai\b|"
    r"i (?:can(?:no|['’])t|['’]m unable to|am unable to|won['’]t) (?:help|assist|comply|answer|provide|fulfil|do that)",
    re.I,
)
"""How chat models open a refusal; one that is told in other words is taken for an answer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Teacher:
    """A model on a server and how it is asked. `instructions` are its system message where a row has none.

    `timeout` is in seconds for one try, of which there are two with `pause` seconds between them.
    """

    server: ChatServer
    instructions: str = ""
    max_tokens: int = 512
    temperature: float = 0.0
    timeout: float = 120.0
    pause: float = PAUSE

    def request(self, asked: Asked) -> str:
        """The sha256 (hex) of what the answer to a prompt depends on, as canonical JSON; a time limit is no part."""
        told = [[message.role, message.content] for message in self._messages(asked)]
        depends_on = [self.server.url, self.server.model, told, self.max_tokens, self.temperature]
        return hashlib.sha256(json.dumps(depends_on, ensure_ascii=False).encode()).hexdigest()

    def answer(self, asked: Asked) -> Completion:
        """What the teacher says to a prompt. Raises EngineError."""
        return self.server.complete(
            self._messages(asked),
            max_tokens=self.max_tokens,
            temperature=self.temperature,
            timeout=self.timeout,
            tries=2,
            pause=self.pause,
        )

    def why_not(self, said: Completion) -> str:
        """Why an answer is not to be learned, in one clause; "" where it is."""
        if said.refusal or said.finish == "content_filter" or _REFUSED.match(said.text):
            return f"the teacher refused: {(said.refusal or said.text)[:60]!r}"
        if said.finish == "length":
            return f"the answer is longer than {self.max_tokens:,} tokens"
        return "" if said.text else "the answer is empty"

    def _messages(self, asked: Asked) -> tuple[Message, ...]:
        system = asked.system or self.instructions.strip()
        return (*([Message("system", system)] if system else []), Message("user", asked.text))


@dataclass(frozen=True, slots=True)
class Answers:
    """Answers by request in a folder, a file for each, whole or not there."""

    folder: Path

    def get(self, request: str) -> Completion | None:
        """The answer to a request, or None where there is none that can be read."""
        told = read_json(self._path(request)) or {}
        texts = [told.get(name) for name in ("text", "finish", "refusal")]
        return Completion(*map(str, texts)) if all(isinstance(text, str) for text in texts) else None

    def put(self, request: str, said: Completion) -> None:
        """Keep an answer, unless it is empty: that is a mishap, and worth another question. Raises OSError."""
        if said.text or said.refusal:
            path = self._path(request)
            path.parent.mkdir(parents=True, exist_ok=True)
            write_json(path, {"text": said.text, "finish": said.finish, "refusal": said.refusal})

    def _path(self, request: str) -> Path:
        return self.folder / request[:2] / f"{request}.json"
