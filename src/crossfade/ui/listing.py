"""The list of conversations as HTML, and the script that tells which of its buttons was pressed. Pure."""

from __future__ import annotations

import time
from collections.abc import Sequence

from crossfade.history.conversations import Listed
from crossfade.ui.language import say
from crossfade.ui.render import escape, note_html

DAY_SECONDS = 24 * 3600
REMEMBERED = "crossfade-conversation"
"""Where a browser's tab remembers what it has open: it outlives a reload, and no other tab shares it."""

RECALL = f"() => sessionStorage.getItem('{REMEMBERED}') || ''"

SCRIPT = f"""
element.addEventListener("click", (event) => {{
  const button = event.target.closest("button[data-act]");
  if (!button) return;
  if (button.dataset.act === "open") element.closest(".cf-list")?.classList.remove("cf-flip");
  trigger("click", {{ act: button.dataset.act, id: button.dataset.id || "" }});
}});
watch("value", () => {{
  const open = element.querySelector("[data-open]")?.dataset.open;
  if (open) sessionStorage.setItem("{REMEMBERED}", open);
}});
"""

_FOLD = (
    "const list = this.closest('.cf-list'); list.classList.toggle('cf-flip');"
    "this.setAttribute('aria-expanded', getComputedStyle(list.querySelector('.cf-list-body')).display !== 'none')"
)


def head_html(language: str) -> str:
    """The heading, which folds the list: on a phone it is folded at first, elsewhere it is open."""
    return (
        f'<button type="button" class="cf-list-head" id="conversations-fold" onclick="{_FOLD}">'
        f'<span aria-hidden="true">&#9776;</span> {say(language, "conversations.title")}</button>'
    )


def list_html(
    found: Sequence[Listed], *, open_id: str, most: int, searched: bool, language: str, now: float | None = None
) -> str:
    """Conversations by age with the open one marked; of more than `most`, so many and a button for more."""
    now = time.time() if now is None else now
    parts = []
    group = ""
    for listed in found[:most]:
        age = now - listed.changed
        words = (
            say(language, "conversations.day")
            if age < DAY_SECONDS
            else say(language, "conversations.week")
            if age < 7 * DAY_SECONDS
            else say(language, "conversations.older")
        )
        if words != group:
            parts.append(f"{'</ul>' if group else ''}<h3>{words}</h3><ul>")
            group = words
        parts.append(_item(listed, open_id=open_id, language=language))
    parts.append("</ul>" if group else "")
    if not found:
        told = say(language, "conversations.nothing_found") if searched else say(language, "conversations.none")
        parts.append(note_html(told))
    if len(found) > most:
        more = say(language, "conversations.more")
        parts.append(f'<button type="button" class="cf-list-more" data-act="more">{more}</button>')
    label = say(language, "conversations.title")
    return f'<nav class="cf-list-items" aria-label="{label}" data-open="{escape(open_id)}">{"".join(parts)}</nav>'


def _item(listed: Listed, *, open_id: str, language: str) -> str:
    title, id = escape(listed.title), escape(listed.id)
    manage = escape(say(language, "conversations.manage", title=listed.title))
    is_open = listed.id == open_id
    return (
        f"<li{' class=cf-list-open' if is_open else ''}>"
        f'<button type="button" class="cf-list-title" data-act="open" data-id="{id}" dir="auto" title="{title}"'
        f"{' aria-current=true' if is_open else ''}>{title}</button>"
        f'<button type="button" class="cf-list-manage" data-act="manage" data-id="{id}" aria-label="{manage}"'
        f' title="{manage}">&#8943;</button></li>'
    )
