from __future__ import annotations

import random
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from crossfade.corpora.registry import Corpus, Document
from crossfade.errors import QuestionError
from crossfade.retrieval import Index, build_index, split
from crossfade.retrieval.ranking import WordIndex, fuse
from crossfade.retrieval.splitting import LONGEST_SENTENCE, count_words
from crossfade.types import Turn
from hashing_embedder import HashingEmbedder

PAGES = {
    "harbor": "# Harbor Checking\n\n## Fees\n\nThe monthly fee is $8.\n\n## Age\n\nYou must be 18 or older.\n",
    "student": "# Driftwood Student\n\n## Fees\n\nThis account has no monthly fee for students.\n",
    "wires": "# Wires\n\nA wire takes 2 business days.\n\n## Recall\n\n### Cost\n\nA recall costs $35.\n",
    "pearl": "# Pearl Card\n\n## Rates\n\nThe purchase rate is 22% a year. Cash costs 5%.\n",
}


def document(text: str, name: str = "page", title: str = "Page") -> Document:
    return Document(name, title, text, name)


def corpus(pages: dict[str, str]) -> Corpus:
    made = Corpus("test", "Test", "", Path(), "", {})
    made.__dict__["documents"] = tuple(document(t, n, t.splitlines()[0].lstrip("# ")) for n, t in pages.items())
    return made


@pytest.fixture
def index(tmp_path: Path) -> Index:
    return build_index(corpus(PAGES), HashingEmbedder(), tmp_path / "index")


# splitting


LINES = [
    "# Page",
    "## Fees",
    "### Deep",
    "```",
    "- one item",
    "  * another",
    "| a | b |",
    "",
    "  ",
    "\r",
    "#no",
    "1. x",
]
SENTENCES = [
    "Dr. Smith paid $1.75 at 1 a.m. today.",
    "One two three. Four five six! Seven?",
    "é’ and\nno end, here",
    "a.b",
]


@pytest.mark.parametrize("seed", range(100))
def test_passages_are_slices_in_order_and_lose_no_text(seed: int) -> None:
    chance = random.Random(seed)
    lines = [" ".join(chance.choices(SENTENCES, k=chance.randint(0, 9))) for _ in range(9)] + chance.choices(LINES, k=9)
    chance.shuffle(lines)
    page = document("\n".join(lines))
    size = chance.randint(5, 60)
    passages = split(page, size=size)
    ends = [0, *(p.end for p in passages)]
    for passage, before in zip(passages, ends, strict=False):
        assert page.text[passage.start : passage.end] == passage.text
        assert passage.text == passage.text.strip() != ""
        assert passage.start >= before
    left = page.text
    for passage in reversed(passages):
        left = left[: passage.start] + left[passage.end :]
    assert all(line.lstrip().startswith("#") for line in left.splitlines() if line.strip())


def test_no_sentence_is_split_even_one_longer_than_a_passage() -> None:
    long = "The fee, " + ", ".join(f"of kind {n}" for n in range(40)) + " is due."
    assert 40 < count_words(long) < LONGEST_SENTENCE
    sentences = ["First things first.", long, "The last word is short.", long.replace("fee", "rate"), "Done."]
    passages = split(document(" ".join(sentences)), size=40)
    assert len(passages) >= 4
    for sentence in sentences:
        assert sum(sentence in p.text for p in passages) == 1


def test_what_no_embedder_could_read_whole_is_broken_up() -> None:
    passages = split(document("word " * 2000 + "x" * 9000), size=160)
    assert all(count_words(p.text) <= 200 for p in passages)
    assert "".join(p.text for p in passages).replace(" ", "") == "word" * 2000 + "x" * 9000


def test_the_heading_is_the_path_without_the_title() -> None:
    text = "# Page\nIntro here.\n## Fees\nA fee.\n### Late\nLate fee.\n```\n## not a heading\n```\n## Age\nAn age."
    assert [p.heading for p in split(document(text), size=160)] == ["", "Fees", "Fees > Late", "Age"]


