"""The list of adapters with what can be done to one: switch, rename, delete, download, upload, export. Draws; the files
are changed elsewhere.

A card may come from anybody: what it says is shown as text, and a name is looked up before anything is done to it.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import gradio as gr

from crossfade.adapters.archive import pack, take_in
from crossfade.adapters.manage import delete, rename, set_enabled
from crossfade.adapters.registry import adapters_of
from crossfade.errors import AdapterError
from crossfade.ui import answering, render
from crossfade.ui.adapter_export import ExportBox
from crossfade.ui.adapter_rows import Row, details_html, rows_of, table_html
from crossfade.ui.controls import AT_ONCE, QUIET
from crossfade.ui.uploads import taken_out

if TYPE_CHECKING:
    from crossfade.startup import Startup

TAB = "adapters"
WORKING = "Working …"
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
        rows = rows_of(self._startup)
        first = rows[0] if rows else None
        self.shown = gr.HTML(table_html(rows), elem_id="adapters-table")
        with gr.Row():
            with gr.Column(scale=3, min_width=320):
                self.chosen = gr.Dropdown(
                    [row.name for row in rows],
                    value=first.name if first else None,
                    label="Adapter",
                    elem_id="adapters-chosen",
                )
                self.about = gr.HTML(details_html(first), elem_id="adapters-about")
            with gr.Column(scale=2, min_width=320):
                with gr.Row():
                    self.toggle = gr.Button(elem_id="adapters-toggle", min_width=100, **_toggle(first))
                    self.make_zip = gr.Button("Make a zip", elem_id="adapters-zip", min_width=100)
                    self.ask_delete = gr.Button("Delete", elem_id="adapters-delete", min_width=100, **_own(first))
                self.download = gr.DownloadButton("Download", visible=False, elem_id="adapters-download")
                self.sure = gr.Column(visible=False, elem_id="adapters-sure")
                with self.sure:
                    self.asked = gr.HTML("")
                    with gr.Row():
                        self.really = gr.Button("Delete for good", variant="stop", elem_id="adapters-really")
                        self.keep = gr.Button("Keep it", elem_id="adapters-keep")
                self.to_delete = gr.State("")
                with gr.Row(elem_classes="cf-ask"):
                    self.new_name = gr.Textbox(label="New name", max_lines=1, elem_id="adapters-new-name")
                    self.rename = gr.Button("Rename", scale=0, min_width=100, elem_id="adapters-rename", **_own(first))
                with gr.Row(elem_classes="cf-ask"):
                    self.upload_name = gr.Textbox(
                        label="Name of what is uploaded",
                        info="Empty: the one it has.",
                        max_lines=1,
                        elem_id="adapters-upload-name",
                    )
                    self.upload = gr.UploadButton(
                        "Upload a zip",
                        file_types=[".zip"],
                        scale=0,
                        min_width=100,
                        elem_id="adapters-upload",
                    )
                self.notice = gr.HTML("", elem_id="adapters-notice")
                self.export = ExportBox(self._startup, chosen=self.chosen)

    def _wire(self) -> None:
        self.chosen.input(self._choose, self.chosen, self._drawn, **AT_ONCE)
        self._on(self.toggle.click, self._toggle, [self.chosen])
        self._on(self.rename.click, self._rename, [self.chosen, self.new_name])
        self._on(self.really.click, self._delete, [self.to_delete])
        self._on(self.upload.upload, self._upload, [self.upload, self.upload_name])
        self.ask_delete.click(self._ask_delete, self.chosen, [self.sure, self.asked, self.to_delete], **AT_ONCE)
        self.keep.click(lambda: (gr.Column(visible=False), ""), None, [self.sure, self.to_delete], **AT_ONCE)
        self.make_zip.click(lambda: render.note_html(WORKING, kind="wait"), None, self.notice, **AT_ONCE).then(
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
        trigger(lambda name: [gr.skip(), *self._state(name)[1:]], self.chosen, self._drawn, **AT_ONCE)

    def _state(self, name: str | None, note: str = "") -> list[Any]:
        """Everything as it is now, with that adapter chosen, or the first where it is gone."""
        rows = rows_of(self._startup)
        row = next((row for row in rows if row.name == name), rows[0] if rows else None)
        return [
            note,
            table_html(rows),
            gr.Dropdown(choices=[row.name for row in rows], value=row.name if row else None),
            details_html(row),
            gr.Button(**_toggle(row)),
            gr.Button(**_own(row)),
            gr.Button(**_own(row)),
            gr.DownloadButton(value=None, visible=False),
            gr.Column(visible=False),
        ]

    def _choose(self, name: str | None) -> list[Any]:
        return self._state(name)

    def _on(self, event: Any, act: Callable[..., Told], inputs: list[Any]) -> None:
        """Say that it is being worked on, act on the adapters one at a time, have them served, and say what came."""

        def work(*values: Any) -> list[Any]:
            name = str(values[0] or "")
            try:
                answering.ready_pipeline(self._startup)
                told, name = act(*values)
                self._startup.refresh_adapters()
                note = render.note_html(told)
            except Exception as error:
                note = render.note_html(answering.sentence(error), kind="error")
            return [*self._state(name, note), gr.UploadButton(value=None), ""]

        outputs = [*self._drawn, self.upload, self.to_delete]
        event(lambda: render.note_html(WORKING, kind="wait"), None, self.notice, **AT_ONCE).then(
            work, inputs, outputs, concurrency_id=TAB, concurrency_limit=1, **QUIET
        )

    def _row(self, name: str | None) -> Row:
        for row in rows_of(self._startup):
            if row.name == name:
                return row
        raise AdapterError(f"Adapter {name!r} is not there any more." if name else "Choose an adapter first.")

    def _toggle(self, name: str | None) -> Told:
        row = self._row(name)
        enabled = row.state == "disabled"
        set_enabled(self._startup.settings, row.name, enabled=enabled)
        return f"{row.name} is {'enabled' if enabled else 'disabled'}.", row.name

    def _rename(self, name: str | None, new: str | None) -> Told:
        row, new = self._row(name), (new or "").strip()
        rename(self._startup.settings, row.name, new=new)
        return f"{row.name} is now {new}.", new

    def _ask_delete(self, name: str | None) -> list[Any]:
        told = render.note_html(f"Delete {name} for good? There is no way back.", kind="error")
        return [gr.Column(visible=bool(name)), told, name or ""]

    def _delete(self, name: str) -> Told:
        """Delete what was asked about, whatever has been chosen since."""
        delete(self._startup.settings, self._row(name).name)
        return f"{name} is deleted.", ""

    def _upload(self, uploaded: str | None, name: str | None) -> Told:
        settings = self._startup.settings
        with taken_out(uploaded) as path:
            made = take_in(path, settings.my_adapters, registry=adapters_of(settings), name=(name or "").strip())
        return f"{made.name} is here: {made.purpose or 'no purpose recorded'}", made.name

    def _pack(self, name: str | None) -> list[Any]:
        """Make the zip where Gradio serves it from, under a path that nobody guesses; it goes within the hour."""
        try:
            adapter = adapters_of(self._startup.settings).find(self._row(name).name)
            place = Path(self.download.GRADIO_CACHE) / secrets.token_hex(32) / f"{adapter.name}.zip"
            path = pack(adapter, place)
        except Exception as error:
            return [render.note_html(answering.sentence(error), kind="error"), gr.DownloadButton(visible=False)]
        label = f"Download {path.name}, {path.stat().st_size / 1e6:.1f} MB"
        return ["", gr.DownloadButton(label, value=str(path), visible=True)]


def _toggle(row: Row | None) -> dict[str, Any]:
    return {
        "value": "Enable" if row and row.state == "disabled" else "Disable",
        "interactive": bool(row and row.facts),
    }


def _own(row: Row | None) -> dict[str, Any]:
    """Whether an adapter may be renamed and deleted: what ships may not."""
    return {"interactive": bool(row and row.own)}
