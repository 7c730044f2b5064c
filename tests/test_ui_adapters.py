"""The Adapters tab without a browser: what its table says, what its buttons do, what its door lets through."""

from __future__ import annotations

import asyncio
import html
import itertools
import json
import sys
import threading
import zipfile
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import handmade_adapters as made
from crossfade.adapters.archive import pack
from crossfade.adapters.peft_files import WEIGHTS_FILE, read_adapter
from crossfade.settings import Settings
from ui_kit import built, in_a_loop

sys.path.append(str(Path(__file__).parent / "browser"))

pytest.importorskip("gradio")

HOSTILE = "<img src=x onerror=alert(1)>**b**"


@pytest.fixture
def startup(tmp_path: Path) -> Any:
    """Two shipped adapters, and `mine`, whose card is hostile."""
    from standin import ROOT, StandIn

    settings = Settings(home=tmp_path / "home", corpora=ROOT / "corpora", adapters=tmp_path / "shipped", slots=4)
    for name in ("domain", "json"):
        card = {"purpose": f"for {name}", "held_out_loss": [[0, 2.0], [9, 0.25]], "rows": 1234, "data": "d.jsonl"}
        scores = {"eval": {"base": {"valid": 0.1}, "fine-tune": {"valid": 0.9}}}
        made.write(settings.adapters / name, card=card | {"scores": scores, "base": "smollm2-135m"})
    told = dict.fromkeys(("purpose", "method", "base", "data", "task"), HOSTILE)
    made.write(settings.my_adapters / "mine", made.matrices(seed=2), card=told | {"scores": {"e": {HOSTILE: {"x": 1}}}})
    return StandIn(settings=settings, adapters=("domain", "json"))


def test_the_list_shows_the_newest_figure_with_its_interval_count_and_the_base_s(startup: Any) -> None:
    from crossfade.ui.adapter_rows import details_html, rows_of, table_html

    hybrid = {"right": [0.8, 0.49, 0.94], "n": 10, "when": "2026-11-20"}
    scores = {"own.jsonl, answer": {"base": {"right": [0.1, 0.0, 0.4], "n": 10}, "hybrid": hybrid}}
    made.write(
        startup.settings.my_adapters / "mine",
        made.matrices(seed=2),
        card={
            "scores": scores | {"old.jsonl, answer": {"hybrid": {"right": 0.2}}},
            "abstention": {"says": "No.", "below": 0.184, "task": "answer"},
        },
    )
    startup.refresh_adapters()
    rows = rows_of(startup, None)
    assert "right 0.80 (0.49 \u2013 0.94), n = 10 (base 0.10)" in html.unescape(table_html(rows, "en"))
    told = html.unescape(details_html(next(row for row in rows if row.name == "mine"), "en"))
    assert 'title="2026-11-20">0.8 (0.49 \u2013 0.94), n = 10</td>' in told
    assert "old.jsonl, answer: right" in told
    assert "holds less than 18% likely gives way" in told
    assert "18%" in html.unescape(details_html(next(row for row in rows if row.name == "mine"), "zh"))


def test_an_evaluation_in_the_page_puts_its_figures_into_the_list(startup: Any) -> None:
    import gradio as gr

    from crossfade.ui.adapter_rows import rows_of, table_html
    from crossfade.ui.asked import PASTED
    from crossfade.ui.evaluate import EvaluateTab
    from crossfade.ui.running import Running

    startup.refresh_adapters()

    def make() -> Any:
        with gr.Blocks():
            return EvaluateTab(startup, Running(), report=gr.State(None))

    tab, asks = built(make), SimpleNamespace(cookies={}, headers={}, session_hash="s")
    tab._accept(asks)
    extras = [part.value for part in tab.extras.values]
    asked = '{"question": "How much is the monthly fee?", "answers": ["seven dollars"]}'
    given = (PASTED, asked, ["base", "fine-tune"], 0, "tidewell", "answer/domain", ["mine"], *extras)
    *_, (report, _, notice) = tab._measure(asks, *given)
    assert "best" in report, notice

    assert "right 1.00 (0.21 \u2013 1.00), n = 1 (base 1.00)" in html.unescape(table_html(rows_of(startup, None), "en"))
    assert "pasted, answer" in json.loads((startup.settings.my_adapters / "mine" / "card.json").read_text())["scores"]


