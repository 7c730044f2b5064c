"""The page as it is put together, without a browser."""

from __future__ import annotations

import html
import re
import socket
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from crossfade.errors import AdapterError, CorpusError, QuestionError, SettingsError
from ui_kit import built

sys.path.append(str(Path(__file__).parent / "browser"))

pytest.importorskip("gradio")


def build(app: Any, startup: Any) -> Any:
    return built(lambda: app.build_ui(startup))


@pytest.fixture(scope="module")
def parts() -> Any:
    from crossfade.ui import answering, app, controls

    return answering, app, controls


@pytest.fixture
def startup() -> Any:
    from standin import StandIn

    return StandIn()


def test_every_event_is_private_and_answers_share_one_bounded_queue(parts: Any, startup: Any) -> None:
    answering, app, _ = parts
    page = build(app, startup)
    functions = list(page.fns.values())
    assert {f.api_visibility for f in functions if not any(t[1] == "unload" for t in f.targets)} == {"private"}
    queued = [f for f in functions if f.queue and not any(t[1] == "unload" for t in f.targets)]
    limits = {(f.concurrency_id, f.concurrency_limit) for f in queued}
    assert limits == {
        (answering.QUEUE, startup.settings.slots),
        ("load", 1),
        ("evaluate", 1),
        ("adapters", 1),
        ("train", 1),
        ("build", 1),
        ("export", 1),
    }, "one evaluation at a time"
    assert sum(f.concurrency_id == answering.QUEUE for f in queued) == 3, "chat, crossfader, comparison"
    assert page._queue.max_size == 2 * answering.QUEUE_LENGTH
    assert page.analytics_enabled is False


def test_the_theme_loads_no_font_from_elsewhere(parts: Any) -> None:
    theme = parts[1].theme()
    assert theme._stylesheets == []
    for css in (theme._get_theme_css(), *(path.read_text() for path in parts[1].STYLES.glob("*.css"))):
        assert "@import" not in css
        assert not re.search(r"url\([\"']?(?!data:|[\"'])", css)


def test_the_status_says_what_loads_what_is_ready_and_what_is_wrong(parts: Any, startup: Any) -> None:
    status_html = parts[1].status_html
    assert "Ready" in status_html(startup)
    startup.without_documents = "The <b>embedder</b> cannot be had."
    assert "<b>embedder" not in status_html(startup)
    assert "The <b>embedder</b> cannot be had." in html.unescape(status_html(startup))
    startup.pipeline, startup.status = None, ("Index of tidewell: 40 of 300 passages",)
    assert "Loading" in status_html(startup)
    assert "40 of 300 passages" in status_html(startup)
    startup.error = "<b>No network</b>"
    assert "<b>No" not in status_html(startup)
    assert "No network" in status_html(startup)


def test_a_port_in_use_is_refused_in_a_sentence_and_zero_finds_a_free_one(parts: Any) -> None:
    free_port = parts[1].free_port
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(SettingsError, match="CROSSFADE_PORT"):
            free_port("127.0.0.1", taken.getsockname()[1])
    assert free_port("127.0.0.1", 0) > 0
    with pytest.raises(SettingsError):
        free_port("192.0.2.1", 0)


def test_a_query_takes_the_task_of_its_adapter_and_bounded_sampling(parts: Any, startup: Any) -> None:
    _, _, controls = parts
    catalog = controls.Catalog(startup)
    asked = controls.make_query(catalog, "Hi there", ("tidewell", "ticket/json", True, 99, 10**9, -5))
    query = asked.query
    assert (query.task, asked.choice.adapter, query.enforce_schema) == ("ticket", "json", True)
    assert asked.blend == (("json", 1.0),)
    assert query.sampling.max_new_tokens == controls.MOST_NEW_TOKENS
    assert 0 <= query.sampling.temperature <= 2
    assert query.sampling.seed == 0
    asked = controls.make_query(catalog, "Hi there", (None, None, True, None, None, None))
    plain, choice = asked.query, asked.choice
    assert (plain.task, plain.enforce_schema) == ("answer", False)
    assert plain.sampling.max_new_tokens == choice.task.max_new_tokens
    with pytest.raises(QuestionError):
        controls.make_query(catalog, "  \n", (None, None, False, 0, 0, 0))


