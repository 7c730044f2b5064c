"""Bringing everything up over fakes: what is refused or broken is told and hinders nothing else."""

from __future__ import annotations

import logging
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import handmade_adapters
from crossfade.adapters.manage import delete, set_enabled
from crossfade.adapters.peft_files import AdapterFiles
from crossfade.compare import compare
from crossfade.errors import AdapterError, CorpusError, EngineError, ModelError
from crossfade.settings import DEFAULT_BASE, Settings
from crossfade.startup import Startup
from crossfade.types import Query
from fake_engine import FakeEngine, FakeRetriever, patch_startup, write_corpus


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """A home with one corpus and two adapters."""
    write_corpus(tmp_path / "corpora")
    for name, task in (("domain", "answer"), ("json", "ticket")):
        handmade_adapters.write(tmp_path / "adapters" / name, card={"task": task, "purpose": f"for {task}"})
    return Settings(home=tmp_path / "home", corpora=tmp_path / "corpora", adapters=tmp_path / "adapters")


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch) -> FakeEngine:
    engine = FakeEngine(adapters=(), refuses=("untrained",))
    patch_startup(monkeypatch, engine=lambda: engine)
    return engine


def started(startup: Startup) -> Startup:
    """The startup after its thread has ended."""
    startup.start()
    for thread in threading.enumerate():
        if thread.name == "startup":
            thread.join(120)
    return startup


def test_corpora_and_adapters_are_known_before_anything_is_loaded(settings: Settings, engine: FakeEngine) -> None:
    startup = Startup(settings)
    assert [c.name for c in startup.corpora] == ["bank"]
    assert [(a.name, a.task, a.purpose, a.refused) for a in startup.adapters] == [
        ("domain", "answer", "for answer", ""),
        ("json", "ticket", "for ticket", ""),
    ]
    assert (startup.pipeline, startup.error, startup.status) == (None, "", ())


def test_after_loading_questions_are_answered_by_every_adapter(settings: Settings, engine: FakeEngine) -> None:
    startup = started(Startup(settings))
    assert startup.error == ""
    assert startup.pipeline
    assert set(engine.adapters) == {"domain", "json"}
    assert any(line.startswith("Model: ready, 2 adapters; context 1,000 tokens") for line in startup.status)
    answer = startup.pipeline.ask(Query("fee?", corpus="bank", task="", blend=(("json", 1.0),), rag=True, icl=True))
    assert answer.generation.adapters[0][:2] == ("json", 1.0)
    assert answer.passages
    assert [e.question for e in answer.examples] == ["Is there a fee?"]


def test_an_adapter_that_the_engine_refuses_does_not_keep_the_others_out(
    settings: Settings, engine: FakeEngine
) -> None:
    handmade_adapters.write(settings.adapters / "untrained")
    startup = Startup(settings)
    startup.run()
    assert set(engine.adapters) == {"domain", "json"}
    refused = {a.name: a.refused for a in startup.adapters}
    assert "does not change" in refused.pop("untrained")
    assert refused == {"domain": "", "json": ""}
    assert any("refused: untrained" in line for line in startup.status)
    assert startup.pipeline
    with pytest.raises(AdapterError, match="does not change"):
        startup.pipeline.ask(Query("fee?", corpus="bank", task="", blend=(("untrained", 1.0),)))


@pytest.mark.parametrize(("base", "told"), [(DEFAULT_BASE, 1), ("qwen2.5-0.5b", 0), ("mine.gguf", 0)])
def test_only_a_base_that_is_known_to_know_english_alone_is_said_to(
    base: str, told: int, settings: Settings, engine: FakeEngine
) -> None:
    asked = Query("手续费是多少?", corpus="bank", task="")
    assert len(Startup(replace(settings, base=base)).run().ask(asked).notices) == told
    found = Startup(replace(settings, base=base)).run().ask(replace(asked, rag=True))
    assert "embedder" in found.notices[0], "whatever the base"


