"""What the Adapters tab draws of rows and runs, without a browser."""

from __future__ import annotations

import html
import json
import re
import threading
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import gradio as gr
import numpy as np
import pytest
import typer
from numpy.typing import NDArray

from crossfade.cli import app
from crossfade.corpora.registry import read_corpus
from crossfade.engines.protocol import Capabilities
from crossfade.errors import ModelError, TrainingError
from crossfade.models.torch_libraries import how_to_install
from crossfade.settings import DEFAULT_BASE, Settings
from crossfade.training.against import JudgingSet, Overlapping
from crossfade.training.best import Measurement
from crossfade.training.data import TrainingRow
from crossfade.training.estimate import Machine, Plan, Size
from crossfade.training.findings import (
    Groups,
    about_control,
    about_labels,
    about_lengths,
    about_overlap,
    about_personal,
    about_rows,
    about_twins,
)
from crossfade.training.forms import Example, Mapping
from crossfade.training.personal import KINDS
from crossfade.training.record import SETTINGS, Sample, TrainingProgress
from crossfade.training.report import COUNTING, data_report
from crossfade.training.rows import OwnData
from crossfade.training.run_folder import RunFolder, list_runs, new_run
from crossfade.training.split import Split
from crossfade.training.table import Broken, read_table
from crossfade.training.tokens import rough_count
from crossfade.types import Message
from crossfade.ui import data_view, row_files, training_form
from crossfade.ui.data_view import report_html
from crossfade.ui.loss_plot import loss_svg
from crossfade.ui.owner import COOKIE, owner_of
from crossfade.ui.phrases import said
from crossfade.ui.run_view import run_html
from crossfade.ui.runs import Runs
from crossfade.ui.training import TrainingOrder
from crossfade.ui.training_choices import OF_METHOD
from crossfade.ui.working import Stopped, Told
from fake_engine import write_corpus
from letter_tokenizer import LetterTokenizer
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
    assert "Waits" in run_html(run, "en")
    for count in (1, 3):
        assert f"Waits for {count} before it" in run_html(run, "en", before=count)
    assert "nothing here begins it" in run_html(run, "en", before=None)
    for step in (1, 2, 3):
        run.log(progress(step, 3.0 - step / 2))
    run.log_held_out(Measurement(0, 3.1))
    run.log_held_out(Measurement(3, 1.9))
    run.log_samples([Sample(0, "Q", "gold", "before"), Sample(3, "Q", "gold", "now")])
    with run.held():
        run.tell("running")
        shown = run_html(run, "en")
    assert "Step 3 of 10, 300 tokens&#47;s" in shown
    assert "about 42 s left" in shown
    assert shown.count("<circle") == 2
    assert all(word in shown for word in ("before", "now", "gold", "At step 3"))
    assert "Interrupted" in run_html(run, "en")


@pytest.mark.parametrize(("last", "kept"), [((1.0, 3.0), 10), ((2.0, 2.1), 5)])
def test_the_ring_is_at_the_step_that_is_kept(last: tuple[float, float], kept: int, tmp_path: Path) -> None:
    run = run_of(tmp_path / "run")
    for step in (5, 10):
        run.log(progress(step, 2.0))
    run.log_held_out(Measurement(5, 1.5, (1.5, 1.5)))
    run.log_held_out(Measurement(10, sum(last) / 2, last))
    ring = re.search(r'<circle [^>]*class="cf-kept"[^>]*><title>step (\d+)', run_html(run, "en"))
    assert ring
    assert int(ring[1]) == kept


def test_a_run_that_failed_says_why_and_a_whole_base_how_to_use_it(tmp_path: Path) -> None:
    run = run_of(tmp_path / "run")
    run.tell("failed", f"The loss is not a number {HOSTILE}")
    assert "The loss is not a number" in run_html(run, "en")
    assert HOSTILE not in run_html(run, "en")
    whole = run_of(tmp_path / "whole", method="full")
    whole.tell("done", made="/its/home/somewhere")
    assert "somewhere is a base of its own. The list of bases" in html.unescape(run_html(whole, "en"))