def test_the_page_is_built_without_adapters_and_without_a_corpus(parts: Any, startup: Any) -> None:
    _, app, _ = parts
    startup.adapters = ()
    assert build(app, startup).fns
    startup.corpora = ()
    assert build(app, startup).fns


def test_a_broken_corpus_is_told_while_loading_and_after_it(parts: Any, startup: Any) -> None:
    startup.broken_corpora = ("b/corpus.toml cannot be <b>read</b>.",)
    ready = parts[1].status_html(startup)
    startup.pipeline = None
    for shown in (ready, parts[1].status_html(startup)):
        assert "b/corpus.toml cannot be <b>read</b>." in html.unescape(shown)
        assert "<b>read" not in shown


def test_a_corpus_that_is_gone_never_becomes_another_one(parts: Any, startup: Any) -> None:
    controls = parts[2]
    catalog = controls.Catalog(startup)
    startup.broken_corpora = ("harbor/docs/a.md is empty.",)
    with pytest.raises(CorpusError, match=r"'harbor'.*a\.md is empty.*Known: tidewell"):
        controls.make_query(catalog, "Hi there", ("harbor", None, False, None, None, None))
    assert (catalog.choices("harbor"), catalog.choice_if_there("harbor", None)) == ((), None)
    for language, told in (("en", "'mine'"), ("zh", "适配器“mine”")):
        with pytest.raises(AdapterError, match=told):
            controls.make_query(catalog, "Hi there", ("tidewell", "gone/mine", *[None] * 4), language=language)


def test_an_adapter_refused_while_loading_stays_chosen_and_is_off(parts: Any, startup: Any) -> None:
    catalog = parts[2].Catalog(startup)
    before = catalog.offered("tidewell")
    startup.adapters = tuple(replace(card, refused="It does not fit.") for card in startup.adapters)
    assert [key for _, key in before] == ["answer/domain", "voice/style", "ticket/json", "ticket_yaml/"]
    after = catalog.offered("tidewell")
    assert [key for _, key in after] == [key for _, key in before]
    assert all("refused" in label for label, key in after if not key.endswith("/"))
    for _, key in before:
        asked = parts[2].make_query(catalog, "Hi there", ("tidewell", key, False, None, None, None))
        query, choice = asked.query, asked.choice
        assert (query.task, choice.adapter) == (key.partition("/")[0], "")
        assert ("It does not fit." if key[-1] != "/" else "No adapter") in choice.why_off
        given = ("tidewell", key, False, None, None, None)
        assert "适配器" in parts[2].make_query(catalog, "Hi", given, language="zh").choice.why_off


def test_another_adapter_leaves_a_switch_as_it_is_unless_there_is_nothing_to_fine_tune(
    parts: Any, startup: Any
) -> None:
    import gradio as gr

    from crossfade.ui.switches import Switches

    request: Any = SimpleNamespace(cookies={}, headers={"accept-language": "en"}, session_hash="one")

    def make() -> Any:
        with gr.Blocks():
            made = Switches(parts[2].Catalog(startup))
            made.draw_boxes()
        return made

    switches = built(make)

    def told(key: str) -> dict[str, Any]:
        return dict(switches.adapter_changed(request, "tidewell", key)._constructor_args[0])

    there, none = told("ticket/json"), told("ticket_yaml/")
    assert there["interactive"]
    assert "value" not in there, "what was switched while the page asked would be set back"
    assert (none["interactive"], none["value"]) == (False, False)


def test_a_choice_that_is_gone_is_offered_as_gone_beside_those_that_are_there(parts: Any, startup: Any) -> None:
    catalog = parts[2].Catalog(startup)
    there = catalog.offered("tidewell")
    assert catalog.offered_with("tidewell", "answer/domain") == there
    assert catalog.offered_with("tidewell", None) == there
    for key in ("answer/mine", "own-mine/mine"):  # its task is still there, and is gone with it
        *others, gone = catalog.offered_with("tidewell", key)
        assert (others, gone) == (there, ("mine: gone", key))
    startup.corpora = ()
    assert catalog.offered_with("tidewell", "answer/domain") == []
