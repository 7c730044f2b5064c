"""Put an adapter on a model hub: its two files, its card, and a page for people. Knows no engine."""

from __future__ import annotations

from collections.abc import Callable
from html import escape
from pathlib import Path

from crossfade.adapters.archive import FILES
from crossfade.adapters.facts import facts_of
from crossfade.adapters.peft_files import AdapterFiles, read_weights
from crossfade.models.hub_push import push_files


def push_adapter(
    adapter: AdapterFiles,
    repository: str,
    *,
    token: str,
    private: bool = True,
    report: Callable[[str], None] = lambda line: None,
) -> str:
    """Push the adapter into a repository, `owner/name`, and return the commit's address; `report` as of `push_files`.

    Raises ModelError like `push_files`, AdapterError where the adapter has changed on disk since it was read.
    """
    read_weights(adapter)
    files: dict[str, Path | bytes] = {
        name: adapter.folder / name for name in FILES if (adapter.folder / name).is_file()
    }
    files["README.md"] = readme(adapter).encode()
    return push_files(files, repository, token=token, private=private, message=f"Adapter {adapter.name}", report=report)


def readme(adapter: AdapterFiles) -> str:
    """The page of an adapter: the hub's own fields, then what its card tells, as text."""
    facts = facts_of(adapter)
    lines = [
        "---",
        "library_name: peft",
        "pipeline_tag: text-generation",
        f"tags: [{facts.method if facts.method.isalnum() else 'lora'}, crossfade]",
        "---",
        "",
        f"# {adapter.name}",
        "",
        escape(facts.purpose) or "No purpose is recorded.",
        "",
        f"- base: {escape(facts.base)} (sha256 {escape(adapter.base_sha256) or 'not recorded'})",
        f"- method: {escape(facts.method)}, rank {facts.rank}",
        f"- data: {escape(facts.data) or 'not recorded'}, {facts.rows:,} rows",
        f"- sha256 of configuration and weights: {adapter.sha256}",
        "",
        "Made with Crossfade. Its `card.json` records how it was trained and measured.",
    ]
    return "\n".join(lines) + "\n"