def test_nothing_that_a_row_or_a_model_wrote_becomes_markup(tmp_path: Path) -> None:
    run = run_of(tmp_path / "run", name=HOSTILE, data=HOSTILE)
    run.log_samples([Sample(1, HOSTILE, HOSTILE, HOSTILE)])
    assert HOSTILE not in run_html(run, "en")
    file = tmp_path / "rows.jsonl"
    file.write_text("".join(json.dumps({"prompt": f"{HOSTILE} {n}", "response": HOSTILE}) + "\n" for n in range(3)))
    table = read_table(file)
    report = data_report(table, Mapping(form="pair", prompt="prompt", response="response"), count=rough_count)
    for language in ("en", "zh"):
        assert HOSTILE not in report_html(report, language)
    assert "<table>" in report_html(report, "en")


def test_a_failed_run_says_in_the_reader_s_language_why(tmp_path: Path) -> None:
    run = run_of(tmp_path / "run")
    for message in (
        "It was killed, perhaps because memory ran out. Go on with it after closing other programs.",
        "The training ended with code 3; /x/log.txt has what it said.",
        "It did not start: There is no file /x. Give a file of rows with --data.",
    ):
        run.tell("failed", message)
        told = html.unescape(run_html(run, "zh"))
        assert "训练" in told
        assert message not in told


def test_a_failed_run_says_each_of_several_findings_in_the_reader_s_language(tmp_path: Path) -> None:
    file = tmp_path / "rows.jsonl"
    file.write_text("".join(json.dumps({"prompt": f"问题{n} @", "response": "好"}) + "\n" for n in range(20)))
    table = read_table(file)
    mapping = Mapping(form="pair", prompt="prompt", response="response")
    judging = JudgingSet("评测", ({"question": "问题3 @", "line": 1},))
    with pytest.raises(TrainingError) as error:
        OwnData(file, table, mapping, against=(judging,)).rows(
            finder=None, count=lambda _: 9, limit=1, seed=0, control_tokens=["@"]
        )
    run = run_of(tmp_path / "run")
    run.tell("failed", " ".join(str(error.value).split()))
    told = html.unescape(run_html(run, "zh"))
    assert told.count("另外：") == 3
    (words,) = re.findall('role="alert">(.*?)</div>', told)
    assert set(re.findall("[A-Za-z]{2,}", words)) == {"prompt", "response"}, "the columns' names"


def test_every_word_of_a_report_is_said_in_chinese_but_what_people_wrote() -> None:
    """All findings that there are, with one line and with many; names and texts of rows have no Latin letter."""
    shown = []
    for few in (True, False):
        examples = [TrainingRow((Message("user", f"问题{n}"),), "答") for n in range(4)]
        lines = (3,) if few else tuple(range(1, 20))
        groups: Groups = (lines,) if few else (lines, (4, 5), (6, 7), (8, 9))
        told = [Example(n, row, "") for n, row in enumerate(examples, start=1)]
        broken = [Broken(line, "空") for line in lines]
        labels = [(f"标{n}", 1) for n in range(1 if few else 12)]
        named = [Example(n, TrainingRow((), label), "") for n, (label, _) in enumerate(labels, start=1)]
        judged = [JudgingSet("评测", ({"question": "问", "line": 7, "label": "新"},))]
        whys = ("the texts are the same", "cosine 0.90", "shared word trigrams 50%")
        whys += ("same document and answer, cosine 0.60",)
        findings = [
            *about_rows(told, broken, column="答", last=True),
            *about_rows(told, broken, column="答"),
            *about_rows([], [], column=""),
            *about_lengths([(line, 99) for line in lines], 9, column="问"),
            *about_lengths([(0, 1), *((line, 99) for line in lines)], 9, column="问"),
            *about_control([Example(line, TrainingRow((), "@"), "") for line in lines], ["@"]),
            *about_twins(groups, groups, groups),
            *about_labels(labels, named, Split((), ()), judged, column="答"),
            *about_labels(labels, named, None, judged, column="答"),
            *(f for why in whys for f in about_overlap([Overlapping(line, "评测", 2, why) for line in lines], "")),
            *about_overlap([Overlapping(line, "评测", 2, whys[0]) for line in lines], "可以"),
            *about_personal([(kind, lines) for kind in KINDS]),
        ]
        shown += [(finding.text, said("zh", finding.text)) for finding in findings]
    english = [pair for pair in shown if re.search(r"[A-Za-z]{2,}", pair[1].replace("IBAN", ""))]
    assert english == []