@pytest.fixture
def tab(startup: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path / "served"))
    import gradio as gr

    from crossfade.ui.adapter_list import AdapterList

    startup.refresh_adapters()

    def make() -> Any:
        with gr.Blocks():
            return AdapterList(startup)

    return built(make)


def request(language: str = "en", who: str = "") -> Any:
    """A request of a browser that keeps no cookie, or of that of somebody."""
    cookies = {"crossfade_owner": who.ljust(43, "x")} if who else {}
    return SimpleNamespace(cookies=cookies, headers={"accept-language": language})


def acted(tab: Any, act: Any, *values: Any, language: str = "en") -> str:
    """Do what a button does, and what the page says then."""
    told, chosen = act(*values, language=language, person=None)
    tab._startup.refresh_adapters()
    assert chosen in ("", *tab._startup.registry.names)
    return told


def table(startup: Any, language: str = "en") -> str:
    from crossfade.ui.adapter_rows import rows_of, table_html

    return table_html(rows_of(startup, None), language)


def states(startup: Any) -> dict[str, str]:
    from crossfade.ui.adapter_rows import rows_of

    return {row.name: row.state for row in rows_of(startup, None)}


def test_the_table_says_what_is_known_of_each_and_nothing_of_a_card_is_markup(tab: Any, startup: Any) -> None:
    from crossfade.ui.adapter_rows import details_html, rows_of

    shown = table(startup)
    for told in ("for json", "smollm2-135m", "1,234 rows", "2.00 → 0.25", "valid 0.90 (base 0.10)", "rank 4", "served"):
        assert told in html.unescape(shown), told
    assert startup.registry.get("json").sha256[:10] in shown
    rows = rows_of(startup, None)
    assert [row.name for row in rows] == ["domain", "json", "mine"]
    everything = shown + "".join(details_html(row, "en") for row in rows)
    assert "<img" not in everything
    assert "**" not in everything
    assert HOSTILE in html.unescape(everything)


def test_states_are_told_with_the_reason(tab: Any, startup: Any) -> None:
    (made.write(startup.settings.my_adapters / "broken") / WEIGHTS_FILE).unlink()
    acted(tab, tab._toggle, "json")
    startup.adapters = tuple(replace(c, refused="It <b>fits</b> not.") for c in startup.adapters if c.name == "mine")
    assert states(startup) == {"domain": "served", "json": "disabled", "mine": "refused", "broken": "refused"}
    shown = table(startup)
    assert "<b>fits" not in shown
    assert "It <b>fits</b> not." in html.unescape(shown)
    assert "safetensors is missing" in html.unescape(shown)
    startup.pipeline = None
    assert states(startup)["domain"] == "loading"


def test_a_button_switches_off_and_on(tab: Any, startup: Any) -> None:
    assert acted(tab, tab._toggle, "json") == "json is disabled."
    assert "json" not in [card.name for card in startup.adapters]
    assert acted(tab, tab._toggle, "json") == "json is enabled."
    assert "json" in [card.name for card in startup.adapters]


def test_rename_and_delete_are_for_ones_own(tab: Any, startup: Any) -> None:
    from crossfade.errors import AdapterError
    from crossfade.ui.adapter_rows import rows_of

    assert {row.name: row.own for row in rows_of(startup, None)} == {"domain": False, "json": False, "mine": True}
    assert acted(tab, tab._rename, "mine", " ours ") == "mine is now ours."
    assert acted(tab, tab._delete, "ours") == "ours is deleted."
    assert set(states(startup)) == {"domain", "json"}
    for act, values in ((tab._rename, ("json", "j")), (tab._delete, ("json",))):
        with pytest.raises(AdapterError, match="ships with Crossfade"):
            act(*values, language="en", person=None)


@pytest.mark.parametrize("name", [None, "", "gone", "../json"])
def test_an_adapter_that_is_not_there_is_told(tab: Any, name: str | None) -> None:
    from crossfade.errors import AdapterError

    for act in (tab._toggle, tab._delete, lambda n, **more: tab._rename(n, "new", **more)):
        with pytest.raises(AdapterError, match=r"not there any more|Choose an adapter"):
            act(name, language="en", person=None)


