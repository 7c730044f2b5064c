"""The three steps of a question: accepted, answered, finished. Knows neither what is asked nor what is drawn of it.

A tab accepts a question at once; it is answered when its place in the queue comes; it is finished when the controls
are free again, also where the second step never came to run because the queue was full or its reader stopped it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from threading import Event
from typing import TYPE_CHECKING, Any

import gradio as gr

from crossfade.errors import CrossfadeError, EngineError
from crossfade.types import Answer
from crossfade.ui import answering, render
from crossfade.ui.controls import AT_ONCE, QUIET
from crossfade.ui.language import language_of, say
from crossfade.ui.running import Running

if TYPE_CHECKING:
    from crossfade.startup import Startup


class Asking:
    """The steps of one tab, where each session has at most one answer under way."""

    def __init__(self, startup: Startup, running: Running, tab: str, *, busy: Callable[[], bool]) -> None:
        self._startup, self._running, self._tab, self._busy = startup, running, tab, busy

    def of(self, tab: str) -> Asking:
        """The same for another tab: both may have an answer under way."""
        return Asking(self._startup, self._running, tab, busy=self._busy)

    def check(self, language: str) -> None:
        """Raises EngineError where too many questions wait for a place."""
        if self._busy():
            raise EngineError(say(language, "chat.busy"))

    def begin(self, request: gr.Request) -> None:
        """Begin an answer. Raises gr.Error while another one is under way: the steps that follow do not."""
        if not self._running.begin(str(request.session_hash), self._tab):
            raise gr.Error(say(language_of(request), "chat.already"), print_exception=False)

    @contextmanager
    def if_left(self, request: gr.Request, keep: Callable[[], object]) -> Iterator[None]:
        """Around an answer: `keep` is called where its page is gone at the end, and with it the events that follow."""
        try:
            yield
        except GeneratorExit:  # Gradio's, once the connection is lost; a stop ends the text and not the generator
            keep()
            raise
        if not self._running.under_way(str(request.session_hash), self._tab):
            keep()

    def wire(
        self,
        accepted: Any,
        buttons: Sequence[Any],
        *,
        notice: Any,
        answer: Callable[..., Iterator[Any]],
        given: Sequence[Any],
        drawn: Sequence[Any],
        finish: Callable[..., Sequence[Any]],
        left: Sequence[Any],
        freed: Sequence[Any],
    ) -> list[Any]:
        """Let the other two steps follow an accepted question; gives the events after which it has ended.

        `answer(request, stop, *given)` yields what is `drawn`. `finish(request, why, *left)` gives what is `freed`:
        `why` is the end of what came to none. `buttons` are those that send and stop. `notice` tells why a question
        was not accepted: of an error that is raised outside of the queue Gradio shows nothing.
        """
        send, halt = buttons
        accepted.failure(self._refused, None, notice, **AT_ONCE)
        answered = accepted.success(
            self._answering(answer, len(drawn)),
            list(given),
            list(drawn),
            concurrency_id=answering.QUEUE,
            concurrency_limit=self._startup.settings.slots,
            **QUIET,
        )
        ends = [list(left), [*freed, send, halt]]
        finished = self._finishing(finish, len(freed))
        refused = self._finishing(finish, len(freed), refused=True)
        return [
            answered.then(finished, *ends, **AT_ONCE),
            # What follows a success does not follow a failure, such as a place in the queue that was refused.
            answered.failure(refused, *ends, **AT_ONCE),
            # Stop also frees the controls where the answer still waits for its place: then nobody else would.
            halt.click(self._stop, None, None, **AT_ONCE).then(finished, *ends, **AT_ONCE),
        ]

    def _answering(self, answer: Callable[..., Iterator[Any]], outputs: int) -> Callable[..., Iterator[Any]]:
        def run(request: gr.Request, *given: Any) -> Iterator[Any]:
            session = str(request.session_hash)
            stop: Event | None = self._running.take(session, self._tab)
            if stop is None:
                yield [gr.skip()] * outputs
                return
            try:
                yield from answer(request, stop, *given)
            finally:
                # Also when Gradio drops this generator because the browser went away: the engine ends with it.
                self._running.close(session, self._tab)

        run.__name__ = answer.__name__  # by which Gradio calls the event
        return run

    def _finishing(
        self, finish: Callable[..., Sequence[Any]], outputs: int, *, refused: bool = False
    ) -> Callable[..., list[Any]]:
        def run(request: gr.Request, *left: Any) -> list[Any]:
            session, why = str(request.session_hash), say(language_of(request), "chat.stopped")
            if refused:
                waited, language = self._running.waits(session, self._tab), language_of(request)
                why = say(language, "chat.busy") if waited else say(language, "chat.unexpected")
            # One may be forgotten already, where the connection was lost for a while: its page is freed all the same.
            if not self._running.forget(session, self._tab) and self._running.under_way(session, self._tab):
                return [gr.skip()] * (outputs + 2)
            return [*finish(request, why, *left), *send_or_stop(answering=False)]

        return run

    def _refused(self, request: gr.Request) -> str:
        under_way = self._running.under_way(str(request.session_hash), self._tab)
        told = say(language_of(request), "chat.already" if under_way else "chat.unexpected")
        return render.note_html(told, kind="error")

    def _stop(self, request: gr.Request) -> None:
        self._running.stop(str(request.session_hash), self._tab)


def send_or_stop(*, answering: bool) -> tuple[Any, Any]:
    """The updates that show the button that stops while an answer is under way, else the one that sends."""
    return gr.Button(visible=not answering), gr.Button(visible=answering)


def ends(item: tuple[int, Answer | CrossfadeError]) -> bool:
    """Whether what came of one of several answers is its end."""
    return not isinstance(item[1], Answer) or bool(item[1].generation.finish)
