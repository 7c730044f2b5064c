"""Rename, delete, disable and enable adapters on the disk. Knows no engine: who serves them looks again afterwards.

What ships with Crossfade may lie where nobody may write, and comes again with each update: it can be disabled, no more.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from crossfade.adapters.peft_files import NAME
from crossfade.adapters.registry import Registry, adapters_of
from crossfade.adapters.swap import workplace
from crossfade.errors import AdapterError
from crossfade.settings import Settings


def rename(settings: Settings, old: str, *, new: str) -> Path:
    """Rename an adapter of a person's own, a refused one too, and return its folder; a disabled one stays disabled.

    Raises AdapterError: unknown, shipped, a name that is not allowed or is taken, a disk that refuses.
    """
    registry = adapters_of(settings)
    folder = own_folder(settings, old, registry=registry)
    target = settings.my_adapters / check_new_name(new, registry)
    with disk_errors(f"Adapter {old!r} cannot be renamed", settings.home), workplace(folder), workplace(target):
        if target.exists():  # made by another process since it was looked for
            raise AdapterError(f"Adapter {new!r} exists already. Choose another name.")
        was_disabled = (settings.disabled_adapters / old).exists()
        if was_disabled:  # before the folder: killed in between, it is never switched on
            _mark(settings, new)
        os.rename(folder, target)
        if was_disabled:
            (settings.disabled_adapters / old).unlink(missing_ok=True)
    return target


def delete(settings: Settings, name: str) -> None:
    """Delete an adapter of a person's own, a refused one too, with what was derived from it.

    It is moved aside first: killed at any moment, it is there whole or not at all. Raises AdapterError: unknown,
    shipped, a disk that refuses.
    """
    registry = adapters_of(settings)
    folder = own_folder(settings, name, registry=registry)
    with disk_errors(f"Adapter {name!r} cannot be deleted", settings.home):
        with workplace(folder) as scratch:
            os.replace(folder, scratch / folder.name)
        (settings.disabled_adapters / name).unlink(missing_ok=True)
        found = registry.adapters.get(name) or registry.disabled.get(name)
        same = [
            a for a in (*registry.adapters.values(), *registry.disabled.values()) if found and a.sha256 == found.sha256
        ]
        if found and len(same) == 1:  # the GGUF twins hold the same weights under the adapter's hash
            for twin in (settings.home / "adapters").glob(f"{found.sha256}-*"):
                twin.unlink(missing_ok=True)


def set_enabled(settings: Settings, name: str, *, enabled: bool) -> None:
    """Switch an adapter on or off, a shipped one too. Raises AdapterError: unknown, refused, a disk that refuses."""
    adapters_of(settings).find(name)
    with disk_errors(f"Adapter {name!r} cannot be {'enabled' if enabled else 'disabled'}", settings.home):
        if enabled:
            (settings.disabled_adapters / name).unlink(missing_ok=True)
        else:
            _mark(settings, name)


def is_own(settings: Settings, name: str, *, registry: Registry) -> bool:
    """Whether that name is of an adapter that may be renamed and deleted: it lies in the person's own folder."""
    found = registry.adapters.get(name) or registry.disabled.get(name)
    if found:
        return found.folder.parent == settings.my_adapters
    own, shipped = settings.my_adapters / name, settings.adapters / name
    return name in registry.refused and own.exists() and not shipped.exists()


def own_folder(settings: Settings, name: str, *, registry: Registry) -> Path:
    """The folder of a person's own adapter. Raises AdapterError for one that is unknown or ships with Crossfade."""
    if name not in registry.names:
        registry.find(name)
    if not is_own(settings, name, registry=registry):
        raise AdapterError(f"Adapter {name!r} ships with Crossfade: it can be disabled, not renamed or deleted.")
    return settings.my_adapters / name


def check_new_name(name: str, registry: Registry) -> str:
    """The name itself where it is allowed and free; AdapterError otherwise."""
    if not NAME.fullmatch(name):
        raise AdapterError(f"Adapter name {name[:80]!r} is not allowed: use up to 64 of a-z, 0-9, - and _.")
    if name in registry.names:
        raise AdapterError(f"Adapter {name!r} exists already. Choose another name.")
    return name


def _mark(settings: Settings, name: str) -> None:
    settings.disabled_adapters.mkdir(parents=True, exist_ok=True)
    (settings.disabled_adapters / name).touch()


@contextmanager
def disk_errors(what: str, home: Path) -> Iterator[None]:
    """Turn what the disk refuses inside the block into an AdapterError that says what it kept from being done."""
    try:
        yield
    except OSError as error:
        raise AdapterError(f"{what}: {error}. Make {home} writable or free some space.") from error