def test_a_zip_that_is_made_and_uploaded_again_is_the_same_adapter(tab: Any, startup: Any, tmp_path: Path) -> None:
    _, button = tab._pack(request(), "json")
    path = Path(button.value["path"] if isinstance(button.value, dict) else button.value)
    assert path.is_relative_to(tmp_path / "served")
    assert len(path.parent.name) == 64, "nobody guesses where it is"
    told = acted(tab, tab._upload, str(path), "tickets")
    assert told == "tickets is here: for json"
    assert not path.exists(), "what was uploaded is served no more"
    assert startup.registry.get("tickets").sha256 == startup.registry.get("json").sha256


def test_an_upload_that_is_refused_is_served_no_more_either(tab: Any, startup: Any, tmp_path: Path) -> None:
    from crossfade.errors import CrossfadeError

    for name, data, why in (("a.zip", b"hello", "neither a folder nor a zip"), ("b.zip", b"PK\5\6" + bytes(18), "no")):
        path = tmp_path / name
        path.write_bytes(data)
        with pytest.raises(CrossfadeError, match=why):
            tab._upload(str(path), "", language="en", person=None)
        assert not path.exists()
    for missing in (None, "", str(tmp_path / "never.zip")):
        with pytest.raises(CrossfadeError, match="did not arrive"):
            tab._upload(missing, "", language="en", person=None)
    packed = pack(read_adapter(startup.settings.adapters / "json"), tmp_path / "json.zip")
    with pytest.raises(CrossfadeError, match="'json' exists already"):
        tab._upload(str(packed), "", language="en", person=None)
    assert set(states(startup)) == {"domain", "json", "mine"}


def test_what_a_person_is_told_while_everything_loads(tab: Any, startup: Any) -> None:
    state = tab._state(request(), "mine")
    assert len(state) == len(tab._drawn)
    startup.registry = type(startup.registry)()
    assert "There is no adapter yet" in table(startup)
    assert len(tab._state(request(), "mine")) == len(tab._drawn)


