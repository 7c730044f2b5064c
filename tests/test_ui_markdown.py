"""An answer's Markdown: it reads as such, all of it is shown, and nothing of it loads or leads anywhere."""

from __future__ import annotations

import html
import re

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

pytest.importorskip("gradio")

from crossfade.evaluation.claims import spans
from crossfade.ui.markdown import MOST_CHARACTERS, Mark, markdown_html
from test_ui_render import Reader

SIGNS = st.text("ab 12*_`#>-+.|~[]()!\\<&\n", max_size=80)
TAGS = {
    "div", "p", "ul", "ol", "li", "strong", "em", "s", "br", "hr", "blockquote", "pre", "code", "button", "span",
    "table", "thead", "tbody", "tr", "th", "td",
}  # fmt: skip


def shown(text: str) -> str:
    """The HTML inside of the box, its characters as themselves."""
    return html.unescape(markdown_html(text)).removeprefix('<div class="cf-text cf-md" dir="auto">')[: -len("</div>")]


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("It is **7** a *month*.", "<p>It is <strong>7</strong> a <em>month</em>.</p>"),
        ("one\ntwo\n\nthree", "<p>one<br>two</p><p>three</p>"),
        ("- a\n- b\n  1. c", "<ul><li>a</li><li>b<ol><li>c</li></ol></li></ul>"),
        ("3. c\n4. d", '<ol start="3"><li>c</li><li>d</li></ol>'),
        ("# Fees", '<p class="cf-title-of">Fees</p>'),
        ("> so", "<blockquote><p>so</p></blockquote>"),
        ("`a*b*c`", "<p><code>a*b*c</code></p>"),
        ("2 * 3 * 4 and snake_case_name", "<p>2 * 3 * 4 and snake_case_name</p>"),
        ("[x](http://evil.invalid) ![y](z.png)", "<p>[x](http://evil.invalid) ![y](z.png)</p>"),
        ("<b onclick=a()>&amp;", "<p><b onclick=a()>&amp;</p>"),
    ],
)
def test_markdown_reads_as_such_and_links_pictures_and_html_as_text(text: str, wanted: str) -> None:
    assert shown(text) == wanted


def test_a_block_of_code_says_its_kind_and_can_be_copied_as_it_is() -> None:
    made = shown("So:\n\n```python\nif a[1]:\n\n    b()\n```")
    assert '<code class="cf-raw">if a[1]:\n\n    b()\n</code>' in made
    assert "cf-json-copy" in made
    assert Reader(made).text.endswith("python")


def test_a_table_is_one() -> None:
    assert Reader(shown("| a | b |\n|---|---|\n| 1 | 2 |")).tags == [
        *["div", "table", "thead", "tr", "th", "th", "tbody", "tr", "td", "td"],
    ]


@settings(deadline=None)
@given(SIGNS)
@example("> " * 40 + "a")
@example("- " * 40 + "a")
@example("\u2e281\u2e29 a")
def test_no_answer_becomes_other_markup_and_every_letter_of_it_is_shown(text: str) -> None:
    made = markdown_html(text)
    read = Reader(made)
    assert set(read.tags) <= TAGS
    assert set(read.names) <= {"class", "dir", "start", "type", "role"}
    assert "\n" not in made
    letters = re.findall("[ab]", read.text.replace("Copied", "").replace("Copy", ""))
    assert sorted(letters) == sorted(re.findall("[ab]", text))


@settings(deadline=None)
@given(SIGNS, st.lists(st.integers(0, 80), max_size=6))
def test_every_mark_comes_out_in_its_order_and_its_spans_are_closed(text: str, places: list[int]) -> None:
    at = sorted(min(place, len(text)) for place in places)
    marks = [Mark(place, place, f"<b>{number}</b>") for number, place in enumerate(at)]
    assert re.findall(r"<b>(\d)</b>", markdown_html(text, marks)) == [str(number) for number in range(len(marks))]
    spanned = [Mark(a, a, around="<i>") if n % 2 == 0 else Mark(a, a, ends=True) for n, a in enumerate(at)]
    made = markdown_html(text, spanned)
    assert len(re.findall("<i>[^<]*</span>", made)) == made.count("<i>"), "it goes around text alone"


@pytest.mark.parametrize(
    "text",
    [
        "- Fees are **$7**.\n- Wires take *two* days.",
        "1. Fees are $7. They are waived.\n2. Wires are free.",
        "# Fees\n\nThey are $7.\n\n> As agreed.",
        "| fee | of |\n|---|---|\n| $7 a month | Harbor |",
        "So it goes:\n\n```\nprint(1)\n```\n\nThat is all.",
        "**The fee is $7.** It is waived.",
    ],
)
def test_marks_of_its_sentences_leave_what_a_text_is_made_of(text: str) -> None:
    marks = [
        mark
        for start, end in spans(text)
        for mark in (Mark(start, start, around="<span>"), Mark(end, end, "<b></b>", ends=True))
        if re.search("[a-z]", text[start:end])
    ]
    made = markdown_html(text, marks)
    assert made.count("<b></b>") == len(marks) / 2
    assert [tag for tag in Reader(made).tags if tag not in ("b", "span")] == [
        tag for tag in Reader(markdown_html(text)).tags if tag != "span"
    ]


def test_a_span_goes_around_words_and_not_around_the_blanks_beside_them() -> None:
    text = "| a b | c |\n|---|---|\n| d | e |"
    made = markdown_html(text, [Mark(0, 0, around="<i>"), Mark(11, 11, ends=True)])
    assert "<i>a b</span>" in made


def test_a_very_long_answer_is_shown_as_it_was_written() -> None:
    text = "*a* " * (MOST_CHARACTERS // 4 + 1)
    assert text in Reader(markdown_html(text)).text