def test_the_tables_of_a_report_are_in_chinese_where_the_reader_is(tmp_path: Path) -> None:
    rows = [{"prompt": f"问题{n}", "response": "甲乙"[n % 2], "z": "1"} for n in range(30)] + [{"prompt": "", "z": ""}]
    file = tmp_path / "r.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    table = read_table(file)
    judging = JudgingSet("e", ({"question": "问题3", "line": 1},))
    plan = Plan(Machine(100.0, 10**9), Size(parameters=10**6, layers=2, hidden=8, trainable=10**5))
    for more in (
        {},
        {"against": [judging]},
        {"rough": True, "plan": plan},
        {"plan": replace(plan, machine=Machine(9.0, 1))},
    ):
        mapping = Mapping(form="pair", prompt="prompt", response="response")
        shown = html.unescape(report_html(data_report(table, mapping, count=rough_count, **more), "zh"))  # type: ignore[arg-type]
        text = re.sub(r"<[^>]*>", " ", shown)
        names = {"pair", "prompt", "response", "MB", "e"}
        assert set(re.findall("[A-Za-z]+", text)) - names == {"z"}


def test_the_plot_ends_where_the_run_does_and_smooths_without_a_pull_to_zero() -> None:
    svg = loss_svg([(1, 2.0), (2, 2.0), (3, 2.0)], [], steps=3)
    heights = {point.split(",")[1] for point in svg.split('points="')[1].split('"')[0].split()}
    assert len(heights) == 1
    assert "from 2.00 at step 1 to 2.00 at 3" in html.unescape(svg)
    assert loss_svg([], [], steps=3) == ""


def request(language: str = "en", who: str = "") -> Any:
    """A request of a browser that keeps no cookie, or of that of somebody."""
    cookies = {COOKIE: who.ljust(43, "x")} if who else {}
    return SimpleNamespace(cookies=cookies, headers={"accept-language": language})


