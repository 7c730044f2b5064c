"""The controls that both tabs have (corpus, adapter with its task, schema, sampling), and the Query they make."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import gradio as gr

from crossfade import prompts
from crossfade.corpora.registry import Corpus
from crossfade.errors import CorpusError, CrossfadeError
from crossfade.types import Blend, Query, Sampling, Turn
from crossfade.ui.choices import Choice, find_choice, list_choices
from crossfade.ui.mixer import Mixer, blend_of

if TYPE_CHECKING:
    from crossfade.startup import Startup

MOST_NEW_TOKENS = 1024

QUIET: dict[str, Any] = {"show_progress": "hidden", "api_visibility": "private"}
"""For every event: no overlay over what is written, and no entry in a public API."""

AT_ONCE: dict[str, Any] = QUIET | {"queue": False}
"""For events that ask no engine: they wait for none."""


@dataclass(frozen=True, slots=True)
class Controls:
    """The components of one tab; `values` is the order in which `make_query` takes what they hold."""

    corpus: Any
    choice: Any
    enforce: Any
    temperature: Any
    tokens: Any
    seed: Any
    mixer: Mixer

    @property
    def values(self) -> list[Any]:
        """The components, in the order in which `make_query` takes them."""
        own = [self.corpus, self.choice, self.enforce, self.temperature, self.tokens, self.seed]
        return [*own, *self.mixer.values]


@dataclass(frozen=True, slots=True)
class Asked:
    """What a tab's controls ask: the query in base mode, the choice it belongs to, the blend for fine-tuning modes."""

    query: Query
    choice: Choice
    blend: Blend


class Catalog:
    """The corpora and the choices of each, as they are known now: adapters may be refused while they load."""

    def __init__(self, startup: Startup) -> None:
        self._startup = startup

    def names(self) -> list[tuple[str, str]]:
        """(title, name) of each corpus."""
        return [(corpus.title, corpus.name) for corpus in self._startup.corpora]

    def corpus(self, name: str | None) -> Corpus:
        """The corpus of that name, the first for None. Raises CorpusError where there is none."""
        corpora = self._startup.corpora
        if not corpora:
            raise CorpusError(
                f"No corpus was found in {self._startup.settings.corpora}. Put one there and start again."
            )
        for corpus in corpora:
            if name in (None, corpus.name):
                return corpus
        why = " ".join(self._startup.broken_corpora) or "It is not there any more."
        raise CorpusError(f"Corpus {name!r} cannot be asked. {why} Known: {', '.join(c.name for c in corpora)}.")

    def choices(self, corpus: str | None) -> tuple[Choice, ...]:
        """The choices of a corpus; none where there is no such corpus."""
        try:
            return list_choices(self.corpus(corpus), self._startup.adapters)
        except CorpusError:
            return ()

    def choice(self, corpus: str | None, key: str | None) -> Choice:
        """One choice of a corpus. Raises CorpusError and AdapterError where it is not there."""
        return find_choice(list_choices(self.corpus(corpus), self._startup.adapters), key)

    def choice_if_there(self, corpus: str | None, key: str | None) -> Choice | None:
        """One choice of a corpus, or None: for drawing what a question will be refused for."""
        try:
            return self.choice(corpus, key)
        except CrossfadeError:
            return None

    def loaded(self) -> list[str]:
        """The names of the adapters that are served, whatever their task."""
        return [card.name for card in self._startup.adapters if not card.refused]

    def offered(self, corpus: str | None) -> list[tuple[str, str]]:
        """(label, key) of each choice."""
        return [(choice.label, choice.key) for choice in self.choices(corpus)]

    def offered_with(self, corpus: str | None, key: str | None) -> list[tuple[str, str]]:
        """Those, and what was chosen where it is gone since: it says so, and no other one takes its place."""
        offered = self.offered(corpus)
        if offered and key is not None and key not in [value for _, value in offered]:
            chosen = self.choice_if_there(corpus, key)
            offered.append((chosen.label if chosen else f"{key.rpartition('/')[2] or 'no adapter'}: gone", key))
        return offered


