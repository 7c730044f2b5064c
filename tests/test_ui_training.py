"""What the Adapters tab draws of rows and runs, without a browser."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import gradio as gr
import pytest

from crossfade.settings import DEFAULT_BASE, Settings
from crossfade.training.forms import Mapping
from crossfade.training.record import Sample, TrainingProgress
from crossfade.training.report import data_report
from crossfade.training.run_folder import RunFolder, new_run
from crossfade.training.table import read_table
from crossfade.training.tokens import rough_count
from crossfade.ui import training
from crossfade.ui.loss_plot import loss_svg
from crossfade.ui.runs import run_html
from crossfade.ui.training import TrainingOrder, report_html
from ui_kit import built

HOSTILE = "<img src=x onerror=alert(1)>"


def run_of(folder: Path, **about: str) -> RunFolder:
    run = RunFolder(folder)
    run.begin({"name": "mine", "method": "lora", "data": "rows.jsonl", **about}, (), ())
    return run


def progress(step: int, loss: float) -> TrainingProgress:
    return TrainingProgress(step, 10, loss, None, 300.0, 6.0 * step, 6.0 * (10 - step))


def test_a_run_shows_its_state_curves_and_samples(tmp_path: Path) -> None:
    run = run_of(tmp_path / "run")
    assert "Waits" in run_html(run)
    assert "Waits for 3 before it" in run_html(run, before=3)
    for step in (1, 2, 3):
        run.log(progress(step, 3.0 - step / 2))
    run.log_held_out(0, 3.1)
    run.log_held_out(3, 1.9)
    run.log_samples([Sample(0, "Q", "gold", "before"), Sample(3, "Q", "gold", "now")])
    with run.held():
        run.tell("running")
        html = run_html(run)
    assert "Step 3 of 10, 300 tokens&#47;s" in html
    assert "about 42 s left" in html
    assert html.count("<circle") == 2
    assert all(word in html for word in ("before", "now", "gold", "At step 3"))
    assert "Interrupted" in run_html(run)


def test_a_run_that_failed_says_why_and_a_whole_base_how_to_use_it(tmp_path: Path) -> None:
    run = run_of(tmp_path / "run")
    run.tell("failed", f"The loss is not a number {HOSTILE}")
    assert "The loss is not a number" in run_html(run)
    assert HOSTILE not in run_html(run)
    whole = run_of(tmp_path / "whole", method="full")
    whole.tell("done", made="somewhere")
    assert "Start Crossfade with &#45;&#45;base somewhere" in run_html(whole)


def test_nothing_that_a_row_or_a_model_wrote_becomes_markup(tmp_path: Path) -> None:
    run = run_of(tmp_path / "run", name=HOSTILE, data=HOSTILE)
    run.log_samples([Sample(1, HOSTILE, HOSTILE, HOSTILE)])
    assert HOSTILE not in run_html(run)
    file = tmp_path / "rows.jsonl"
    file.write_text("".join(json.dumps({"prompt": f"{HOSTILE} {n}", "response": HOSTILE}) + "\n" for n in range(3)))
    table = read_table(file)
    html = report_html(
        data_report(table, Mapping(form="pair", prompt="prompt", response="response"), count=rough_count)
    )
    assert HOSTILE not in html
    assert "<table>" in html


def test_the_plot_ends_where_the_run_does_and_smooths_without_a_pull_to_zero() -> None:
    svg = loss_svg([(1, 2.0), (2, 2.0), (3, 2.0)], [], steps=3)
    heights = {point.split(",")[1] for point in svg.split('points="')[1].split('"')[0].split()}
    assert len(heights) == 1
    assert "from 2.00 at step 1 to 2.00 at 3" in svg
    assert loss_svg([], [], steps=3) == ""


class FakeDesk:
    """Keeps what it is ordered."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.ordered: list[list[str]] = []

    def order(self, arguments: list[str], *, name: str, method: str, data: str) -> RunFolder:
        self.ordered.append(arguments)
        run = new_run(self._folder, name)
        run.ticket(name, method, data, arguments=arguments)
        return run

    def waiting(self) -> list[RunFolder]:
        return []

    def runs(self) -> list[RunFolder]:
        return []


@pytest.fixture
def part(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[TrainingOrder, FakeDesk]:
    monkeypatch.setattr(training, "missing_libraries", lambda: ["torch"])
    desk = FakeDesk(tmp_path / "trainings")
    settings = Settings.from_environment({"CROSSFADE_HOME": str(tmp_path)})
    (settings.my_bases / "taken").mkdir(parents=True)
    startup = SimpleNamespace(settings=settings, adapters=())

    def make() -> Any:
        with gr.Blocks():
            return TrainingOrder(startup, desk, ordered=gr.State(None))  # type: ignore[arg-type]

    return built(make), desk


ROWS = "".join(json.dumps({"prompt": f"Question {n}?", "response": f"Answer {n}."}) + "\n" for n in range(30))
NO_COLUMNS = ("", "", "", "")


def ordered(part: TrainingOrder, rows: str, name: str, *numbers: Any, columns: Any = NO_COLUMNS) -> tuple[str, str]:
    """The sentence that is told, and the report."""
    given = [*numbers, *[None] * (4 - len(numbers))]
    _, report, notice = part._order(training.PASTED, rows, *columns, name, "", "lora", "quick", *given)
    return str(notice), str(report)


def test_an_order_becomes_the_words_of_the_command(part: tuple[TrainingOrder, FakeDesk], tmp_path: Path) -> None:
    order, desk = part
    notice, report = ordered(order, ROWS, " mine ", 2, 0.0005, None, 20, columns=("pair", "", " response ", ""))
    assert "begins now" in notice
    assert "30" in report
    (words,) = desk.ordered
    options = dict(zip(words[::2], words[1::2], strict=True))
    assert Path(options.pop("--data")).read_text() == ROWS
    assert options == {
        "--name": "mine",
        "--purpose": "",
        "--method": "lora",
        "--base": DEFAULT_BASE,
        "--preset": "quick",
        "--form": "pair",
        "--response-column": "response",
        "--epochs": "2",
        "--learning-rate": "0.0005",
        "--max-rows": "20",
    }


@pytest.mark.parametrize(
    ("rows", "name", "told"),
    [
        ("", "mine", "There are no rows"),
        (ROWS, "", "Give the adapter a name"),
        (ROWS, "Not Allowed", "Give the adapter a name"),
        (ROWS, "taken", "There is"),
        ('{"a": 1}\n', "mine", "cannot be guessed"),
        (ROWS.splitlines()[0], "mine", "the report says why"),
        ("x" * 2_000_001, "mine", "Add a file instead"),
    ],
)
def test_what_cannot_be_trained_is_told_and_not_ordered(
    part: tuple[TrainingOrder, FakeDesk], rows: str, name: str, told: str
) -> None:
    notice, _ = ordered(part[0], rows, name)
    assert told in notice
    assert part[1].ordered == []


def test_a_file_that_is_sent_is_kept_out_of_the_served_folder_under_a_plain_name(
    part: tuple[TrainingOrder, FakeDesk], tmp_path: Path
) -> None:
    sent = tmp_path / "cache" / "..rows & more.jsonl"
    sent.parent.mkdir()
    for _ in range(2):
        sent.write_text(ROWS)
        part[0]._upload(str(sent))
    assert not sent.exists()
    assert set(part[0]._files()) == {"rows-more.jsonl", "rows-more-2.jsonl"}
    program = tmp_path / "cache" / "rows.exe"
    program.write_text("MZ")
    assert "was not kept" in str(part[0]._upload(str(program))[-1])
    assert len(part[0]._files()) == 2
