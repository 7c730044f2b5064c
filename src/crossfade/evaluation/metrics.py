"""Score one answer. Pure functions of texts; knows no engine and no corpus.

Exact match and token F1 are those of the published SQuAD evaluation (Rajpurkar et al., arXiv 1606.05250), with two
things added: texts are put into Unicode's composed form, and scripts without spaces count by characters. Whether an
answer *contains* an accepted one is looked at with a normalisation of our own, which keeps what belongs to a number
(`$7`, `€5`, `0.5%`, `-5`, `4:30`), since here numbers are answers.
"""

from __future__ import annotations

import json
import re
import string
import unicodedata
from collections import Counter
from collections.abc import Sequence
from typing import Any

from jsonschema.validators import validator_for
from referencing import Registry
from referencing.exceptions import Unresolvable

_UNSPACED = r"[\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\u0e00-\u0e7f]"
_MONEY = "[$€£¥￥]"
MAX_WORDS = 30
"""A right answer has at most so many words; longer ones hide what they say."""
_SOURCE = r"(?:documents?|passages?|texts?|context|pages?|sources?)"
_TELL = r"(?:say|tell|mention|contain|provide|specify|state|include|give|answer|cover|explain|have)"
_SOURCE_ZH = "(?:文档|文件|文中|资料|段落|材料|上下文|原文|文章|来源)"
_TELL_ZH = "(?:说明|说|提到|提及|提供|给出|包含|写明|写|指出|回答|涉及|记载|告诉)"
_REFUSAL = re.compile(
    rf"\b{_SOURCE} (?:do not|does not|dont|doesnt|did not|didnt|never) (?:\w+ )?{_TELL}s?\b"
    rf"|\bnot (?:told |mentioned |stated |found |given |specified )?in (?:any of )?(?:these |those )?{_SOURCE}\b"
    r"|\b(?:is|are|was) not (?:mentioned|stated|specified|told)\b"
    r"|\bi (?:do not|dont) know\b|\b(?:can not|cannot|cant) (?:answer|tell|say)\b"
    r"|\bno (?:information|answer) (?:is|on|about|in)\b"
    # In Chinese: a source, then that it does not tell; or that nothing is found in one.
    rf"|{_SOURCE_ZH}[中里内]?(?:都|均|也|也都)?(?:并?未|并?没有?|不曾)(?:明确|直接|具体)?{_TELL_ZH}"
    rf"|(?:没有|未)在?{_SOURCE_ZH}[中里内]?(?:明确)?(?:{_TELL_ZH}|找到)|{_SOURCE_ZH}[中里内]?(?:找不到|没有答案|没有相关)"
    r"|我不知道|无法(?:回答|作答|得知)"
)
"""Ways to say that the documents do not tell, in normalised text. A refusal in other words counts as an answer."""


def normalise(text: str) -> str:
    """Lower case, without punctuation and articles, single spaces; thousands lose their comma, numbers keep signs."""
    text = re.sub(r"(?<=\d),(?=\d{3}(?!\d))", "", unicodedata.normalize("NFC", text).lower())
    text = re.sub(rf"({_MONEY})\s(?=\d)", r"\1", text)  # "€ 5" and "5 €" are "€5"
    text = re.sub(rf"(?<![\d.])(\d[\d.]*)\s?({_MONEY})(?!\d)", r"\2\1", text)
    text = re.sub(r"(?<!\d)[.:](?!\d)|(?<=\d)[.:](?!\d)|(?<!\d)[.:](?=\d)", " ", text)
    text = re.sub(rf"(?:(?<!\w)|(?<={_UNSPACED}))-(?={_MONEY}?\d)", "\N{MINUS SIGN}", re.sub(r"['’]", "", text))
    kept = "".join(c if _counts(c) else " " for c in text)
    return " ".join(word for word in kept.split() if word not in ("a", "an", "the"))


def _counts(character: str) -> bool:
    """Letters, marks on them, numbers, and what belongs to a number."""
    return character in "$€£¥￥%.:_\N{MINUS SIGN}" or unicodedata.category(character)[0] in "LMN"


def squad_normalise(text: str) -> str:
    """SQuAD's own: lower case, without any of ASCII's punctuation, then without articles, single spaces."""
    text = unicodedata.normalize("NFC", text).lower()
    text = "".join(c for c in text if c not in string.punctuation)
    return " ".join(re.sub(r"\b(a|an|the)\b", " ", text).split())


def contains_answer(text: str, accepted: Sequence[str], *, max_words: int = MAX_WORDS) -> bool:
    """Whether an accepted answer stands in the text as whole words, the text having at most `max_words` words."""
    if word_count(text) > max_words:
        return False
    padded = f" {' '.join(tokens(normalise(text)))} "
    return any(f" {' '.join(wanted)} " in padded for answer in accepted if (wanted := tokens(normalise(answer))))


def exact_match(text: str, accepted: Sequence[str]) -> bool:
    """Whether the text is an accepted answer, both normalised; two empty ones agree (SQuAD)."""
    return any(squad_normalise(text) == squad_normalise(answer) for answer in accepted)


def token_f1(text: str, accepted: Sequence[str]) -> float:
    """The best F1 of the text's words against those of an accepted answer (SQuAD); CJK text counts by characters."""
    mine = tokens(squad_normalise(text))
    return max((_overlap_f1(mine, tokens(squad_normalise(answer))) for answer in accepted), default=0.0)