def corpus_and_choice(catalog: Catalog) -> tuple[Any, Any]:
    """Draw the corpus list, shown where there is more than one, and the adapter list."""
    names, offered = catalog.names(), catalog.offered(None)
    first = names[0][1] if names else None
    corpus = gr.Dropdown(names, value=first, label="Corpus", visible=len(names) > 1, elem_classes="cf-corpus")
    choice = gr.Dropdown(
        offered,
        value=offered[0][1] if offered else None,
        label="Adapter and its task",
        info="Sets the task of every mode too.",
        elem_classes="cf-choice",
    )
    return corpus, choice


def answer_settings(catalog: Catalog) -> tuple[Any, Any, Any, Any]:
    """Draw the schema's checkbox and the folded sampling settings: enforce, temperature, new tokens, seed."""
    first = next(iter(catalog.choices(None)), None)
    enforce = gr.Checkbox(
        label="Enforce the JSON schema",
        info="The engine may write nothing else, whichever mode.",
        visible=first is not None and first.task.enforceable is not None,
        elem_classes="cf-enforce",
    )
    with gr.Accordion("Sampling", open=False, elem_classes="cf-sampling"):
        temperature = gr.Slider(
            0, 1.5, value=0, step=0.05, label="Temperature", info="0 always takes the likeliest token."
        )
        tokens = gr.Slider(
            8, MOST_NEW_TOKENS, value=first.task.max_new_tokens if first else 200, step=1, label="Most new tokens"
        )
        seed = gr.Number(0, label="Seed", precision=0, minimum=0, maximum=2**31 - 1, info="Matters above 0 only.")
    return enforce, temperature, tokens, seed


def wire(catalog: Catalog, controls: Controls) -> None:
    """A change of corpus changes the adapters; one of adapter the schema's checkbox and the token limit."""

    def corpus_changed(corpus: str | None) -> Any:
        offered = catalog.offered(corpus)
        return gr.Dropdown(choices=offered, value=offered[0][1] if offered else None)

    def choice_changed(corpus: str | None, key: str | None) -> tuple[Any, Any]:
        choice = catalog.choice_if_there(corpus, key)
        if choice is None:
            return gr.skip(), gr.skip()
        return gr.Checkbox(visible=choice.task.enforceable is not None), choice.task.max_new_tokens

    controls.corpus.change(corpus_changed, controls.corpus, controls.choice, **AT_ONCE)
    controls.choice.change(
        choice_changed, [controls.corpus, controls.choice], [controls.enforce, controls.tokens], **AT_ONCE
    )


def refresh(trigger: Any, catalog: Catalog, controls: Controls) -> Any:
    """When the trigger fires, offer the adapters as they are now; what was chosen stays where it is still there."""

    def offer(corpus: str | None, key: str | None, *added: str | None) -> list[Any]:
        if not (offered := catalog.offered_with(corpus, key)):
            return [gr.skip()] * (1 + len(added))
        value = offered[0][1] if key is None else key
        return [gr.Dropdown(choices=offered, value=value), *controls.mixer.offer(catalog.loaded(), added)]

    names = controls.mixer.names
    return trigger(offer, [controls.corpus, controls.choice, *names], [controls.choice, *names], **AT_ONCE)


def make_query(catalog: Catalog, text: str | None, values: Sequence[Any], *, history: tuple[Turn, ...] = ()) -> Asked:
    """What is asked; the mode's switches are added by the tab.

    `values` are those of `Controls.values`. Raises QuestionError, CorpusError and AdapterError.
    """
    corpus_name, key, enforce, temperature, tokens, seed, *mixed = values
    prompts.clean_question(text or "")
    corpus = catalog.corpus(corpus_name)
    choice = catalog.choice(corpus.name, key)
    sampling = Sampling(
        max_new_tokens=min(max(int(tokens or choice.task.max_new_tokens), 1), MOST_NEW_TOKENS),
        temperature=min(max(float(temperature or 0), 0.0), 1.5),
        seed=min(max(int(seed or 0), 0), 2**31 - 1),
    )
    query = Query(
        text=text or "",
        corpus=corpus.name,
        task=choice.task.name,
        history=history,
        sampling=sampling,
        enforce_schema=bool(enforce) and choice.task.enforceable is not None,
    )
    return Asked(query, choice, blend_of(choice.adapter, mixed))
