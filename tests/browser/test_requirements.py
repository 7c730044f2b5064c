"""A Space installs requirements.txt and runs app.py from the checkout: no more than that answers a question."""

from __future__ import annotations

import re
import venv
from collections.abc import Callable, Iterable, Iterator
from importlib.metadata import Distribution, distribution
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement

pytestmark = [pytest.mark.browser, pytest.mark.timeout(300)]

ROOT = Path(__file__).resolve().parents[2]


def wanted(requirements: Iterable[Requirement], seen: set[tuple[str, str]]) -> Iterator[Distribution]:
    """What is installed for these requirements, and for what they require."""
    for requirement in requirements:
        for extra in ("", *requirement.extras):
            key = (re.sub("[-_.]+", "-", requirement.name).lower(), extra)
            if key in seen:
                continue
            seen.add(key)
            found = distribution(requirement.name)
            yield found
            inner = map(Requirement, found.requires or ())
            yield from wanted([one for one in inner if not one.marker or one.marker.evaluate({"extra": extra})], seen)


@pytest.fixture(scope="module")
def bare(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The Python of a venv with what requirements.txt names and no more, borrowed from the venv of the tests."""
    folder = tmp_path_factory.mktemp("bare")
    venv.create(folder, with_pip=False, symlinks=True)
    (packages,) = folder.glob("lib/python*/site-packages")
    lines = (ROOT / "requirements.txt").read_text(encoding="utf-8").splitlines()
    for found in wanted([Requirement(line) for line in lines if not line.startswith("#")], set()):
        for top in {file.parts[0] for file in found.files or () if file.parts[0] != ".."}:
            link, target = packages / top, Path(str(found.locate_file(top)))
            if target.exists() and not link.exists() and target.suffix != ".pth":
                link.symlink_to(target)
    return folder / "bin" / "python"


def test_what_requirements_txt_names_suffices_to_answer(
    bare: Path, start_app: Callable[..., str], open_page: Callable[..., Any], tmp_path_factory: pytest.TempPathFactory
) -> None:
    pytest.importorskip("torch", reason="the tiny model is made with it")
    from tiny_models import build

    folder = tmp_path_factory.mktemp("space")
    nothing = {"PYTHONPATH": "", "PIP_INDEX_URL": "http://127.0.0.1:9", "PIP_CONFIG_FILE": "/dev/null"}
    url = start_app(
        python=str(bare),
        CROSSFADE_BASE=str(build("llama", folder).gguf),
        CROSSFADE_HOME=str(folder / "home"),
        **nothing,
    )
    page = open_page(url)
    page.wait_ready()
    page.preset("base")
    page.ask("What is the fee?")
    assert re.search(r"\d+ new.*in all", page.answer.inner_text(), re.DOTALL)
    assert page.page.locator("#chat-log .cf-error").count() == 0
    assert page.faults == []
    assert page.outbound == []