def test_an_export_tells_its_stages_and_where_it_is_and_never_writes_over_another(
    tab: Any, startup: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from crossfade.ui import adapter_export

    def exported(settings: Settings, parts: Any, *, to: str, out: Path, progress: Any, report: Any, step: Any) -> Path:
        report("Merging <b>")
        progress("download", 1_000_000, 3_000_000)
        step(7, 210)
        out.parent.mkdir(exist_ok=True)
        out.write_text(f"{parts[0][0].name} {to}")
        return out

    monkeypatch.setattr(adapter_export, "export", exported)
    told = list(map(html.unescape, tab.export._export(request(), "json", "gguf")))
    assert "exports/json-merged.gguf" in told[-1]
    assert "json-merged-2.gguf" in html.unescape(list(tab.export._export(request(), "json", "gguf"))[-1])
    gone = list(tab.export._export(request(), "gone", "gguf"))[-1]
    assert "Adapter 'gone' is not there any more" in html.unescape(gone)
    assert {p.name for p in (startup.settings.home / "exports").iterdir()} == {
        "json-merged.gguf",
        "json-merged-2.gguf",
    }


def test_an_export_that_is_left_stops_at_its_next_stage(tab: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from crossfade.ui import adapter_export

    go, ended = threading.Event(), threading.Event()

    def exported(*_: Any, report: Any, **__: Any) -> Path:
        try:
            report("Fetching the base")
            assert go.wait(20)
            report("Merging")
            raise AssertionError("it was not stopped")
        finally:
            ended.set()

    monkeypatch.setattr(adapter_export, "export", exported)
    running = tab.export._export(request("zh"), "json", "folder")
    assert any("正在获取基座模型" in told for told in itertools.islice(running, 5))
    running.close()
    go.set()
    assert ended.wait(20)


def test_an_export_that_is_left_while_it_is_written_leaves_nothing(
    tab: Any, startup: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from crossfade.ui import adapter_export

    go, ended = threading.Event(), threading.Event()

    def exported(*_: Any, out: Path, step: Any, **__: Any) -> Path:
        step(7, 210)
        assert go.wait(20)
        out.mkdir(parents=True)  # nothing more is told: it is being written
        (out / "model.safetensors").write_text("x")
        return out

    def kept(folder: Path) -> None:
        ended.set()

    monkeypatch.setattr(adapter_export, "export", exported)
    monkeypatch.setattr(adapter_export, "keep_the_newest", kept)
    running = tab.export._export(request("zh"), "json", "folder")
    told = next(told for told in running if "210" in told)
    assert "正在合并：已完成 7 / 210 层" in html.unescape(told)
    assert '<progress max="210" value="7"' in told
    running.close()
    go.set()
    assert ended.wait(20)
    assert list((startup.settings.home / "exports").iterdir()) == []


def test_a_push_tells_its_stages_in_the_reader_s_language_and_can_be_left(
    tab: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from crossfade.ui import adapter_export

    go, ended = threading.Event(), threading.Event()

    def pushed(*_: Any, report: Any, **__: Any) -> str:
        try:
            report("Asking the hub for the repository")
            assert go.wait(20)
            report("Sending 4.9 MB")
            raise AssertionError("it was not stopped")
        finally:
            ended.set()

    monkeypatch.setattr(adapter_export, "push_adapter", pushed)
    running = tab.export._push(request("zh"), "json", "owner/json", "secret", False)
    assert "正在向模型仓库请求该仓库" in html.unescape(next(running)[0])
    running.close()
    go.set()
    assert ended.wait(20)


def push(tab: Any, name: str, repository: str, *, who: str = "", public: bool = False) -> list[str]:
    """What is told at the end, and what is left of the token."""
    return list(tab.export._push(request(who=who), name, repository, "secret", public))[-1]


def test_a_push_forgets_the_token_whatever_came(tab: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from crossfade.ui import adapter_export

    seen: list[Any] = []

    def pushed(adapter: Any, repository: str, **options: Any) -> str:
        options.pop("report")("Sending 4.9 MB")
        seen.append((adapter.name, repository, options))
        return "https://hub/<b>"

    told, token = push(tab, "json", "owner/../x")
    assert "names no repository" in html.unescape(told)
    assert (token, "secret" in told) == ("", False)
    monkeypatch.setattr(adapter_export, "push_adapter", pushed)
    told, token = push(tab, "json", " owner/json ", public=True)
    assert seen == [("json", "owner/json", {"token": "secret", "private": False})]
    assert (token, "<b>" in told) == ("", False)


class Door:
    """The upload door before an app that answers 200, asked as a server does."""

    def __init__(self) -> None:
        from crossfade.ui.uploads import UploadDoor

        self.busy, self.held = asyncio.Event(), asyncio.Event()
        self.held.set()
        self.door = UploadDoor(self._app)

    async def _app(self, scope: Any, receive: Any, send: Any) -> None:
        await self.held.wait()
        await send({"type": "http.response.start", "status": 200, "headers": []})

    async def ask(self, path: str, *, length: str | None = "10", kind: str = "multipart/form-data; boundary=x") -> int:
        sent: list[dict[str, Any]] = []

        async def send(message: dict[str, Any]) -> None:
            sent.append(message)

        headers = [(b"content-type", kind.encode())]
        headers += [(b"content-length", length.encode())] if length is not None else []
        scope = {"type": "http", "path": path, "headers": headers, "method": "POST"}
        await self.door(scope, None, send)  # type: ignore[arg-type]
        return int(sent[0]["status"])


@pytest.fixture
def door() -> Door:
    return Door()


UPLOAD = "/gradio_api/upload"


@pytest.mark.parametrize(
    ("path", "length", "status"),
    [
        (UPLOAD, "200000000", 200),
        (UPLOAD, "200200000", 413),
        (f"{UPLOAD}/", "9" * 12, 413),
        ("/upload", "9" * 4000, 411),
        (UPLOAD, None, 411),
        (UPLOAD, "-5", 411),
        (UPLOAD, "many", 411),
        ("/gradio_api/component_server", "10", 404),
        ("/gradio_api/process_recording", "10", 404),
    ],
)
def test_the_door_takes_uploads_up_to_its_limit_and_no_other_form(
    door: Door, path: str, length: str | None, status: int
) -> None:
    assert in_a_loop(door.ask(path, length=length)) == status


def test_what_is_no_form_passes_the_door(door: Door) -> None:
    assert in_a_loop(door.ask("/gradio_api/queue/join", kind="application/json", length="999999999")) == 200


def test_few_uploads_at_a_time_and_no_more_than_the_disk_bears_in_an_hour(
    door: Door, monkeypatch: pytest.MonkeyPatch
) -> None:
    from crossfade.ui import uploads

    async def crowd() -> list[int]:
        door.held.clear()
        under_way = [asyncio.create_task(door.ask(UPLOAD)) for _ in range(uploads.AT_ONCE)]
        await asyncio.sleep(0)
        refused = await door.ask(UPLOAD)
        door.held.set()
        return [refused, *await asyncio.gather(*under_way), await door.ask(UPLOAD)]

    assert in_a_loop(crowd()) == [503, 200, 200, 200, 200, 200]

    async def much() -> list[int]:
        return [await door.ask(UPLOAD, length="200000000") for _ in range(11)]

    told = in_a_loop(much())
    assert (told.count(200), told[-1]) == (9, 429), "what the crowd sent counts too"
    now = uploads.time.monotonic()
    monkeypatch.setattr(uploads.time, "monotonic", lambda: now + uploads.KEPT_SECONDS + 1)
    assert in_a_loop(door.ask(UPLOAD)) == 200


def test_a_folder_is_checked_as_a_zip_is_and_served_no_more(tab: Any, startup: Any, tmp_path: Path) -> None:
    from crossfade.errors import CrossfadeError

    sendings = itertools.count()

    def sent(*more: str) -> list[str]:
        """The files of `json` as Gradio keeps a folder's: each in a place of its own, without the folder's name."""
        paths = [path for path in (startup.settings.adapters / "json").iterdir() if path.is_file()]
        kept = []
        for number, name in enumerate((*(path.name for path in paths), *more)):
            place = tmp_path / "sent" / f"{next(sendings)}" / name
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes((startup.settings.adapters / "json" / name).read_bytes() if number < len(paths) else b"x")
            kept.append(str(place))
        return kept

    def left() -> list[Path]:
        return [path for path in (tmp_path / "sent").rglob("*") if path.is_file()]

    told = acted(tab, tab._upload_folder, sent("evil.py", "notes.md"), " tickets ")
    assert told == "tickets is here: for json"
    assert startup.registry.get("tickets").sha256 == startup.registry.get("json").sha256
    assert not list((startup.settings.my_adapters / "tickets").glob("*.py"))
    assert left() == []
    for files, name, why in (
        (sent(), "", "came without a name"),
        (sent(), "tickets", "exists already"),
        (sent("adapter_config.json"), "new", "more than once"),
        (sent()[-1:], "new", "adapter_config.json|is missing"),
        ([], "new", "arrived"),
    ):
        with pytest.raises(CrossfadeError, match=why):
            tab._upload_folder(files, name, language="en", person=None)
    assert set(states(startup)) == {"domain", "json", "mine", "tickets"}


def test_the_newest_exports_are_kept_and_nothing_else_is_touched(tmp_path: Path) -> None:
    import os

    from crossfade.ui.adapter_export import keep_the_newest

    names = ["a-merged", "b-merged.gguf", "b-merged-2.gguf", "c-lora.gguf", "d-merged-3"]
    for number, name in enumerate([*names, "mine.txt"]):
        path = tmp_path / name
        if "." in name:
            path.write_text("x")
        else:
            path.mkdir()
            (path / "config.json").write_text("{}")
        os.utime(path, (number, number))
    keep_the_newest(tmp_path, 2)
    assert {path.name for path in tmp_path.iterdir()} == {"c-lora.gguf", "d-merged-3", "mine.txt"}


def test_the_list_speaks_chinese_where_the_browser_does(tab: Any, startup: Any) -> None:
    shown = html.unescape(table(startup, "zh"))
    for told in ("用途", "可用", "秩 4", "得分"):
        assert told in shown
    assert "served" not in shown.replace("cf-served", "")
    assert acted(tab, tab._toggle, "json", language="zh") == "json 已停用。"


def test_where_others_open_the_page_a_visitor_s_adapter_is_theirs_alone(
    tab: Any, startup: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from crossfade.adapters.ownership import OWNER_FILE
    from crossfade.errors import AdapterError
    from crossfade.ui import adapter_export
    from crossfade.ui.adapter_rows import rows_of
    from crossfade.ui.owner import owner_of

    startup.settings = replace(startup.settings, host="0.0.0.0")
    packed = pack(read_adapter(startup.settings.adapters / "json"), tmp_path / "hers.zip")
    ann, bob = (owner_of(request(who=who)) for who in ("ann", "bob"))
    tab._upload(str(packed), "hers", language="en", person=ann)
    startup.refresh_adapters()
    seen = {
        person: {row.name: (row.own, row.changeable, row.given) for row in rows_of(startup, person)}
        for person in (ann, bob, "")
    }
    shipped, here = (False, False, True), (False, False, False)
    assert seen[bob] == seen[""] == {"domain": shipped, "json": shipped, "mine": here}
    assert seen[ann] == {**seen[bob], "hers": (True, True, True)}

    pushed: list[str] = []
    monkeypatch.setattr(adapter_export, "push_adapter", lambda adapter, *_, **__: pushed.append(adapter.name))
    for name, why in (("hers", "not there any more"), ("mine", "whoever runs this page")):
        for act, more in ((tab._toggle, ()), (tab._rename, ("his",)), (tab._delete, ())):
            with pytest.raises(AdapterError, match=why):
                act(name, *more, language="en", person=bob)
        assert why in html.unescape(tab._pack(request(who="bob"), name)[0])
        assert why in html.unescape(push(tab, name, "owner/x", who="bob")[0])
        assert name not in html.unescape(str(tab._state(request(who="bob"), name)[3])), "not described either"
    with pytest.raises(AdapterError, match="whoever runs this page"):
        tab._toggle("json", language="en", person=bob)
    assert pushed == []
    push(tab, "hers", "owner/x", who="ann")
    assert pushed == ["hers"]
    assert "out of a visitor's reach" in html.unescape(list(tab.export._export(request(who="ann"), "hers", "gguf"))[-1])
    assert not (startup.settings.home / "exports").exists()

    _, button = tab._pack(request(who="ann"), "hers")
    with zipfile.ZipFile(button.value["path"] if isinstance(button.value, dict) else button.value) as archive:
        assert not any(OWNER_FILE in name for name in archive.namelist())
    assert acted_as(tab, ann, tab._rename, "hers", "ours") == "hers is now ours."
    assert "ours" not in [row.name for row in rows_of(startup, bob)], "it stays hers under another name"
    assert acted_as(tab, ann, tab._delete, "ours") == "ours is deleted."
    assert (startup.settings.my_adapters / "mine").is_dir()
    startup.settings = replace(startup.settings, host="127.0.0.1")
    assert [row.own for row in rows_of(startup, None)] == [False, False, True]


def acted_as(tab: Any, person: str, act: Any, *values: Any) -> str:
    told, _ = act(*values, language="en", person=person)
    tab._startup.refresh_adapters()
    return str(told)


def test_without_a_cookie_no_adapter_is_taken_in_where_others_open_the_page(
    tab: Any, startup: Any, tmp_path: Path
) -> None:
    from crossfade.errors import AdapterError

    packed = pack(read_adapter(startup.settings.adapters / "json"), tmp_path / "hers.zip")
    with pytest.raises(AdapterError, match="keeps no cookie"):
        tab._upload(str(packed), "hers", language="en", person="")
    assert not (startup.settings.my_adapters / "hers").exists()


def test_what_was_made_for_a_download_is_served_to_its_owner_alone_and_is_no_upload(tab: Any, tmp_path: Path) -> None:
    from crossfade.errors import CrossfadeError
    from crossfade.ui.owner import owner_of
    from crossfade.ui.served import DownloadDoor
    from crossfade.ui.uploads import taken_out, taken_out_together

    _, button = tab._pack(request(who="ann"), "json")
    path = button.value["path"] if isinstance(button.value, dict) else button.value
    assert f"of-{owner_of(request(who='ann'))}" in path

    async def passed(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})

    def status(place: str, who: str = "") -> int:
        cookie = f"crossfade_owner={who.ljust(43, 'x')}".encode() if who else b""
        scope = {"type": "http", "method": "GET", "path": place, "headers": [(b"cookie", cookie)]}
        said: list[Any] = []

        async def send(message: Any) -> None:
            said.append(message)

        in_a_loop(DownloadDoor(passed)(scope, None, send))  # type: ignore[arg-type]
        return int(said[0]["status"])

    for place in (f"/gradio_api/file={path}", f"/gradio_api/file={path.upper()}", f"/gradio_api/file/x/../{path}"):
        assert [status(place, who) for who in ("ann", "bob", "")] == [200, 404, 404]
    assert status("/gradio_api/file=/tmp/other") == status("/config") == 200
    for take in (lambda: taken_out(path), lambda: taken_out_together([path], ["json.zip"])):
        with pytest.raises(CrossfadeError, match="arrive"), take():
            pass
    assert Path(path).is_file()
