"""Which adapters there are: scan folders, keep the sound ones, say why the others are refused. Knows no engine."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path

from crossfade.adapters.peft_config import CONFIG_FILE
from crossfade.adapters.peft_files import AdapterFiles, read_adapter
from crossfade.adapters.swap import restore
from crossfade.errors import AdapterError
from crossfade.settings import Settings


@dataclass(frozen=True, slots=True)
class Registry:
    """The adapters of some folders: the sound ones by name, and for the others the reason why they are refused.

    `disabled` are sound too; a person has switched them off.
    """

    adapters: dict[str, AdapterFiles] = field(default_factory=dict)
    refused: dict[str, str] = field(default_factory=dict)
    disabled: dict[str, AdapterFiles] = field(default_factory=dict)

    @property
    def names(self) -> tuple[str, ...]:
        """Every name that is taken, sorted."""
        return tuple(sorted({*self.adapters, *self.disabled, *self.refused}))

    def get(self, name: str) -> AdapterFiles:
        """The adapter of that name, to be served. Raises AdapterError for one that is unknown, refused or disabled."""
        if name in self.disabled:
            raise AdapterError(self.why_disabled[name])
        return self.find(name)

    @property
    def why_disabled(self) -> dict[str, str]:
        """For each disabled adapter the sentence that says so."""
        return {
            name: f"Adapter {name!r} is disabled. Enable it in the Adapters tab, "
            f"or by: crossfade adapters enable {name}"
            for name in self.disabled
        }

    def find(self, name: str) -> AdapterFiles:
        """The adapter of that name, disabled or not. Raises AdapterError for one that is unknown or refused."""
        if name in self.refused:
            raise AdapterError(self.refused[name])
        if name in self.disabled:
            return self.disabled[name]
        if name not in self.adapters:
            raise AdapterError(f"Unknown adapter {name!r}. Known: {', '.join(sorted(self.adapters)) or 'none'}.")
        return self.adapters[name]


def adapters_of(settings: Settings) -> Registry:
    """The adapters that ship and a person's own, as they are on the disk now."""
    try:
        disabled = {path.name for path in settings.disabled_adapters.iterdir()}
    except OSError:  # nobody has disabled one yet
        disabled = set()
    return scan(settings.adapters, settings.my_adapters, disabled=disabled)


def scan(*roots: Path, disabled: Collection[str] = ()) -> Registry:
    """Read every adapter folder under the roots; where two have one name, the first root's stays.

    Names that start with "." are work under way. An adapter that a killed run moved aside is put back first.
    """
    registry = Registry()
    for root in roots:
        for name, why in restore(root).items():
            registry.refused.setdefault(name, why)
        for folder in sorted(p for p in root.glob("*") if not p.name.startswith(".")):
            if folder.name in registry.names:
                continue
            try:
                if (folder / CONFIG_FILE).exists():
                    found = registry.disabled if folder.name in disabled else registry.adapters
                    found[folder.name] = read_adapter(folder)
            except AdapterError as error:
                registry.refused[folder.name] = str(error)
            except OSError as error:
                registry.refused[folder.name] = (
                    f"Adapter {folder.name!r} is refused: {folder} cannot be read ({error.strerror or error}). Make it "
                    "readable or remove it."
                )
    return registry
