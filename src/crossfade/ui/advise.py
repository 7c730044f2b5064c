"""The advise tab: nine questions beside the last report, and what they say a person needs. Draws; knows no rule."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import gradio as gr

from crossfade.advisor.advice import Advice
from crossfade.advisor.advise import advise
from crossfade.advisor.interview import INTERVIEW
from crossfade.ui import answering, render
from crossfade.ui.controls import AT_ONCE

SKIP = "skip"
MEASURED = "Advice rests on the report of the Evaluate tab, and on what you answer here."
UNMEASURED = "No report yet: advice is general experience. Measure in the Evaluate tab, and it rests on figures."


class AdviseTab:
    """Draws the tab into the `gr.Blocks` that is open. `report` holds the last report of the session, or None."""

    def __init__(self, report: Any) -> None:
        self.about = gr.HTML(render.note_html(UNMEASURED), elem_id="advise-about")
        with gr.Row():
            with gr.Column(scale=2, min_width=320):
                self.answers = [
                    gr.Radio(
                        [*((words, key) for key, words in q.options.items()), ("Skip", SKIP)],
                        value=SKIP,
                        label=f"{number}. {q.text}",
                        info=q.why,
                        elem_id=f"advise-{q.key}",
                    )
                    for number, q in enumerate(INTERVIEW, start=1)
                ]
            with gr.Column(scale=3, min_width=320):
                self.shown = gr.HTML(_advice(None), elem_id="advice")
        for radio in self.answers:
            radio.change(_advice, [report, *self.answers], self.shown, **AT_ONCE)
        report.change(_advice, [report, *self.answers], self.shown, **AT_ONCE)
        report.change(lambda r: render.note_html(MEASURED if r else UNMEASURED), report, self.about, **AT_ONCE)


def _advice(report: Mapping[str, Any] | None, *answers: str | None) -> str:
    given = {q.key: answer or SKIP for q, answer in zip(INTERVIEW, answers, strict=False)}
    try:
        return advice_html(advise(report, given))
    except Exception as error:
        return render.note_html(answering.sentence(error), kind="error")


def advice_html(advice: Advice) -> str:
    """An advice with its reasons, each with what it rests on."""
    reasons = "".join(
        f'<li>{render.escape(_sentence(r.text))} <span class="cf-source-of">{render.escape(r.source)}</span></li>'
        for r in advice.reasons
    )
    steps, changes = (
        "".join(f"<li>{render.escape(t)}</li>" for t in texts) for texts in (advice.steps, advice.changes)
    )
    return (
        f'<div class="cf-advice"><h2>{render.escape(advice.headline)}</h2><h3>Why</h3><ul>{reasons}</ul>'
        f"<h3>What it takes</h3><p>{render.escape(advice.setup)}</p><p>{render.escape(advice.per_thousand)}</p>"
        f"<h3>Next</h3><ol>{steps}</ol><h3>What would change this</h3><ul>{changes}</ul></div>"
    )


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:].rstrip(".") + "."
