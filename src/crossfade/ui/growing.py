"""One turn of the chat from its question to the end of its answer. Draws nothing."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import closing
from dataclasses import replace
from threading import Event
from typing import TYPE_CHECKING

from crossfade.evaluation.automatic import choose
from crossfade.ui import answering
from crossfade.ui.conversation import Shown
from crossfade.ui.language import say

if TYPE_CHECKING:
    from crossfade.startup import Startup


def growing(startup: Startup, shown: Shown, stop: Event, language: str) -> Generator[Shown, None, None]:
    """The turn as it waits and grows; the last one has ended, be it with the reason why there is no answer."""
    try:
        for line in answering.until_ready(startup, stop, language):
            shown = replace(shown, waiting=line)
            yield shown
        if stop.is_set():
            yield shown.failed(say(language, "chat.stopped"))
            return
        pipeline, passages, why = answering.ready_pipeline(startup), None, ""
        shown = replace(shown, waiting="")
        if shown.automatic:
            query, passages, why = choose(pipeline, shown.query, shown.automatic)
            shown = replace(shown, query=query)
        stream = pipeline.stream(shown.query, stop=stop, passages=passages)
        with closing(answering.thinned(stream, important=lambda a: bool(a.generation.finish))) as answers:
            for answer in answers:
                if why:
                    answer = replace(answer, notices=(why, *answer.notices))
                shown = replace(shown, answer=answer)
                yield shown
    except Exception as error:
        yield shown.failed(answering.sentence(error, language))
