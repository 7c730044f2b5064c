"""The training part of the Adapters tab: choose rows, see the report on them, order a training. Knows no torch.

A training is `crossfade train` in a process of its own; what is shown of it is read from its folder, by `runs`.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import gradio as gr

from crossfade.adapters.peft_files import NAME
from crossfade.adapters.registry import adapters_of
from crossfade.errors import CrossfadeError, TrainingError
from crossfade.training.desk import Desk
from crossfade.training.record import layers_of, settings_of
from crossfade.training.report import DataReport, sentence
from crossfade.ui import answering, render
from crossfade.ui.controls import AT_ONCE, QUIET
from crossfade.ui.data_view import report_html, report_on
from crossfade.ui.language import language_of, say
from crossfade.ui.owner import person_of
from crossfade.ui.row_files import PASTED, RowFiles, files_of
from crossfade.ui.served import copy_for
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

if TYPE_CHECKING:
    from crossfade.startup import Startup

TAB = "train"
COLUMNS = {
    "form": "form",
    "prompt_column": "prompt",
    "response_column": "response",
    "input_column": "input",
    "system_column": "system",
    "template": "template",
    "instructions": "instructions",
}
"""The fields that tell what the columns are, each with what `guess` calls it."""
NUMBERS = {
    "epochs": "training.epochs",
    "learning_rate": "training.learning_rate",
    "rank": "training.rank",
    "virtual_tokens": "training.virtual_tokens",
    "patience": "training.patience",
    "max_rows": "training.max_rows",
}
"""The fields that hold a number, each with its label."""


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
        field, given = self.fields, list(self.fields.values())
        field["source"].change(
            _chosen,
            field["source"],
            [field["pasted"], self.form.download, self.form.delete, self.form.sure],
            **AT_ONCE,
        )
        field["form"].change(lambda f: gr.Textbox(visible=f == "label"), field["form"], field["template"], **AT_ONCE)
        field["against"].change(lambda a: gr.Textbox(visible=bool(a)), field["against"], field["despite"], **AT_ONCE)
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
        self.form.check.click(self._check, given, self.form.report, **queued)
        self.form.get_file.click(
            self._get_file, [field["source"], field["pasted"]], [self.form.notice, self.form.download], **queued
        )
        self.form.send.click(self._order, given, [self._ordered, self.form.report, self.form.notice], **queued)

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

    def _check(self, request: gr.Request, *values: Any) -> str:
        given, language = dict(zip(self.fields, values, strict=True)), language_of(request)
        try:
            return report_html(self._report(self._files(request), given, language, planned=True), language)
        except (CrossfadeError, OSError) as error:
            return render.note_html(answering.sentence(error, language), kind="error")

    def _order(self, request: gr.Request, *values: Any) -> list[Any]:
        given, language = dict(zip(self.fields, values, strict=True)), language_of(request)
        files, owner = self._files(request), person_of(request, self._startup.settings) or ""
        try:
            name, method = _text(given, "name"), given["method"]
            self._check_name(name, language)
            if self._unserved(method) and not given["anyway"]:
                raise TrainingError(say(language, "training.tick_first", method=method))
            report = self._report(files, given, language)  # last: the base may have to be converted first
            if report.errors:
                why = say(language, "training.cannot_learn")
                return [gr.skip(), report_html(report, language), render.note_html(why, kind="error")]
            path = files.path(given["source"], given["pasted"], language)
            words = self._words(files, given, path, language)
            run = self._desk.order(words, name=name, method=method, data=path.name, owner=owner)
            waiting = len(self._desk.waiting())
            told = say(language, "training.ordered_waits", count=waiting) if waiting > 1 else ""
            told = told or say(language, "training.ordered")
            return [run.path.name, report_html(report, language), render.note_html(told)]
        except (CrossfadeError, OSError) as error:
            return [gr.skip(), gr.skip(), render.note_html(answering.sentence(error, language), kind="error")]

    def _report(self, files: RowFiles, given: Mapping[str, Any], language: str, *, planned: bool = False) -> DataReport:
        """What the training would find in the rows. Raises CrossfadeError where the order is none."""
        path = files.path(given["source"], given["pasted"], language)
        against, despite = self._against(files, given), sentence(_text(given, "despite"))
        wanted = settings_of(given["method"], given["preset"], self._changes(given, language))
        runs = self._desk.runs() if planned else None
        despite = despite if against else ""
        columns = {COLUMNS[name]: value for name, value in self._columns(given).items()}
        return report_on(
            self._startup, path, columns, wanted=wanted, against=against, despite_overlap=despite, runs=runs
        )

    def _columns(self, given: Mapping[str, Any]) -> dict[str, str]:
        """What is said of the columns, by field; a template that is out of sight is not meant."""
        said = {name: _text(given, name) for name in COLUMNS}
        return said if given["form"] == "label" else said | {"template": ""}

    def _against(self, files: RowFiles, given: Mapping[str, Any]) -> list[Path]:
        sets = judging_sets(files, self._startup.corpora)
        if gone := [name for name in given["against"] or () if name not in sets]:
            raise TrainingError(f"{gone[0]} is not there any more. Choose another judging set.")
        return [sets[name] for name in given["against"] or ()]

    def _changes(self, given: Mapping[str, Any], language: str) -> dict[str, Any]:
        """What is said beside method and preset; what the method has not is out of sight, and not meant."""
        shown = [name for name in (*NUMBERS, "layers") if given["method"] in OF_METHOD.get(name, (given["method"],))]
        return {
            name: layers_of(_text(given, name)) if name == "layers" else _number(given, name, language)
            for name in shown
            if name != "max_rows"
        }

    def _words(self, files: RowFiles, given: Mapping[str, Any], path: Path, language: str) -> list[str]:
        """The order as the words of `crossfade train`."""
        words = ["--data", str(path), "--name", _text(given, "name"), "--purpose", _text(given, "purpose")]
        words += ["--method", given["method"], "--preset", given["preset"], "--base", self._startup.settings.base]
        for name, value in self._columns(given).items():
            words += [_option(name), value] if value else []
        against = self._against(files, given)
        words += [word for judging in against for word in ("--against", str(judging))]
        words += ["--despite-overlap", despite] if against and (despite := _text(given, "despite")) else []
        changes = self._changes(given, language) | {"max_rows": _number(given, "max_rows", language)}
        if changes.pop("layers", None):
            words += ["--layers", _text(given, "layers")]
        return words + [w for n, v in changes.items() if v is not None for w in (_option(n), str(v))]

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


def _text(given: Mapping[str, Any], name: str) -> str:
    return str(given[name] or "").strip()


def _option(name: str) -> str:
    return f"--{name.replace('_', '-')}"


def _number(given: Mapping[str, Any], name: str, language: str) -> int | float | None:
    """What a field holds, None for nothing. Raises TrainingError where it is no number that is allowed there."""
    text = _text(given, name)
    try:
        number = float(text) if name == "learning_rate" and text else int(text) if text else None
    except ValueError:
        number = -1
    if number is None or 0 <= number < float("inf"):
        return number
    kind = say(language, "training.a_fraction" if name == "learning_rate" else "training.a_whole_number")
    what = say(language, NUMBERS[name])
    raise TrainingError(say(language, "training.no_number", what=what, given=text[:40], kind=kind))
