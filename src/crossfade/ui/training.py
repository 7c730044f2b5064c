"""The training part of the Adapters tab: choose rows, see the report on them, order a training. Knows no torch.

A training is `crossfade train` in a process of its own; what is shown of it is read from its folder, by `runs`.
"""

from __future__ import annotations

import hashlib
import re
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import gradio as gr

from crossfade.adapters.registry import adapters_of
from crossfade.errors import CrossfadeError, ModelError, TrainingError
from crossfade.models.fetch import fetch
from crossfade.models.hf_folder import hf_folder
from crossfade.models.torch_libraries import missing_libraries
from crossfade.training.desk import Desk
from crossfade.training.estimate import Plan
from crossfade.training.guess import guess
from crossfade.training.methods import SERVED
from crossfade.training.plan import plan_of
from crossfade.training.record import PRESETS, SETTINGS, settings_of
from crossfade.training.report import DataReport, data_report
from crossfade.training.table import read_table
from crossfade.training.tokens import rough_count
from crossfade.ui import answering, render
from crossfade.ui.controls import AT_ONCE, QUIET
from crossfade.ui.uploads import taken_out

if TYPE_CHECKING:
    from crossfade.startup import Startup

TAB = "train"
PASTED = "Pasted here"
ENDINGS = [".jsonl", ".json", ".csv", ".tsv", ".parquet"]
MOST_CHARACTERS = 2_000_000
WHAT = {
    "lora": "LoRA: small, quick, swapped in the chat. Begin here.",
    "qlora": "QLoRA: LoRA on a base in 4 bits. Saves memory; on a CPU no time.",
    "adalora": "AdaLoRA: LoRA whose ranks go where they matter. Slower steps.",
    "p-tuning": "P-Tuning: a few virtual tokens before the prompt. Fewest parameters, weaker.",
    "freeze": "Freeze: the last blocks trained whole. Between LoRA and full.",
    "full": "Full: every parameter. Most memory; makes a base of its own.",
}
HOW = {
    "quick": "once over the rows",
    "balanced": "three times, ends early where it has settled",
    "thorough": "eight times, ends early where it has settled",
}


