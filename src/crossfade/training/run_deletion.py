"""Delete a run's folder, which holds a person's rows. Knows no desk: who has one asks it whether the run waits."""

from __future__ import annotations

import shutil

from crossfade.errors import TrainingError
from crossfade.training.run_folder import RunFolder

_LAST = ("state.json", "ticket.json", "run.lock")
"""What says that there is a run, and whose, goes last."""


def delete_run(run: RunFolder) -> None:
    """Delete a run with its rows; what it made stays.

    Killed before its end, the run is listed still, and can be deleted again. Raises TrainingError where it runs or the
    disk refuses.
    """
    try:
        with run.held():
            for part in [part for part in run.path.iterdir() if part.name not in _LAST]:
                shutil.rmtree(part) if part.is_dir() else part.unlink()
        shutil.rmtree(run.path)
    except OSError as error:
        raise TrainingError(f"{run.path} cannot be deleted: {error}. Make it writable, then try again.") from error
