"""Where others open the page, an adapter that a visitor made is offered to nobody else, and asked by nobody else."""

from __future__ import annotations

import html
import json
import re
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import gradio as gr
import pytest

import handmade_adapters
from crossfade.adapters.ownership import set_owner
from crossfade.corpora.own_tasks import with_own_tasks
from crossfade.errors import AdapterError, CrossfadeError
from crossfade.history.database import Database
from crossfade.settings import Settings
from crossfade.ui.controls import Catalog, make_query
from crossfade.ui.owner import COOKIE, owner_of
from crossfade.ui.running import Running
from ui_kit import built

sys.path.append(str(Path(__file__).parent / "browser"))

KEY = "own-hers/hers"
GONE = "Adapter 'hers' is not there any more"


def request(who: str = "") -> Any:
    cookies = {COOKIE: who.ljust(43, "x")} if who else {}
    return SimpleNamespace(cookies=cookies, headers={"accept-language": "en"}, session_hash=f"of {who}")


@pytest.fixture
def startup(tmp_path: Path) -> Any:
    """A page for others with the adapter `hers`, of a visitor, which brings a task of its own."""
    from standin import ROOT, StandIn

    settings = Settings(home=tmp_path, corpora=ROOT / "corpora", adapters=ROOT / "adapters", host="0.0.0.0")
    made = settings.my_adapters / "hers"
    handmade_adapters.write(made, card={"instructions": "Tell her secret.", "purpose": "for her", "task": "own-hers"})
    set_owner(made, owner_of(request("ann")))
    startup = StandIn(settings=settings)
    startup.refresh_adapters()
    startup.corpora = tuple(
        with_own_tasks(corpus, startup.registry, base=startup.settings.base) for corpus in startup.corpora
    )
    return startup


def test_it_is_offered_with_its_task_to_its_owner_alone(startup: Any) -> None:
    shown = Catalog(startup)
    for catalog, hers in ((shown, False), (shown.of(request("ann")), True), (shown.of(request("bob")), False)):
        assert (KEY in [key for _, key in catalog.offered(None)]) is hers
        assert ("hers" in catalog.loaded()) is hers
        assert ("own-hers" in catalog.corpus(None).tasks) is hers
        assert ("her secret" in str(catalog.choices(None))) is hers
    startup.settings = replace(startup.settings, host="127.0.0.1")
    assert KEY in [key for _, key in Catalog(startup).offered(None)], "at one's own machine all is one's own"


def test_a_key_or_a_weight_that_names_it_is_refused(startup: Any) -> None:
    mixed = (("domain", "hers"), 1.0, 0.5)
    by_key = (None, KEY, False, None, None, None)
    by_weight = (None, "answer/domain", False, None, None, None, None, "", *mixed)
    catalog = Catalog(startup)
    assert make_query(catalog.of(request("ann")), "Hi there", by_key).blend == (("hers", 1.0),)
    assert dict(make_query(catalog.of(request("ann")), "Hi there", by_weight).blend) == {"domain": 1.0, "hers": 0.5}
    for who in ("bob", ""):
        for values in (by_key, by_weight):
            with pytest.raises(AdapterError, match=GONE):
                make_query(catalog.of(request(who)), "Hi there", values)


def page(startup: Any, make: Callable[[Running], Any]) -> Any:
    def inside() -> Any:
        with gr.Blocks():
            return make(Running())

    return built(inside)


def values_of(*components: Any) -> list[Any]:
    return [component.value for component in components]


def test_a_blend_that_is_written_into_a_column_is_refused(startup: Any) -> None:
    from crossfade.ui.compare import CompareTab

    database = Database(startup.settings.history)
    tab = page(startup, lambda running: CompareTab(startup, running, busy=lambda: False, database=database))
    choice = values_of(*tab.choice.values)
    choice[1] = True  # columns of their own
    choice[3:6] = ["fine-tune", "", "domain:0.5 + hers:0.5"]
    values = [*choice, *values_of(*tab.schema.values, *tab.controls.values)]
    for who, refused in (("bob", True), ("ann", False)):
        told = html.unescape(" ".join(map(str, tab._accept(request(who), "Hi there", *values))))
        assert (GONE in told) is refused


def test_the_fader_and_a_report_s_rule_are_refused(startup: Any) -> None:
    from crossfade.ui.chat import ChatTab

    tab = page(startup, lambda running: ChatTab(startup, running, busy=lambda: False, report=gr.State(None)))
    controls, schema = values_of(*tab.controls.values), values_of(*tab.schema.values)
    rule = {"sign": "words", "threshold": 1.0, "below": "hers", "above": "hers"}
    column = {"name": "hers", "mode": "fine-tune", "blend": [["hers", 1.0]]}
    about = {"corpus": "tidewell", "task": "answer"}
    report = json.loads(json.dumps({"auto": {"rule": rule}, "modes": [{"column": column}], "about": about}))
    given = [report, True, *values_of(*tab.switches.values), *schema, *controls]
    for who, refused in (("bob", True), ("ann", False)):
        faded = tab.crossfader._accept(request(who), "Hi there", (), "domain", "hers", False, False, *schema, *controls)
        assert (GONE in html.unescape(str(faded[1]))) is refused
        tab._asking._running.forget(f"of {who}", "fader")
        begun = tab._begin(request(f"{who}2" if refused else who), "Hi there", (), *given, place=0, box="")
        assert (GONE in html.unescape(str(begun[3]))) is refused


def test_an_evaluation_of_it_is_refused(startup: Any) -> None:
    from crossfade.ui.evaluate import EvaluateTab

    tab = page(startup, lambda running: EvaluateTab(startup, running, report=gr.State(None)))
    tab._accept(request("bob"))
    (told,) = tab._measure(request("bob"), "pasted", "q", ["fine-tune"], 1, None, "answer/domain", ["hers"])
    assert GONE in html.unescape(told[2])


def test_a_blend_to_measure_is_written_and_names_no_one_else_s_adapter(startup: Any) -> None:
    from crossfade.ui.asked_blends import blends_of, is_there
    from crossfade.ui.controls import Catalog

    ann, bob = (Catalog(startup).of(request(who)) for who in ("ann", "bob"))
    loaded = ann.loaded()
    assert {"domain", "hers"} <= set(loaded)
    written = ["hers", " domain + hers:0.6 "]
    assert blends_of(ann, "domain", written, "en") == [
        (("domain", 1.0),),
        (("hers", 1.0),),
        (("domain", 1.0), ("hers", 0.6)),
    ]
    for text, why in (
        ("domain+hers:much", "write NAME or NAME:WEIGHT"),
        ("domain+hers:9", "Weight 9.0"),
        ("domain+domain", "twice"),
        ("domain+none", "Unknown adapter 'none'"),
        ("", "Unknown adapter ''"),
    ):
        with pytest.raises(CrossfadeError, match=re.escape(why)):
            blends_of(ann, "", [text], "en")
    with pytest.raises(CrossfadeError, match=GONE):
        blends_of(bob, "", ["domain+hers:0.6"], "en")
    with pytest.raises(CrossfadeError) as told:
        blends_of(bob, "", ["domain+none"], "en")
    assert "hers" not in str(told.value)
    assert is_there("domain + hers:0.6", loaded)
    assert not is_there("domain+none", loaded)
