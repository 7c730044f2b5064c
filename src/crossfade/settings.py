"""The settings of one process, frozen. The environment is read here and nowhere else, called by app.py and cli.py."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import platformdirs

from crossfade.errors import SettingsError

DEFAULT_BASE = "smollm2-135m"
ENGINES = ("auto", "llama.cpp", "transformers")
PRECISIONS = ("auto", "float32", "bfloat16", "float16")


def checkout() -> Path | None:
    """The root of the checkout that this runs from, None where Crossfade is installed."""
    root = Path(__file__).resolve().parents[2]
    return root if (root / "pyproject.toml").is_file() else None


def _shipped(kind: str) -> Path:
    """The folder of what comes with Crossfade: at the root of a checkout, inside the package when installed."""
    return (checkout() or Path(__file__).resolve().parent / "data") / kind


def variable(name: str) -> str:
    """The variable that a command line names, for a secret that is kept in no setting; empty where it is not set."""
    return os.environ.get(name, "").strip()


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Where things are and how much of the machine to use. `context` is in tokens and is what one slot has.

    `engine` is `llama.cpp`, `transformers`, or `auto`: transformers where there is a GPU or the base is a Hugging Face
    folder, else llama.cpp. `precision` and `bits` (4 or 8 for quantised weights, 0 for none) are transformers' own.
    `public` says that others reach the page though `host` is this machine's own, as through a proxy. So many MB at most
    are kept of what all people did (`history_mb`), and of one of them (`history_mb_each`).
    """

    home: Path
    corpora: Path
    adapters: Path
    base: str = DEFAULT_BASE
    engine: str = "auto"
    weights: str = "auto"
    precision: str = "auto"
    bits: int = 0
    context: int = 4096
    slots: int = 4
    threads: int = 2
    host: str = "127.0.0.1"
    port: int = 7860
    public: bool = False
    history_mb: int = 2000
    history_mb_each: int = 200
    judge_url: str = ""
    judge_key: str = field(default="", repr=False)
    teacher_key: str = field(default="", repr=False)

    @property
    def my_adapters(self) -> Path:
        """Where adapters go that a person trains without saying where."""
        return self.home / "my-adapters"

    @property
    def disabled_adapters(self) -> Path:
        """Where a file of an adapter's name says that it is switched off."""
        return self.home / "disabled-adapters"

    @property
    def my_bases(self) -> Path:
        """Where bases go that a person trains whole."""
        return self.home / "my-bases"

    @property
    def teachers(self) -> Path:
        """Where the answers of teachers are kept."""
        return self.home / "teachers"

    @property
    def history(self) -> Path:
        """The file of conversations, thumbs, votes and what was shared."""
        return self.home / "history.sqlite"

    @property
    def trainings(self) -> Path:
        """Where the folders of training runs are."""
        return self.home / "trainings"

    def with_base(self, base: str) -> Settings:
        """These settings with another base. A path is made absolute: it is one base, however it was written."""
        path = Path(os.path.expanduser(base))
        return replace(self, base=str(path.resolve()) if base != DEFAULT_BASE and path.exists() else base)

    def asked_for(self, base: str, engine: str) -> Settings:
        """These settings with the base and engine of a command line, where they are not empty. Raises SettingsError."""
        if engine and engine not in ENGINES:
            raise SettingsError(f"Unknown engine {engine!r}. Known: {', '.join(ENGINES)}.")
        return replace(self.with_base(base) if base else self, engine=engine or self.engine)

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] | None = None) -> Settings:
        """Settings from `CROSSFADE_*` variables; every one has a default.

        On a Hugging Face Space the page is served to all, which is what a Space is for, on the cores that are its own.
        Raises SettingsError for a number that is none or is out of its range.
        """
        env = os.environ if environment is None else environment
        on_space = bool(env.get("SPACE_ID"))
        # The machine below a Space has many more cores; so many threads would only wait for each other.
        told = env.get("CPU_CORES", "") if on_space else ""
        cores = int(told) if told.isdecimal() and 0 < len(told) < 4 and int(told) else os.cpu_count() or 2

        def number(name: str, default: int, low: int, high: int) -> int:
            text = env.get(f"CROSSFADE_{name}", str(default))
            # Long digit strings are no number to int(), and none of ours has more than seven digits.
            if not text.isdecimal() or len(text) > 9 or not low <= int(text) <= high:
                raise SettingsError(
                    f"CROSSFADE_{name} is {text[:40]!r}; it must be a whole number from {low} to {high}."
                )
            return int(text)

        def choice(name: str, allowed: tuple[str, ...]) -> str:
            text = env.get(f"CROSSFADE_{name}") or allowed[0]
            if text not in allowed:
                raise SettingsError(f"CROSSFADE_{name} is {text[:40]!r}; it must be one of {', '.join(allowed)}.")
            return text

        home = env.get("CROSSFADE_HOME")
        return cls(
            home=Path(os.path.expanduser(home)) if home else platformdirs.user_cache_path("crossfade"),
            corpora=Path(env.get("CROSSFADE_CORPORA") or _shipped("corpora")),
            adapters=Path(env.get("CROSSFADE_ADAPTERS") or _shipped("adapters")),
            engine=choice("ENGINE", ENGINES),
            weights=env.get("CROSSFADE_WEIGHTS") or "auto",
            precision=choice("PRECISION", PRECISIONS),
            bits=int(choice("BITS", ("0", "4", "8"))),
            context=number("CONTEXT", 4096, 256, 1_048_576),
            slots=number("SLOTS", 4, 1, 64),
            threads=number("THREADS", min(cores, 8), 1, 256),
            host=env.get("CROSSFADE_HOST") or ("0.0.0.0" if on_space else "127.0.0.1"),
            port=number("PORT", 7860, 0, 65535),
            history_mb=number("HISTORY_MB", 2000, 1, 1_000_000),
            history_mb_each=number("HISTORY_MB_EACH", 200, 1, 1_000_000),
            public=choice("PUBLIC", ("no", "yes")) == "yes",
            judge_url=(env.get("CROSSFADE_JUDGE_URL") or "").strip().rstrip("/"),
            judge_key=(env.get("CROSSFADE_JUDGE_KEY") or "").strip(),
            teacher_key=(env.get("CROSSFADE_TEACHER_KEY") or "").strip(),
        ).with_base(env.get("CROSSFADE_BASE") or DEFAULT_BASE)
