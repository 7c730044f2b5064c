"""Earlier reports in the evaluate tab: one is loaded from a file, and the last two are compared. Measures nothing.

The file is read in the browser and sent as a text: the page takes no uploads, and nothing of it reaches the disk.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import gradio as gr

from crossfade.errors import QuestionError
from crossfade.evaluation.changes import Change, Changes, change_line, changes
from crossfade.evaluation.reading import read_report
from crossfade.evaluation.report import Report, as_json
from crossfade.ui import answering, downloads, render
from crossfade.ui.controls import AT_ONCE, QUIET
from crossfade.ui.language import label, language_of, say
from crossfade.ui.phrases import said

MOST_BYTES = 50_000_000
PICK = downloads.pick(most_bytes=MOST_BYTES, accept=".json,application/json", elem_id="evaluate-file")


class Earlier:
    """Draws the box where it is made. `report` is the session's last report as JSON, whoever makes it."""

    def __init__(self, report: Any) -> None:
        self._report = report
        self._before, self._last = gr.State(None), gr.State(None)
        self._text = gr.Textbox(visible=False)
        self.told = gr.HTML(_about("en"), elem_id="earlier-told")
        with gr.Row():
            self._load = gr.Button(label("evaluate.load"), elem_id="earlier-load")
            self._compare = gr.Button(label("evaluate.compare"), interactive=False, elem_id="earlier-compare")
        self._changes = gr.HTML("", elem_id="earlier-changes")

    def greet(self, trigger: Any) -> None:
        """Say what is here in the reader's language when the trigger fires."""
        trigger(_greet, None, self.told, **AT_ONCE)

    def wire(self, shown: Any, show: Callable[[Report, str], str]) -> None:
        """`shown` is where a loaded report goes, as `show` draws it."""

        def load(request: gr.Request, text: str) -> list[Any]:
            if not text:
                return [gr.skip()] * 3
            language = language_of(request)
            try:
                found = _read(text, language)
            except Exception as error:
                return [gr.skip(), gr.skip(), render.note_html(answering.sentence(error, language), kind="error")]
            told = say(language, "evaluate.loaded", name=_name(found.about, language))
            return [as_json(found), show(found, language), render.note_html(told)]

        def replaced(report: Mapping[str, Any] | None, last: Mapping[str, Any] | None) -> list[Any]:
            return [last, report, gr.Button(interactive=last is not None), ""]

        # Queued, though it asks no engine: Gradio tells of a changed state, which the other tabs wait for, only then.
        queued: dict[str, Any] = QUIET | {"concurrency_id": "load", "concurrency_limit": 1}
        self._load.click(load, self._text, [self._report, shown, self.told], js=PICK, **queued)
        self._compare.click(_compare, [self._before, self._report], self._changes, **AT_ONCE)
        outputs = [self._before, self._last, self._compare, self._changes]
        self._report.change(replaced, [self._report, self._last], outputs, **AT_ONCE)


def _greet(request: gr.Request) -> str:
    return _about(language_of(request))


def _about(language: str) -> str:
    return render.note_html(say(language, "evaluate.earlier_about"))


def _read(text: str, language: str) -> Report:
    if text == downloads.TOO_LARGE:
        raise QuestionError(say(language, "evaluate.file_too_large", size=MOST_BYTES // 10**6))
    return read_report(text)


def _compare(request: gr.Request, before: Mapping[str, Any] | None, after: Mapping[str, Any] | None) -> str:
    if before is None or after is None:
        return ""
    try:
        return changes_html(changes(before, after), before, after, language=language_of(request))
    except Exception as error:
        return render.note_html(answering.sentence(error, language_of(request)), kind="error")


def changes_html(found: Changes, before: Mapping[str, Any], after: Mapping[str, Any], *, language: str = "en") -> str:
    """What a change fixed and broke, column by column; each set of questions folds out."""
    texts = {question["id"]: str(question["text"]) for question in after["questions"]}
    nothing = say(language, "evaluate.nothing")
    settings = [
        say(language, "evaluate.setting", name=key, before=old or nothing, after=new or nothing)
        for key, (old, new) in found.settings.items()
    ]
    settings += [say(language, "evaluate.only_before", name=name) for name in found.only_before]
    settings += [say(language, "evaluate.only_after", name=name) for name in found.only_after]
    names = {"before": _name(before["about"], language), "after": _name(after["about"], language)}
    return (
        f'<div class="cf-advice"><h3>{render.escape(say(language, "evaluate.from_to", **names))}</h3>'
        f"<ul>{_items(settings)}</ul>{''.join(_change(change, texts, language) for change in found.columns)}</div>"
    )


def _change(change: Change, texts: Mapping[str, str], language: str) -> str:
    fixed = say(language, "evaluate.fixed", count=len(change.fixed))
    broke = say(language, "evaluate.broke", count=len(change.broke))
    folds = "".join(
        f'<details class="cf-fold"><summary>{told}</summary><ul>{_items([texts[i] for i in ids])}</ul></details>'
        for told, ids in ((fixed, change.fixed), (broke, change.broke))
        if ids
    )
    return f'<div class="cf-item">{render.escape(said(language, change_line(change)))}{folds}</div>'


def _items(texts: Sequence[str]) -> str:
    return "".join(f"<li>{render.escape(text)}</li>" for text in texts)


def _name(about: Mapping[str, Any], language: str) -> str:
    told = ", ".join(str(about[key]) for key in ("title", "questions", "when") if about.get(key))
    return told or say(language, "evaluate.a_report")
