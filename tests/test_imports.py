"""The order of the rooms, read from the source, and what a light import may load, seen in a fresh process."""

from __future__ import annotations

import ast
import functools
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import crossfade

PACKAGE = Path(crossfade.__file__).resolve().parent
ROOMS = [
    "types",
    "errors",
    "settings",
    "public_address",
    "chat_server",
    "abstention",
    "models",
    "adapters",
    "corpora",
    "prompts",
    "examples",
    "retrieval",
    "engines",
    "pipeline",
    "compare",
    "trace",
    "history",
    "training",
    "evaluation",
    "advisor",
    "startup",
    "server",
    "ui",
    "terminal",
    "cli_common",
    "cli_abstain",
    "cli_adapters",
    "cli_advise",
    "cli_ask",
    "cli_rows",
    "cli_data",
    "cli_builders",
    "cli_feedback",
    "cli_draft",
    "cli_report",
    "cli_eval",
    "cli_export",
    "cli_manage",
    "cli_runs",
    "cli_train",
    "cli_build",
    "cli_methods",
    "cli",
]
HEAVY = ("torch", "transformers", "peft", "gradio", "llama_index", "faiss", "xllamacpp", "gguf", "bm25s")
ONLY_IN = {
    "llama_index": ("retrieval",),
    "faiss": ("retrieval",),
    "bm25s": ("retrieval",),
    "gradio": ("ui",),
    "peft": ("training",),
    "transformers": ("models", "engines", "training"),
    "torch": ("models", "engines", "training"),
    "xgrammar": ("engines",),
}


def imports_of(source: str) -> Iterator[str]:
    """The dotted names that a source imports anywhere, `from crossfade import prompts` as `crossfade.prompts`."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            if node.module == "crossfade":
                yield from (f"crossfade.{alias.name}" for alias in node.names)
            elif node.module:
                yield node.module


def room_of(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


@functools.cache
def imports() -> tuple[tuple[str, str, str], ...]:
    """(room, imported dotted name, file) for every import of the package."""
    return tuple(
        (room_of(path), name, str(path.relative_to(PACKAGE)))
        for path in sorted(PACKAGE.rglob("*.py"))
        for name in imports_of(path.read_text(encoding="utf-8"))
    )


def edges() -> Iterator[tuple[str, str, str]]:
    """(room, imported room, file) for every import of a room of the package."""
    for room, name, file in imports():
        parts = name.split(".")
        if parts[0] == "crossfade" and len(parts) > 1 and not parts[1].startswith("__"):
            yield room, parts[1], file


def test_every_file_belongs_to_a_room_with_a_place_in_the_order() -> None:
    assert {room_of(path) for path in PACKAGE.rglob("*.py")} - {"__init__"} <= set(ROOMS)


def test_imports_go_up_the_list_only() -> None:
    found = list(edges())
    assert len(found) > 50, "the reader of imports finds them"
    place = {room: number for number, room in enumerate(ROOMS)}
    wrong = [
        f"{file} imports {imported}"
        for room, imported, file in found
        if room != imported and place[imported] >= place[room]
    ]
    assert not wrong


def test_training_knows_no_engine_and_no_pipeline() -> None:
    assert not [file for room, imported, file in edges() if room == "training" and imported in ("engines", "pipeline")]


def test_types_and_errors_import_nothing_of_the_package() -> None:
    assert not [imported for room, imported, _ in edges() if room in ("types", "errors")]


def test_a_heavy_library_is_known_in_its_own_room_alone() -> None:
    wrong = [
        f"{file} imports {name}"
        for room, name, file in imports()
        if room not in ONLY_IN.get(name.split(".")[0], (room,))
    ]
    assert not wrong


def loaded_by(*statements: str) -> list[list[str]]:
    """The heavy libraries that are loaded after each statement, in one fresh process."""
    look = f"print(*[m for m in {HEAVY!r} if m in sys.modules])"
    code = "\n".join(["import sys, types", *(f"{statement}\n{look}" for statement in statements)])
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120)
    return [line.split() for line in run.stdout.splitlines()]


def test_neither_the_command_line_nor_the_startup_loads_a_heavy_library() -> None:
    loaded = loaded_by(
        "import crossfade, crossfade.cli",
        "import crossfade.startup",
        "sys.modules['faiss'] = types.ModuleType('faiss')",
    )
    assert loaded == [[], [], ["faiss"]]
