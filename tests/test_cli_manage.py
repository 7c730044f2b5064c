"""`crossfade adapters` over files: list, switch, rename, delete after asking, pack, add."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

import handmade_adapters
import handmade_bases
from cli_kit import Crossfade
from fake_engine import FakeEngine

COMMANDS = ("rename", "delete", "enable", "disable", "pack", "add", "export", "push")


@pytest.fixture(autouse=True)
def mine(engine: FakeEngine, tmp_path: Path) -> Path:
    """An adapter of one's own beside the shipped `domain` and `json`."""
    card = {"purpose": "My own", "rows": 9, "held_out_loss": [[0, 2.0], [4, 0.5]], "method": "lora"}
    return handmade_adapters.write(tmp_path / "home" / "my-adapters" / "mine", card=card)


def listed(run: Crossfade) -> dict[str, dict[str, object]]:
    return {row["name"]: row for row in json.loads(run("adapters", "--json").out)}


@pytest.mark.parametrize("command", COMMANDS)
def test_each_command_has_help(run: Crossfade, command: str) -> None:
    assert command in run("adapters", "--help").out
    found = run("adapters", command, "--help")
    assert (found.code, found.err) == (0, "")
    assert f"crossfade adapters {command}" in found.out.partition("\n")[0]


def test_the_list_has_what_a_card_tells(run: Crossfade) -> None:
    row = listed(run)["mine"]
    assert (row["method"], row["rank"], row["rows"]) == ("lora", 4, 9)
    assert (row["loss_before"], row["loss_after"], row["enabled"]) == (2.0, 0.5, True)
    assert "rank 4" in run("adapters").out


def test_a_disabled_adapter_is_listed_so_and_not_asked_until_it_is_enabled(run: Crossfade) -> None:
    assert run("adapters", "disable", "json").out == "json is disabled.\n"
    assert listed(run)["json"]["enabled"] is False
    assert "disabled: for ticket" in run("adapters").out
    assert "'json' is disabled" in run("ask", "q", "--mode", "hybrid", "--adapter", "json").error()
    assert "'json' is disabled" in run("ask", "q", "--mode", "fine-tune", "--task", "ticket").error()
    assert "'json' is disabled" in run("adapters", "blend", "json", "--out", "b").error()
    assert json.loads(run("adapters", "enable", "json", "--json").out) == {"name": "json", "enabled": True}
    assert run("ask", "q", "--mode", "hybrid", "--adapter", "json").code == 0


def test_rename_and_delete_do_what_they_say(run: Crossfade, mine: Path) -> None:
    assert json.loads(run("adapters", "rename", "mine", "ours", "--json").out)["was"] == "mine"
    assert set(listed(run)) == {"domain", "json", "ours"}
    assert "--yes" in run("adapters", "delete", "ours").error()
    assert "ours" in listed(run)
    assert run("adapters", "delete", "ours", "--yes").out == "ours is deleted.\n"
    assert set(listed(run)) == {"domain", "json"}


def test_a_base_that_was_trained_whole_is_listed_renamed_and_deleted_like_an_adapter(
    run: Crossfade, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = handmade_bases.write(tmp_path / "home" / "my-bases" / "whole", card={"method": "full", "purpose": "All"})
    row = listed(run)["whole"]
    assert (row["method"], row["bytes"], row["folder"]) == ("full", 7, str(folder))
    assert row["command"] == f"crossfade serve --base {folder}"
    assert f"All; chat with it: crossfade serve --base {folder}" in run("adapters").out
    assert "--yes" in run("adapters", "delete", "whole").error()
    monkeypatch.setenv("CROSSFADE_BASE", str(folder))
    assert "is the one that answers" in run("adapters", "delete", "whole", "--yes").error()
    monkeypatch.delenv("CROSSFADE_BASE")
    assert run("adapters", "rename", "whole", "all").code == 0
    assert run("adapters", "delete", "all", "--yes").out == "all is deleted.\n"
    assert "all" not in listed(run)


def test_where_an_adapter_and_a_base_have_one_name_the_adapter_is_meant(run: Crossfade, tmp_path: Path) -> None:
    folder = handmade_bases.write(tmp_path / "home" / "my-bases" / "mine")
    assert run("adapters", "rename", "mine", "ours").code == 0
    assert folder.is_dir()
    assert set(listed(run)) == {"domain", "json", "mine", "ours"}


@pytest.mark.parametrize(("answer", "kept"), [(b"n\n", True), (b"\n", True), (b"y\n", False)])
def test_delete_asks_on_a_terminal(run: Crossfade, monkeypatch: pytest.MonkeyPatch, answer: bytes, kept: bool) -> None:
    monkeypatch.setattr("crossfade.cli_manage.sys", type(sys)("sys"))
    monkeypatch.setattr(
        "crossfade.cli_manage.sys.stdin", type("Terminal", (), {"isatty": staticmethod(lambda: True)}), raising=False
    )
    found = run("adapters", "delete", "mine", stdin=answer)
    assert "for good? [y/N]" in found.err
    assert found.code == (1 if kept else 0)
    assert ("mine" in listed(run)) == kept


def test_a_packed_adapter_is_added_under_another_name(run: Crossfade, tmp_path: Path) -> None:
    out = tmp_path / "out" / "json.zip"
    facts = json.loads(run("adapters", "pack", "json", "--out", str(out), "--json").out)
    assert facts["bytes"] == out.stat().st_size
    assert "exists already" in run("adapters", "pack", "json", "--out", str(out)).error()
    assert "exists already" in run("adapters", "add", str(out)).error()
    added = json.loads(run("adapters", "add", str(out), "--name", "tickets", "--json").out)
    assert added["sha256"] == facts["sha256"] == listed(run)["tickets"]["sha256"]
    assert run("adapters", "pack", "json", "--out", str(out), "--replace").code == 0
    assert "for ticket" in run("adapters", "add", str(tmp_path / "adapters" / "json"), "--name", "again").out


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["rename", "json", "j"], "ships with Crossfade"),
        (["rename", "mine", "json"], "exists already"),
        (["rename", "mine", "../x"], "not allowed"),
        (["rename", "nobody", "x"], "'nobody'. Known: domain, json, mine"),
        (["delete", "json", "--yes"], "ships with Crossfade"),
        (["delete", "nobody", "--yes"], "'nobody'"),
        (["disable", "nobody"], "'nobody'"),
        (["pack", "nobody", "--out", "x.zip"], "'nobody'"),
        (["add", "nowhere.zip"], "There is no nowhere.zip"),
        (["export", "nobody", "--to", "folder", "--out", "x"], "'nobody'"),
        (["export", "json", "--to", "onnx", "--out", "x"], "Known: folder, gguf, adapter-gguf"),
        (["export", "json:2", "--to", "gguf", "--out", "x"], "Weight 2.0"),
        (["push", "json", "--repo", "a/b", "--token-env", "NO_SUCH_TOKEN"], "NO_SUCH_TOKEN is not set"),
        (["push", "nobody", "--repo", "a/b"], "'nobody'"),
    ],
)
def test_an_error_is_one_line(run: Crossfade, arguments: list[str], told: str) -> None:
    assert told in run("adapters", *arguments).error()
