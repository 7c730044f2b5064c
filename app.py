"""Start the browser interface: `python app.py`. Settings come from `CROSSFADE_*` variables."""

from __future__ import annotations

import logging
import sys
from contextlib import suppress
from pathlib import Path

# A checkout runs without being installed, as on Hugging Face Spaces.
sys.path.insert(0, str(Path(__file__).resolve().parent / "src"))

from crossfade.errors import CrossfadeError
from crossfade.settings import Settings
from crossfade.startup import Startup


def no_gpu() -> None:
    """Does nothing: ZeroGPU ends a Space that marks no function of its `app_file` for a GPU, and answers need none."""


with suppress(ImportError):
    from spaces import GPU  # a Gradio Space has it

    GPU(no_gpu)


def main() -> int:
    """Start loading, serve at once, and say in one line what hinders."""
    logging.basicConfig(level=logging.WARNING, format="%(message)s")
    logging.getLogger("crossfade").setLevel(logging.INFO)
    try:
        settings = Settings.from_environment()
        startup = Startup(settings)
        startup.start()
        from crossfade.ui.app import serve

        serve(startup, settings)
    except CrossfadeError as error:
        sys.stderr.write(f"crossfade: {error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