def test_small_sections_are_one_passage_each_and_large_ones_keep_to_the_size() -> None:
    text = "# Page\n## A\nShort one.\n## B\n" + "Ten words are in this sentence of the long section. " * 60
    passages = split(document(text), size=160)
    assert passages[0].text == "Short one."
    assert all(100 < count_words(p.text) <= 160 for p in passages[1:-1])


def test_a_document_of_headings_has_no_passage() -> None:
    assert split(document("# Page\n\n## Fees\n"), size=160) == []


# ranking


def test_fusion_is_highest_for_first_everywhere_and_falls_with_rank() -> None:
    fused = fuse([(1.0, [3, 1, 2]), (0.5, [3, 2])], constant=10)
    assert fused[0] == (3, pytest.approx(1.0))
    assert [s for _, s in fused] == sorted((s for _, s in fused), reverse=True)
    assert dict(fused)[2] > dict(fused)[1]


def test_words_are_stemmed_and_stop_words_say_nothing() -> None:
    words = WordIndex(["Fees for withdrawals", "The wire of the bank", "$5"])
    assert words.rank("withdrawal fee", depth=3) == [0]
    assert words.rank("what is the and of", depth=3) == []
    assert words.rank("5", depth=3) == [2]
    assert words.rank("unheard", depth=3) == []
    assert WordIndex([]).rank("fee", depth=3) == WordIndex(["..."]).rank("fee", depth=3) == []


# retrieving


def test_scores_fall_and_stay_within_one(index: Index) -> None:
    found = index.retrieve("What is the monthly fee of Harbor Checking?", k=5)
    scores = [p.score for p in found]
    assert len(found) == 5
    assert scores == sorted(scores, reverse=True)
    assert 0 < scores[-1] <= scores[0] <= 1
    assert (found[0].document, found[0].heading) == ("harbor", "Fees")


def test_a_passage_is_found_by_the_title_that_it_does_not_repeat(index: Index) -> None:
    assert index.retrieve("Pearl Card", k=1)[0].document == "pearl"
    assert "Pearl" not in index.retrieve("Pearl Card", k=1)[0].text


def test_filters_leave_only_what_is_allowed_and_fill_k(index: Index) -> None:
    question = "What is the monthly fee of Harbor Checking?"
    assert {p.document for p in index.retrieve(question, k=9, only=["wires", "pearl"])} == {"wires", "pearl"}
    assert "harbor" not in {p.document for p in index.retrieve(question, k=9, without={"harbor"})}
    assert len(index.retrieve(question, k=2, without={"harbor"})) == 2
    assert index.retrieve(question, only=["wires"], without=["wires"]) == ()
    assert index.retrieve(question, only=[]) == ()
    assert index.retrieve(question, only=["unknown"]) == ()


def test_a_passage_tells_its_place_in_each_ranking(index: Index) -> None:
    question = "What is the monthly fee of Harbor Checking?"
    found = index.retrieve(question, k=5)
    vector = HashingEmbedder().embed([question])[0]
    near, alike = index.nearest(vector, depth=50), index.words.rank(question, depth=50)
    for passage in found:
        row = next(
            n for n, p in enumerate(index.passages) if (p.document, p.start) == (passage.document, passage.start)
        )
        assert passage.dense_rank == near.index(row) + 1
        assert passage.dense is not None
        assert abs(passage.dense) <= 1.001
        assert passage.bm25_rank == (alike.index(row) + 1 if row in alike else None)
        assert (passage.bm25 is None) == (row not in alike)
    for score, rank in (("dense", "dense_rank"), ("bm25", "bm25_rank")):
        told = [(getattr(p, rank), -getattr(p, score)) for p in found if getattr(p, rank)]
        assert [s for _, s in sorted(told)] == sorted(s for _, s in told)
    assert index.retrieve("unheard", k=1)[0].bm25 is None


