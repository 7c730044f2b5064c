"""What a reader can do with a turn: the page's script hands clicks and keys on to one component. Knows no answer.

Gradio's own copy and edit buttons would take a message as it is, and ours is HTML; so the buttons are our own, drawn
in the messages, and any click on one becomes an event of this component with what to do, with which turn, in which
mode.
"""

from __future__ import annotations

from typing import Any

import gradio as gr

from crossfade.ui.language import language_of, say
from crossfade.ui.render import note_html

COPY = """(text) => {
  const old = () => {
    const area = document.createElement('textarea');
    area.value = text;
    document.body.append(area);
    area.select();
    document.execCommand('copy');
    area.remove();
  };
  if (navigator.clipboard) navigator.clipboard.writeText(text).catch(old); else old();
}"""
"""Puts a text on the clipboard, on a page without https too."""

_SCRIPT = """
const names = {copy: 'copy', retry: 'retry', undo: 'undo', edit: 'edit', cancel: 'clear', example: 'example_select'};
const told = (button) => {
  const before = button.textContent;
  button.textContent = '✓';
  setTimeout(() => { button.textContent = before; }, 1200);
};
document.addEventListener('click', (event) => {
  const button = event.target.closest?.('[class*="cf-do-"], [class*="cf-tab-"]');
  const menu = button?.classList.contains('cf-do-menu') ? button.parentElement : null;
  document.querySelectorAll('.cf-menu.cf-open').forEach((other) => other !== menu && other.classList.remove('cf-open'));
  menu?.classList.toggle('cf-open');
  if (!button) return;
  const said = (start) => [...button.classList].find((name) => name.startsWith(start))?.slice(start.length) || '';
  const tab = said('cf-tab-'), what = said('cf-do-');
  if (tab) document.querySelector(`button[role=tab][data-tab-id="${tab}"]`)?.click();
  if (!names[what]) return;
  trigger(names[what], {turn: Number(said('cf-at-')), mode: said('cf-in-')});
  if (what === 'copy') told(button);
  if (what === 'edit' || what === 'example') document.querySelector('#chat-question textarea')?.focus();
});
const shown = (place) => document.querySelector(place)?.offsetParent ? document.querySelector(place) : null;
document.addEventListener('keydown', (event) => {
  if (event.isComposing) return;
  const menu = document.querySelector('.cf-menu.cf-open');
  if (event.key === 'Escape' && menu) menu.classList.remove('cf-open');
  else if (event.key === 'Escape') ['#chat-stop', '#fader-stop', '#compare-stop'].map(shown).find(Boolean)?.click();
  if (event.ctrlKey && event.shiftKey && event.key.toLowerCase() === 'o' && shown('#conversations-new')) {
    event.preventDefault();
    shown('#conversations-new').click();
    document.querySelector('#chat-question textarea')?.focus();
  }
});
const asks = (event) => event.target.closest?.('#chat-question, #compare-question');
const refuse = (event, data) => {
  if (!asks(event) || !data?.files.length || data.getData('text/plain')) return;
  event.preventDefault();
  trigger('upload', {box: asks(event).id});
};
document.addEventListener('paste', (event) => refuse(event, event.clipboardData));
document.addEventListener('dragover', (event) => {
  if (asks(event) && event.dataTransfer.types.includes('Files')) event.preventDefault();
});
document.addEventListener('drop', (event) => refuse(event, event.dataTransfer));
"""
"""A key for an input method is none of ours. A file that is dropped on a box would take the place of the page."""


class Actions:
    """Draws the component that nobody sees; each of its events is one thing that can be done."""

    def __init__(self) -> None:
        listener = gr.HTML("", js_on_load=_SCRIPT, elem_classes="cf-hidden", elem_id="chat-actions")
        self.copy: Any = listener.copy
        self.retry: Any = listener.retry
        self.undo: Any = listener.undo
        self.edit: Any = listener.edit
        self.cancel: Any = listener.clear
        self.example: Any = listener.example_select
        self.picture: Any = listener.upload


def no_picture(request: gr.Request, event: gr.EventData) -> list[Any]:
    """The notices of the chat and of the comparison: that no picture is read, below the box that it was given to."""
    told = note_html(say(language_of(request), "chat.no_picture"), kind="error")
    return [told, gr.skip()] if event._data.get("box") == "chat-question" else [gr.skip(), told]


def is_action(event: gr.EventData) -> bool:
    """Whether the event came from here, and not from a button or box of Gradio's own."""
    return isinstance(event._data, dict) and "turn" in event._data


def turn_of(event: gr.EventData) -> int:
    """The place of the turn that a click was about."""
    return int(event._data.get("turn", 0) or 0)


def mode_of(event: gr.EventData) -> str:
    """The mode that a click named, or nothing."""
    return str(event._data.get("mode", "") or "")
