"""The list of adapters with what can be done to one: switch, rename, delete, download, upload, export. Draws; the files
are changed elsewhere.

A card may come from anybody: what it says is shown as text, and a name is looked up before anything is done to it.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import gradio as gr

from crossfade.adapters.archive import FILES, pack, take_in
from crossfade.adapters.manage import delete, rename, set_enabled
from crossfade.adapters.peft_files import CARD_FILE, NAME, AdapterFiles
from crossfade.adapters.registry import adapters_of
from crossfade.errors import AdapterError
from crossfade.training.run_folder import read_json
from crossfade.ui import answering, render
from crossfade.ui.adapter_export import ExportBox
from crossfade.ui.adapter_rows import Row, details_html, rows_of, table_html
from crossfade.ui.controls import AT_ONCE, QUIET
from crossfade.ui.language import label, language_of, say
from crossfade.ui.owner import NO_COOKIE, person_of
from crossfade.ui.served import place_for
from crossfade.ui.uploads import taken_out, taken_out_together

if TYPE_CHECKING:
    from crossfade.startup import Startup

TAB = "adapters"
Told = tuple[str, str]
"""A sentence, and the name of the adapter that is chosen afterwards."""


class AdapterList:
    """Draws the list into the `gr.Blocks` that is open, and answers its events.

    `changed` is a trigger that fires when the adapters of the page are others than before.
    """

    def __init__(self, startup: Startup) -> None:
        self._startup = startup
        self._draw()
        self._wire()
        self.changed = self.shown.change

    def _draw(self) -> None:
        rows = rows_of(self._startup, person_of(None, self._startup.settings))
        first = rows[0] if rows else None
        self.shown = gr.HTML(table_html(rows, "en"), elem_id="adapters-table")
        with gr.Row():
            with gr.Column(scale=3, min_width=300):
                self.chosen = gr.Dropdown(
                    [row.name for row in rows],
                    value=first.name if first else None,
                    label=label("adapters.adapter"),
                    elem_id="adapters-chosen",
                )
                self.about = gr.HTML(details_html(first, "en"), elem_id="adapters-about")
            with gr.Column(scale=2, min_width=300):
                with gr.Row():
                    self.toggle = gr.Button(
                        elem_id="adapters-toggle",
                        min_width=100,
                        **{**_toggle(first, "en"), "value": label(_word(first))},
                    )
                    self.make_zip = gr.Button(label("adapters.make_zip"), elem_id="adapters-zip", min_width=100)
                    self.ask_delete = gr.Button(
                        label("adapters.delete"), elem_id="adapters-delete", min_width=100, **_own(first)
                    )
                self.download = gr.DownloadButton(
                    label("adapters.download"), visible=False, elem_id="adapters-download"
                )
                self.sure = gr.Column(visible=False, elem_id="adapters-sure")
                with self.sure:
                    self.asked = gr.HTML("")
                    with gr.Row():
                        self.really = gr.Button(label("adapters.really"), variant="stop", elem_id="adapters-really")
                        self.keep = gr.Button(label("adapters.keep"), elem_id="adapters-keep")
                self.to_delete = gr.State("")
                with gr.Row(elem_classes="cf-ask"):
                    self.new_name = gr.Textbox(
                        label=label("adapters.new_name"), max_lines=1, elem_id="adapters-new-name", min_width=140
                    )
                    self.rename = gr.Button(
                        label("adapters.rename"), scale=0, min_width=100, elem_id="adapters-rename", **_own(first)
                    )
                self.upload_name = gr.Textbox(
                    label=label("adapters.upload_name"),
                    info=label("adapters.upload_name_info"),
                    max_lines=1,
                    elem_id="adapters-upload-name",
                )
                with gr.Row():
                    self.upload = gr.UploadButton(
                        label("adapters.upload"), file_types=[".zip"], min_width=120, elem_id="adapters-upload"
                    )
                    self.upload_folder = gr.UploadButton(
                        label("adapters.upload_folder"),
                        file_count="directory",
                        min_width=120,
                        elem_id="adapters-upload-folder",
                    )
                self.notice = gr.HTML("", elem_id="adapters-notice")
                self.export = ExportBox(self._startup, chosen=self.chosen, find=self._to_take)

    def _wire(self) -> None:
        self.chosen.input(self._choose, self.chosen, self._drawn, **AT_ONCE)
        self._on(self.toggle.click, self._toggle, [self.chosen])
        self._on(self.rename.click, self._rename, [self.chosen, self.new_name])
        self._on(self.really.click, self._delete, [self.to_delete])
        self._on(self.upload.upload, self._upload, [self.upload, self.upload_name])
        self._on(self.upload_folder.upload, self._upload_folder, [self.upload_folder, self.upload_name])
        self.ask_delete.click(self._ask_delete, self.chosen, [self.sure, self.asked, self.to_delete], **AT_ONCE)
        self.keep.click(lambda: (gr.Column(visible=False), ""), None, [self.sure, self.to_delete], **AT_ONCE)
        self.make_zip.click(_working, None, self.notice, **AT_ONCE).then(
            self._pack,
            self.chosen,
            [self.notice, self.download],
            concurrency_id=TAB,
            concurrency_limit=1,
            **QUIET,
        )

    @property
    def _drawn(self) -> list[Any]:
        """What `_state` writes to."""
        buttons = [self.toggle, self.ask_delete, self.rename, self.download, self.sure]
        return [self.notice, self.shown, self.chosen, self.about, *buttons]

    def refresh(self, trigger: Any) -> None:
        """Draw the adapters as they are now when the trigger fires; what was chosen stays where it is still there."""
        trigger(self._again, self.chosen, self._drawn, **AT_ONCE)
        self.export.refresh(trigger)

    def _again(self, request: gr.Request, name: str | None) -> list[Any]:
        return [gr.skip(), *self._state(request, name)[1:]]

    def _state(self, request: gr.Request, name: str | None, note: str = "") -> list[Any]:
        """Everything as it is now, with that adapter chosen, or the first where it is gone."""
        language, rows = language_of(request), rows_of(self._startup, self._person(request))
        row = next((row for row in rows if row.name == name), rows[0] if rows else None)
        return [
            note,
            table_html(rows, language),
            gr.Dropdown(choices=[row.name for row in rows], value=row.name if row else None),
            details_html(row, language),
            gr.Button(**_toggle(row, language)),
            gr.Button(**_own(row)),
            gr.Button(**_own(row)),
            gr.DownloadButton(value=None, visible=False),
            gr.Column(visible=False),
        ]

    def _choose(self, request: gr.Request, name: str | None) -> list[Any]:
        return self._state(request, name)

    def _person(self, request: gr.Request) -> str | None:
        return person_of(request, self._startup.settings)

    def _on(self, event: Any, act: Callable[..., Told], inputs: list[Any]) -> None:
        """Say that it is being worked on, act on the adapters one at a time, have them served, and say what came."""

        def work(request: gr.Request, *values: Any) -> list[Any]:
            name, language = str(values[0] or ""), language_of(request)
            try:
                answering.ready_pipeline(self._startup)
                told, name = act(*values, language=language, person=self._person(request))
                self._startup.refresh_adapters()
                note = render.note_html(told)
            except Exception as error:
                note = render.note_html(answering.sentence(error, language), kind="error")
            empty = gr.UploadButton(value=None)
            return [*self._state(request, name, note), empty, empty, ""]

        outputs = [*self._drawn, self.upload, self.upload_folder, self.to_delete]
        event(_working, None, self.notice, **AT_ONCE).then(
            work, inputs, outputs, concurrency_id=TAB, concurrency_limit=1, **QUIET
        )

    def _row(self, name: str | None, language: str, person: str | None) -> Row:
        for row in rows_of(self._startup, person):
            if row.name == name:
                return row
        raise AdapterError(say(language, "adapters.gone", name=name) if name else say(language, "adapters.choose"))

    def _to_change(self, name: str | None, language: str, person: str | None) -> Row:
        row = self._row(name, language, person)
        if not row.changeable:
            raise AdapterError(say(language, "adapters.not_yours", name=row.name))
        return row

    def _to_take(self, request: gr.Request, name: str | None) -> AdapterFiles:
        """The adapter, where who asks may take it away. Raises AdapterError."""
        language = language_of(request)
        row = self._row(name, language, self._person(request))
        if not row.given:
            raise AdapterError(say(language, "adapters.not_yours", name=row.name))
        return adapters_of(self._startup.settings).find(row.name)

    def _toggle(self, name: str | None, *, language: str, person: str | None) -> Told:
        row = self._to_change(name, language, person)
        enabled = row.state == "disabled"
        set_enabled(self._startup.settings, row.name, enabled=enabled)
        key = "adapters.enabled" if enabled else "adapters.disabled"
        return say(language, key, name=row.name), row.name

    def _rename(self, name: str | None, new: str | None, *, language: str, person: str | None) -> Told:
        row, new = self._to_change(name, language, person), (new or "").strip()
        rename(self._startup.settings, row.name, new=new)
        return say(language, "adapters.renamed", name=row.name, new=new), new

    def _ask_delete(self, request: gr.Request, name: str | None) -> list[Any]:
        told = render.note_html(say(language_of(request), "adapters.sure", name=name), kind="error")
        return [gr.Column(visible=bool(name)), told, name or ""]

    def _delete(self, name: str, *, language: str, person: str | None) -> Told:
        """Delete what was asked about, whatever has been chosen since."""
        delete(self._startup.settings, self._to_change(name, language, person).name)
        return say(language, "adapters.deleted", name=name), ""

    def _upload(self, uploaded: str | None, name: str | None, *, language: str, person: str | None) -> Told:
        with taken_out(uploaded) as path:
            return self._take_in(path, (name or "").strip(), language, person)

    def _upload_folder(
        self, uploaded: list[str] | None, name: str | None, *, language: str, person: str | None
    ) -> Told:
        """Take in those files of a folder that an adapter has; the folder's own name does not come with it."""
        with taken_out_together(uploaded or [], FILES) as folder:
            own = str((read_json(folder / CARD_FILE) or {}).get("name") or "")
            if not (chosen := (name or "").strip() or (own if NAME.fullmatch(own) else "")):
                raise AdapterError(say(language, "adapters.name_folder"))
            return self._take_in(folder, chosen, language, person)

    def _take_in(self, path: Path, name: str, language: str, person: str | None) -> Told:
        if person == "":
            raise AdapterError(NO_COOKIE)
        settings = self._startup.settings
        made = take_in(path, settings.my_adapters, registry=adapters_of(settings), name=name, owner=person or "")
        purpose = made.purpose or say(language, "adapters.no_purpose")
        return say(language, "adapters.here", name=made.name, purpose=purpose), made.name

    def _pack(self, request: gr.Request, name: str | None) -> list[Any]:
        """Make the zip where Gradio serves it from, to who asks for it alone; it goes within the hour."""
        language = language_of(request)
        try:
            adapter = self._to_take(request, name)
            path = pack(adapter, place_for(request, self.download.GRADIO_CACHE, f"{adapter.name}.zip"))
        except Exception as error:
            return [
                render.note_html(answering.sentence(error, language), kind="error"),
                gr.DownloadButton(visible=False),
            ]
        told = say(language, "adapters.download_file", file=path.name, size=f"{path.stat().st_size / 1e6:.1f}")
        return ["", gr.DownloadButton(told, value=str(path), visible=True)]


def _working(request: gr.Request) -> str:
    return render.note_html(say(language_of(request), "adapters.working"), kind="wait")


def _word(row: Row | None) -> str:
    return "adapters.enable" if row and row.state == "disabled" else "adapters.disable"


def _toggle(row: Row | None, language: str) -> dict[str, Any]:
    return {"value": say(language, _word(row)), "interactive": bool(row and row.facts and row.changeable)}


def _own(row: Row | None) -> dict[str, Any]:
    """Whether an adapter may be renamed and deleted: what ships may not."""
    return {"interactive": bool(row and row.own)}
