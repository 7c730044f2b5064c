"""Below the list of adapters: export the chosen one, or push it to a hub. Knows not how either is made.

What is exported stays on the machine that serves the page, in the home's `exports`: a merged base is too large for a
browser's download, and the page serves no folder. The newest `KEPT` are kept. Where others open the page, a visitor
could not come by it, and is told so.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING, Any

import gradio as gr

from crossfade.adapters.peft_files import AdapterFiles
from crossfade.adapters.push import push_adapter
from crossfade.errors import AdapterError
from crossfade.public_address import serves_others
from crossfade.training.export import KINDS, export
from crossfade.ui import answering, render
from crossfade.ui.controls import AT_ONCE, QUIET
from crossfade.ui.language import label, language_of, say
from crossfade.ui.phrases import said
from crossfade.ui.working import Done, Told, in_thread, settle, told_html

if TYPE_CHECKING:
    from crossfade.startup import Startup

EXPORT = "export"
ENDINGS = {"folder": "-merged", "gguf": "-merged.gguf", "adapter-gguf": "-lora.gguf"}
KEPT = 5
"""So many exports are kept, the newest: each may be as large as the base."""
_KINDS = {"folder": "adapters.as_folder", "gguf": "adapters.as_gguf", "adapter-gguf": "adapters.as_adapter_gguf"}


class ExportBox:
    """Draws the box where it is made; `chosen` is the component that holds the adapter's name.

    `find` gives the adapter of a name where who asks may take it away, and raises AdapterError where not.
    """

    def __init__(
        self, startup: Startup, *, chosen: Any, find: Callable[[gr.Request, str | None], AdapterFiles]
    ) -> None:
        self._startup, self._find = startup, find
        here = not serves_others(startup.settings)
        with gr.Accordion(label("adapters.export_or_push"), open=False, elem_id="adapters-export"):
            self.form = gr.Radio(
                kinds("en"),
                value="folder",
                label=label("adapters.export"),
                info=label("adapters.export_info"),
                visible=here,
                elem_id="export-form",
                elem_classes="cf-lines",
            )
            self.make = gr.Button(label("adapters.export"), visible=here, elem_id="export-make")
            self.repository = gr.Textbox(
                label=label("adapters.repository"), placeholder="owner/name", max_lines=1, elem_id="push-repository"
            )
            self.token = gr.Textbox(
                label=label("adapters.token"),
                info=label("adapters.token_info"),
                type="password",
                max_lines=1,
                elem_id="push-token",
            )
            self.public = gr.Checkbox(label=label("adapters.public"), elem_id="push-public")
            self.send = gr.Button(label("adapters.push"), elem_id="push-send")
            self.halt = gr.Button(label("adapters.stop"), variant="stop", visible=False, elem_id="export-stop")
            self.notice = gr.HTML("", elem_id="export-notice")
        buttons, limited = (
            [self.make, self.send, self.halt],
            {"concurrency_id": EXPORT, "concurrency_limit": 1, **QUIET},
        )
        made = self.make.click(_begin, None, [self.notice, *buttons], **AT_ONCE).then(
            self._export, [chosen, self.form], self.notice, **limited
        )
        pushed = self.send.click(_begin, None, [self.notice, *buttons], **AT_ONCE).then(
            self._push, [chosen, self.repository, self.token, self.public], [self.notice, self.token], **limited
        )
        stopped = self.halt.click(_stopped, None, [self.notice, self.token], cancels=[made, pushed], **AT_ONCE)
        for event in (made, pushed):
            event.then(lambda: _busy(False), None, buttons, **AT_ONCE)
        stopped.then(settle, **AT_ONCE).then(_freed, None, [self.notice, self.token, *buttons], **AT_ONCE)

    def refresh(self, trigger: Any) -> None:
        """Draw the choices in the reader's language when the trigger fires."""

        def redraw(request: gr.Request) -> Any:
            return gr.Radio(choices=kinds(language_of(request)))

        trigger(redraw, None, self.form, **AT_ONCE)

    def _export(self, request: gr.Request, name: str | None, form: str) -> Iterator[str]:
        """Export, telling each stage; closed before its end, it stops at the next one and leaves nothing."""
        language = language_of(request)

        def work(tell: Callable[[Told], None], stop: Event) -> Path:
            settings = self._startup.settings
            if serves_others(settings):
                raise AdapterError(say(language, "adapters.export_elsewhere"))
            adapter = self._find(request, name)
            out = _free(settings.home / "exports", f"{adapter.name}{ENDINGS[form]}")

            def fetched(stage: str, done: int, total: int) -> None:
                tell(Told(say(language, "adapters.fetching", done=f"{done / 1e6:.0f}"), done, total))

            def merged(done: int, total: int) -> None:
                tell(Told(say(language, "adapters.merging", done=f"{done:,}", total=f"{total:,}"), done, total))

            tell(Told(say(language, "adapters.beginning")))
            made = export(
                settings,
                ((adapter, 1.0),),
                to=form,
                out=out,
                progress=fetched,
                report=lambda line: tell(Told(f"{said(language, line)} …")),
                step=merged,
            )
            if stop.is_set():  # it was being written, and nobody is told where it is
                _remove(made)
            keep_the_newest(made.parent)
            return made

        try:
            for item in in_thread(work):
                if isinstance(item, Done):
                    yield render.note_html(say(language, "adapters.exported", path=item.result))
                else:
                    yield told_html(item)
        except Exception as error:
            yield render.note_html(answering.sentence(error, language), kind="error")

    def _push(
        self, request: gr.Request, name: str | None, repository: str | None, token: str | None, public: bool
    ) -> Iterator[list[Any]]:
        """Push, telling each stage, and forget the token, whatever came; what is being sent cannot be called back."""
        language, to = language_of(request), (repository or "").strip()

        def work(tell: Callable[[Told], None], stop: Event) -> str:
            adapter = self._find(request, name)

            def report(line: str) -> None:
                tell(Told(f"{said(language, line)} …"))

            address = push_adapter(adapter, to, token=token or "", private=not public, report=report)
            return say(language, "adapters.pushed", name=adapter.name, repository=to, address=address)

        try:
            for item in in_thread(work):
                yield [render.note_html(item.result), ""] if isinstance(item, Done) else [told_html(item), gr.skip()]
        except Exception as error:
            yield [render.note_html(answering.sentence(error, language), kind="error"), ""]