class TrainingOrder:
    """Draws the part into the `gr.Blocks` that is open. `ordered` is a State with the name of the last run ordered."""

    def __init__(self, startup: Startup, desk: Desk, *, ordered: Any) -> None:
        self._startup, self._desk, self._ordered = startup, desk, ordered
        self._folder = startup.settings.home / "data"
        self._draw()
        self._wire()

    def _draw(self) -> None:
        files = self._files()
        with gr.Row(elem_classes="cf-ask"):
            self.source = gr.Dropdown(
                [*files, PASTED], value=[*files, PASTED][0], label="Rows to learn from", elem_id="train-source", scale=4
            )
            self.upload = gr.UploadButton(
                "Add a file", file_types=ENDINGS, elem_id="train-upload", scale=0, min_width=120
            )
        self.pasted = gr.Textbox(
            label="Your rows",
            info='JSON lines, such as {"prompt": "...", "response": "..."}, or CSV with a header.',
            lines=6,
            max_lines=14,
            visible=not files,
            elem_id="train-pasted",
        )
        with gr.Accordion("Columns and instructions", open=False):
            self.columns = [
                gr.Dropdown([("guess", ""), "pair", "messages", "alpaca", "sharegpt", "label"], value="", label="Form"),
                gr.Textbox(label="Column of the prompt or text", placeholder="guessed"),
                gr.Textbox(label="Column of the response or label", placeholder="guessed"),
                gr.Textbox(
                    label="Instructions", placeholder="guessed", info="The system message, in training and in the chat."
                ),
            ]
        self.check = gr.Button("Look at the rows", elem_id="train-check")
        self.report = gr.HTML("", elem_id="train-report")
        with gr.Row():
            self.name = gr.Textbox(label="Name of the adapter", placeholder="my-style", elem_id="train-name")
            self.purpose = gr.Textbox(label="Purpose", placeholder="One line for people", elem_id="train-purpose")
        self.method = gr.Radio(
            [(WHAT[name], name) for name in SETTINGS], value="lora", label="Method", elem_id="train-method"
        )
        self.served = gr.HTML(_served("lora"), elem_id="train-served")
        self.preset = gr.Radio(
            [(f"{name}: {HOW[name]}", name) for name in PRESETS],
            value="quick",
            label="How long",
            elem_id="train-preset",
        )
        with gr.Accordion("More settings", open=False):
            with gr.Row():
                self.numbers = [
                    gr.Number(None, label="Epochs", precision=0, minimum=1, elem_id="train-epochs"),
                    gr.Number(None, label="Learning rate", minimum=1e-7, maximum=0.1),
                    gr.Number(None, label="Rank", precision=0, minimum=1),
                    gr.Number(None, label="Rows at most", precision=0, minimum=1, elem_id="train-max-rows"),
                ]
            gr.Markdown("What is left empty is the method's own.")
        if missing := missing_libraries():
            what = ", ".join(missing)
            gr.HTML(render.note_html(f"Training needs {what}, which are not installed: pip install 'crossfade[train]'"))
        self.send = gr.Button("Train", variant="primary", elem_id="train-send")
        self.notice = gr.HTML("", elem_id="train-notice")

    def _wire(self) -> None:
        self.source.change(lambda s: gr.Textbox(visible=s == PASTED), self.source, self.pasted, **AT_ONCE)
        self.method.change(_served, self.method, self.served, **AT_ONCE)
        self.upload.upload(self._upload, self.upload, [self.source, self.upload, self.notice], **AT_ONCE)
        rows = [self.source, self.pasted, *self.columns]
        queued: dict[str, Any] = {"concurrency_id": TAB, "concurrency_limit": 1, **QUIET}
        self.check.click(self._check, [*rows, self.method, self.preset], self.report, **queued)
        self.send.click(
            self._order,
            [*rows, self.name, self.purpose, self.method, self.preset, *self.numbers],
            [self._ordered, self.report, self.notice],
            **queued,
        )

    def refresh(self, trigger: Any) -> None:
        """Read the files again when the trigger fires."""
        trigger(lambda: gr.Dropdown(choices=[*self._files(), PASTED]), None, self.source, **AT_ONCE)

    def _files(self) -> list[str]:
        """The names of a person's own files, the newest first."""
        found = [path for path in self._folder.glob("*") if path.suffix in ENDINGS]
        return [path.name for path in sorted(found, key=lambda path: path.stat().st_mtime, reverse=True)]

    def _upload(self, sent: str | None) -> list[Any]:
        """Keep what was sent, out of the folder that the page's server reads from."""
        if not sent:
            return [gr.skip(), gr.skip(), gr.skip()]
        path = Path(sent)
        try:
            name = _file_name(path.name)
            self._folder.mkdir(parents=True, exist_ok=True)
            target = next(p for p in _numbered(self._folder / name) if not p.exists())
            with taken_out(sent) as private:
                shutil.move(private, target)
            source = gr.Dropdown(choices=[*self._files(), PASTED], value=target.name)
            return [source, gr.UploadButton(value=None), ""]
        except (OSError, CrossfadeError) as error:
            told = f"{path.name} was not kept: {answering.sentence(error)}"
            return [gr.skip(), gr.UploadButton(value=None), render.note_html(told, kind="error")]

    def _check(self, source: str, pasted: str, *values: str) -> str:
        *columns, method, preset = values
        try:
            plan = self._plan(method, preset)
            return report_html(_report(self._path(source, pasted), columns, plan=plan))
        except (CrossfadeError, OSError) as error:
            return render.note_html(answering.sentence(error), kind="error")

    def _order(self, source: str, pasted: str, *values: Any) -> list[Any]:
        columns, (name, purpose, method, preset, *numbers) = values[: len(self.columns)], values[len(self.columns) :]
        try:
            path = self._path(source, pasted)
            report = _report(path, columns)
            if report.errors:
                why = "These rows cannot be learned as they are; the report says why."
                return [gr.skip(), report_html(report), render.note_html(why, kind="error")]
            words = ["--data", str(path), "--name", str(name or "").strip(), "--purpose", str(purpose or "").strip()]
            words += ["--method", method, "--preset", preset, "--base", self._startup.settings.base]
            options = ("--form", "--prompt-column", "--response-column", "--instructions")
            words += [w for o, v in zip(options, columns, strict=True) if v and v.strip() for w in (o, v.strip())]
            options = ("--epochs", "--learning-rate", "--rank", "--max-rows")
            words += [w for o, v in zip(options, numbers, strict=True) if v for w in (o, _number(v))]
            epochs, learning_rate, rank, _ = (v or None for v in numbers)
            settings_of(method, preset, {"epochs": epochs, "learning_rate": learning_rate, "rank": rank})
            self._check_name(str(name or "").strip(), method)
            run = self._desk.order(words, name=str(name).strip(), method=method, data=path.name)
            waiting = len(self._desk.waiting())
            told = f"Ordered; {waiting} before or with it." if waiting > 1 else "Ordered; it begins now."
            return [run.path.name, report_html(report), render.note_html(told)]
        except (CrossfadeError, OSError) as error:
            return [gr.skip(), gr.skip(), render.note_html(answering.sentence(error), kind="error")]

    def _plan(self, method: str, preset: str) -> Plan | None:
        """What a training will need, or None where the base cannot be had here."""
        if missing_libraries():
            return None
        settings = self._startup.settings
        try:
            folder = hf_folder(fetch(settings.base, settings.home), settings.home)
        except ModelError:
            return None
        return plan_of(settings_of(method, preset, {}), folder, self._desk.runs())

    def _check_name(self, name: str, method: str) -> None:
        from crossfade.adapters.peft_files import NAME

        settings = self._startup.settings
        if not NAME.fullmatch(name):
            raise TrainingError("Give the adapter a name: up to 64 of a-z, 0-9, - and _, such as my-style.")
        known = adapters_of(settings).names
        if name in known or (settings.my_bases / name).exists():
            raise TrainingError(f"There is {name!r} already. Choose another name, or delete that one first.")

    def _path(self, source: str | None, pasted: str | None) -> Path:
        """The file of the rows; pasted ones become one. Raises TrainingError."""
        if source and source != PASTED:
            if source not in self._files():
                raise TrainingError(f"{source} is not there any more. Choose another file.")
            return self._folder / source
        text = (pasted or "").strip()
        if not text:
            raise TrainingError("There are no rows. Add a file, or paste some.")
        if len(text) > MOST_CHARACTERS:
            raise TrainingError(
                f"{len(text):,} characters were pasted; at most {MOST_CHARACTERS:,}. Add a file instead."
            )
        self._folder.mkdir(parents=True, exist_ok=True)
        # By what it says: an order that waits is carried out on these rows, whatever is pasted meanwhile.
        digest = hashlib.sha256(text.encode()).hexdigest()[:10]
        path = self._folder / f"pasted-{digest}.{'jsonl' if text[0] in '{[' else 'csv'}"
        path.write_text(text + "\n", encoding="utf-8")
        return path


