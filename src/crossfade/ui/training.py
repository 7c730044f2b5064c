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
from crossfade.errors import CrossfadeError, ModelError, TrainingError
from crossfade.models.fetch import fetch
from crossfade.models.hf_folder import hf_folder
from crossfade.models.torch_libraries import missing_libraries
from crossfade.training.desk import Desk
from crossfade.training.estimate import Plan
from crossfade.training.plan import plan_of
from crossfade.training.record import layers_of, settings_of
from crossfade.training.report import DataReport, sentence
from crossfade.ui import answering, render
from crossfade.ui.builders import RowBuilders
from crossfade.ui.controls import AT_ONCE, QUIET
from crossfade.ui.data_view import report_html, report_on
from crossfade.ui.language import label, language_of, say
from crossfade.ui.row_files import ENDINGS, PASTED, RowFiles
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
from crossfade.ui.uploads import served_copy

if TYPE_CHECKING:
    from crossfade.startup import Startup

TAB = "train"
COLUMNS = ("form", "prompt_column", "response_column", "template", "instructions")
NUMBERS = ("epochs", "learning_rate", "rank", "virtual_tokens", "patience", "max_rows")


class TrainingOrder:
    """Draws the part into the `gr.Blocks` that is open. `ordered` is a State with the name of the last run ordered.

    `fields` are the components that an order is made of, by name.
    """

    def __init__(self, startup: Startup, desk: Desk, *, ordered: Any) -> None:
        self._startup, self._desk, self._ordered = startup, desk, ordered
        self.files = RowFiles(startup.settings.home / "data")
        self.fields: dict[str, Any] = {}
        self._draw_rows()
        self._draw_method()
        self._wire()

    def _draw_rows(self) -> None:
        files = self.files.names()
        field = self.fields
        with gr.Row(elem_classes="cf-ask"):
            field["source"] = gr.Dropdown(
                self.files.offered("en"),
                value=[*files, PASTED][0],
                label=label("training.source"),
                elem_id="train-source",
                scale=4,
            )
            self.upload = gr.UploadButton(
                label("training.upload"), file_types=ENDINGS, elem_id="train-upload", scale=0, min_width=120
            )
        field["pasted"] = gr.Textbox(
            label=label("training.pasted"),
            info=label("training.pasted_info"),
            lines=6,
            max_lines=14,
            visible=not files,
            elem_id="train-pasted",
        )
        with gr.Accordion(label("training.make_rows"), open=False, elem_id="make-rows"):
            self.builders = RowBuilders(self._startup, self.files, source=field["source"])
        guessed = {"placeholder": label("training.guessed"), "max_lines": 1}
        with gr.Accordion(label("training.columns"), open=False, elem_id="train-columns"):
            field["form"] = gr.Dropdown(forms("en"), value="", label=label("training.form"), elem_id="train-form")
            field["prompt_column"] = gr.Textbox(label=label("training.prompt_column"), **guessed)
            field["response_column"] = gr.Textbox(label=label("training.response_column"), **guessed)
            field["template"] = gr.Textbox(
                label=label("training.template"),
                info=label("training.template_info"),
                placeholder="{text}",
                visible=False,
                elem_id="train-template",
            )
            field["instructions"] = gr.Textbox(
                label=label("training.instructions"),
                placeholder=label("training.guessed"),
                info=label("training.instructions_info"),
            )
            field["against"] = gr.Dropdown(
                list(judging_sets(self.files, self._startup.corpora)),
                value=[],
                multiselect=True,
                label=label("training.against"),
                info=label("training.against_info"),
                elem_id="train-against",
            )
            field["despite"] = gr.Textbox(
                label=label("training.despite"),
                info=label("training.despite_info"),
                visible=False,
                elem_id="train-despite",
            )
        with gr.Row():
            self.check = gr.Button(label("training.check"), elem_id="train-check", min_width=140)
            self.get_file = gr.Button(label("training.get_file"), elem_id="train-get-file", min_width=140)
        self.download = gr.DownloadButton(label("training.download"), visible=False, elem_id="train-download")
        self.report = gr.HTML("", elem_id="train-report")

    def _draw_method(self) -> None:
        field = self.fields
        with gr.Row():
            field["name"] = gr.Textbox(
                label=label("training.name"), placeholder="my-style", max_lines=1, elem_id="train-name"
            )
            field["purpose"] = gr.Textbox(
                label=label("training.purpose"),
                placeholder=label("training.purpose_placeholder"),
                max_lines=1,
                elem_id="train-purpose",
            )
        field["method"] = gr.Radio(
            methods("en"), value="lora", label=label("training.method"), elem_id="train-method", elem_classes="cf-lines"
        )
        self.served = gr.HTML(served_note("lora", "en"), elem_id="train-served")
        field["anyway"] = gr.Checkbox(False, label=label("training.anyway"), visible=False, elem_id="train-anyway")
        field["preset"] = gr.Radio(
            presets("en"),
            value="quick",
            label=label("training.preset"),
            elem_id="train-preset",
            elem_classes="cf-lines",
        )
        whole: dict[str, Any] = {"precision": 0, "minimum": 1, "min_width": 130}
        with gr.Accordion(label("training.more"), open=False, elem_id="train-more"):
            with gr.Row():
                field["epochs"] = gr.Number(None, label=label("training.epochs"), elem_id="train-epochs", **whole)
                field["learning_rate"] = gr.Number(
                    None, label=label("training.learning_rate"), minimum=1e-7, maximum=0.1, min_width=130
                )
                field["rank"] = gr.Number(None, label=label("training.rank"), elem_id="train-rank", **whole)
                field["layers"] = gr.Textbox(
                    label=label("training.layers"),
                    info=label("training.layers_info"),
                    placeholder="-1,-2,-3,-4",
                    max_lines=1,
                    visible=False,
                    elem_id="train-layers",
                )
                field["virtual_tokens"] = gr.Number(
                    None,
                    label=label("training.virtual_tokens"),
                    visible=False,
                    elem_id="train-virtual-tokens",
                    **whole,
                )
                field["patience"] = gr.Number(
                    None,
                    label=label("training.patience"),
                    info=label("training.patience_info"),
                    elem_id="train-patience",
                    **{**whole, "minimum": 0},
                )
                field["max_rows"] = gr.Number(None, label=label("training.max_rows"), elem_id="train-max-rows", **whole)
            self.empty = gr.HTML(render.note_html(say("en", "training.more_empty")))
        self.missing = gr.HTML(_missing("en"), elem_id="train-missing")
        self.send = gr.Button(label("training.send"), variant="primary", elem_id="train-send")
        self.notice = gr.HTML("", elem_id="train-notice")

    def _wire(self) -> None:
        field, given = self.fields, list(self.fields.values())
        field["source"].change(
            lambda source: [gr.Textbox(visible=source == PASTED), gr.DownloadButton(value=None, visible=False)],
            field["source"],
            [field["pasted"], self.download],
            **AT_ONCE,
        )
        field["form"].change(lambda f: gr.Textbox(visible=f == "label"), field["form"], field["template"], **AT_ONCE)
        field["against"].change(lambda a: gr.Textbox(visible=bool(a)), field["against"], field["despite"], **AT_ONCE)
        field["method"].change(
            self._method, field["method"], [self.served, field["anyway"], *(field[n] for n in OF_METHOD)], **AT_ONCE
        )
        self.upload.upload(self._upload, self.upload, [field["source"], self.upload, self.notice], **AT_ONCE)
        queued: dict[str, Any] = {"concurrency_id": TAB, "concurrency_limit": 1, **QUIET}
        self.check.click(self._check, given, self.report, **queued)
        self.get_file.click(self._get_file, [field["source"], field["pasted"]], [self.notice, self.download], **queued)
        self.send.click(self._order, given, [self._ordered, self.report, self.notice], **queued)

    def refresh(self, trigger: Any) -> None:
        """Read the files again when the trigger fires, and draw what the browser does not put into its language."""
        drawn = [self.fields[name] for name in ("source", "form", "against", "method", "preset", "anyway")]
        trigger(
            self._redraw,
            self.fields["method"],
            [*drawn, self.served, self.empty, self.missing],
            **AT_ONCE,
        )
        self.builders.refresh(trigger)

    def _redraw(self, request: gr.Request, method: str) -> list[Any]:
        language = language_of(request)
        served, anyway, *_ = self._method(request, method)
        return [
            gr.Dropdown(choices=self.files.offered(language)),
            gr.Dropdown(choices=forms(language)),
            gr.Dropdown(choices=list(judging_sets(self.files, self._startup.corpora))),
            gr.Radio(choices=methods(language)),
            gr.Radio(choices=presets(language)),
            anyway,
            served,
            render.note_html(say(language, "training.more_empty")),
            _missing(language),
        ]

    def _method(self, request: gr.Request, method: str) -> list[Any]:
        """Where what the method makes is served, and the fields that it has; what was ticked was for another one."""
        language, unserved = language_of(request), self._unserved(method)
        note = unserved_note(method, language) if unserved else served_note(method, language)
        fields = [
            (gr.Textbox if name == "layers" else gr.Number)(visible=method in having)
            for name, having in OF_METHOD.items()
        ]
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
            name = self.files.keep(sent)
            source = gr.Dropdown(choices=self.files.offered(language), value=name)
            return [source, gr.UploadButton(value=None), ""]
        except (OSError, CrossfadeError) as error:
            told = say(language, "training.not_kept", file=Path(sent).name, why=answering.sentence(error))
            return [gr.skip(), gr.UploadButton(value=None), render.note_html(told, kind="error")]

    def _get_file(self, request: gr.Request, source: str, pasted: str) -> list[Any]:
        language = language_of(request)
        try:
            path = self.files.path(source, pasted, language)
            copy = served_copy(path, self.download.GRADIO_CACHE)
        except (CrossfadeError, OSError) as error:
            return [render.note_html(answering.sentence(error), kind="error"), gr.DownloadButton(visible=False)]
        told = say(language, "training.download_file", file=path.name, size=f"{path.stat().st_size / 1e6:.1f}")
        return ["", gr.DownloadButton(told, value=str(copy), visible=True)]

    def _check(self, request: gr.Request, *values: Any) -> str:
        given = dict(zip(self.fields, values, strict=True))
        try:
            return report_html(self._report(given, language_of(request), plan=self._plan(given)))
        except (CrossfadeError, OSError) as error:
            return render.note_html(answering.sentence(error), kind="error")

    def _order(self, request: gr.Request, *values: Any) -> list[Any]:
        given, language = dict(zip(self.fields, values, strict=True)), language_of(request)
        try:
            report = self._report(given, language)
            if report.errors:
                why = say(language, "training.cannot_learn")
                return [gr.skip(), report_html(report), render.note_html(why, kind="error")]
            name, method = _text(given, "name"), given["method"]
            settings_of(method, given["preset"], self._changes(given))
            self._check_name(name, language)
            if self._unserved(method) and not given["anyway"]:
                raise TrainingError(say(language, "training.tick_first", method=method))
            path = self.files.path(given["source"], given["pasted"], language)
            run = self._desk.order(self._words(given, path), name=name, method=method, data=path.name)
            waiting = len(self._desk.waiting())
            told = say(language, "training.ordered_waits", count=waiting) if waiting > 1 else ""
            told = told or say(language, "training.ordered")
            return [run.path.name, report_html(report), render.note_html(told)]
        except (CrossfadeError, OSError) as error:
            return [gr.skip(), gr.skip(), render.note_html(answering.sentence(error), kind="error")]

    def _report(self, given: Mapping[str, Any], language: str, *, plan: Plan | None = None) -> DataReport:
        path = self.files.path(given["source"], given["pasted"], language)
        columns = self._columns(given)
        against, despite = self._against(given), sentence(_text(given, "despite"))
        return report_on(path, columns, against=against, despite_overlap=despite if against else "", plan=plan)

    def _columns(self, given: Mapping[str, Any]) -> list[str]:
        """What is said of the columns; a template that is out of sight is not meant."""
        return [_text(given, name) if name != "template" or given["form"] == "label" else "" for name in COLUMNS]

    def _against(self, given: Mapping[str, Any]) -> list[Path]:
        sets = judging_sets(self.files, self._startup.corpora)
        if gone := [name for name in given["against"] or () if name not in sets]:
            raise TrainingError(f"{gone[0]} is not there any more. Choose another judging set.")
        return [sets[name] for name in given["against"] or ()]

    def _changes(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """What is said beside method and preset; what the method has not is out of sight, and not meant."""
        changes = {name: given[name] for name in NUMBERS if name != "max_rows"}
        changes |= {"layers": layers_of(_text(given, "layers"))}
        return {n: value for n, value in changes.items() if given["method"] in OF_METHOD.get(n, (given["method"],))}

    def _words(self, given: Mapping[str, Any], path: Path) -> list[str]:
        """The order as the words of `crossfade train`."""
        words = ["--data", str(path), "--name", _text(given, "name"), "--purpose", _text(given, "purpose")]
        words += ["--method", given["method"], "--preset", given["preset"], "--base", self._startup.settings.base]
        for name, value in zip(COLUMNS, self._columns(given), strict=True):
            words += [_option(name), value] if value else []
        against = self._against(given)
        words += [word for judging in against for word in ("--against", str(judging))]
        words += ["--despite-overlap", despite] if against and (despite := _text(given, "despite")) else []
        changes = self._changes(given) | {"max_rows": given["max_rows"] or None}
        if changes.pop("layers", None):
            words += ["--layers", _text(given, "layers")]
        return words + [w for n, v in changes.items() if v is not None for w in (_option(n), _number(v))]

    def _plan(self, given: Mapping[str, Any]) -> Plan | None:
        """What a training will need, or None where the base cannot be had here."""
        if missing_libraries():
            return None
        settings = self._startup.settings
        try:
            folder = hf_folder(fetch(settings.base, settings.home), settings.home)
        except ModelError:
            return None
        wanted = settings_of(given["method"], given["preset"], self._changes(given))
        return plan_of(wanted, folder, self._desk.runs())

    def _check_name(self, name: str, language: str) -> None:
        settings = self._startup.settings
        if not NAME.fullmatch(name):
            raise TrainingError(say(language, "training.name_needed"))
        if name in adapters_of(settings).names or (settings.my_bases / name).exists():
            raise TrainingError(say(language, "training.name_taken", name=name))


def _missing(language: str) -> str:
    """What has to be installed before anything can be trained, if anything."""
    missing = missing_libraries()
    return render.note_html(say(language, "training.libraries", missing=", ".join(missing))) if missing else ""


def _text(given: Mapping[str, Any], name: str) -> str:
    return str(given[name] or "").strip()


def _option(name: str) -> str:
    return f"--{name.replace('_', '-')}"


def _number(value: float) -> str:
    return str(int(value)) if value == int(value) else repr(value)
