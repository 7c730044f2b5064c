"""The training part of the Adapters tab: choose rows, see the report on them, order a training. Knows no torch.

A training is `crossfade train` in a process of its own; what is shown of it is read from its folder, by `runs`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING, Any

import gradio as gr

from crossfade.adapters.peft_files import NAME
from crossfade.adapters.registry import adapters_of
from crossfade.errors import CrossfadeError, TrainingError
from crossfade.training.desk import Desk
from crossfade.training.record import settings_of
from crossfade.training.report import DataReport, sentence
from crossfade.ui import answering, render
from crossfade.ui.controls import AT_ONCE, QUIET
from crossfade.ui.data_view import report_html, report_on
from crossfade.ui.language import language_of, say
from crossfade.ui.order_words import against_of, changes_of, columns_of, text_of, words_of
from crossfade.ui.owner import person_of
from crossfade.ui.phrases import said
from crossfade.ui.row_files import PASTED, RowFiles, files_of
from crossfade.ui.served import copy_for, place_for
from crossfade.ui.training_choices import (
    OF_METHOD,
    adapter_kind,
    forms,
    judging_sets,
    methods,
    presets,
    served_note,
    unserved_note,
)
from crossfade.ui.training_form import TrainingForm, missing_note
from crossfade.ui.working import Done, Told, in_thread, settle, told_html

if TYPE_CHECKING:
    from crossfade.startup import Startup

TAB = "train"


class TrainingOrder:
    """Draws the part into the `gr.Blocks` that is open. `ordered` is a State with the name of the last run ordered.

    `fields` are the components that an order is made of, by name.
    """

    def __init__(self, startup: Startup, desk: Desk, *, ordered: Any) -> None:
        self._startup, self._desk, self._ordered = startup, desk, ordered
        self.form = TrainingForm(startup)
        self.fields = self.form.fields
        self._wire()

    def _wire(self) -> None:
        field = self.fields
        field["source"].change(
            _chosen,
            field["source"],
            [field["pasted"], self.form.download, self.form.delete, self.form.sure],
            **AT_ONCE,
        )
        field["form"].change(lambda f: gr.Textbox(visible=f == "label"), field["form"], field["template"], **AT_ONCE)
        field["method"].change(
            self._method,
            field["method"],
            [self.form.served, field["anyway"], *(field[n] for n in OF_METHOD)],
            **AT_ONCE,
        )
        self.form.upload.upload(
            self._upload, self.form.upload, [field["source"], self.form.upload, self.form.notice], **AT_ONCE
        )
        self.form.delete.click(lambda: gr.Row(visible=True), None, self.form.sure, **AT_ONCE)
        self.form.keep.click(lambda: gr.Row(visible=False), None, self.form.sure, **AT_ONCE)
        self.form.really.click(
            self._delete, field["source"], [field["source"], self.form.sure, self.form.notice], **AT_ONCE
        )
        queued: dict[str, Any] = {"concurrency_id": TAB, "concurrency_limit": 1, **QUIET}
        looked = [self.form.report, self.form.report_file]
        self._long(self.form.check, self.form.stop_check, self._check, self.form.report, looked)
        self.form.get_file.click(
            self._get_file, [field["source"], field["pasted"]], [self.form.notice, self.form.download], **queued
        )
        after = [self._ordered, self.form.report, self.form.notice]
        self._long(self.form.send, self.form.stop_send, self._order, self.form.notice, after)

    def _long(self, button: Any, stop: Any, work: Callable[..., Any], notice: Any, outputs: list[Any]) -> None:
        """Let a button do what takes long: another one stops it, and a notice tells how far it is."""
        buttons, given = [button, stop], list(self.fields.values())
        begun = button.click(_begin, None, [notice, *buttons], **AT_ONCE)
        made = begun.then(work, given, outputs, concurrency_id=TAB, concurrency_limit=1, **QUIET)
        made.then(lambda: _busy(False), None, buttons, **AT_ONCE)
        stopped = stop.click(_stopped, None, notice, cancels=[made], **AT_ONCE)
        stopped.then(settle, **AT_ONCE).then(_freed, None, [notice, *buttons], **AT_ONCE)

    def refresh(self, trigger: Any) -> None:
        """Read the files again when the trigger fires, and draw what the browser does not put into its language."""
        drawn = [self.fields[name] for name in ("source", "form", "against", "method", "preset", "anyway")]
        trigger(
            self._redraw,
            self.fields["method"],
            [*drawn, self.form.served, self.form.missing],
            **AT_ONCE,
        )
        self.form.builders.refresh(trigger)

    def _redraw(self, request: gr.Request, method: str) -> list[Any]:
        language, files = language_of(request), self._files(request)
        served, anyway, *_ = self._method(request, method)
        return [
            gr.Dropdown(choices=files.offered(language), value=[*files.names(), PASTED][0]),
            gr.Dropdown(choices=forms(language)),
            gr.Dropdown(choices=list(judging_sets(files, self._startup.corpora))),
            gr.Radio(choices=methods(language)),
            gr.Radio(choices=presets(language)),
            anyway,
            served,
            missing_note(language),
        ]

    def _method(self, request: gr.Request, method: str) -> list[Any]:
        """Where what the method makes is served, and the fields that it has; what was ticked was for another one."""
        language, unserved = language_of(request), self._unserved(method)
        note = unserved_note(method, language) if unserved else served_note(method, language)
        fields = [gr.Textbox(visible=method in having) for having in OF_METHOD.values()]
        return [note, gr.Checkbox(False, visible=unserved), *fields]

    def _unserved(self, method: str) -> bool:
        """Whether the engine that runs cannot chat with what the method makes; not known while it loads."""
        pipeline, kind = self._startup.pipeline, adapter_kind(method)
        return pipeline is not None and kind != "" and kind not in pipeline.engine.capabilities.adapter_kinds

    def _upload(self, request: gr.Request, sent: str | None) -> list[Any]:
        """Keep what was sent, out of the folder that the page's server reads from."""
        language = language_of(request)
        if not sent:
            return [gr.skip(), gr.skip(), gr.skip()]
        try:
            files = self._files(request)
            name = files.keep(sent)
            source = gr.Dropdown(choices=files.offered(language), value=name)
            return [source, gr.UploadButton(value=None), ""]
        except (OSError, CrossfadeError) as error:
            told = say(language, "training.not_kept", file=Path(sent).name, why=answering.sentence(error, language))
            return [gr.skip(), gr.UploadButton(value=None), render.note_html(told, kind="error")]

    def _delete(self, request: gr.Request, source: str | None) -> list[Any]:
        language, files = language_of(request), self._files(request)
        try:
            files.delete(source, language)
            told = render.note_html(say(language, "training.file_deleted", file=source))
        except (CrossfadeError, OSError) as error:
            told = render.note_html(answering.sentence(error, language), kind="error")
        return [gr.Dropdown(choices=files.offered(language), value=PASTED), gr.Row(visible=False), told]

    def _get_file(self, request: gr.Request, source: str, pasted: str) -> list[Any]:
        language = language_of(request)
        try:
            path = self._files(request).path(source, pasted, language)
            copy = copy_for(request, self.form.download.GRADIO_CACHE, path)
        except (CrossfadeError, OSError) as error:
            return [
                render.note_html(answering.sentence(error, language), kind="error"),
                gr.DownloadButton(visible=False),
            ]
        told = say(language, "training.download_file", file=path.name, size=f"{path.stat().st_size / 1e6:.1f}")
        return ["", gr.DownloadButton(told, value=str(copy), visible=True)]

    def _files(self, request: gr.Request) -> RowFiles:
        return files_of(request, self._startup.settings)

    def _check(self, request: gr.Request, *values: Any) -> Iterator[list[Any]]:
        """The report on the rows, and its file, telling how far it is; closed before its end, it stops."""
        given, language, files = self._given(values), language_of(request), self._files(request)

        def work(tell: Callable[[Told], None], stop: Event) -> list[Any]:
            report = self._report(files, given, language, tell, planned=True)
            copy = place_for(request, self.form.report_file.GRADIO_CACHE, f"{report.name}.report.json")
            copy.write_text(json.dumps(report.as_json(), ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
            return [report_html(report, language), gr.DownloadButton(value=str(copy), visible=True)]

        yield [gr.skip(), gr.DownloadButton(visible=False)]
        try:
            for item in in_thread(work):
                yield item.result if isinstance(item, Done) else [told_html(item), gr.skip()]
        except Exception as error:
            yield [render.note_html(answering.sentence(error, language), kind="error"), gr.skip()]

    def _order(self, request: gr.Request, *values: Any) -> Iterator[list[Any]]:
        """Look at the rows, telling how far it is, then order the training; closed before that, it orders none."""
        given, language, files = self._given(values), language_of(request), self._files(request)
        owner = person_of(request, self._startup.settings) or ""

        def work(tell: Callable[[Told], None], stop: Event) -> list[Any]:
            return self._ordered_now(files, given, language, owner, tell)

        try:
            for item in in_thread(work):
                yield item.result if isinstance(item, Done) else [gr.skip(), gr.skip(), told_html(item)]
        except Exception as error:
            yield [gr.skip(), gr.skip(), render.note_html(answering.sentence(error, language), kind="error")]

    def _given(self, values: Sequence[Any]) -> dict[str, Any]:
        return dict(zip(self.fields, values, strict=True))

    def _ordered_now(
        self, files: RowFiles, given: Mapping[str, Any], language: str, owner: str, tell: Callable[[Told], None]
    ) -> list[Any]:
        """The run's name, the report and what is told. Raises CrossfadeError where the order is none."""
        name, method = text_of(given, "name"), given["method"]
        self._check_name(name, language)
        if self._unserved(method) and not given["anyway"]:
            raise TrainingError(say(language, "training.tick_first", method=method))
        report = self._report(files, given, language, tell)  # last: the base may have to be converted first
        shown = report_html(report, language)
        if report.errors:
            return [gr.skip(), shown, render.note_html(say(language, "training.cannot_learn"), kind="error")]
        path = files.path(given["source"], given["pasted"], language)
        base, against = self._startup.settings.base, self._against(files, given)
        words = words_of(given, path, base=base, against=against, language=language)
        tell(Told(say(language, "training.ordering")))  # who has left by now has ordered nothing
        run = self._desk.order(words, name=name, method=method, data=path.name, owner=owner)
        before = self._desk.before(run)
        told = say(language, "training.ordered_waits", count=before) if before else ""
        return [run.path.name, shown, render.note_html(told or say(language, "training.ordered"))]

    def _report(
        self,
        files: RowFiles,
        given: Mapping[str, Any],
        language: str,
        tell: Callable[[Told], None],
        *,
        planned: bool = False,
    ) -> DataReport:
        """What the training would find in the rows. Raises CrossfadeError where the order is none."""
        path = files.path(given["source"], given["pasted"], language)
        against, despite = self._against(files, given), sentence(text_of(given, "despite"))
        wanted = settings_of(given["method"], given["preset"], changes_of(given, language))

        def progress(stage: str, done: int, total: int) -> None:
            counts = {"done": f"{done:,}", "total": f"{total:,}"}
            line = said(language, stage)
            tell(Told(say(language, "training.looking", stage=line, **counts) if total else f"{line} …", done, total))

        return report_on(
            self._startup,
            path,
            columns_of(given),
            wanted=wanted,
            against=against,
            despite_overlap=despite,
            runs=self._desk.runs() if planned else None,
            progress=progress,
        )

    def _against(self, files: RowFiles, given: Mapping[str, Any]) -> list[Path]:
        return against_of(given, judging_sets(files, self._startup.corpora))

    def _check_name(self, name: str, language: str) -> None:
        settings = self._startup.settings
        if not NAME.fullmatch(name):
            raise TrainingError(say(language, "training.name_needed"))
        if name in adapters_of(settings).names or (settings.my_bases / name).exists():
            raise TrainingError(say(language, "training.name_taken", name=name))


def _chosen(source: str | None) -> list[Any]:
    """What belongs to the rows that are chosen: the box to paste into, or the file's buttons."""
    download = gr.DownloadButton(value=None, visible=False)
    is_file = bool(source) and source != PASTED
    return [gr.Textbox(visible=source == PASTED), download, gr.Button(visible=is_file), gr.Row(visible=False)]


def _begin(request: gr.Request) -> list[Any]:
    return [render.note_html(say(language_of(request), "training.check_waits"), kind="wait"), *_busy(True)]


def _stopped(request: gr.Request) -> str:
    return render.note_html(say(language_of(request), "training.check_stopped"))


def _freed(request: gr.Request) -> list[Any]:
    return [_stopped(request), *_busy(False)]


def _busy(busy: bool) -> list[Any]:
    return [gr.Button(interactive=not busy), gr.Button(visible=busy)]
