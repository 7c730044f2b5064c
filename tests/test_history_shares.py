"""A link opens what was shared, until it is taken back, and nothing else."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest

from crossfade.errors import StorageError
from crossfade.history.database import Database
from crossfade.history.shares import MOST_BYTES, MOST_SHARED, Shares


@pytest.fixture
def shares(tmp_path: Path) -> Shares:
    return Shares(Database(tmp_path / "history.sqlite"))


def test_a_token_opens_what_was_shared_and_no_other_one_does(shares: Shares) -> None:
    first, second = (shares.publish("a", text, title=text) for text in ("one", "two"))
    assert (shares.open(first), shares.open(second)) == ("one", "two")
    numbers = [str(shared.number) for shared in shares.of("a")]
    for wrong in ("", "1", *numbers, "a", first[:-1], first + "A", first.swapcase(), "%", "' OR 1=1 --", "\x00" * 43):
        assert shares.open(wrong) is None


def test_tokens_have_at_least_128_bits_and_stand_nowhere_in_the_files(shares: Shares, tmp_path: Path) -> None:
    tokens = [shares.publish("a", "shared", title="t") for _ in range(3)]
    assert len(set(tokens)) == 3
    written = b"".join(path.read_bytes() for path in tmp_path.iterdir())
    assert b"shared" in written
    for token in tokens:
        raw = base64.urlsafe_b64decode(token + "=")
        assert len(raw) * 8 >= 128
        assert token.encode() not in written
        assert raw not in written


def test_its_owner_alone_sees_a_link_in_the_list_and_takes_it_back(shares: Shares) -> None:
    token = shares.publish("a", "mine", title="my question")
    (shared,) = shares.of("a")
    assert shared.title == "my question"
    assert shares.of("b") == shares.of("") == ()
    assert not shares.take_back("b", shared.number)
    assert not shares.take_back("", shared.number)
    assert shares.open(token) == "mine"
    assert shares.take_back("a", shared.number)
    assert shares.open(token) is None
    assert shares.of("a") == ()
    assert not shares.take_back("a", shared.number)


def test_what_is_too_much_is_refused(shares: Shares) -> None:
    with pytest.raises(StorageError, match="cookie"):
        shares.publish("", "x", title="t")
    with pytest.raises(StorageError, match="bytes"):
        shares.publish("a", "é" * (MOST_BYTES // 2 + 1), title="t")
    for _ in range(MOST_SHARED):
        shares.publish("a", "x", title="t")
    with pytest.raises(StorageError, match="Take one back"):
        shares.publish("a", "x", title="t")
    shares.take_back("a", shares.of("a")[0].number)
    assert shares.publish("a", "x", title="t")
