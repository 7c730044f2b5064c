"""The prefix cache: used for a second turn under the same blend, never for another, never to be seen in the text."""

from __future__ import annotations

import itertools
import random
import re
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from threading import Event

import pytest

pytest.importorskip("torch")
pytest.importorskip("peft")

from crossfade.engines.llamacpp import LlamaCppEngine
from crossfade.types import Blend, Prompt
from engine_kit import ask, busy, running, stream, until
from tiny_models import TinyModel, chat_ids, model_of, one_thread, prompt_of, random_adapter, tokenizer_of

pytestmark = pytest.mark.filterwarnings("ignore")  # the training libraries warn of each other's old names
A: Blend = (("a", 1.0),)
B: Blend = (("b", 1.0),)
STORY = "Hello. " + "How much does it cost to send money abroad, please? " * 6
NEW_TOKENS = 24
MARGIN = 1e-3
WIDE_MARGIN = 0.1
FORCED_WORDS = "The fee is 12 euros. Hello, tell me the cost to send money"
FORCED = [FORCED_WORDS[: space.start()] for space in re.finditer(r" |$", FORCED_WORDS)]
"""Growing beginnings of an answer that no model chose, so that every later step is looked at too."""


@pytest.fixture(scope="module")
def folders(tiny_llama: TinyModel, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Two random adapters: what they say hangs on every token before, so a wrong prefix shows."""
    root = tmp_path_factory.mktemp("random")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return [random_adapter(tiny_llama.folder, root / name, seed=seed) for seed, name in enumerate("ab")]


@pytest.fixture
def engine(tiny_llama: TinyModel, folders: Sequence[Path], tmp_path: Path) -> Iterator[LlamaCppEngine]:
    with running(tiny_llama, tmp_path, adapters=folders, slots=2) as started:
        yield started


def sure_text(model: TinyModel, adapter: Path | None, prompt: Prompt) -> str:
    """What transformers answers, without any cache, up to the first token whose margin is not clear."""
    import torch

    tokenizer, torch_model = tokenizer_of(model.folder), model_of(model.folder, adapter)
    ids = chat_ids(tokenizer, prompt.messages)
    length = len(ids)
    with torch.no_grad(), one_thread():
        for _ in range(NEW_TOKENS):
            best = torch_model(torch.tensor([ids]), use_cache=False).logits[0, -1].topk(2)
            if best.values[0] - best.values[1] <= MARGIN or best.indices[0] == tokenizer.eos_token_id:
                break
            ids.append(int(best.indices[0]))
    return str(tokenizer.decode(ids[length:]))


def next_pieces(model: TinyModel, adapter: Path | None, prompt: Prompt, *, margin: float) -> dict[str, str]:
    """After each forced beginning of an answer, what transformers says next without any cache, where that is clear.

    The beginnings end at whole words, so that both libraries cut them into the same tokens.
    """
    import torch

    tokenizer, torch_model = tokenizer_of(model.folder), model_of(model.folder, adapter)
    asked = chat_ids(tokenizer, prompt.messages)
    begun = {t: asked + tokenizer(t, add_special_tokens=False)["input_ids"] for t in FORCED}
    ids = begun[FORCED[-1]]
    assert all(ids[: len(part)] == part for part in begun.values())
    with torch.no_grad(), one_thread():
        logits = torch_model(torch.tensor([ids]), use_cache=False).logits[0]
    clear = {}
    for text, part in begun.items():
        (first, second), (best, _) = (found.tolist() for found in logits[len(part) - 1].topk(2))
        piece = tokenizer.decode([best])
        # Half a character and the end of the answer are no text to compare.
        if first - second > margin and best != tokenizer.eos_token_id and piece.isprintable() and "\ufffd" not in piece:
            clear[text] = piece
    return clear


# The cache as it ships rounds keys and values to 16 bits: beside what that does to a logit, its margin is wide.
@pytest.mark.parametrize(("exact", "margin"), [(True, MARGIN), (False, WIDE_MARGIN)], ids=["exact", "as shipped"])
def test_a_base_a_on_one_prompt_equals_an_uncached_run(
    exact: bool, margin: float, tiny_llama: TinyModel, folders: Sequence[Path], tmp_path: Path
) -> None:
    kinds: dict[Blend, Path | None] = {A: folders[0], (): None, B: folders[1]}
    rolled = random.Random(0)
    # Unlike each other: only then does llama.cpp look for a prompt that it has put aside, under whatever adapter.
    conversations = [" ".join(rolled.choices(STORY.split(), k=40)) for _ in range(5)]
    sure = {
        (number, blend): next_pieces(tiny_llama, folder, prompt_of(asked), margin=margin)
        for number, asked in enumerate(conversations)
        for blend, folder in kinds.items()
    }
    assert sum(map(len, sure.values())) > len(sure) * len(FORCED) / 2, "most steps must be able to tell"
    for number in range(len(conversations)):
        for one, other in itertools.combinations(kinds, 2):
            pairs = [(piece, sure[number, other].get(text)) for text, piece in sure[number, one].items()]
            assert sum(mine != its for mine, its in pairs if its) >= 3, "a wrong adapter would be seen"
    cached = 0
    with running(tiny_llama, tmp_path, adapters=folders, slots=2, exact=exact) as engine:
        for blend in (A, (), A, B, A, (), A):
            for number, asked in enumerate(conversations):
                for text, piece in sure[number, blend].items():
                    last = ask(engine, prompt_of(asked, text), blend, max_new_tokens=1)
                    cached += last.cached_tokens or 0
                    assert last.text == piece, (number, blend, text)
    assert cached > 0, "the cache was in use"


def test_the_second_turn_reuses_the_prefix_of_the_same_blend(engine: LlamaCppEngine) -> None:
    for blend in ((), A, B):
        first = ask(engine, STORY, blend)
        second = ask(engine, prompt_of(STORY, first.text, "And then?"), blend)
        assert second.cached_tokens >= first.prompt_tokens - 5, blend
        assert second.cached_tokens < second.prompt_tokens


def test_nothing_is_reused_right_after_a_slot_changed_its_blend(
    tiny_llama: TinyModel, folders: Sequence[Path], tmp_path: Path
) -> None:
    with running(tiny_llama, tmp_path, adapters=folders, slots=1) as engine:
        blends: list[Blend] = [(), A, (), B, A, (("a", 0.5),), A, (("a", 1.0), ("b", 1.0)), (("a", 0.0),)]
        for blend in blends:
            assert ask(engine, STORY, blend).cached_tokens == 0, blend
            assert ask(engine, STORY, blend).cached_tokens > 0, blend


def test_looking_at_the_top_tokens_spoils_no_prefix(
    engine: LlamaCppEngine, tiny_llama: TinyModel, folders: Sequence[Path]
) -> None:
    prompt, sure = prompt_of(STORY), sure_text(tiny_llama, folders[0], prompt_of(STORY))
    for blend in (A, (), B, (), A):
        top = engine.top_tokens(prompt.messages, blend=blend)
        assert top == engine.top_tokens(prompt.messages, blend=blend)
        assert ask(engine, prompt, A, max_new_tokens=NEW_TOKENS).text.startswith(sure)


@pytest.mark.parametrize("way", ["stop", "stop at once", "close"])
def test_after_a_cancelled_request_only_right_prefixes_are_used(
    way: str, tiny_llama: TinyModel, folders: Sequence[Path], tmp_path: Path
) -> None:
    prompt = prompt_of(STORY)
    sure = {blend: sure_text(tiny_llama, f, prompt) for blend, f in ((A, folders[0]), (B, folders[1]))}
    with running(tiny_llama, tmp_path, adapters=folders, slots=1) as engine:
        for cancelled, then in ((A, B), (B, B), (B, A)):
            ask(engine, prompt, A)
            stop = Event()
            answers = stream(engine, prompt, cancelled, max_new_tokens=1500, stop=stop)
            if way == "stop at once":
                stop.set()
            else:
                next(answers)
            if way == "close":
                answers.close()  # type: ignore[attr-defined]
            else:
                stop.set()
                assert [a.finish for a in answers][-1] == "cancelled"
            assert ask(engine, prompt, then, max_new_tokens=NEW_TOKENS).text.startswith(sure[then])
            assert until(lambda: busy(engine) == 0, seconds=2) is not None


def test_a_stopped_answer_keeps_the_conversation_warm(engine: LlamaCppEngine) -> None:
    stop = Event()
    for number, _ in enumerate(stream(engine, STORY, A, max_new_tokens=1500, stop=stop)):
        if number == 3:
            stop.set()
    assert ask(engine, STORY, A).cached_tokens > 0
