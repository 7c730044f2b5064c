"""A GGUF file or a model's folder from a hub by `huggingface_hub`, which itself honours HF_ENDPOINT, HF_TOKEN and
HF_HUB_OFFLINE.

Knows nothing of the catalogue. The library resumes broken downloads and renames whole ones into place; on top of that
the sha256 of the weights is compared with the one the hub announced, once.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from crossfade.errors import ModelError
from crossfade.models.catalogue import HubSource

Progress = Callable[[str, int, int], None]
PARTS = [
    *("*.safetensors", "*.safetensors.index.json", "config.json", "generation_config.json", "chat_template.jinja"),
    *("tokenizer.json", "tokenizer_config.json", "tokenizer.model", "special_tokens_map.json", "added_tokens.json"),
    *("vocab.json", "merges.txt"),
]
"""What is fetched of a model's folder: data by name, and no code."""


def download(source: HubSource, folder: Path, *, progress: Progress) -> Path:
    """The file's path below `folder`; nothing is asked of the network when it is there already.

    Raises ModelError when the hub or the file cannot be reached or the sha256 differs, OSError for the disk.
    """
    from huggingface_hub import hf_hub_download, try_to_load_from_cache

    label = f"{source.repository}/{source.file}"
    kept = try_to_load_from_cache(source.repository, source.file, cache_dir=folder)
    if isinstance(kept, str) and _is_verified(Path(kept)):
        return Path(kept)
    folder.mkdir(parents=True, exist_ok=True)
    with _told(label, folder):
        path = Path(hf_hub_download(source.repository, source.file, cache_dir=folder, tqdm_class=_bar_class(progress)))
    _verify(path, label)
    return path


def download_folder(repository: str, folder: Path, *, progress: Progress) -> Path:
    """The folder of a repository's model, weights as safetensors; neither code nor pickles are fetched.

    Nothing is asked of the network when it is there already. Raises like `download`.
    """
    from huggingface_hub import snapshot_download

    folder.mkdir(parents=True, exist_ok=True)
    with _told(repository, folder):
        try:
            path = Path(snapshot_download(repository, cache_dir=folder, allow_patterns=PARTS, local_files_only=True))
            weights = sorted(path.glob("*.safetensors"))
            if weights and all(map(_is_verified, weights)):
                return path
        except FileNotFoundError:  # nothing of it is here
            pass
        bar = _bar_class(progress)
        path = Path(snapshot_download(repository, cache_dir=folder, allow_patterns=PARTS, tqdm_class=bar))
    for file in sorted(path.glob("*.safetensors")):
        _verify(file, f"{repository}/{file.name}")
    return path


@contextmanager
def _told(label: str, folder: Path) -> Iterator[None]:
    """Turn the library's errors into ours."""
    from huggingface_hub.errors import (
        EntryNotFoundError,
        GatedRepoError,
        HfHubHTTPError,
        HFValidationError,
        LocalEntryNotFoundError,
        OfflineModeIsEnabled,
        RepositoryNotFoundError,
    )

    try:
        yield
    except GatedRepoError as error:
        raise ModelError(f"{label} is gated: accept its terms on the hub and set HF_TOKEN, then try again.") from error
    except (OfflineModeIsEnabled, LocalEntryNotFoundError) as error:
        raise ModelError(
            f"{label} is not in {folder} and the model hub cannot be reached. Check the network, HF_ENDPOINT and "
            "HF_HUB_OFFLINE, or choose smollm2-135m or a local .gguf file."
        ) from error
    except (RepositoryNotFoundError, EntryNotFoundError, HFValidationError) as error:
        raise ModelError(f"The hub has no {label}. Check the spelling; a private one needs HF_TOKEN.") from error
    except HfHubHTTPError as error:
        raise ModelError(f"The model hub did not give {label}: {error}. Try again later.") from error
    except OSError:
        raise
    except Exception as error:
        if not _is_transport_error(error):
            raise
        raise ModelError(f"{label} could not be downloaded: {error}. Check the network and try again.") from error


def _is_transport_error(error: Exception) -> bool:
    """Whether the HTTP library gave up; it is httpx or httpx2 by the version of huggingface_hub."""
    return any(kind.__module__.startswith(("httpx", "httpcore")) for kind in type(error).__mro__)


def _marker(path: Path) -> Path:
    blob = path.resolve()
    return blob.with_name(f"{blob.name}.verified.json")


def _is_verified(path: Path) -> bool:
    try:
        marked: object = json.loads(_marker(path).read_text(encoding="utf-8"))["size"]
        return marked == path.stat().st_size
    except (OSError, ValueError, KeyError, TypeError):
        return False


def _verify(path: Path, label: str) -> None:
    """Large files are kept under the sha256 that the hub announced; compare, and note size and sha256."""
    blob = path.resolve()
    with blob.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if re.fullmatch(r"[0-9a-f]{64}", blob.name) and blob.name != found:
        blob.unlink()
        raise ModelError(f"{label} has sha256 {found}, the hub announced {blob.name}. It was removed; try again.")
    marker = _marker(path)
    beside = marker.with_name(f"{marker.name}.{os.getpid()}")
    beside.write_text(json.dumps({"size": blob.stat().st_size, "sha256": found}), encoding="utf-8")
    os.replace(beside, marker)


def _bar_class(progress: Progress) -> Any:
    """A progress bar that draws nothing and tells `progress` instead."""
    from huggingface_hub.utils.tqdm import tqdm

    class Reporting(tqdm):
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            kwargs.pop("name", None)
            kwargs["disable"] = True
            super().__init__(*args, **kwargs)  # type: ignore[no-untyped-call]
            self._all, self._done = int(kwargs.get("total") or 0), int(kwargs.get("initial") or 0)

        def update(self, n: float | None = 1) -> bool | None:
            self._done += int(n or 0)
            progress("download", self._done, self._all)
            return None

    return Reporting