def test_an_adapter_with_which_the_engine_breaks_is_refused_and_the_others_are_served(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Fragile(FakeEngine):
        def load(self, *adapters: AdapterFiles) -> None:
            if any(a.name == "torn" for a in adapters):
                raise EngineError("The model starts, but not with torn.")
            super().load(*adapters)

    engine = Fragile(adapters=())
    patch_startup(monkeypatch, engine=lambda: engine)
    handmade_adapters.write(settings.adapters / "torn")
    startup = started(Startup(settings))
    assert startup.error == ""
    assert set(engine.adapters) == {"domain", "json"}
    refused = {a.name: a.refused for a in startup.adapters if a.refused}
    assert refused == {"torn": "Adapter 'torn' cannot be loaded. The model starts, but not with torn."}
    assert not engine.closed


def test_an_engine_whose_adapters_cannot_be_loaded_at_all_is_closed(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Broken(FakeEngine):
        def load(self, *adapters: AdapterFiles) -> None:
            raise ZeroDivisionError

    engine = Broken(adapters=())
    patch_startup(monkeypatch, engine=lambda: engine)
    with pytest.raises(ZeroDivisionError):
        Startup(settings).open_engine()
    assert engine.closed


@pytest.mark.parametrize(
    ("recorded", "named"), [("someone/some-model", "'someone/some-model'"), ("/tmp/model", ""), (None, "")]
)
def test_an_adapter_that_does_not_record_its_base_is_told_at_load(
    settings: Settings, engine: FakeEngine, caplog: pytest.LogCaptureFixture, recorded: str | None, named: str
) -> None:
    for name in ("domain", "json"):
        handmade_adapters.write(settings.adapters / name, card={"base_sha256": engine.base_sha256})
    config = handmade_adapters.config(base_model_name_or_path=recorded)
    handmade_adapters.write(settings.adapters / "foreign", settings=config)
    startup = Startup(settings)
    startup.run()
    (told,) = [line for line in caplog.messages if "does not record the hash of its base" in line]
    assert told.startswith("Adapter 'foreign' ")
    assert (f"only its name {named}" in told) if named else ("only its name" not in told)
    assert any(line.endswith("made for an unknown base: foreign") for line in startup.status)


def test_a_broken_adapter_folder_is_told_and_does_not_keep_the_others_out(
    settings: Settings, engine: FakeEngine
) -> None:
    handmade_adapters.write(settings.adapters / "aaa", settings={"peft_type": "LORA", "r": -1})
    (settings.adapters / "zzz").mkdir()
    (settings.adapters / "zzz" / "adapter_config.json").write_text("{", encoding="utf-8")
    startup = Startup(settings)
    startup.run()
    assert set(engine.adapters) == {"domain", "json"}
    refused = {a.name: a.refused for a in startup.adapters if a.refused}
    assert set(refused) == {"aaa", "zzz"}
    assert all(why.startswith(f"Adapter {name!r} is refused: ") for name, why in refused.items())


def test_an_adapter_of_one_s_own_is_found_and_does_not_shadow_a_shipped_one(
    settings: Settings, engine: FakeEngine
) -> None:
    handmade_adapters.write(settings.my_adapters / "mine", card={"purpose": "mine"})
    handmade_adapters.write(settings.my_adapters / "json", card={"purpose": "another"})
    purposes = {a.name: a.purpose for a in Startup(settings).adapters}
    assert purposes == {"domain": "for answer", "json": "for ticket", "mine": "mine"}


def test_a_corpus_with_a_broken_toml_is_told_and_the_others_are_served(
    settings: Settings, engine: FakeEngine, caplog: pytest.LogCaptureFixture
) -> None:
    write_corpus(settings.corpora, "broken", toml="title = ")
    startup = Startup(settings)
    assert [c.name for c in startup.corpora] == ["bank"]
    (told,) = startup.broken_corpora
    assert "broken" in told
    assert "corpus.toml" in told
    with caplog.at_level(logging.WARNING):
        startup.run()
    assert told in caplog.messages
    with pytest.raises(CorpusError, match=r"corpus\.toml cannot be read"):
        startup.corpus("broken")


def test_a_corpus_with_a_broken_document_is_told_and_the_others_are_served(
    settings: Settings, engine: FakeEngine
) -> None:
    folder = write_corpus(settings.corpora, "aaa")
    (folder / "docs" / "empty.md").write_bytes(b"")
    startup = Startup(settings)
    pipeline = startup.run()
    (told,) = startup.broken_corpora
    assert "empty.md is empty" in told
    assert told.endswith("Until then aaa answers without RAG.")
    assert "Index of aaa: not made" in startup.status
    assert pipeline.ask(Query("fee?", corpus="bank", task="", rag=True)).passages
    asked = Query("fee?", corpus="aaa", task="")
    assert pipeline.ask(asked).generation.text
    with pytest.raises(CorpusError, match=r"empty\.md is empty"):
        pipeline.ask(replace(asked, rag=True))
    columns = dict(compare(pipeline, [asked, replace(asked, rag=True)]))
    assert [isinstance(column, CorpusError) for _, column in sorted(columns.items())] == [False, True]
    (folder / "docs" / "empty.md").unlink()
    assert pipeline.ask(replace(asked, rag=True)).passages, "mended, without a new start"


def test_when_no_corpus_has_sound_documents_the_modes_without_them_are_served(
    settings: Settings, engine: FakeEngine
) -> None:
    (settings.corpora / "bank" / "docs" / "fees.md").write_bytes(b"\xff")
    startup = started(Startup(settings))
    assert startup.error == ""
    assert "fees.md is not UTF-8 text" in startup.broken_corpora[0]
    assert startup.pipeline
    assert startup.pipeline.ask(Query("fee?", corpus="bank", task="", blend=(("domain", 1.0),))).generation.text
    assert not engine.closed


def test_an_index_that_cannot_be_kept_is_served_from_memory_and_told(
    settings: Settings, engine: FakeEngine, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Unsaved(FakeRetriever):
        unsaved = "The index cannot be written: No space left on device."

    monkeypatch.setattr("crossfade.startup.load_index", lambda *_: Unsaved())
    startup = Startup(settings)
    assert startup.run().ask(Query("fee?", corpus="bank", task="", rag=True)).passages
    assert any("No space left" in line for line in caplog.messages)
    assert "Index of bank: ready (kept in memory alone)" in startup.status


@pytest.mark.parametrize("toml", [None, "title = "])
def test_without_a_readable_corpus_nothing_is_fetched_and_the_reason_is_told(
    toml: str | None, settings: Settings, engine: FakeEngine, tmp_path: Path
) -> None:
    root = tmp_path / "others"
    root.mkdir()
    if toml:
        write_corpus(root, "one", toml=toml)
        write_corpus(root, "two", toml=toml)
    startup = started(Startup(replace(settings, corpora=root)))
    assert startup.error.count("cannot be read") == (2 if toml else 0)
    assert str(root) in startup.error
    assert startup.status == ()


def test_models_that_cannot_be_reached_give_one_sentence(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple")
    monkeypatch.setenv("PIP_RETRIES", "0")
    monkeypatch.delenv("PIP_FIND_LINKS", raising=False)
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    monkeypatch.delenv("PIP_EXTRA_INDEX_URL", raising=False)
    startup = started(Startup(settings))
    assert startup.pipeline is None
    assert "Check the network" in startup.error
    assert "\n" not in startup.error
    assert "Traceback" not in startup.error + caplog.text
    assert len(startup.adapters) == 2, "what is there is still told"


def test_without_an_embedder_the_modes_that_need_none_are_served_and_the_others_say_why(
    settings: Settings, engine: FakeEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    fetched = []

    def unreachable(*_: Any, **__: Any) -> Path:
        fetched.append(1)
        raise ModelError("The embedder cannot be had. Check the network.")

    monkeypatch.setattr("crossfade.startup.fetch", unreachable)
    startup = started(Startup(settings))
    assert startup.error == ""
    assert "The embedder cannot be had. Check the network." in startup.without_documents
    pipeline = startup.pipeline
    assert pipeline
    query = Query("fee?", corpus="bank", task="answer")
    assert pipeline.ask(query).generation.text
    assert pipeline.ask(replace(query, blend=(("domain", 1.0),))).generation.text
    for needs_it in (replace(query, rag=True), replace(query, icl=True)):
        with pytest.raises(ModelError, match="The embedder cannot be had"):
            pipeline.ask(needs_it)
    assert len(fetched) == 1, "a question does not wait for the network once more"
    columns = dict(compare(pipeline, [replace(query, rag=True), query, replace(query, icl=True)]))
    assert [isinstance(column, ModelError) for _, column in sorted(columns.items())] == [True, False, True]
    assert not engine.closed


def test_what_nobody_foresaw_is_logged_and_not_shown(
    settings: Settings, engine: FakeEngine, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(*_: Any, **__: Any) -> Path:
        raise ZeroDivisionError("secret detail")

    monkeypatch.setattr("crossfade.startup.embedder_gguf", broken)
    with caplog.at_level(logging.ERROR):
        startup = started(Startup(settings))
    assert startup.error
    assert "secret" not in startup.error
    assert "secret detail" in caplog.text


def test_embedder_and_index_are_opened_once(settings: Settings, engine: FakeEngine) -> None:
    startup = Startup(settings)
    startup.run()
    assert startup.open_embedder() is startup.open_embedder()
    bank = startup.corpus("bank")
    assert startup.index(bank) is startup.index(bank)


def test_every_change_of_the_status_is_reported_and_ends_ready(settings: Settings, engine: FakeEngine) -> None:
    lines: list[str] = []
    startup = Startup(settings, report=lines.append)
    startup.run()
    assert set(startup.status) <= set(lines)
    assert lines[0].startswith("Model: ")
    assert all("ready" in line for line in startup.status)


def test_a_disabled_adapter_is_unloaded_and_told_and_enabled_again_it_answers(
    settings: Settings, engine: FakeEngine
) -> None:
    startup = Startup(settings)
    pipeline = startup.run()
    query = Query("fee?", corpus="bank", task="", blend=(("json", 1.0),))
    set_enabled(settings, "json", enabled=False)
    startup.refresh_adapters()
    assert set(engine.adapters) == {"domain"}
    assert [card.name for card in startup.adapters] == ["domain"]
    with pytest.raises(AdapterError, match="'json' is disabled"):
        pipeline.ask(query)
    assert set(Startup(settings).registry.adapters) == {"domain"}
    set_enabled(settings, "json", enabled=True)
    startup.refresh_adapters()
    assert pipeline.ask(query).generation.adapters[0][0] == "json"
    assert [card.name for card in startup.adapters] == ["domain", "json"]


def test_a_refused_adapter_that_is_deleted_leaves_no_trace(settings: Settings, engine: FakeEngine) -> None:
    (handmade_adapters.write(settings.my_adapters / "broken") / "adapter_model.safetensors").unlink()
    handmade_adapters.write(settings.my_adapters / "untrained")
    startup = Startup(settings)
    startup.run()
    assert {card.name for card in startup.adapters if card.refused} == {"broken", "untrained"}
    for name in ("broken", "untrained"):
        delete(settings, name)
    startup.refresh_adapters()
    assert [card.name for card in startup.adapters] == ["domain", "json"]
