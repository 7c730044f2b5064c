"""Put files into a repository of a model hub by `huggingface_hub`, which itself honours HF_ENDPOINT. Knows no adapter.

The token is given and never looked for; it stands in no message.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path

from crossfade.errors import ModelError

REPOSITORY = re.compile(r"[A-Za-z0-9][\w.-]{0,95}/[A-Za-z0-9][\w.-]{0,95}", re.ASCII)


def push_files(
    files: Mapping[str, Path | bytes],
    repository: str,
    *,
    token: str,
    private: bool = True,
    message: str,
    report: Callable[[str], None] = lambda line: None,
) -> str:
    """Put the files, by their names there, into a repository in one commit; the commit's address.

    The repository is made, private unless told otherwise, where it is not there. `report` is called with each stage, a
    sentence; what it raises ends the work before that stage. Raises ModelError: a name that is
    none, no token, a hub that refuses or cannot be reached.
    """
    if not REPOSITORY.fullmatch(repository) or ".." in repository:
        raise ModelError(f"{repository[:120]!r} names no repository. Write owner/name.")
    if not token.strip():
        raise ModelError("A push needs the hub's token. Make one with the right to write in the hub's settings.")
    from huggingface_hub import CommitOperationAdd, HfApi
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, OfflineModeIsEnabled

    api = HfApi(token=token.strip())
    operations = [CommitOperationAdd(name, str(d) if isinstance(d, Path) else d) for name, d in files.items()]
    size = sum(d.stat().st_size if isinstance(d, Path) else len(d) for d in files.values())
    report("Asking the hub for the repository")
    try:
        api.create_repo(repository, private=private, exist_ok=True)
        report(f"Sending {size / 1e6:.1f} MB")
        made = api.create_commit(repository, operations, commit_message=message)
    except HfHubHTTPError as error:
        status = getattr(getattr(error, "response", None), "status_code", 0)
        if status in (401, 403):
            raise ModelError(
                f"The hub refused the token for {repository} ({status}). It needs the right to write there."
            ) from None
        raise ModelError(f"The hub did not take {repository}: {_line(error)}. Try again later.") from error
    except HFValidationError as error:
        raise ModelError(f"{repository!r} names no repository: {_line(error)}. Write owner/name.") from error
    except ValueError as error:
        raise ModelError(f"What answered is no model hub: {_line(error)}. Check HF_ENDPOINT.") from error
    except (OfflineModeIsEnabled, OSError) as error:
        raise ModelError(f"The hub cannot be reached: {_line(error)}. Check the network and HF_ENDPOINT.") from error
    except Exception as error:  # the HTTP library is httpx or httpx2 by the version of huggingface_hub
        if not any(kind.__module__.startswith(("httpx", "httpcore")) for kind in type(error).__mro__):
            raise
        raise ModelError(f"The hub cannot be reached: {_line(error)}. Check the network and HF_ENDPOINT.") from error
    return str(made.commit_url)


def _line(error: Exception) -> str:
    return " ".join(str(error).split())[:300].rstrip(".")
