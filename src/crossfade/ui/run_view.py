"""A training run as HTML: state, bar, curves, speed and samples. Reads the run's folder; knows no page.

Whatever a row or a model wrote is escaped.
"""

from __future__ import annotations

from pathlib import Path

from crossfade.training.best import kept_of
from crossfade.training.record import Sample, TrainingProgress
from crossfade.training.run_folder import RunFolder
from crossfade.ui import render
from crossfade.ui.language import say
from crossfade.ui.loss_plot import loss_svg
from crossfade.ui.phrases import said

SHOWN_SAMPLES = 3
SAMPLE_CHARACTERS = 400
LONG_SECONDS = 90


def run_html(run: RunFolder, language: str, *, before: int | None = 0) -> str:
    """A run as it stands. Where it waits `before` trainings come first; for None nobody here will begin it."""
    about, state, progress = run.about(), run.state(), run.progress()
    name = state["state"]
    titles = {key: str(about.get(key, "")) for key in ("name", "method", "data")}
    titles["name"] = titles["name"] or run.path.name
    title = render.escape(say(language, "training.run_title", **titles))
    words = render.escape(_words(state, language, before=before, begun=bool(progress)))
    parts = [f'<div class="cf-run"><h3>{title}</h3><p class="cf-state cf-{name}" role="status">{words}</p>']
    if name == "failed":
        parts.append(render.note_html(said(language, str(state.get("message", ""))), kind="error"))
    elif name in ("done", "cancelled") and about.get("method") == "full" and state.get("made"):
        parts.append(render.note_html(say(language, "training.made_a_base", name=Path(str(state["made"])).name)))
    if progress:
        parts += [_progress_html(progress, name, language), _curves(run, progress, language)]
    parts += [_samples_html(run.samples(), language), "</div>"]
    return "".join(parts)


def _words(state: dict[str, object], language: str, *, before: int | None, begun: bool) -> str:
    """The state in a sentence."""
    match state["state"]:
        case "waiting":
            if before is None:
                return say(language, "training.left_waiting")
            return say(language, "training.waits_for", count=before) if before else say(language, "training.waits")
        case "running":
            return say(language, "training.trains") if begun else say(language, "training.makes_rows")
        case "done":
            return say(language, "training.done")
        case "cancelled":
            return (
                say(language, "training.cancelled_kept") if state.get("made") else say(language, "training.cancelled")
            )
        case "failed":
            return say(language, "training.failed")
    return say(language, "training.interrupted")


def _progress_html(progress: list[TrainingProgress], state: str, language: str) -> str:
    last = progress[-1]
    told = say(
        language,
        "training.progress",
        step=last.step,
        steps=last.steps,
        speed=f"{last.tokens_per_second:.0f}",
        minutes=f"{last.seconds / 60:.1f}",
    )
    if state == "running" and last.step < last.steps:
        left = last.seconds_left
        told += (
            say(language, "training.minutes_left", left=f"{left / 60:.0f}")
            if left >= LONG_SECONDS
            else (say(language, "training.seconds_left", left=f"{max(1, left):.0f}"))
        )
    label = render.escape(say(language, "training.steps_made"))
    bar = f'<progress max="{last.steps}" value="{last.step}" aria-label="{label}"></progress>'
    return (
        f'<div class="cf-progress">{bar}{render.note_html(told, kind="wait" if state == "running" else "note")}</div>'
    )


def _curves(run: RunFolder, progress: list[TrainingProgress], language: str) -> str:
    measured, steps = run.measurements(), progress[-1].steps
    held_out, kept = [(m.step, m.loss) for m in measured], kept_of(measured, steps=steps)
    learned = [(p.step, p.loss) for p in progress]
    svg = loss_svg(learned, held_out, steps=steps, kept=kept.step if kept else 0, language=language)
    ends = ", ".join(f"{loss:.3f}" for _, loss in (held_out[:1] + held_out[-1:] if len(held_out) > 1 else held_out))
    rows = render.escape(say(language, "training.held_out_rows"))
    told = f'<span class="cf-key-held-out">{rows}</span> {ends}' if held_out else ""
    learned_rows, unit = (render.escape(say(language, key)) for key in ("training.learned_rows", "training.unit"))
    return f'{svg}<p class="cf-key"><span class="cf-key-learned">{learned_rows}</span> {told} {unit}</p>'


def _samples_html(samples: list[Sample], language: str) -> str:
    """The last answers to held-out rows, beside what was wanted and what was answered before the training."""
    if not samples:
        return ""
    last = max(s.step for s in samples)
    first = {s.prompt: s.answer for s in samples if s.step == 0}
    rows = []
    for sample in [s for s in samples if s.step == last][:SHOWN_SAMPLES]:
        asked = sample.prompt.rpartition("\nuser\n")[2].rpartition("\nassistant")[0] or sample.prompt
        answers = (sample.wanted, first.get(sample.prompt, ""), sample.answer)
        cells = [_end(asked), *map(_short, answers)]
        rows.append("<tr>" + "".join(f"<td>{cell}</td>" for cell in cells) + "</tr>")
    titles = [say(language, key) for key in ("training.asked", "training.wanted", "training.before")]
    titles.append(say(language, "training.at_step", step=last))
    head = "".join(f'<th scope="col">{render.escape(title)}</th>' for title in titles)
    return f'<div class="cf-samples" tabindex="0"><table><tr>{head}</tr>{"".join(rows)}</table></div>'


def _end(text: str) -> str:
    """The end of what was asked: there the question stands."""
    return render.escape(text if len(text) <= SAMPLE_CHARACTERS else "… " + text[-SAMPLE_CHARACTERS:])


def _short(text: str) -> str:
    cut = text if len(text) <= SAMPLE_CHARACTERS else text[:SAMPLE_CHARACTERS] + " …"
    return render.escape(cut)
