"""What can be chosen for a training, in words: methods, presets, forms of rows, judging sets, and where each is served.

Pure but for looking at which judging sets there are.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from crossfade.corpora.registry import Corpus
from crossfade.training.forms import FORMS
from crossfade.training.record import PRESETS, SETTINGS
from crossfade.ui import render
from crossfade.ui.language import say
from crossfade.ui.row_files import RowFiles

OF_METHOD = {"rank": ("lora", "qlora", "adalora"), "layers": ("freeze",), "virtual_tokens": ("p-tuning",)}
"""The settings that only some methods have."""
_WHAT = {
    "lora": "training.what_lora",
    "qlora": "training.what_qlora",
    "adalora": "training.what_adalora",
    "p-tuning": "training.what_ptuning",
    "freeze": "training.what_freeze",
    "full": "training.what_full",
}
_SERVED = {
    "lora": "training.served_lora",
    "qlora": "training.served_qlora",
    "adalora": "training.served_adalora",
    "p-tuning": "training.served_ptuning",
    "freeze": "training.served_freeze",
    "full": "training.served_full",
}
_HOW = {"quick": "training.quick", "balanced": "training.balanced", "thorough": "training.thorough"}
_FORMS = {
    "pair": "training.form_pair",
    "messages": "training.form_messages",
    "alpaca": "training.form_alpaca",
    "sharegpt": "training.form_sharegpt",
    "label": "training.form_label",
}
Choices = list[tuple[str, str]]


def methods(language: str) -> Choices:
    """Each method with what it is."""
    return [(say(language, _WHAT[name]), name) for name in SETTINGS]


def presets(language: str) -> Choices:
    """Each preset with how long it learns."""
    return [(say(language, _HOW[name]), name) for name in PRESETS]


def forms(language: str) -> Choices:
    """Each form of rows, the guess first."""
    return [(say(language, "training.guess"), ""), *((say(language, _FORMS[name]), name) for name in FORMS)]


def served_note(method: str, language: str) -> str:
    """Where what a method makes can be chatted with."""
    return render.note_html(say(language, _SERVED[method]))


def unserved_note(method: str, language: str) -> str:
    """That the engine that runs cannot chat with it, and what to choose instead."""
    return render.note_html(say(language, "training.unserved"), kind="error") + served_note(method, language)


def adapter_kind(method: str) -> str:
    """What an engine calls the adapter that a method makes, "" where it makes none."""
    return {"full": "", "p-tuning": "P_TUNING"}.get(method, "LORA")


def judging_sets(files: RowFiles, corpora: Iterable[Corpus]) -> dict[str, Path]:
    """The sets that an adapter may be judged on, by name: those of each corpus, then one's own files."""
    found = {f"{c.name}: {path.name}": path for c in corpora for path in sorted(c.folder.glob("eval*.jsonl"))}
    return found | {name: files.folder / name for name in files.names()}
