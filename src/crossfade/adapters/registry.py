"""Which adapters there are: scan folders, keep the sound ones, say why the others are refused. Knows no engine."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from crossfade.adapters.peft_config import CONFIG_FILE
from crossfade.adapters.peft_files import AdapterFiles, read_adapter
from crossfade.adapters.swap import restore
from crossfade.errors import AdapterError


@dataclass(frozen=True, slots=True)
class Registry:
    """The adapters of some folders: the sound ones by name, and for the others the reason why they are refused."""

    adapters: dict[str, AdapterFiles] = field(default_factory=dict)
    refused: dict[str, str] = field(default_factory=dict)

    def get(self, name: str) -> AdapterFiles:
        """The adapter of that name. Raises AdapterError for one that is unknown or refused."""
        if name in self.refused:
            raise AdapterError(self.refused[name])
        if name not in self.adapters:
            raise AdapterError(f"Unknown adapter {name!r}. Known: {', '.join(sorted(self.adapters)) or 'none'}.")
        return self.adapters[name]


def scan(*roots: Path) -> Registry:
    """Read every adapter folder under the roots; where two have one name, the first root's stays.

    Names that start with "." are work under way. An adapter that a killed run moved aside is put back first.
    """
    registry = Registry()
    for root in roots:
        for name, why in restore(root).items():
            registry.refused.setdefault(name, why)
        for folder in sorted(p for p in root.glob("*") if not p.name.startswith(".")):
            if folder.name in registry.adapters or folder.name in registry.refused:
                continue
            try:
                if (folder / CONFIG_FILE).exists():
                    registry.adapters[folder.name] = read_adapter(folder)
            except AdapterError as error:
                registry.refused[folder.name] = str(error)
            except OSError as error:
                registry.refused[folder.name] = (
                    f"Adapter {folder.name!r} is refused: {folder} cannot be read ({error.strerror or error}). Make it "
                    "readable or remove it."
                )
    return registry