def _report(path: Path, columns: Sequence[str], *, plan: Plan | None = None) -> DataReport:
    """The report on a file's rows; tokens are estimated, so that no library is loaded for it."""
    form, prompt, response, instructions = ((value or "").strip() for value in columns)
    table = read_table(path)
    mapping = guess(table, form=form, prompt=prompt, response=response, instructions=instructions)
    return data_report(table, mapping, count=rough_count, rough=True, plan=plan)


def report_html(report: DataReport) -> str:
    """A report as tables and its findings, those first; nothing of a row becomes markup."""
    tables: list[list[str]] = []
    findings = []
    begins = True
    for line in report.as_lines()[1:]:  # the first names the file, which is chosen just above
        cells = [cell.strip() for cell in line.strip().strip("|").split("|")]
        if not line.startswith("|"):
            findings += [f"<li>{render.escape(line.strip().removeprefix('- '))}</li>"] if line.strip() else []
            begins = True
        elif begins:
            tables.append([_row(cells, "th")])
            begins = False
        elif not all(set(cell) <= set("-: ") for cell in cells):
            tables[-1].append(_row(cells, "td"))
    shown = "".join(f"<table>{''.join(rows)}</table>" for rows in tables)
    return f'<div class="cf-data"><ul>{"".join(findings)}</ul>{shown}</div>'


def _row(cells: Sequence[str], tag: str) -> str:
    return "<tr>" + "".join(f"<{tag}>{render.escape(cell)}</{tag}>" for cell in cells) + "</tr>"


def _number(value: float) -> str:
    return str(int(value)) if value == int(value) else repr(value)


def _served(method: str) -> str:
    return render.note_html(f"Can be chatted with {SERVED[method]}.")


def _file_name(name: str) -> str:
    """A plain name for a file that was sent. Raises TrainingError for another kind."""
    path = Path(re.sub(r"[^A-Za-z0-9._-]+", "-", Path(name).name).lstrip(".-") or "rows")
    if path.suffix.lower() not in ENDINGS:
        raise TrainingError(f"rows are read from {', '.join(ENDINGS)}")
    return f"{path.stem[:60]}{path.suffix.lower()}"


def _numbered(path: Path) -> Any:
    yield path
    for number in range(2, 10_000):
        yield path.with_stem(f"{path.stem}-{number}")
