"""The rows of the adapter list as HTML. Pure but for reading the startup; whatever a card says is escaped."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from crossfade.adapters.facts import AdapterFacts, Score, facts_of
from crossfade.adapters.manage import is_own
from crossfade.adapters.own_bases import OwnBase, answers_here, own_bases
from crossfade.adapters.ownership import owners
from crossfade.settings import Settings
from crossfade.ui import render
from crossfade.ui.language import say
from crossfade.ui.phrases import said
from crossfade.ui.render import escape

if TYPE_CHECKING:
    from crossfade.startup import Startup

HEAD = (
    "adapters.name",
    "adapters.purpose",
    "adapters.method",
    "adapters.base",
    "adapters.size",
    "adapters.data",
    "adapters.loss",
    "adapters.score",
    "adapters.hash",
    "adapters.state",
)
STATES = {
    "loading": "adapters.state_loading",
    "served": "adapters.state_served",
    "disabled": "adapters.state_disabled",
    "refused": "adapters.state_refused",
    "base": "adapters.state_base",
    "answers": "adapters.state_answers",
}
BEST_MODES = ("hybrid", "fine-tune")
"""The modes whose score is shown in the list, the first that was measured."""


@dataclass(frozen=True, slots=True)
class Row:
    """One adapter: `state` is loading, served, disabled or refused, with its `reason`; `facts` is None where its files
    cannot be read. Of a base, `state` is base, refused, or answers where it is the one in use. `own` are those that may
    be renamed and deleted, `changeable` those that may be switched off and on, and `given` those that may be taken
    away: packed, exported, pushed."""

    name: str
    state: str
    own: bool
    facts: AdapterFacts | None = None
    reason: str = ""
    changeable: bool = True
    given: bool = True


def rows_of(startup: Startup, person: str | None) -> tuple[Row, ...]:
    """Every adapter as it is now, sorted by name, the person's own after those that ship; `person` as of `person_of`.

    A visitor sees none that are another one's, and takes none away that whoever runs the page made.
    """
    registry, settings = startup.registry, startup.settings
    owner = owners(settings)
    refused = {card.name: card.refused for card in startup.adapters if card.refused} | registry.refused
    rows = []
    for name in registry.names:
        found = registry.adapters.get(name) or registry.disabled.get(name)
        state = "served" if startup.pipeline is not None else "loading"
        state = "refused" if name in refused else "disabled" if name in registry.disabled else state
        made_here = is_own(settings, name, registry=registry)
        if made_here and person is not None and owner.get(name, person) != person:
            continue
        own = made_here and (person is None or owner.get(name) == person)
        facts = facts_of(found) if found else None
        mine, given = person is None or own, person is None or own or not made_here
        rows.append(Row(name, state, own, facts, refused.get(name, ""), changeable=mine, given=given))
    return tuple(sorted(rows, key=lambda row: (row.own, row.name)))


def base_rows_of(settings: Settings, person: str | None) -> tuple[Row, ...]:
    """The bases that the person trained whole; a visitor has those of their own alone. `person` as of `person_of`."""
    return tuple(
        _base_row(settings, base) for base in own_bases(settings) if person is None or (person and base.owner == person)
    )


def _base_row(settings: Settings, base: OwnBase) -> Row:
    state = "refused" if base.refused else "answers" if answers_here(settings, base.folder) else "base"
    return Row(base.name, state, True, base.facts, base.refused)


def table_html(rows: tuple[Row, ...], language: str, *, title: str = "adapters.list") -> str:
    """The list as a table; where it is wider than the page, it scrolls by itself, with the keyboard too."""
    if not rows:
        return render.note_html(say(language, "adapters.none"))
    head = "".join(f'<th scope="col">{escape(say(language, key))}</th>' for key in HEAD)
    named = escape(say(language, title))
    return (
        f'<div class="cf-table cf-adapters-list" role="region" aria-label="{named}" tabindex="0"><table><thead>'
        f"<tr>{head}</tr></thead><tbody>{''.join(_row_html(row, language) for row in rows)}</tbody></table></div>"
    )


def details_html(row: Row | None, language: str) -> str:
    """All that is known of one adapter: its purpose, its whole hash, every score that its card records."""
    if row is None:
        return ""
    told = f'<p class="cf-note cf-error">{escape(said(language, row.reason))}</p>' if row.reason else ""
    if row.facts is None:
        return f'<div class="cf-adapter-details">{told}</div>'
    facts = row.facts
    told += f'<p dir="auto">{escape(facts.purpose or say(language, "adapters.no_purpose"))}</p>'
    told += f'<p class="cf-note">sha256 <code>{escape(facts.sha256)}</code></p>'
    if facts.gives_way:
        percent = f"{100 * facts.gives_way:.0f}"
        told += f'<p class="cf-note">{escape(say(language, "adapters.gives_way", percent=percent))}</p>'
    if facts.scores:
        told += (
            f'<details class="cf-fold"><summary>{escape(say(language, "adapters.scores", count=len(facts.scores)))}'
            f'</summary><div class="cf-table" tabindex="0">{_scores_html(facts, language)}</div></details>'
        )
    return f'<div class="cf-adapter-details">{told}</div>'


def _scores_html(facts: AdapterFacts, language: str) -> str:
    """A line for each figure of each set, a column for each mode."""
    lines, modes = dict.fromkeys((s.of, s.what) for s in facts.scores), dict.fromkeys(s.mode for s in facts.scores)
    found = {(s.of, s.what, s.mode): s for s in facts.scores}
    head = "".join(f'<th scope="col">{escape(mode)}</th>' for mode in modes)
    body = "".join(
        f"<tr><td>{escape(of)}: {escape(what)}</td>{''.join(_cell(found.get((of, what, m))) for m in modes)}</tr>"
        for of, what in lines
    )
    score = escape(say(language, "adapters.score"))
    return f'<table><tr><th scope="col">{score}</th>{head}</tr>{body}</table>'


def _cell(score: Score | None) -> str:
    return f'<td title="{escape(score.when)}">{escape(_figure(score, digits="3g"))}</td>' if score else "<td></td>"


def _figure(score: Score, *, digits: str) -> str:
    """A value with its interval and the number of questions, where the card has them."""
    told = f"{score.value:.{digits}}"
    if score.low is not None and score.high is not None:
        told += f" ({score.low:.2f} \u2013 {score.high:.2f})"
    return f"{told}, n = {score.n:,}" if score.n else told


def _row_html(row: Row, language: str) -> str:
    word = escape(say(language, STATES[row.state]))
    state = f'<span class="cf-state cf-{row.state}" title="{escape(said(language, row.reason))}">{word}</span>'
    if row.reason:
        state += f'<div class="cf-error">{escape(said(language, row.reason))}</div>'
    if row.facts is None:
        cells = [escape(row.name), *[""] * (len(HEAD) - 2), state]
    else:
        f = row.facts
        cells = [
            f"<b>{escape(f.name)}</b>",
            escape(f.purpose),
            escape(say(language, "adapters.method_rank", method=f.method, rank=f.rank) if f.rank else f.method),
            escape(f.base),
            f"{f.bytes / 1e6:.1f}",
            escape(_data(f, language)),
            _losses(f),
            escape(_score(f, language)),
            f'<code title="{escape(f.sha256)}">{escape(f.sha256[: render.HASH_DIGITS])}</code>',
            state,
        ]
    return f"<tr>{''.join(f'<td>{cell}</td>' for cell in cells)}</tr>"


def _data(facts: AdapterFacts, language: str) -> str:
    return say(language, "adapters.data_rows", data=facts.data, rows=f"{facts.rows:,}") if facts.rows else facts.data


def _losses(facts: AdapterFacts) -> str:
    before, after = facts.loss_before, facts.loss_after
    return "" if before is None or after is None else f"{before:.2f} &#8594; {after:.2f}"


def _score(facts: AdapterFacts, language: str) -> str:
    """The first figure of the best mode, with the base's on the same set beside it."""
    for wanted in BEST_MODES:
        for score in facts.scores:
            if score.mode == wanted:
                same = (s.value for s in facts.scores if (s.of, s.what, s.mode) == (score.of, score.what, "base"))
                base = next(same, None)
                told = f"{score.what} {_figure(score, digits='2f')}"
                return told if base is None else say(language, "adapters.beside_base", score=told, base=f"{base:.2f}")
    return ""
