"""How an order for a training looks: its fields and buttons, drawn and not wired. Knows nothing of what they do."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import gradio as gr

from crossfade.models.torch_libraries import how_to_install, missing_libraries
from crossfade.ui import render
from crossfade.ui.builders import RowBuilders
from crossfade.ui.language import label, say
from crossfade.ui.row_files import ENDINGS, PASTED, files_of
from crossfade.ui.training_choices import forms, judging_sets, methods, presets, served_note

if TYPE_CHECKING:
    from crossfade.startup import Startup


class TrainingForm:
    """Draws itself into the `gr.Blocks` that is open. `fields` are the components that an order is made of, by name."""

    def __init__(self, startup: Startup) -> None:
        self._startup = startup
        self._files = files_of(None, startup.settings)
        self.fields: dict[str, Any] = {}
        self._draw_rows()
        self._draw_columns()
        self._draw_looks()
        self._draw_method()
        self._draw_more()
        self.missing = gr.HTML(missing_note("en"), elem_id="train-missing")
        with gr.Row():
            self.send = gr.Button(label("training.send"), variant="primary", elem_id="train-send")
            self.stop_send = gr.Button(
                label("training.stop"), variant="stop", visible=False, scale=0, elem_id="train-send-stop", min_width=140
            )
        self.notice = gr.HTML("", elem_id="train-notice")

    def _draw_rows(self) -> None:
        files = self._files.names()
        field = self.fields
        with gr.Row(elem_classes="cf-ask"):
            field["source"] = gr.Dropdown(
                self._files.offered("en"),
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
            self.builders = RowBuilders(self._startup, source=field["source"])

    def _draw_columns(self) -> None:
        field = self.fields
        guessed: dict[str, Any] = {"placeholder": label("training.guessed"), "max_lines": 1}
        with gr.Accordion(label("training.columns"), open=False, elem_id="train-columns"):
            field["form"] = gr.Dropdown(forms("en"), value="", label=label("training.form"), elem_id="train-form")
            field["prompt_column"] = gr.Textbox(label=label("training.prompt_column"), **guessed)
            field["response_column"] = gr.Textbox(label=label("training.response_column"), **guessed)
            with gr.Row():
                field["input_column"] = gr.Textbox(
                    label=label("training.input_column"),
                    info=label("training.input_column_info"),
                    elem_id="train-input-column",
                    **{**guessed, "min_width": 160},
                )
                field["system_column"] = gr.Textbox(
                    label=label("training.system_column"),
                    info=label("training.system_column_info"),
                    elem_id="train-system-column",
                    **{**guessed, "min_width": 160},
                )
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
                list(judging_sets(self._files, self._startup.corpora)),
                value=[],
                multiselect=True,
                label=label("training.against"),
                info=label("training.against_info"),
                elem_id="train-against",
            )
            field["despite"] = gr.Textbox(
                label=label("training.despite"),
                info=label("training.despite_info"),
                elem_id="train-despite",
            )

    def _draw_looks(self) -> None:
        with gr.Row():
            self.check = gr.Button(label("training.check"), elem_id="train-check", min_width=140)
            self.stop_check = gr.Button(
                label("training.stop"), variant="stop", visible=False, elem_id="train-check-stop", min_width=140
            )
            self.get_file = gr.Button(label("training.get_file"), elem_id="train-get-file", min_width=140)
            self.delete = gr.Button(
                label("training.delete_file"), visible=bool(self._files.names()), elem_id="train-delete", min_width=140
            )
        with gr.Row(visible=False, elem_id="train-sure") as self.sure:
            self.really = gr.Button(label("training.really"), variant="stop", elem_id="train-really", min_width=140)
            self.keep = gr.Button(label("training.keep"), elem_id="train-keep", min_width=140)
        self.download = gr.DownloadButton(label("training.download"), visible=False, elem_id="train-download")
        self.report = gr.HTML("", elem_id="train-report")
        self.report_file = gr.DownloadButton(
            label("training.report_file"), visible=False, elem_id="train-report-file", size="sm"
        )

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

    def _draw_more(self) -> None:
        field = self.fields
        # No gr.Number: what is empty is 0 there, and 0 means something.
        own: dict[str, Any] = {"placeholder": label("training.own"), "max_lines": 1, "min_width": 130}
        with gr.Accordion(label("training.more"), open=False, elem_id="train-more"):
            with gr.Row():
                field["epochs"] = gr.Textbox(label=label("training.epochs"), elem_id="train-epochs", **own)
                field["learning_rate"] = gr.Textbox(label=label("training.learning_rate"), **own)
                field["rank"] = gr.Textbox(label=label("training.rank"), elem_id="train-rank", **own)
                field["layers"] = gr.Textbox(
                    label=label("training.layers"),
                    info=label("training.layers_info"),
                    visible=False,
                    elem_id="train-layers",
                    **{**own, "placeholder": "-1,-2,-3,-4"},
                )
                field["virtual_tokens"] = gr.Textbox(
                    label=label("training.virtual_tokens"), visible=False, elem_id="train-virtual-tokens", **own
                )
                field["max_rows"] = gr.Textbox(
                    label=label("training.max_rows"),
                    elem_id="train-max-rows",
                    **{**own, "placeholder": label("training.all_rows")},
                )
            field["patience"] = gr.Textbox(
                label=label("training.patience"), info=label("training.patience_info"), elem_id="train-patience", **own
            )


def missing_note(language: str) -> str:
    """What has to be installed before anything can be trained, if anything."""
    if not (missing := missing_libraries()):
        return ""
    told = say(language, "training.libraries", missing=", ".join(missing), command=how_to_install("train"))
    return render.note_html(told)
