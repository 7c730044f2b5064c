"""Make rows to train on, in the page: of a corpus's questions, by a teacher, in another format, of one's feedback.

Draws the choices and tells how far the work is; what is done stands in `building`. Rows go where those that are sent
go, so that the report, the method and the training follow.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import gradio as gr

from crossfade.ui import answering, building, render
from crossfade.ui.building import MOST_OFTEN, Built
from crossfade.ui.controls import AT_ONCE, QUIET
from crossfade.ui.language import label, language_of, say
from crossfade.ui.owner import owner_of
from crossfade.ui.row_files import PASTED, RowFiles, files_of
from crossfade.ui.served import copy_for
from crossfade.ui.visible import visible_corpora
from crossfade.ui.working import Done, in_thread, settle, told_html

if TYPE_CHECKING:
    from crossfade.startup import Startup

BUILD = "build"
_WAYS = {
    "corpus": "training.way_corpus",
    "teacher": "training.way_teacher",
    "format": "training.way_format",
    "feedback": "training.way_feedback",
}
"""Each way to make rows; another one is a line here, a column below, and a function in `building`."""
_FORMATS = {"yaml": "YAML", "markdown": "Markdown", "json": "JSON"}


class RowBuilders:
    """Draws the part into the accordion that is open. `source` is the list of files, where what is made is chosen."""

    def __init__(self, startup: Startup, *, source: Any) -> None:
        self._startup, self._source = startup, source
        self.fields: dict[str, Any] = {}
        self.fields["way"] = gr.Radio(ways("en"), value="corpus", label=label("training.way"), elem_id="build-way")
        self.columns = [gr.Column(visible=way == "corpus", elem_id=f"build-{way}") for way in _WAYS]
        for column, draw in zip(self.columns, (self._corpus, self._teacher, self._format, self._feedback), strict=True):
            with column:
                draw()
        with gr.Row():
            self.make = gr.Button(label("training.build"), elem_id="build-make", min_width=120)
            self.halt = gr.Button(
                label("training.stop"), variant="stop", visible=False, elem_id="build-stop", min_width=120
            )
        self.notice = gr.HTML("", elem_id="build-notice")
        self.download = gr.DownloadButton(label("training.download"), visible=False, elem_id="build-download")
        self._wire()

    def _corpus(self) -> None:
        field, corpora = self.fields, visible_corpora(self._startup, self._files(None).person)
        first = corpora[0] if corpora else None
        with gr.Row():
            field["corpus"] = gr.Dropdown(
                [(corpus.title, corpus.name) for corpus in corpora],
                value=first.name if first else None,
                label=label("training.corpus"),
                elem_id="build-corpus-name",
                min_width=160,
            )
            field["task"] = gr.Dropdown(
                building.tasks(first),
                value=first.default_task if first else None,
                label=label("training.task"),
                elem_id="build-task",
                min_width=160,
            )
        questions = list(building.questions(self._files(None), first))
        field["questions"] = gr.Dropdown(
            questions,
            value=questions[0] if questions else None,
            label=label("training.questions"),
            info=label("training.questions_info"),
            elem_id="build-questions",
        )
        with gr.Row():
            field["earlier_turns"] = gr.Slider(
                0, 1, value=0, step=0.05, label=label("training.earlier_turns"), min_width=160
            )
            field["shuffled"] = gr.Slider(0, 1, value=0, step=0.05, label=label("training.shuffled"), min_width=160)
        field["numbers"] = gr.Slider(0, MOST_OFTEN, value=0, step=1, label=label("training.numbers"))

    def _teacher(self) -> None:
        field, files = self.fields, self._files(None)
        names = files.names()
        field["prompts"] = gr.Dropdown(
            files.offered("en"),
            value=[*names, PASTED][0],
            label=label("training.prompts"),
            elem_id="build-prompts",
        )
        field["typed"] = gr.Textbox(
            label=label("training.typed"), lines=4, max_lines=10, visible=not names, elem_id="build-typed"
        )
        field["asked_column"] = _column("training.prompt_column", "build-asked-column")
        field["address"] = gr.Textbox(
            label=label("training.address"),
            info=label("training.address_info"),
            placeholder="https://teacher.example/v1",
            max_lines=1,
            elem_id="build-address",
        )
        with gr.Row():
            field["model"] = gr.Textbox(
                label=label("training.model"), max_lines=1, elem_id="build-model", min_width=160
            )
            field["key"] = gr.Textbox(
                label=label("training.key"),
                info=label("training.key_info"),
                type="password",
                max_lines=1,
                elem_id="build-key",
                min_width=160,
            )
        field["told"] = gr.Textbox(label=label("training.told"), info=label("training.told_info"), lines=2)
        with gr.Row():
            field["max_tokens"] = gr.Number(
                512, label=label("training.max_tokens"), precision=0, minimum=1, maximum=32_768, min_width=160
            )
            field["temperature"] = gr.Slider(
                0, 2, value=0, step=0.05, label=label("training.temperature"), min_width=160
            )

    def _format(self) -> None:
        field, files = self.fields, self._files(None)
        field["rows"] = gr.Dropdown(
            files.offered("en", pasted=False),
            value=next(iter(files.names()), None),
            label=label("training.format_rows"),
            info=label("training.format_info"),
            elem_id="build-rows",
        )
        with gr.Row():
            field["prompt_column"] = _column("training.prompt_column", "build-prompt-column")
            field["response_column"] = _column("training.response_column", "build-response-column")
        field["to"] = gr.Radio(
            [(title, form) for form, title in _FORMATS.items()],
            value="yaml",
            label=label("training.to"),
            elem_id="build-to",
        )
        field["heading"] = gr.Textbox(
            label=label("training.heading"),
            info=label("training.heading_info"),
            max_lines=1,
            visible=False,
            elem_id="build-heading",
        )

    def _feedback(self) -> None:
        self.feedback_note = gr.HTML(_feedback_note("en"))

    def _wire(self) -> None:
        field = self.fields
        field["way"].change(
            lambda way: [gr.Column(visible=way == name) for name in _WAYS], field["way"], self.columns, **AT_ONCE
        )
        field["corpus"].change(self._choices, field["corpus"], [field["task"], field["questions"]], **AT_ONCE)
        field["prompts"].change(lambda p: gr.Textbox(visible=p == PASTED), field["prompts"], field["typed"], **AT_ONCE)
        field["to"].change(lambda to: gr.Textbox(visible=to == "markdown"), field["to"], field["heading"], **AT_ONCE)
        buttons, given = [self.make, self.halt], list(field.values())
        limited: dict[str, Any] = {"concurrency_id": BUILD, "concurrency_limit": 1, **QUIET}
        begun = self.make.click(self._begin, None, [self.notice, self.download, *buttons], **AT_ONCE)
        made = begun.then(self._make, given, [self.notice, self._source, self.download, field["key"]], **limited)
        made.then(lambda: _busy(False), None, buttons, **AT_ONCE)
        stopped = self.halt.click(self._stopped, None, [self.notice, field["key"]], cancels=[made], **AT_ONCE)
        freed = [self.notice, field["key"], self._source, *buttons]
        stopped.then(settle, **AT_ONCE).then(self._after_stop, None, freed, **AT_ONCE)

    def refresh(self, trigger: Any) -> None:
        """Read the files again when the trigger fires, and draw the choices in the reader's language."""
        field = self.fields
        drawn = [field["way"], field["task"], field["questions"], field["prompts"], field["rows"], self.feedback_note]
        trigger(self._redraw, field["corpus"], drawn, **AT_ONCE)
        # What is made, sent or gone changes what the builders can begin with.
        self._source.change(self._offer, None, [field["prompts"], field["rows"]], **AT_ONCE)

    def _redraw(self, request: gr.Request, corpus: str | None) -> list[Any]:
        language = language_of(request)
        files = self._files(request)
        found = building.corpus_of(self._startup, corpus, files.person)
        names = files.names()
        return [
            gr.Radio(choices=ways(language)),
            gr.Dropdown(choices=building.tasks(found)),
            gr.Dropdown(choices=list(building.questions(files, found))),
            gr.Dropdown(choices=files.offered(language), value=[*names, PASTED][0]),
            gr.Dropdown(choices=files.offered(language, pasted=False), value=next(iter(names), None)),
            _feedback_note(language),
        ]

    def _files(self, request: gr.Request | None) -> RowFiles:
        return files_of(request, self._startup.settings)

    def _offer(self, request: gr.Request) -> list[Any]:
        language, files = language_of(request), self._files(request)
        offered = files.offered(language, pasted=False)
        return [gr.Dropdown(choices=files.offered(language)), gr.Dropdown(choices=offered)]

    def _choices(self, request: gr.Request, corpus: str | None) -> list[Any]:
        files = self._files(request)
        found = building.corpus_of(self._startup, corpus, files.person)
        questions = list(building.questions(files, found))
        return [
            gr.Dropdown(choices=building.tasks(found), value=found.default_task if found else None),
            gr.Dropdown(choices=questions, value=questions[0] if questions else None),
        ]

    def _begin(self, request: gr.Request) -> list[Any]:
        told = render.note_html(say(language_of(request), "training.build_waits"), kind="wait")
        return [told, gr.DownloadButton(value=None, visible=False), *_busy(True)]

    def _stopped(self, request: gr.Request) -> list[Any]:
        return [render.note_html(say(language_of(request), "training.build_stopped")), ""]

    def _after_stop(self, request: gr.Request) -> list[Any]:
        """A teacher's answers so far are rows already."""
        source = gr.Dropdown(choices=self._files(request).offered(language_of(request)))
        return [*self._stopped(request), source, *_busy(False)]

    def _make(self, request: gr.Request, *values: Any) -> Iterator[list[Any]]:
        """Make the rows, telling how far it is; the key is forgotten at the end, whatever came."""
        given, language = dict(zip(self.fields, values, strict=True)), language_of(request)
        files = self._files(request)
        try:
            for item in in_thread(self._work(request, files, given, language)):
                if isinstance(item, Done):
                    yield self._made(request, files, item.result)
                else:
                    yield [told_html(item), gr.skip(), gr.skip(), gr.skip()]
        except Exception as error:
            told = render.note_html(answering.sentence(error, language), kind="error")
            yield [told, gr.Dropdown(choices=files.offered(language)), gr.skip(), ""]

    def _work(self, request: gr.Request, files: RowFiles, given: Mapping[str, Any], language: str) -> building.Work:
        if given["way"] == "feedback":
            return building.from_feedback(self._startup.settings.history, owner_of(request), files, language)
        way = {"corpus": building.from_corpus, "teacher": building.by_teacher, "format": building.in_format}
        return way[given["way"]](self._startup, files, given, language)

    def _made(self, request: gr.Request, files: RowFiles, built: Built) -> list[Any]:
        language = language_of(request)
        told = render.note_html(built.told, kind="error" if built.failed else "note")
        told += _list(built.left_out, language)
        source: Any = gr.Dropdown(choices=files.offered(language))
        download: Any = gr.skip()
        if built.path is not None:
            source = gr.Dropdown(choices=files.offered(language), value=built.path.name)
            download = self._download(request, built.path)
        return [told, source, download, ""]

    def _download(self, request: gr.Request, path: Path) -> Any:
        language = language_of(request)
        copy = copy_for(request, self.download.GRADIO_CACHE, path)
        told = say(language, "training.download_file", file=path.name, size=f"{path.stat().st_size / 1e6:.1f}")
        return gr.DownloadButton(told, value=str(copy), visible=True)


def ways(language: str) -> list[tuple[str, str]]:
    """The ways to make rows, in words."""
    return [(say(language, key), way) for way, key in _WAYS.items()]


def _column(key: str, elem_id: str) -> Any:
    """The name of a column, guessed where nothing is written."""
    guessed = label("training.guessed")
    return gr.Textbox(label=label(key), placeholder=guessed, max_lines=1, min_width=160, elem_id=elem_id)


def _feedback_note(language: str) -> str:
    return render.note_html(say(language, "training.feedback_info"))


def _list(lines: tuple[str, ...], language: str) -> str:
    """What was left out, folded; what a document or a teacher wrote is no markup."""
    if not lines:
        return ""
    items = "".join(f"<li>{render.escape(line)}</li>" for line in lines[: building.LISTED])
    if (more := len(lines) - building.LISTED) > 0:
        told = say(language, "training.and_more", count=more)
        items += f"<li>{render.escape(told)}</li>"
    title = render.escape(say(language, "training.left_out", count=len(lines)))
    return f'<details class="cf-fold"><summary>{title}</summary><ul class="cf-left-out">{items}</ul></details>'


def _busy(busy: bool) -> list[Any]:
    return [gr.Button(interactive=not busy), gr.Button(visible=busy)]
