"""The controls that both tabs have (corpus, adapter with its task, schema, sampling), and the Query they make."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import gradio as gr

from crossfade import prompts
from crossfade.corpora.registry import Corpus
from crossfade.errors import AdapterError, CorpusError, CrossfadeError
from crossfade.types import Blend, Query, Sampling, Turn
from crossfade.ui.choices import Choice, find_choice, gone_label, list_choices
from crossfade.ui.language import label, language_of, say
from crossfade.ui.mixer import Mixer, blend_of, weights_of
from crossfade.ui.owner import person_of
from crossfade.ui.visible import hidden_adapters, visible_corpora

if TYPE_CHECKING:
    from crossfade.startup import AdapterCard, Startup

MOST_NEW_TOKENS = 1024
MOST_INSTRUCTIONS = 4_000
"""Characters of a person's own instructions: they are read again with every question."""

QUIET: dict[str, Any] = {"show_progress": "hidden", "show_progress_on": [], "api_visibility": "private"}
"""For every event: no overlay over what is written, and no entry in a public API.

With no component to show progress on, Gradio keeps no state of it either: with every event it would write that into
each output that any event ever had, which took a third of the time in which the page is drawn.
"""

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
    top_p: Any
    instructions: Any
    mixer: Mixer

    @property
    def values(self) -> list[Any]:
        """The components, in the order in which `make_query` takes them."""
        own = [self.corpus, self.choice, self.enforce, self.temperature, self.tokens, self.seed]
        return [*own, self.top_p, self.instructions, *self.mixer.values]


@dataclass(frozen=True, slots=True)
class Asked:
    """What a tab's controls ask: the query in base mode, the choice it belongs to, the blend for fine-tuning modes."""

    query: Query
    choice: Choice
    blend: Blend


class Catalog:
    """The corpora and the choices of each, as they are known now: adapters may be refused while they load.

    It holds what anybody may ask; `of` gives that of one who asks, with the adapters that are theirs.
    """

    def __init__(self, startup: Startup, request: gr.Request | None = None) -> None:
        self._startup = startup
        self._person = person_of(request, startup.settings)

    def of(self, request: gr.Request) -> Catalog:
        """What the sender of a request may ask."""
        return Catalog(self._startup, request)

    def check(self, *blends: Blend, language: str = "en") -> None:
        """Raises AdapterError for blends one of which names an adapter of somebody else."""
        hidden = hidden_adapters(self._startup.settings, self._person)
        if named := [name for blend in blends for name, _ in blend if name in hidden]:
            raise AdapterError(say(language, "controls.adapter_gone", name=named[0]))

    @property
    def _adapters(self) -> tuple[AdapterCard, ...]:
        hidden = hidden_adapters(self._startup.settings, self._person)
        return tuple(card for card in self._startup.adapters if card.name not in hidden)

    def names(self) -> list[tuple[str, str]]:
        """(title, name) of each corpus."""
        return [(corpus.title, corpus.name) for corpus in self._startup.corpora]

    def corpus(self, name: str | None) -> Corpus:
        """The corpus of that name, the first for None. Raises CorpusError where there is none."""
        corpora = visible_corpora(self._startup, self._person)
        if not corpora:
            raise CorpusError(
                f"No corpus was found in {self._startup.settings.corpora}. Put one there and start again."
            )
        for corpus in corpora:
            if name in (None, corpus.name):
                return corpus
        why = " ".join(self._startup.broken_corpora) or "It is not there any more."
        raise CorpusError(f"Corpus {name!r} cannot be asked. {why} Known: {', '.join(c.name for c in corpora)}.")

    def choices(self, corpus: str | None, *, language: str = "en") -> tuple[Choice, ...]:
        """The choices of a corpus; none where there is no such corpus."""
        try:
            return list_choices(self.corpus(corpus), self._adapters, language=language)
        except CorpusError:
            return ()

    def choice(self, corpus: str | None, key: str | None, *, language: str = "en") -> Choice:
        """One choice of a corpus. Raises CorpusError and AdapterError where it is not there."""
        choices = list_choices(self.corpus(corpus), self._adapters, language=language)
        return find_choice(choices, key, language=language)

    def choice_if_there(self, corpus: str | None, key: str | None, *, language: str = "en") -> Choice | None:
        """One choice of a corpus, or None: for drawing what a question will be refused for."""
        try:
            return self.choice(corpus, key, language=language)
        except CrossfadeError:
            return None

    def loaded(self) -> list[str]:
        """The names of the adapters that are served, whatever their task; that of the first choice comes first."""
        first = next((choice.adapter for choice in self.choices(None)), "")
        return sorted((card.name for card in self._adapters if not card.refused), key=lambda n: n != first)

    def offered(self, corpus: str | None, *, language: str = "en") -> list[tuple[str, str]]:
        """(label, key) of each choice."""
        return [(choice.label, choice.key) for choice in self.choices(corpus, language=language)]

    def offered_with(self, corpus: str | None, key: str | None, *, language: str = "en") -> list[tuple[str, str]]:
        """Those, and what was chosen where it is gone since: it says so, and no other one takes its place."""
        offered = self.offered(corpus, language=language)
        if offered and key is not None and key not in [value for _, value in offered]:
            chosen = self.choice_if_there(corpus, key, language=language)
            offered.append((chosen.label if chosen else gone_label(key.rpartition("/")[2], language), key))
        return offered


