"""Put the page together and serve it. Knows the tabs, the status line and Gradio's launch; nothing of answers."""

from __future__ import annotations

import logging
import signal
import socket
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import gradio as gr
from starlette.middleware import Middleware

from crossfade.errors import SettingsError
from crossfade.history.bounds import MB, Bounds
from crossfade.history.conversations import Conversations
from crossfade.history.database import Database
from crossfade.models.catalogue import knows_english_only
from crossfade.settings import Settings
from crossfade.training.desk import Desk
from crossfade.ui import answering, json_view, language, render, uploads
from crossfade.ui.actions import no_picture
from crossfade.ui.adapters import AdaptersTab
from crossfade.ui.advise import AdviseTab
from crossfade.ui.chat import ChatTab
from crossfade.ui.compare import CompareTab
from crossfade.ui.controls import AT_ONCE
from crossfade.ui.conversation_list import ConversationList
from crossfade.ui.evaluate import EvaluateTab
from crossfade.ui.feedback import FeedbackBox
from crossfade.ui.first_screen import english_note
from crossfade.ui.language import ChoiceFirst, label, say
from crossfade.ui.owner import OwnerCookie
from crossfade.ui.phrases import said, said_status
from crossfade.ui.running import Running
from crossfade.ui.served import DownloadDoor
from crossfade.ui.sources import SourcePanel

if TYPE_CHECKING:
    from crossfade.startup import Startup

log = logging.getLogger(__name__)

STYLES = Path(__file__).with_name("styles")
DOORS = (OwnerCookie, ChoiceFirst, uploads.UploadDoor, DownloadDoor)
SECONDS_BETWEEN_LOOKS = 0.7
"""How often a page that is still loading asks how far it is."""


def build_ui(startup: Startup) -> gr.Blocks:
    """The page: status, chat, comparison, adapters, evaluation, advice. It may be shown before anything is loaded."""
    running = Running()
    settings = startup.settings
    bounds = Bounds(each=settings.history_mb_each * MB, all=settings.history_mb * MB)
    history = Database(settings.history, bounds)

    def busy() -> bool:
        # Gradio's own refusal is a passing toast that leaves the page as if it were answering; so ask its queue first.
        return len(page._queue) >= answering.QUEUE_LENGTH

    cache = (uploads.CACHE_ROUND_SECONDS, uploads.KEPT_SECONDS)
    with gr.Blocks(title="Crossfade", analytics_enabled=False, fill_width=True, delete_cache=cache) as page:
        with gr.Row(elem_classes="cf-top"):
            head = gr.HTML(head_html("en"))
            status = gr.HTML(status_html(startup), elem_id="status")
        note = gr.HTML("", elem_id="language-note")
        gr.HTML("", js_on_load=json_view.SCRIPT, elem_classes="cf-hidden")  # here: a tab's parts wait for its opening
        report = gr.State(None)
        with gr.Tabs() as tabs:
            with gr.Tab(label("page.tab_chat"), id="chat"), gr.Row(elem_classes="cf-with-list"):
                conversations = ConversationList(startup, Conversations(history))
                with gr.Column(elem_classes="cf-beside-list"):
                    chat = ChatTab(startup, running, busy=busy, report=report)
                    with chat.below_log:
                        thumbs = FeedbackBox(history)
            with gr.Tab(label("page.tab_compare"), id="compare"):
                comparison = CompareTab(startup, running, busy=busy, database=history)
            with gr.Tab(label("page.tab_adapters"), id="adapters"):
                adapters = AdaptersTab(startup, Desk(startup.settings.trainings, done=startup.refresh_adapters))
            with gr.Tab(label("page.tab_evaluate"), id="evaluate"):
                evaluation = EvaluateTab(startup, running, report=report)
            with gr.Tab(label("page.tab_advise"), id="advise"):
                advice = AdviseTab(report)
        SourcePanel(startup, chat.turns, chat.crossfader.steps, comparison.asked)
        timer = gr.Timer(SECONDS_BETWEEN_LOOKS)

        def look(request: gr.Request) -> tuple[str, Any]:
            over = startup.pipeline is not None or bool(startup.error)
            return status_html(startup, language.language_of(request)), gr.Timer(active=not over)

        def greet(request: gr.Request) -> tuple[str, str]:
            shown = language.language_of(request)
            return head_html(shown), note_html(startup.settings.base, shown)

        timer.tick(look, None, [status, timer], **AT_ONCE)
        page.load(look, None, [status, timer], **AT_ONCE)
        page.load(greet, None, [head, note], **AT_ONCE)
        adapters.wire(tabs, chat, comparison)
        comparison.load(page.load, tabs)
        conversations.wire(page.load, chat)
        thumbs.wire(chat, conversations)
        chat.actions.picture(no_picture, None, [chat.notice, comparison.notice], **AT_ONCE)
        adapters.refresh(page.load)
        for translated in (evaluation, advice):
            translated.greet(page.load)
        for tab in (chat, comparison, evaluation, adapters.list):
            tab.refresh(page.load)
            tab.refresh(status.change)
        for tab in (chat, comparison, evaluation):
            tab.refresh(adapters.list.changed)
        for changed in (adapters.runs.ended.change, report.change):  # what is measured stands in the list
            adapters.list.refresh(changed)

        def leave(request: gr.Request) -> None:
            running.leave(str(request.session_hash))

        page.unload(leave)
    page.queue(max_size=2 * answering.QUEUE_LENGTH, default_concurrency_limit=startup.settings.slots, api_open=False)
    return page