class FakeDesk:
    """Keeps what it is ordered."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.ordered: list[list[str]] = []

    def order(self, arguments: list[str], *, name: str, method: str, data: str, owner: str = "") -> RunFolder:
        self.ordered.append(arguments)
        run = new_run(self._folder, name)
        run.ticket(name, method, data, arguments=arguments, owner=owner)
        return run

    def before(self, run: RunFolder) -> int:
        return len(self.ordered) - 1

    def runs(self) -> list[RunFolder]:
        return list_runs(self._folder)

    def mark(self) -> str:
        return str(len(self.runs()))

    def knows(self, run: RunFolder) -> bool:
        return True

    is_busy = False


def no_embedder() -> Any:
    raise ModelError("There is no network.")


@pytest.fixture
def part(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[TrainingOrder, FakeDesk]:
    for module in (data_view, training_form):
        monkeypatch.setattr(module, "missing_libraries", lambda: ["torch"])
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path / "served"))
    desk = FakeDesk(tmp_path / "trainings")
    settings = Settings.from_environment({"CROSSFADE_HOME": str(tmp_path)})
    (settings.my_bases / "taken").mkdir(parents=True)
    engine = SimpleNamespace(capabilities=Capabilities(4096, True, ("LORA", "ADALORA"), False), adapters={})
    pipeline = SimpleNamespace(engine=engine)
    startup = SimpleNamespace(settings=settings, adapters=(), corpora=(), pipeline=pipeline, open_embedder=no_embedder)

    def make() -> Any:
        with gr.Blocks():
            return TrainingOrder(startup, desk, ordered=gr.State(None))  # type: ignore[arg-type]

    return built(make), desk


ROWS = "".join(json.dumps({"prompt": f"Question {n}?", "response": f"Answer {n}."}) + "\n" for n in range(30))


def ordered(part: TrainingOrder, rows: str, name: str, who: str = "", **more: Any) -> tuple[str, str]:
    """The sentence that is told, and the report."""
    given = dict.fromkeys(part.fields) | {"source": row_files.PASTED, "pasted": rows, "name": name}
    given |= {"method": "lora", "preset": "quick", **more}
    assert list(given) == list(part.fields), "no field of another name"
    *_, (_, report, notice) = part._order(request(who=who), *given.values())
    return str(notice), str(report)


def options(desk: FakeDesk) -> dict[str, str]:
    (words,) = desk.ordered
    return dict(zip(words[::2], words[1::2], strict=True))


def test_an_order_becomes_the_words_of_the_command(part: tuple[TrainingOrder, FakeDesk], tmp_path: Path) -> None:
    order, desk = part
    more: dict[str, Any] = {"form": "pair", "response_column": " response ", "patience": "0", "max_rows": "20"}
    notice, report = ordered(order, ROWS, " mine ", epochs="2", learning_rate=" 0.0005 ", **more)
    assert "begins now" in notice
    assert "30" in report
    found = options(desk)
    assert Path(found.pop("--data")).read_text() == ROWS
    assert found == {
        "--name": "mine",
        "--purpose": "",
        "--method": "lora",
        "--base": DEFAULT_BASE,
        "--preset": "quick",
        "--form": "pair",
        "--response-column": "response",
        "--epochs": "2",
        "--learning-rate": "0.0005",
        "--patience": "0",
        "--max-rows": "20",
    }


def test_what_a_method_or_a_form_has_not_is_out_of_sight_and_not_ordered(part: tuple[TrainingOrder, FakeDesk]) -> None:
    order, desk = part
    everything: dict[str, Any] = {"rank": "4", "layers": "-1,-2", "virtual_tokens": "7", "template": "Good? {text}"}
    shown = {
        m: [bool(u.visible) for u in order._method(request(), m)[2:]] for m in ("lora", "freeze", "p-tuning", "full")
    }
    assert shown == {
        "lora": [True, False, False],
        "freeze": [False, True, False],
        "p-tuning": [False, False, True],
        "full": [False, False, False],
    }
    assert "begins now" in ordered(order, ROWS, "mine", method="freeze", form="pair", **everything)[0]
    found = options(desk)
    assert found["--layers"] == "-1,-2"
    assert not {"--rank", "--virtual-tokens", "--template"} & set(found)
    desk.ordered.clear()
    labelled = "text,label\n" + "".join(f"The quarter number {n} was fine,{'ab'[n % 2]}\n" for n in range(40))
    assert "begins now" in ordered(order, labelled, "other", form="label", **everything)[0]
    assert options(desk)["--template"] == "Good? {text}"
    assert "--layers" not in options(desk)


@pytest.mark.parametrize("method", list(SETTINGS))
def test_the_command_line_takes_every_word_that_the_page_writes(
    part: tuple[TrainingOrder, FakeDesk], method: str
) -> None:
    order, desk = part
    folder = order._files(request()).folder
    folder.mkdir(parents=True)
    for name in ("one.jsonl", "two.jsonl"):
        (folder / name).write_text('{"question": "Something else?"}\n')
    everything = {
        "anyway": True,
        "purpose": "--help is no option here",
        "form": "label",
        "prompt_column": "prompt",
        "response_column": "response",
        "input_column": "prompt",
        "system_column": "-",
        "template": "Good? {text}",
        "instructions": "-x",
        "against": ["one.jsonl", "two.jsonl"],
        "despite": "They are asked for another thing",
        "epochs": "2",
        "learning_rate": "1e-4",
        "rank": "4",
        "layers": "-1,-2",
        "virtual_tokens": "8",
        "patience": "0",
        "max_rows": "20",
    }
    assert "begins now" in ordered(order, ROWS, "mine", method=method, **everything)[0]
    (words,) = desk.ordered
    command = typer.main.get_command(app).commands["train"]  # type: ignore[attr-defined]
    context = command.make_context("train", [*words, "--run", "mine-1"])
    assert (context.args, context.invoked_subcommand) == ([], None)
    given = context.params
    assert given["against"] == [folder / "one.jsonl", folder / "two.jsonl"]
    told = ("purpose", "form", *(name for name in everything if name.endswith("_column")), "template", "instructions")
    assert {name: given[name] for name in told} == {name: everything[name] for name in told}
    assert (given["name"], given["method"], given["preset"], given["run"]) == ("mine", method, "quick", "mine-1")
    assert (given["epochs"], given["learning_rate"], given["patience"], given["max_rows"]) == (2, 1e-4, 0, 20)
    assert given["despite_overlap"] == everything["despite"]
    assert given["rank"] == (4 if method in OF_METHOD["rank"] else None)
    assert given["layers"] == ("-1,-2" if method == "freeze" else "")
    assert given["virtual_tokens"] == (8 if method == "p-tuning" else None)


def test_rows_that_a_judging_set_asks_are_an_error_unless_a_sentence_allows_them(
    part: tuple[TrainingOrder, FakeDesk], tmp_path: Path
) -> None:
    order, desk = part
    order._files(request()).folder.mkdir(parents=True)
    (order._files(request()).folder / "judged.jsonl").write_text(ROWS.splitlines()[3] + "\n")
    notice, report = ordered(order, ROWS, "mine", against=["judged.jsonl"])
    assert "the report says why" in notice
    assert "what a judging set asks" in report
    assert "no sentence" in ordered(order, ROWS, "mine", against=["judged.jsonl"], despite="yes")[0]
    assert "not there any more" in ordered(order, ROWS, "mine", against=["../secret"])[0]
    assert desk.ordered == []
    words = "They stand in both by intention"
    assert "begins now" in ordered(order, ROWS, "mine", against=["judged.jsonl"], despite=words)[0]
    assert options(desk)["--against"] == str(order._files(request()).folder / "judged.jsonl")
    assert options(desk)["--despite-overlap"] == words


def test_rows_that_the_set_of_a_corpus_asks_are_an_error_though_nobody_named_it(
    part: tuple[TrainingOrder, FakeDesk], tmp_path: Path
) -> None:
    order, desk = part
    folder = write_corpus(tmp_path / "corpora")
    asked = "What is the monthly fee of the account for students?"
    (folder / "eval.jsonl").write_text(json.dumps({"question": asked, "answers": ["$7"]}) + "\n")
    (folder / "notes.jsonl").write_text('{"no": 1}\n')
    order._startup.corpora = (read_corpus(tmp_path / "corpora", "bank"),)
    rows = ROWS + json.dumps({"prompt": asked.upper(), "response": "$7"}) + "\n"
    notice, report = ordered(order, rows, "mine")
    assert "the report says why" in notice
    assert "line 31 and bank: eval.jsonl, line 1" in html.unescape(report)
    assert desk.ordered == []
    assert "begins now" in ordered(order, rows, "mine", despite="They stand in both by intention")[0]
    assert options(desk)["--despite-overlap"] == "They stand in both by intention"
    assert "also asked by bank: eval.jsonl" in html.unescape(ordered(order, ROWS, "other")[1])


def test_rows_that_mean_what_a_judging_set_asks_are_an_error_where_the_embedder_is_at_hand(
    part: tuple[TrainingOrder, FakeDesk],
) -> None:
    order, _ = part
    folder = order._files(request()).folder
    folder.mkdir(parents=True)
    (folder / "judged.jsonl").write_text('{"question": "What is asked as the third?"}\n')
    assert "begins now" in ordered(order, ROWS, "mine", against=["judged.jsonl"])[0], "the words differ"

    def embed(texts: Sequence[str]) -> NDArray[np.float32]:
        return np.array([[1, 0] if "third" in t or t == "Question 3?" else [0, 1] for t in texts], dtype=np.float32)

    order._startup.open_embedder = lambda: SimpleNamespace(embed=embed)  # type: ignore[assignment,return-value]
    notice, report = ordered(order, ROWS, "other", against=["judged.jsonl"])
    assert "the report says why" in notice
    assert "line 4 and judged.jsonl, line 1" in html.unescape(report)


def test_where_rows_can_be_trained_on_the_report_counts_and_refuses_as_the_training_does(
    part: tuple[TrainingOrder, FakeDesk], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    order, desk = part
    (tmp_path / "config.json").write_text('{"max_position_embeddings": 64}')
    found = {"missing_libraries": list, "fetch": lambda *_, **__: tmp_path, "hf_folder": lambda *_: tmp_path}
    for name, fake in {**found, "open_tokenizer": lambda _: LetterTokenizer()}.items():
        monkeypatch.setattr(data_view, name, fake)
    given = dict.fromkeys(order.fields) | {"source": row_files.PASTED, "method": "lora", "preset": "quick"}
    long = json.dumps({"prompt": "x" * 70, "response": "y"}) + "\n"
    *_, (shown, file) = order._check(request(who="ann"), *(given | {"pasted": ROWS + long}).values())
    path = Path(file.value["path"] if isinstance(file.value, dict) else file.value)
    told, saved = html.unescape(shown), json.loads(path.read_text())
    assert (saved["usable"], saved["too_long"][0][0], file.visible) == (31, 31, True)
    assert f"of-{owner_of(request(who='ann'))}" in path.parts, "nobody else is served it"
    assert "1 row has more than 64 tokens" in told, "the base's context, not what was asked for"
    assert "characters / 4" not in told
    forged = json.dumps({"prompt": "Hi", "response": "<|end|>"}) + "\n"
    notice, report = ordered(order, ROWS + forged, "mine")
    assert "the report says why" in notice
    assert "would end or forge a turn" in report
    assert desk.ordered == []


class Slow:
    """A look at rows that has told how far it is, and goes on when it is let."""

    def __init__(self) -> None:
        self.go, self.ended = threading.Event(), threading.Event()

    def __call__(self, *_: Any, progress: Any, **__: Any) -> Any:
        try:
            progress(COUNTING, 1000, 5000)
            assert self.go.wait(20)
            progress(COUNTING, 2000, 5000)
            raise AssertionError("it was not stopped")
        finally:
            self.ended.set()


def test_a_long_look_at_rows_tells_how_far_it_is_and_can_be_stopped(
    part: tuple[TrainingOrder, FakeDesk], monkeypatch: pytest.MonkeyPatch
) -> None:
    order, desk = part
    given = dict.fromkeys(order.fields) | {"source": row_files.PASTED, "pasted": ROWS, "name": "mine"}
    given |= {"method": "lora", "preset": "quick"}
    for act, language, line in (
        (order._check, "en", "Counting tokens: 1,000 of 5,000"),
        (order._check, "zh", "正在统计 token：已完成 1,000 / 5,000"),
        (order._order, "en", "Counting tokens: 1,000 of 5,000"),
    ):
        slow = Slow()
        monkeypatch.setattr(data_view, "data_report", slow)
        coming: Any = act(request(language), *given.values())
        told = next(told for told in map(str, coming) if "5,000" in html.unescape(told))
        assert line in html.unescape(told)
        assert '<progress max="5000" value="1000"' in told
        coming.close()
        slow.go.set()
        assert slow.ended.wait(20)
    assert desk.ordered == []


def test_an_order_that_is_stopped_at_its_last_moment_orders_nothing(
    part: tuple[TrainingOrder, FakeDesk], monkeypatch: pytest.MonkeyPatch
) -> None:
    order, desk = part
    given = dict.fromkeys(order.fields) | {"source": row_files.PASTED, "pasted": ROWS, "name": "mine"}
    told = threading.Event()

    def stopped(line: Told) -> None:
        if "Ordering" in line.line:
            told.set()
            raise Stopped("Stopped.")

    with pytest.raises(Stopped):
        order._ordered_now(order._files(request()), given | {"method": "lora", "preset": "quick"}, "en", "", stopped)
    assert told.is_set()
    assert desk.ordered == []


def test_what_the_engine_cannot_serve_is_said_before_and_wants_a_tick(part: tuple[TrainingOrder, FakeDesk]) -> None:
    order, desk = part
    note, tick, *_ = order._method(request(), "p-tuning")
    assert "Choose LoRA" in note
    assert tick.visible
    assert not any(order._method(request(), method)[1].visible for method in SETTINGS if method != "p-tuning")
    assert "tick that you train it" in ordered(order, ROWS, "mine", method="p-tuning")[0]
    assert desk.ordered == []
    assert "begins now" in ordered(order, ROWS, "mine", method="p-tuning", anyway=True)[0]
    order._startup.pipeline = None
    assert not order._method(request(), "p-tuning")[1].visible, "while it loads nobody knows"


@pytest.mark.parametrize("language", ["en", "zh"])
def test_libraries_that_are_missing_are_told_with_the_command(language: str, part: tuple[Any, Any]) -> None:
    told = html.unescape(training_form.missing_note(language))
    assert "torch" in told
    assert how_to_install("train") in told


def test_the_page_speaks_chinese_where_the_browser_does(part: tuple[TrainingOrder, FakeDesk], tmp_path: Path) -> None:
    order = part[0]
    drawn = str([getattr(part, "choices", part) for part in order._redraw(request("zh"), "p-tuning")])
    for told in ("粘贴的内容", "自动识别", "小巧、快速", "快速：把数据过一遍", "请改选 LoRA"):
        assert told in drawn, told
    run = run_of(tmp_path / "run")
    run.log(progress(1, 2.0))
    run.log_held_out(Measurement(0, 3.1))
    run.tell("done")
    drawn = run_html(run, "zh")
    assert "已完成" in drawn
    assert "留出的数据的损失" in drawn
    assert "Done" not in drawn


def test_an_open_page_finds_what_another_one_ordered_and_else_asks_for_nothing(
    part: tuple[TrainingOrder, FakeDesk], tmp_path: Path
) -> None:
    order, desk = part

    def make() -> Any:
        with gr.Blocks():
            return Runs(order._startup, desk, ordered=gr.State(None))  # type: ignore[arg-type]

    runs = built(make)
    known = runs.known.value
    assert all(update["__type__"] == "update" and len(update) == 1 for update in runs._ask(request(), known, None))
    ordered(order, ROWS, "mine")
    mark, chosen, shown, *_, timer, _ = runs._ask(request(), known, None)
    assert chosen.value == "mine-1"
    assert "mine" in shown
    assert timer.active
    assert "it waits for 1 before it" in ordered(order, ROWS, "second")[0]
    _, chosen, *_ = runs._ask(request(), mark, "mine-1")
    assert chosen.value == "mine-1", "what still goes stays in sight"
    assert [value for _, value in chosen.choices] == ["second-1", "mine-1"]
    RunFolder(tmp_path / "trainings" / "mine-1").tell("done")
    new_run(tmp_path / "trainings", "third").tell("done")
    assert runs._ask(request(), mark, "mine-1")[1].value == "third-1"


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


@pytest.mark.parametrize(
    ("more", "told"),
    [
        ({"epochs": "two"}, "Epochs is 'two'; give a whole number"),
        ({"epochs": "1.5"}, "give a whole number"),
        ({"epochs": "0"}, "epochs is 0; it must be from 1"),
        ({"learning_rate": "nan"}, "give a number such as"),
        ({"learning_rate": "5"}, "it must be from"),
        ({"max_rows": "-3"}, "Rows at most is '-3'"),
        ({"layers": "last", "method": "freeze"}, "numbers of blocks"),
        ({"form": "label", "template": "Good?"}, "has no {text}"),
    ],
)
def test_a_figure_that_is_none_is_told_and_not_ordered(
    part: tuple[TrainingOrder, FakeDesk], more: dict[str, str], told: str
) -> None:
    rows = "text,label\n" + "".join(f"The quarter number {n} was fine,{'ab'[n % 2]}\n" for n in range(40))
    assert told in html.unescape(ordered(part[0], rows, "mine", **more)[0])
    assert part[1].ordered == []


def test_a_file_that_is_sent_is_kept_out_of_the_served_folder_under_a_plain_name(
    part: tuple[TrainingOrder, FakeDesk], tmp_path: Path
) -> None:
    sent = tmp_path / "cache" / "..rows & more.jsonl"
    sent.parent.mkdir()
    for _ in range(2):
        sent.write_text(ROWS)
        part[0]._upload(request(), str(sent))
    assert not sent.exists()
    assert set(part[0]._files(request()).names()) == {"rows-more.jsonl", "rows-more-2.jsonl"}
    program = tmp_path / "cache" / "rows.exe"
    program.write_text("MZ")
    assert "was not kept" in str(part[0]._upload(request(), str(program))[-1])
    assert len(part[0]._files(request()).names()) == 2


@pytest.mark.parametrize(
    "rows", ['{"prompt": "a", "response": "b"}', '[\n {"prompt": "a", "response": "b"}\n]', "prompt,response\na,b"]
)
def test_rows_are_pasted_as_json_lines_as_a_list_or_as_csv(rows: str, tmp_path: Path) -> None:
    (record,) = read_table(row_files.RowFiles(tmp_path).path(row_files.PASTED, rows, "en")).records
    assert record.values == {"prompt": "a", "response": "b"}


def opened_to_others(part: TrainingOrder) -> None:
    part._startup.settings = replace(part._startup.settings, host="0.0.0.0")


def sent(part: TrainingOrder, folder: Path, name: str, who: str) -> str:
    """Send a file as somebody, and the name under which it is chosen."""
    (folder / "cache").mkdir(exist_ok=True)
    (folder / "cache" / name).write_text(ROWS)
    source, _, notice = part._upload(request(who=who), str(folder / "cache" / name))
    assert notice == "", notice
    return str(source.value)


def test_where_others_open_the_page_each_visitor_has_only_their_own_files(
    part: tuple[TrainingOrder, FakeDesk], tmp_path: Path
) -> None:
    order, desk = part
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "earlier.jsonl").write_text(ROWS)
    assert order._files(request()).names() == ["earlier.jsonl"], "at one's own machine all there is"
    opened_to_others(order)
    name = sent(order, tmp_path, "mine.jsonl", "ann")
    for who, names in (("ann", ["mine.jsonl"]), ("bob", []), ("", [])):
        assert order._files(request(who=who)).names() == names
        source, _, against, *_ = order._redraw(request(who=who), "lora")
        assert [value for _, value in source.choices] == [*names, row_files.PASTED]
        assert [value for _, value in against.choices] == names
    owner = owner_of(request(who="ann"))
    made_up = (
        name,
        "earlier.jsonl",
        f"{owner}/{name}",
        f"../data/{owner}/{name}",
        str(tmp_path / "data" / owner / name),
    )
    for source in made_up:
        assert "is not there any more" in html.unescape(ordered(order, "", "his", who="bob", source=source)[0])
        assert "is not there any more" in html.unescape(order._get_file(request(who="bob"), source, "")[0])
        assert "is not there any more" in html.unescape(order._delete(request(who="bob"), source)[-1])
        told, _ = ordered(order, ROWS, "his", who="bob", against=[source], despite="why not")
        assert "is not there any more" in html.unescape(told)
    assert desk.ordered == []
    assert "begins now" in ordered(order, "", "hers", who="ann", source=name)[0]
    assert Path(options(desk)["--data"]).read_text() == ROWS
    assert "mine.jsonl is deleted" in html.unescape(order._delete(request(who="ann"), name)[-1])
    assert order._files(request(who="ann")).names() == []
    assert (tmp_path / "data" / "earlier.jsonl").read_text() == ROWS, "what was there before is kept"


def test_a_visitor_without_a_cookie_is_told_that_nothing_is_kept(
    part: tuple[TrainingOrder, FakeDesk], tmp_path: Path
) -> None:
    order, desk = part
    opened_to_others(order)
    assert "keeps no cookie" in ordered(order, ROWS, "mine")[0]
    assert desk.ordered == []
    (tmp_path / "sent.jsonl").write_text(ROWS)
    assert "keeps no cookie" in str(order._upload(request(), str(tmp_path / "sent.jsonl"))[-1])
    assert not (tmp_path / "data").exists()


def test_where_others_open_the_page_each_visitor_sees_and_steers_only_their_own_runs(
    part: tuple[TrainingOrder, FakeDesk], tmp_path: Path
) -> None:
    order, desk = part
    opened_to_others(order)
    ordered(order, ROWS, "hers", who="ann")
    new_run(tmp_path / "trainings", "of-a-command").tell("done", made=str(tmp_path / "my-adapters" / "secret"))
    acts: list[str] = []
    desk.cancel = desk.resume = lambda run: acts.append(run.path.name)  # type: ignore[attr-defined]

    def make() -> Any:
        with gr.Blocks():
            return Runs(order._startup, desk, ordered=gr.State(None))  # type: ignore[arg-type]

    runs = built(make)
    assert runs.chosen.choices == [], "the page as it is served to all names no run"
    assert "hers" not in runs.shown.value
    assert [value for _, value in runs._newest(request(who="ann"))[1].choices] == ["hers-1"]
    for who in ("bob", ""):
        assert runs._newest(request(who=who))[1].choices == []
        for name in ("hers-1", "of-a-command-1", "../trainings/hers-1"):
            assert "not there any more" in runs._look(request(who=who), name)[0]
            assert "not there any more" in runs._cancel(request(who=who), name)[0]
            assert "not there any more" in runs._resume(request(who=who), name)[0]
            with pytest.raises(TrainingError, match="not there any more"):
                runs.made(request(who=who), name)
    assert acts == []
    runs._cancel(request(who="ann"), "hers-1")
    assert acts == ["hers-1"]