def corpus_and_choice(catalog: Catalog) -> tuple[Any, Any]:
    """Draw the corpus list, shown where there is more than one, and the adapter list."""
    names, offered = catalog.names(), catalog.offered(None)
    first = names[0][1] if names else None
    corpus = gr.Dropdown(
        names, value=first, label=label("controls.corpus"), visible=len(names) > 1, elem_classes="cf-corpus"
    )
    choice = gr.Dropdown(
        offered,
        value=offered[0][1] if offered else None,
        label=label("controls.choice"),
        info=label("controls.choice_info"),
        elem_classes="cf-choice",
    )
    return corpus, choice


def answer_settings(catalog: Catalog) -> tuple[Any, Any, Any, Any, Any, Any]:
    """Draw the schema's checkbox and the folded settings, in the order in which `Controls` has them."""
    first = next(iter(catalog.choices(None)), None)
    enforce = gr.Checkbox(
        label=label("controls.enforce"),
        info=label("controls.enforce_info"),
        visible=first is not None and first.task.enforceable is not None,
        elem_classes="cf-enforce",
    )
    with gr.Accordion(label("controls.sampling"), open=False, elem_classes="cf-sampling"):
        temperature = gr.Slider(
            0, 1.5, value=0, step=0.05, label=label("controls.temperature"), info=label("controls.temperature_info")
        )
        top_p = gr.Slider(
            0.05, 1, value=Sampling().top_p, step=0.05, label=label("controls.top_p"), info=label("controls.top_p_info")
        )
        seed = gr.Number(
            0,
            label=label("controls.seed"),
            precision=0,
            minimum=0,
            maximum=2**31 - 1,
            info=label("controls.seed_info"),
        )
        start = first.task.max_new_tokens if first else 200
        tokens = gr.Slider(8, MOST_NEW_TOKENS, value=start, step=1, label=label("controls.tokens"))
    with gr.Accordion(label("controls.instructions"), open=False, elem_classes="cf-instructions"):
        instructions = gr.Textbox(
            label=label("controls.instructions_label"),
            info=label("controls.instructions_info"),
            placeholder=label("controls.instructions_example"),
            lines=2,
            max_lines=8,
            max_length=MOST_INSTRUCTIONS,
        )
    return enforce, temperature, tokens, seed, top_p, instructions