def serve(startup: Startup, settings: Settings) -> None:
    """Serve the page until the process is interrupted. Raises SettingsError where the port cannot be had."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))  # what is registered for the end is done then, too
    port = free_port(settings.host, settings.port)
    page = build_ui(startup)
    page.launch(
        server_name=settings.host,
        server_port=port,
        theme=theme(),
        css_paths=sorted(STYLES.glob("*.css")),
        footer_links=[],
        i18n=language.translations(),
        app_kwargs={"middleware": [Middleware(part) for part in DOORS]},
        show_error=False,
        share=False,
        inbrowser=False,
        quiet=True,
        allowed_paths=[],
        max_file_size=uploads.UPLOAD_LIMIT,
        enable_monitoring=False,
        ssr_mode=False,
        pwa=False,
        mcp_server=False,
        run_history=False,
        _frontend=False,  # else Gradio asks for its own page once, and ends a server that takes 3 s for it
        prevent_thread_lock=True,
    )
    log.info("Crossfade is at http://%s:%d (Ctrl+C ends it).", settings.host, port)  # where a browser finds it now
    page.block_thread()


def theme() -> Any:
    """One accent on calm greys, in fonts that the reader's machine has: nothing is loaded from elsewhere."""
    return gr.themes.Base(
        primary_hue="teal",
        secondary_hue="teal",
        neutral_hue="slate",
        radius_size="lg",
        font=["ui-sans-serif", "system-ui", "sans-serif"],
        font_mono=["ui-monospace", "monospace"],
    ).set(
        # Text in the accent and subdued text keep a contrast of 4.5 to 1 on their ground, light and dark.
        color_accent="*primary_700",
        body_text_color_subdued="*neutral_600",
        body_text_color_subdued_dark="*neutral_400",
        block_info_text_color="*neutral_600",
        block_info_text_color_dark="*neutral_400",
        button_primary_background_fill="*primary_700",
        button_primary_background_fill_hover="*primary_800",
        button_primary_background_fill_dark="*primary_700",
        button_primary_background_fill_hover_dark="*primary_800",
        checkbox_background_color_selected="*primary_700",
        checkbox_background_color_selected_dark="*primary_600",
        checkbox_border_color="*neutral_400",
        checkbox_border_color_dark="*neutral_400",
        input_placeholder_color="*neutral_500",
        input_placeholder_color_dark="*neutral_300",
    )


def head_html(shown: str) -> str:
    """The title with its line, and the languages and themes to choose from, in one of the languages."""
    tagline = say(shown, "page.tagline")
    buttons = "".join(
        f'<button type="button" lang="{name}" aria-pressed="{str(name == shown).lower()}" '
        f"onclick=\"crossfadeLanguage('{name}')\">{title}</button>"
        for name, title in language.LANGUAGES.items()
    )
    theme = say(shown, "page.theme")
    return (
        '<div class="cf-title"><div class="cf-title-line"><h1>Crossfade</h1>'
        f'<div class="cf-languages" role="group" aria-label="{say(shown, "page.language")}">{buttons}</div>'
        f'<button type="button" class="cf-theme" onclick="crossfadeTheme()" aria-label="{theme}" title="{theme}">'
        '<span aria-hidden="true">&#9680;</span></button></div>'
        f"<p>{tagline}</p></div>"
    )


def note_html(base: str, shown: str) -> str:
    """What a Chinese reader is told before the first question where the base knows English alone; else nothing."""
    if shown == "en" or not knows_english_only(base):
        return ""
    return english_note(shown)


def status_html(startup: Startup, shown: str = "en") -> str:
    """One line on what is loading, ready or wrong; what is left out, such as a broken corpus, is told in each."""
    if startup.error:
        return f'<div class="cf-status cf-bad">{render.note_html(said(shown, startup.error), kind="error")}</div>'
    ready = startup.pipeline is not None
    told = [line for line in startup.status if "ready" in line] if ready else startup.status[-2:]
    left_out = (*startup.broken_corpora, *filter(None, [startup.without_documents]))
    lines = "".join(f"<span>{render.escape(said_status(shown, line))}</span>" for line in told)
    lines += "".join(f'<span class="cf-left">{render.escape(said(shown, line))}</span>' for line in left_out)
    word = say(shown, "page.ready") if ready else say(shown, "page.loading")
    return f'<div class="cf-status cf-{"ready" if ready else "loading"}" role="status"><b>{word}</b>{lines}</div>'


def free_port(host: str, port: int) -> int:
    """The port itself, or a free one for 0. Raises SettingsError where it cannot be had."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except (OSError, OverflowError) as error:
            raise SettingsError(
                f"Cannot serve on {host}:{port}: {error}. Stop what uses it, or set CROSSFADE_PORT to another number."
            ) from error
        return int(probe.getsockname()[1])