def test_with_a_conversation_the_better_place_is_told(index: Index) -> None:
    history = [Turn("What is the purchase rate of the Pearl Card?", "22%.")]
    first = index.retrieve("And for cash?", history=history, k=1)[0]
    assert (first.document, first.bm25_rank) == ("pearl", 1)


def test_a_smaller_k_is_the_beginning_of_a_larger_one(index: Index) -> None:
    many = index.retrieve("monthly fee", k=6)
    assert all(index.retrieve("monthly fee", k=k) == many[:k] for k in range(1, 6))


def test_a_follow_up_is_found_with_the_question_before_it(index: Index) -> None:
    alone = index.retrieve("And how old?", k=1, without=["harbor"])
    history = [Turn("What is the purchase rate of the Pearl Card?", "22%.")]
    assert index.retrieve("And for cash?", history=history, k=1)[0].document == "pearl"
    assert index.retrieve("And how old?", history=history, k=1, without=["harbor"]) != alone


def test_no_history_and_an_old_history_are_told_apart_by_the_turns_of_the_recipe(index: Index) -> None:
    recent = [Turn("What is a wire?", ""), Turn("What does a recall cost?", "")]
    old = [Turn("Pearl Card rates", "")]
    assert index.recipe.turns == 2
    assert index.retrieve("And now?", history=old + recent) == index.retrieve("And now?", history=recent)


@pytest.mark.parametrize("question", ["", "  \n"])
def test_an_empty_question_is_refused(index: Index, question: str) -> None:
    with pytest.raises(QuestionError, match="empty"):
        index.retrieve(question)


def test_a_k_below_one_is_refused(index: Index) -> None:
    with pytest.raises(QuestionError, match=r"0 passages.*1 or more"):
        index.retrieve("fee", k=0)


@pytest.mark.parametrize("question", ["?", "\ud800 fee", "🙂", "a" * 50_000, "the of and", "\x00"])
def test_odd_questions_get_passages_too(index: Index, question: str) -> None:
    assert len(index.retrieve(question, k=2)) == 2


def test_a_corpus_without_a_passage_has_nothing_to_find(tmp_path: Path) -> None:
    assert build_index(corpus({"a": "# Only a title"}), HashingEmbedder(), tmp_path).retrieve("title") == ()


def test_threads_find_what_one_thread_finds(index: Index) -> None:
    questions = ["monthly fee", "how old must I be", "cost of a recall", "rate of the Pearl Card"] * 20
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(index.retrieve, questions)) == [index.retrieve(q) for q in questions]


def test_llama_index_sees_the_same_passages(index: Index) -> None:
    from crossfade.retrieval.llama_index import CrossfadeEmbedding, CrossfadeRetriever

    nodes = CrossfadeRetriever(index, k=3).retrieve("monthly fee")
    found = index.retrieve("monthly fee", k=3)
    assert [(n.text, n.score) for n in nodes] == [(p.text, p.score) for p in found]
    embedding = CrossfadeEmbedding(HashingEmbedder())
    vector = HashingEmbedder().embed(["fee"])[0]
    assert np.allclose(embedding.get_query_embedding("fee"), vector)
    assert np.allclose(embedding.get_text_embedding_batch(["x", "fee"])[1], vector)


def test_importing_the_room_loads_no_heavy_library() -> None:
    code = (
        "import sys, crossfade.retrieval, crossfade.examples;"
        "heavy = {'llama_index', 'faiss', 'bm25s', 'xllamacpp', 'torch', 'numpy'} & set(sys.modules);"
        "sys.exit(repr(heavy) if heavy else 0)"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stderr == ""


def test_recipe_weights_reach_the_ranking(index: Index) -> None:
    question = "cash purchase students"
    before = [p.score for p in index.retrieve(question, k=6)]
    index.recipe = replace(index.recipe, dense=0.0)
    assert [p.score for p in index.retrieve(question, k=6)] != before