def tokens(plain: str) -> list[str]:
    """The words of a normalised text; where a script writes without spaces (Han, kana, Thai), each character is one."""
    return [token for word in plain.split() for token in re.findall(rf"{_UNSPACED}|(?:(?!{_UNSPACED}).)+", word)]


def _overlap_f1(mine: Sequence[str], wanted: Sequence[str]) -> float:
    if not mine or not wanted:
        return float(list(mine) == list(wanted))
    shared = (Counter(mine) & Counter(wanted)).total()
    return 2 * shared / (len(mine) + len(wanted))


def word_count(text: str) -> int:
    """The length in words; two characters of a script without spaces are about one word."""
    unspaced = len(re.findall(_UNSPACED, text))
    return len(re.sub(_UNSPACED, " ", text).split()) + (unspaced + 1) // 2


def macro_f1(given: Sequence[str], wanted: Sequence[str]) -> float:
    """The mean over the labels in `wanted` of each one's F1. Raises ValueError for no label."""
    if not wanted:
        raise ValueError("there is no label")
    pairs = Counter(zip(given, wanted, strict=True))
    told, true = Counter(given), Counter(wanted)
    return sum(2 * pairs[label, label] / (told[label] + true[label]) for label in true) / len(true)


def label_of(text: str, labels: Sequence[str]) -> str:
    """The label that an answer is, else the only one it names, else an empty text. A longer one hides those in it."""
    plain = f" {_label_words(text)} "
    words = {label: _label_words(label) for label in labels}
    named = [label for label in labels if words[label] and f" {words[label]} " in plain]
    if exact := [label for label in named if words[label] == plain.strip()]:
        return exact[0]
    for label in sorted(named, key=lambda name: -len(words[name])):
        without = plain.replace(f" {words[label]} ", " | ")
        hidden = [n for n in named if n != label and f" {words[n]} " in f" {words[label]} "]
        named = [n for n in named if n not in hidden or f" {words[n]} " in without]
    return named[0] if len(named) == 1 else ""


def _label_words(text: str) -> str:
    """Lower case words; unlike in an answer, articles and signs may be a label."""
    return " ".join(re.findall(r"[+\-#]?\w+(?:[+#]+)?", text.lower()))


def recall_at_k(documents: Sequence[str], gold: Sequence[str]) -> float:
    """The share of the gold documents among those found. Raises ValueError for no gold document."""
    if not gold:
        raise ValueError("there is no gold document")
    return len(set(gold) & set(documents)) / len(set(gold))


def reciprocal_rank(documents: Sequence[str], gold: Sequence[str]) -> float:
    """1 / the rank of the first passage from a gold document, 0 where there is none."""
    return next((1 / rank for rank, name in enumerate(documents, start=1) if name in gold), 0.0)


def is_refusal(text: str) -> bool:
    """Whether an answer says that the documents do not tell."""
    return bool(_REFUSAL.search(normalise(text)))


def parse_object(text: str) -> dict[str, Any] | None:
    """The JSON object that a text is, or None. A code fence around it is forgiven; other words are not."""
    text = re.sub(r"^```(?:json)?\s*|\s*```$", "", text.strip())
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def json_complaint(text: str, schema: dict[str, Any]) -> str:
    """What is first wrong with a text that should be JSON of a schema, or an empty text where it is valid."""

    def refuse(word: str) -> None:
        raise ValueError(word)

    try:
        value = json.loads(text, parse_constant=refuse)
    except json.JSONDecodeError as error:
        return f"not JSON ({error.msg}, line {error.lineno}, column {error.colno})."
    except (ValueError, RecursionError) as error:
        return f"not JSON ({error})."
    return schema_complaint(value, schema)


def schema_complaint(value: Any, schema: dict[str, Any]) -> str:
    """The first complaint of the JSON Schema validator, with its place, or an empty text for a valid value.

    A reference out of the schema is never followed: what cannot be looked up is the complaint.
    """
    try:
        found = list(validator_for(schema)(schema, registry=Registry()).iter_errors(value))
    except (Unresolvable, RecursionError, ArithmeticError) as error:  # no float holds a very long number
        return f"the schema cannot be followed: {error}"
    faults = sorted(found, key=lambda fault: list(map(str, fault.path)))
    if not faults:
        return ""
    place = ".".join(str(step) for step in faults[0].absolute_path)
    return f"{place + ': ' if place else ''}{faults[0].message}"


def field_f1(given: dict[str, Any] | None, gold: dict[str, Any]) -> float:
    """F1 over the fields that hold something: right = same key and same value, in given (precision) and gold (recall).

    A field that is null counts as empty on either side; two empty objects agree (1.0).
    """
    mine = {k: _plain(v) for k, v in (given or {}).items() if v is not None}
    wanted = {k: _plain(v) for k, v in gold.items() if v is not None}
    right = sum(mine.get(k) == v for k, v in wanted.items())
    return 2 * right / (len(mine) + len(wanted)) if mine or wanted else 1.0


def _plain(value: Any) -> Any:
    """A value as it is compared: texts without case, numbers as numbers (85 is 85.0), the rest as JSON."""
    if isinstance(value, str):
        return value.strip().lower()
    if isinstance(value, int | float) and not isinstance(value, bool):
        return value
    return json.dumps(value, sort_keys=True)
