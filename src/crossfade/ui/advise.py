"""The advise tab: nine questions beside the last report, and what they say a person needs. Draws; knows no rule."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import gradio as gr

from crossfade.advisor.advice import Advice
from crossfade.advisor.advise import advise
from crossfade.advisor.interview import INTERVIEW, InterviewQuestion
from crossfade.ui import answering, render
from crossfade.ui.controls import AT_ONCE
from crossfade.ui.language import language_of, say
from crossfade.ui.phrases import said

SKIP = "skip"


class AdviseTab:
    """Draws the tab into the `gr.Blocks` that is open. `report` holds the last report of the session, or None."""

    def __init__(self, report: Any) -> None:
        self._report = report
        self.about = gr.HTML(_about(None, "en"), elem_id="advise-about")
        with gr.Row():
            with gr.Column(scale=2, min_width=320):
                self.answers = [
                    gr.Radio(value=SKIP, elem_id=f"advise-{question.key}", **_words(number, question, "en"))
                    for number, question in enumerate(INTERVIEW, start=1)
                ]
            with gr.Column(scale=3, min_width=320):
                self.shown = gr.HTML(_advice(None, language="en"), elem_id="advice")

        def advised(request: gr.Request, report: Mapping[str, Any] | None, *answers: str | None) -> str:
            return _advice(report, *answers, language=language_of(request))

        def about(request: gr.Request, report: Mapping[str, Any] | None) -> str:
            return _about(report, language_of(request))

        for radio in self.answers:
            radio.change(advised, [report, *self.answers], self.shown, **AT_ONCE)
        report.change(advised, [report, *self.answers], self.shown, **AT_ONCE)
        report.change(about, report, self.about, **AT_ONCE)

    def greet(self, trigger: Any) -> None:
        """Draw questions and advice in the reader's language when the trigger fires."""

        def drawn(request: gr.Request, report: Mapping[str, Any] | None, *answers: str | None) -> list[Any]:
            shown = language_of(request)
            if shown == "en":  # as it was drawn at first
                return [gr.skip()] * (2 + len(answers))
            radios = [gr.Radio(**_words(number, q, shown)) for number, q in enumerate(INTERVIEW, start=1)]
            return [_about(report, shown), _advice(report, *answers, language=shown), *radios]

        trigger(drawn, [self._report, *self.answers], [self.about, self.shown, *self.answers], **AT_ONCE)


def _words(number: int, question: InterviewQuestion, shown: str) -> dict[str, Any]:
    """What a question's radio buttons say in a language."""
    choices = [(said(shown, words), key) for key, words in question.options.items()]
    return {
        "choices": [*choices, (say(shown, "advise.skip"), SKIP)],
        "label": f"{number}. {said(shown, question.text)}",
        "info": said(shown, question.why),
    }


def _about(report: Mapping[str, Any] | None, shown: str) -> str:
    return render.note_html(say(shown, "advise.measured") if report else say(shown, "advise.unmeasured"))


def _advice(report: Mapping[str, Any] | None, *answers: str | None, language: str) -> str:
    given = {q.key: answer or SKIP for q, answer in zip(INTERVIEW, answers, strict=False)}
    try:
        return advice_html(advise(report, given), language)
    except Exception as error:
        return render.note_html(answering.sentence(error, language), kind="error")


def advice_html(advice: Advice, shown: str = "en") -> str:
    """An advice with its reasons, each with what it rests on."""

    def words(text: str) -> str:
        return render.escape(said(shown, text))

    def listed(texts: tuple[str, ...]) -> str:
        return "".join(f"<li>{words(text)}</li>" for text in texts)

    reasons = "".join(
        f'<li>{render.escape(_sentence(said(shown, r.text)))} <span class="cf-source-of">{words(r.source)}</span></li>'
        for r in advice.reasons
    )
    parts = (
        (say(shown, "advise.why"), f"<ul>{reasons}</ul>"),
        (say(shown, "advise.takes"), f"<p>{words(advice.setup)}</p><p>{words(advice.per_thousand)}</p>"),
        (say(shown, "advise.next"), f"<ol>{listed(advice.steps)}</ol>"),
        (say(shown, "advise.changes"), f"<ul>{listed(advice.changes)}</ul>"),
    )
    told = "".join(f"<h3>{title}</h3>{part}" for title, part in parts)
    return f'<div class="cf-advice"><h2>{words(advice.headline)}</h2>{told}</div>'


def _sentence(text: str) -> str:
    """With a capital and a full stop of its language."""
    stop = "。" if text[-1:] > "\u2e80" else "."
    return text[:1].upper() + text[1:].rstrip(".。") + stop
