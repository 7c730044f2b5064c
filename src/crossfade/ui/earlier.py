"""Earlier reports in the evaluate tab: one is loaded from a file, and the last two are compared. Measures nothing.

The file is read in the browser and sent as a text: the page takes no uploads, and nothing of it reaches the disk.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import gradio as gr

from crossfade.errors import QuestionError
from crossfade.evaluation.changes import Change, Changes, change_line, changes
from crossfade.evaluation.reading import read_report
from crossfade.evaluation.report import Report, as_json
from crossfade.ui import answering, render
from crossfade.ui.controls import AT_ONCE, QUIET

MOST_BYTES = 50_000_000
TOO_LARGE = "too large"
PICK = f"""() => new Promise(done => {{
  const box = document.createElement("input");
  box.type = "file";
  box.accept = ".json,application/json";
  box.id = "evaluate-file";
  box.addEventListener("cancel", () => done(""));
  box.addEventListener("change", async () => {{
    const file = box.files[0];
    done(!file ? "" : file.size > {MOST_BYTES} ? "{TOO_LARGE}" : await file.text());
  }});
  box.click();
}})"""
"""Lets a person choose a file and gives its text; an empty one where none was chosen."""
ABOUT = "A report saved as json is shown here again. The last two reports, loaded or measured, can be compared."


class Earlier:
    """Draws the box where it is made. `report` is the session's last report as JSON, whoever makes it."""

    def __init__(self, report: Any) -> None:
        self._report = report
        self._before, self._last = gr.State(None), gr.State(None)
        self._text = gr.Textbox(visible=False)
        self.told = gr.HTML(render.note_html(ABOUT), elem_id="earlier-told")
        with gr.Row():
            self._load = gr.Button("Load a report", elem_id="earlier-load")
            self._compare = gr.Button("Compare the last two", interactive=False, elem_id="earlier-compare")
        self._changes = gr.HTML("", elem_id="earlier-changes")

    def wire(self, shown: Any, show: Any) -> None:
        """`shown` is where a loaded report goes, as `show` draws it."""

        def load(text: str) -> list[Any]:
            if not text:
                return [gr.skip()] * 3
            try:
                found = _read(text)
            except Exception as error:
                return [gr.skip(), gr.skip(), render.note_html(answering.sentence(error), kind="error")]
            return [as_json(found), show(found), render.note_html(f"Loaded: {_name(found.about)}.")]

        def replaced(report: Mapping[str, Any] | None, last: Mapping[str, Any] | None) -> list[Any]:
            return [last, report, gr.Button(interactive=last is not None), ""]

        # Queued, though it asks no engine: Gradio tells of a changed state, which the other tabs wait for, only then.
        queued: dict[str, Any] = QUIET | {"concurrency_id": "load", "concurrency_limit": 1}
        self._load.click(load, self._text, [self._report, shown, self.told], js=PICK, **queued)
        self._compare.click(_compare, [self._before, self._report], self._changes, **AT_ONCE)
        outputs = [self._before, self._last, self._compare, self._changes]
        self._report.change(replaced, [self._report, self._last], outputs, **AT_ONCE)


def _read(text: str) -> Report:
    if text == TOO_LARGE:
        raise QuestionError(
            f"The file is larger than {MOST_BYTES // 10**6} MB. Compare such reports with crossfade changes."
        )
    return read_report(text)


def _compare(before: Mapping[str, Any] | None, after: Mapping[str, Any] | None) -> str:
    if before is None or after is None:
        return ""
    try:
        return changes_html(changes(before, after), before, after)
    except Exception as error:
        return render.note_html(answering.sentence(error), kind="error")


def changes_html(found: Changes, before: Mapping[str, Any], after: Mapping[str, Any]) -> str:
    """What a change fixed and broke, column by column; each set of questions folds out."""
    texts = {question["id"]: str(question["text"]) for question in after["questions"]}
    settings = [
        f"{key}: {old or 'nothing'} before, {new or 'nothing'} after" for key, (old, new) in found.settings.items()
    ]
    settings += [f"Only before: {name}" for name in found.only_before]
    settings += [f"Only after: {name}" for name in found.only_after]
    title = f"From {_name(before['about'])} to {_name(after['about'])}"
    return (
        f'<div class="cf-advice"><h3>{render.escape(title)}</h3>'
        f"<ul>{_items(settings)}</ul>{''.join(_change(change, texts) for change in found.columns)}</div>"
    )


def _change(change: Change, texts: Mapping[str, str]) -> str:
    folds = "".join(
        f'<details class="cf-fold"><summary>{word} {len(ids)}</summary>'
        f"<ul>{_items([texts[i] for i in ids])}</ul></details>"
        for word, ids in (("fixed", change.fixed), ("broke", change.broke))
        if ids
    )
    return f'<div class="cf-item">{render.escape(change_line(change))}{folds}</div>'


def _items(texts: Sequence[str]) -> str:
    return "".join(f"<li>{render.escape(text)}</li>" for text in texts)


def _name(about: Mapping[str, Any]) -> str:
    return ", ".join(str(about[key]) for key in ("title", "questions", "when") if about.get(key)) or "a report"
