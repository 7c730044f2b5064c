"""Below the list of adapters: export the chosen one, or push it to a hub. Knows not how either is made.

What is exported stays on the machine that serves the page, in the home's `exports`: a merged base is too large for a
browser's download, and the page serves no folder.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from queue import Empty, SimpleQueue
from threading import Event, Thread
from typing import TYPE_CHECKING, Any

import gradio as gr

from crossfade.adapters.push import push_adapter
from crossfade.adapters.registry import adapters_of
from crossfade.errors import AdapterError
from crossfade.training.export import KINDS, export
from crossfade.ui import answering, render
from crossfade.ui.controls import AT_ONCE, QUIET

if TYPE_CHECKING:
    from crossfade.startup import Startup

EXPORT = "export"
ENDINGS = {"folder": "-merged", "gguf": "-merged.gguf", "adapter-gguf": "-lora.gguf"}
SECONDS_BETWEEN_LOOKS = 0.3


class ExportBox:
    """Draws the box where it is made; `chosen` is the component that holds the adapter's name."""

    def __init__(self, startup: Startup, *, chosen: Any) -> None:
        self._startup = startup
        with gr.Accordion("Export, or push to a hub", open=False, elem_id="adapters-export"):
            self.form = gr.Radio(
                [(words[:1].upper() + words[1:], form) for form, words in KINDS.items()],
                value="folder",
                label="Export",
                elem_id="export-form",
            )
            with gr.Row():
                self.make = gr.Button("Export", elem_id="export-make", min_width=100)
                self.halt = gr.Button("Stop", variant="stop", visible=False, elem_id="export-stop", min_width=100)
            self.repository = gr.Textbox(
                label="Repository", placeholder="owner/name", max_lines=1, elem_id="push-repository"
            )
            self.token = gr.Textbox(
                label="Token",
                info="Of the hub, with the right to write; it is used once and kept nowhere.",
                type="password",
                max_lines=1,
                elem_id="push-token",
            )
            self.public = gr.Checkbox(label="Make a new repository public", elem_id="push-public")
            self.send = gr.Button("Push", elem_id="push-send")
            self.notice = gr.HTML("", elem_id="export-notice")
        buttons, limited = [self.make, self.halt], {"concurrency_id": EXPORT, "concurrency_limit": 1, **QUIET}
        begun = self.make.click(lambda: _busy(True), None, buttons, **AT_ONCE)
        made = begun.then(self._export, [chosen, self.form], self.notice, **limited)
        made.then(lambda: _busy(False), None, buttons, **AT_ONCE)
        stopped = self.halt.click(lambda: render.note_html("Stopped."), None, self.notice, cancels=[made], **AT_ONCE)
        stopped.then(lambda: _busy(False), None, buttons, **AT_ONCE)
        pushed = self.send.click(lambda: render.note_html("Pushing …", kind="wait"), None, self.notice, **AT_ONCE).then(
            self._push, [chosen, self.repository, self.token, self.public], [self.notice, self.token], **limited
        )
        self.events = (made, pushed)

    def _export(self, name: str | None, form: str) -> Iterator[str]:
        """Export, telling each stage; closed before its end, it stops at the next one and leaves nothing."""
        stop, told = Event(), SimpleQueue[str | Path | Exception]()

        def report(line: str) -> None:
            if stop.is_set():
                raise AdapterError("Stopped.")
            told.put(line)

        def progress(stage: str, done: int, total: int) -> None:
            report(f"{stage} {done / 1e6:.0f}{f' of {total / 1e6:.0f}' if total else ''} MB")

        def work() -> None:
            try:
                settings = self._startup.settings
                adapter = adapters_of(settings).find(name or "")
                out = _free(settings.home / "exports", f"{adapter.name}{ENDINGS[form]}")
                told.put(export(settings, ((adapter, 1.0),), to=form, out=out, progress=progress, report=report))
            except Exception as error:
                told.put(error)

        Thread(target=work, daemon=True, name="export").start()
        line = "Beginning"
        try:
            while True:
                try:
                    item = told.get(timeout=SECONDS_BETWEEN_LOOKS)
                except Empty:
                    item = line
                if isinstance(item, Path):
                    yield render.note_html(f"It is in {item}, on the machine that serves this page.")
                    return
                if isinstance(item, Exception):
                    yield render.note_html(answering.sentence(item), kind="error")
                    return
                line = item
                yield render.note_html(f"{line} …", kind="wait")
        finally:
            stop.set()

    def _push(self, name: str | None, repository: str | None, token: str | None, public: bool) -> list[str]:
        """Push, and forget the token, whatever came."""
        try:
            adapter = adapters_of(self._startup.settings).find(name or "")
            address = push_adapter(adapter, (repository or "").strip(), token=token or "", private=not public)
        except Exception as error:
            return [render.note_html(answering.sentence(error), kind="error"), ""]
        return [render.note_html(f"{adapter.name} is in {repository}: {address}"), ""]


def _busy(busy: bool) -> list[Any]:
    return [gr.Button(interactive=not busy), gr.Button(visible=busy)]


def _free(folder: Path, name: str) -> Path:
    """A path of that name that is not taken: a number is put in before its ending."""
    stem, dot, ending = name.partition(".")
    names = [name, *(f"{stem}-{number}{dot}{ending}" for number in range(2, 1000))]
    return next((folder / n for n in names if not (folder / n).exists()), folder / name)
