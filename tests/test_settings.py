"""Settings from an environment: defaults, ranges, and what is told of a value that is not allowed."""

from __future__ import annotations

import contextlib
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crossfade.errors import SettingsError
from crossfade.public_address import serves_others
from crossfade.settings import Settings

RANGES = {
    "CONTEXT": (256, 1_048_576),
    "SLOTS": (1, 64),
    "THREADS": (1, 256),
    "PORT": (0, 65535),
    "HISTORY_MB": (1, 1_000_000),
    "HISTORY_MB_EACH": (1, 1_000_000),
}
numbers = st.sampled_from(sorted(RANGES)).flatmap(lambda name: st.tuples(st.just(name), st.integers(-(10**7), 10**7)))


def test_an_empty_environment_gives_defaults_that_exist() -> None:
    settings = Settings.from_environment({})
    assert settings.corpora.is_dir()
    assert (settings.corpora / "tidewell" / "corpus.toml").is_file()
    assert (settings.base, settings.host, settings.port) == ("smollm2-135m", "127.0.0.1", 7860)
    assert settings.home.is_absolute()


@pytest.mark.parametrize(
    ("environment", "others"),
    [
        ({}, False),
        ({"CROSSFADE_HOST": "localhost"}, False),
        ({"CROSSFADE_HOST": "::1"}, False),
        ({"CROSSFADE_HOST": "0.0.0.0"}, True),
        ({"SPACE_ID": "owner/name"}, True),
        ({"CROSSFADE_PUBLIC": "yes"}, True),
    ],
)
def test_others_open_the_page_by_its_address_on_a_space_or_where_it_is_said(
    environment: dict[str, str], others: bool
) -> None:
    assert serves_others(Settings.from_environment(environment)) is others


@settings(deadline=None)
@given(numbers)
def test_a_number_is_taken_within_its_range_and_refused_outside(pair: tuple[str, int]) -> None:
    name, value = pair
    low, high = RANGES[name]
    environment = {f"CROSSFADE_{name}": str(value)}
    if low <= value <= high:
        assert getattr(Settings.from_environment(environment), name.lower()) == value
        return
    with pytest.raises(SettingsError) as caught:
        Settings.from_environment(environment)
    assert all(text in str(caught.value) for text in (f"CROSSFADE_{name}", str(value), str(low), str(high)))


@pytest.mark.parametrize("name", sorted(RANGES))
@pytest.mark.parametrize("edge", [0, 1])
def test_both_ends_of_a_range_are_allowed(name: str, edge: int) -> None:
    assert (
        getattr(Settings.from_environment({f"CROSSFADE_{name}": str(RANGES[name][edge])}), name.lower())
        == RANGES[name][edge]
    )


@pytest.mark.parametrize("text", ["", "many", "4.5", "1e3", "0x10", "-1", " 7 ", "²", "9" * 5000])
def test_what_is_no_whole_number_is_refused_in_one_short_line(text: str) -> None:
    with pytest.raises(SettingsError, match="CROSSFADE_SLOTS") as caught:
        Settings.from_environment({"CROSSFADE_SLOTS": text})
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 200


@settings(deadline=None)
@given(st.text(st.characters(codec="ascii"), max_size=12))
def test_any_text_is_a_number_of_slots_or_a_settings_error(text: str) -> None:
    with contextlib.suppress(SettingsError):
        assert 1 <= Settings.from_environment({"CROSSFADE_SLOTS": text}).slots <= 64


def test_places_and_names_are_taken_from_the_environment() -> None:
    settings = Settings.from_environment(
        {
            "CROSSFADE_HOME": "~/models",
            "CROSSFADE_CORPORA": "/a",
            "CROSSFADE_ADAPTERS": "/b",
            "CROSSFADE_BASE": "other.gguf",
            "CROSSFADE_WEIGHTS": "source",
            "CROSSFADE_HOST": "0.0.0.0",
        }
    )
    assert settings.home == Path.home() / "models"
    assert settings.my_adapters.parent == settings.home
    assert (settings.corpora, settings.adapters) == (Path("/a"), Path("/b"))
    assert (settings.base, settings.weights, settings.host) == ("other.gguf", "source", "0.0.0.0")


@pytest.mark.parametrize("name", ["HOME", "CORPORA", "ADAPTERS", "BASE", "WEIGHTS", "HOST"])
def test_an_empty_text_means_the_default(name: str) -> None:
    assert Settings.from_environment({f"CROSSFADE_{name}": ""}) == Settings.from_environment({})


def test_a_home_of_nobody_is_no_crash() -> None:
    assert Settings.from_environment({"CROSSFADE_HOME": "~nobody-of-this-name/x"}).home.name == "x"


def test_a_judge_s_key_is_shown_by_no_repr() -> None:
    environment = {"CROSSFADE_JUDGE_URL": " http://judge/v1/ ", "CROSSFADE_JUDGE_KEY": "sk-secret\n"}
    settings = Settings.from_environment(environment)
    assert (settings.judge_url, settings.judge_key) == ("http://judge/v1", "sk-secret")
    assert "sk-secret" not in repr(settings)