def kinds(language: str) -> list[tuple[str, str]]:
    """What can be made, in words."""
    return [(say(language, _KINDS[kind]), kind) for kind in KINDS]


def keep_the_newest(folder: Path, most: int = KEPT) -> None:
    """Remove what was exported before the newest ones; what is being written, under another name, stays."""
    made = [path for path in folder.glob("[!.]*") if path.name.endswith(tuple(ENDINGS.values())) or _numbered(path)]
    for path in sorted(made, key=lambda path: path.stat().st_mtime, reverse=True)[most:]:
        _remove(path)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def _numbered(path: Path) -> bool:
    stem, _, number = path.stem.rpartition("-")
    return number.isdecimal() and f"{stem}{path.suffix}".endswith(tuple(ENDINGS.values()))


def _begin(request: gr.Request) -> list[Any]:
    return [render.note_html(say(language_of(request), "adapters.export_waits"), kind="wait"), *_busy(True)]


def _stopped(request: gr.Request) -> list[str]:
    return [render.note_html(say(language_of(request), "adapters.stopped")), ""]


def _freed(request: gr.Request) -> list[Any]:
    return [*_stopped(request), *_busy(False)]


def _busy(busy: bool) -> list[Any]:
    return [gr.Button(interactive=not busy), gr.Button(interactive=not busy), gr.Button(visible=busy)]


def _free(folder: Path, name: str) -> Path:
    """A path of that name that is not taken: a number is put in before its ending."""
    stem, dot, ending = name.partition(".")
    names = [name, *(f"{stem}-{number}{dot}{ending}" for number in range(2, 1000))]
    return next((folder / n for n in names if not (folder / n).exists()), folder / name)