def wire(catalog: Catalog, controls: Controls) -> None:
    """A change of corpus changes the adapters; one of adapter the schema's checkbox, the token limit and the mixer."""
    mixer = controls.mixer

    def corpus_changed(request: gr.Request, corpus: str | None) -> Any:
        offered = catalog.of(request).offered(corpus, language=language_of(request))
        return gr.Dropdown(choices=offered, value=offered[0][1] if offered else None)

    def choice_changed(request: gr.Request, corpus: str | None, key: str | None, names: Sequence[str]) -> list[Any]:
        mine = catalog.of(request)
        choice = mine.choice_if_there(corpus, key)
        if choice is None:
            return [gr.skip()] * (2 + len(mixer.drawn))
        sliders = mixer.draw(mine.loaded(), {choice.adapter: 1.0}, chosen=choice.adapter)
        if tuple(names)[:1] == (choice.adapter,):  # the list was offered anew: what a person has mixed stays
            sliders = [gr.skip()] * len(mixer.drawn)
        return [gr.Checkbox(visible=choice.task.enforceable is not None), choice.task.max_new_tokens, *sliders]

    controls.corpus.change(corpus_changed, controls.corpus, controls.choice, **AT_ONCE)
    controls.choice.change(
        choice_changed,
        [controls.corpus, controls.choice, mixer.names],
        [controls.enforce, controls.tokens, *mixer.drawn],
        **AT_ONCE,
    )


def offered_anew(choices: Sequence[Any], value: Any, chosen: Any) -> Any:
    """An update of a list that was `chosen` in: it sets the value only where that must change.

    An answer may come after a person chose again, and would set that back.
    """
    return gr.Dropdown(choices=list(choices), **({} if value == chosen else {"value": value}))


def refresh(trigger: Any, catalog: Catalog, controls: Controls) -> Any:
    """When the trigger fires, offer the adapters as they are now; what was chosen stays where it is still there."""
    mixer = controls.mixer

    def offer(request: gr.Request, corpus: str | None, key: str | None, *mixed: Any) -> list[Any]:
        mine = catalog.of(request)
        if not (offered := mine.offered_with(corpus, key, language=language_of(request))):
            return [gr.skip()] * (1 + len(mixer.drawn))
        value = offered[0][1] if key is None else key
        choice = mine.choice_if_there(corpus, value)
        chosen, weights = choice.adapter if choice else "", weights_of(mixed)
        if chosen and chosen not in weights:  # it is served only now: nobody can have moved it
            weights = {chosen: 1.0}
        sliders = mixer.draw(mine.loaded(), weights, chosen=chosen)
        if mixed and tuple(mixed[0]) == sliders[0]:  # nothing came or went: a slider under way is not set back
            sliders = [gr.skip()] * len(mixer.drawn)
        return [offered_anew(offered, value, key), *sliders]

    asked = [controls.corpus, controls.choice, *mixer.values]
    return trigger(offer, asked, [controls.choice, *mixer.drawn], **AT_ONCE)


def make_query(
    catalog: Catalog,
    text: str | None,
    values: Sequence[Any],
    *,
    history: tuple[Turn, ...] = (),
    language: str = "en",
) -> Asked:
    """What is asked; the mode's switches are added by the tab.

    `values` are those of `Controls.values`. Raises QuestionError, CorpusError and AdapterError in that language.
    """
    corpus_name, key, enforce, temperature, tokens, seed, *rest = values
    top_p, instructions, *mixed = rest or (None, None)
    prompts.clean_question(text or "")
    corpus = catalog.corpus(corpus_name)
    choice = catalog.choice(corpus.name, key, language=language)
    sampling = Sampling(
        max_new_tokens=min(max(int(tokens or choice.task.max_new_tokens), 1), MOST_NEW_TOKENS),
        temperature=min(max(float(temperature or 0), 0.0), 1.5),
        top_p=min(max(float(top_p or Sampling().top_p), 0.01), 1.0),
        seed=min(max(int(seed or 0), 0), 2**31 - 1),
    )
    query = Query(
        text=text or "",
        corpus=corpus.name,
        task=choice.task.name,
        history=history,
        sampling=sampling,
        enforce_schema=bool(enforce) and choice.task.enforceable is not None,
        instructions=str(instructions or "").strip()[:MOST_INSTRUCTIONS],
    )
    blend = blend_of(choice.adapter, mixed)
    catalog.check(blend, language=language)
    return Asked(query, choice, blend)
