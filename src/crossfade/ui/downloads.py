"""Texts that go to a person's disk and come from it through the page alone: no file of theirs lies on the server."""

from __future__ import annotations

from datetime import UTC, datetime

SAVE = """(text, name) => {
  if (!text) return;
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([text], { type: "application/octet-stream" }));
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60000);
}"""
"""Saves a text under a name; nothing happens for an empty one."""

TOO_LARGE = "too large"


def pick(*, most_bytes: int, accept: str, elem_id: str) -> str:
    """A script that lets a person choose a file and gives its text: "" where none was chosen, or `TOO_LARGE`."""
    return f"""() => new Promise(done => {{
  const box = document.createElement("input");
  box.type = "file";
  box.accept = "{accept}";
  box.id = "{elem_id}";
  box.addEventListener("cancel", () => done(""));
  box.addEventListener("change", async () => {{
    const file = box.files[0];
    done(!file ? "" : file.size > {most_bytes} ? "{TOO_LARGE}" : await file.text());
  }});
  box.click();
}})"""


def file_name(what: str, ending: str) -> str:
    """A name for a download, made of nothing that anybody wrote: `crossfade-conversations-2026-11-27.json`."""
    return f"crossfade-{what}-{datetime.now(UTC):%Y-%m-%d}.{ending}"
