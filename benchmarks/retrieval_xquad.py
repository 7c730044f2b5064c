"""How well and how fast passages are found, on a question set in the SQuAD format. Prints a Markdown table.

    python benchmarks/retrieval_xquad.py PATH_TO_SQUAD_JSON [--embedder GGUF_OR_FOLDER] [--half report]

Every paragraph is a document under its article's title; all of them are in the index. Articles at even positions are
for choosing settings, those at odd positions for the figures that are told. A paragraph counts as found when a passage
of it is among the first k passages; recall@k and the mean reciprocal rank are over the questions of one half.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from crossfade.corpora.registry import Corpus, Document
from crossfade.models.embedder_gguf import embedder_gguf
from crossfade.models.fetch import fetch
from crossfade.retrieval import Index, LlamaCppEmbedder, Recipe, build_index
from crossfade.settings import Settings

DEPTH = 10
"""Places that are looked at for the mean reciprocal rank."""


@dataclass(frozen=True)
class Asked:
    """One question, the name of the paragraph that answers it, and whether its article is for choosing settings."""

    text: str
    paragraph: str
    choosing: bool


def read_squad(path: Path) -> tuple[Corpus, list[Asked]]:
    """The paragraphs as a corpus and the questions."""
    documents: list[Document] = []
    questions: list[Asked] = []
    for position, article in enumerate(json.loads(path.read_text(encoding="utf-8"))["data"]):
        for paragraph in article["paragraphs"]:
            name = f"{position:04d}-{len(documents):05d}"
            text = paragraph["context"]
            title = article.get("title", "").replace("_", " ")
            documents.append(Document(name, title, text, hashlib.sha256(text.encode()).hexdigest()))
            questions += [Asked(row["question"], name, position % 2 == 0) for row in paragraph["qas"]]
    corpus = Corpus("benchmark", path.stem, "", path.parent, "", {})
    corpus.__dict__["documents"] = tuple(documents)  # a cached property: there is no folder to read it from
    return corpus, questions


def rank_of_gold(found: Sequence[str], gold: str) -> int:
    """The place of the first passage of the paragraph, from 1; 0 when none was found."""
    return found.index(gold) + 1 if gold in found else 0


def quality(ranks: Sequence[int]) -> str:
    """Recall@1, @3, @5 and mean reciprocal rank as cells of a table."""
    cells = [sum(0 < rank <= k for rank in ranks) / len(ranks) for k in (1, 3, 5)]
    return " | ".join(f"{cell:.3f}" for cell in [*cells, sum(1 / rank for rank in ranks if rank) / len(ranks)])


def rankers(index: Index, embedder: LlamaCppEmbedder) -> dict[str, Callable[[str], list[str]]]:
    """The three ways to rank, each from a question to the paragraphs of its passages, best first."""

    def paragraphs(rows: Sequence[int]) -> list[str]:
        return [index.passages[row].document for row in rows]

    return {
        "dense": lambda text: paragraphs(index.nearest(embedder.embed([text])[0], depth=DEPTH)),
        "BM25": lambda text: paragraphs(index.words.rank(text, depth=DEPTH)),
        "fused": lambda text: [passage.document for passage in index.retrieve(text, k=DEPTH)],
    }


def milliseconds(ask: Callable[[str], object], questions: Sequence[Asked]) -> str:
    """Median and 95th percentile of one question at a time, after ten to warm up."""
    for question in questions[:10]:
        ask(question.text)
    times = []
    for question in questions[10:210]:
        start = time.perf_counter()
        ask(question.text)
        times.append(1000 * (time.perf_counter() - start))
    return f"{statistics.median(times):.1f} | {statistics.quantiles(times, n=20)[-1]:.1f}"


def main() -> None:
    """Build the index, ask every question of a half, print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("squad", type=Path)
    parser.add_argument(
        "--embedder", type=Path, help="a GGUF file or a folder with BERT weights; default: the catalogue's"
    )
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--half", choices=("choose", "report", "both"), default="both")
    default = Recipe()
    for name in ("size", "constant", "depth", "dense"):
        value = getattr(default, name)
        parser.add_argument(f"--{name}", type=type(value), default=value, help=f"of the recipe; default {value}")
    options = parser.parse_args()
    settings = Settings.from_environment()
    folder = options.embedder or fetch("minilm", settings.home)
    gguf = folder if folder.suffix == ".gguf" else embedder_gguf(folder, settings.home)
    embedder = LlamaCppEmbedder(gguf, options.threads)
    recipe = replace(default, size=options.size, constant=options.constant, depth=options.depth, dense=options.dense)
    corpus, questions = read_squad(options.squad)
    with tempfile.TemporaryDirectory() as temporary:
        start = time.perf_counter()
        index = build_index(corpus, embedder, Path(temporary) / "index", recipe=recipe)
        seconds = time.perf_counter() - start
    print(f"{len(corpus.documents)} paragraphs in {len(index.passages)} passages, indexed in {seconds:.1f} s: ", end="")
    print(f"{len(corpus.documents) / seconds:.0f} paragraphs a second. {recipe}\n")
    print("| half | ranking | questions | recall@1 | recall@3 | recall@5 | MRR@10 | ms, median | ms, p95 |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- | --- |")
    for half in ("choose", "report") if options.half == "both" else (options.half,):
        asked = [question for question in questions if question.choosing == (half == "choose")]
        for label, ask in rankers(index, embedder).items():
            ranks = [rank_of_gold(ask(question.text), question.paragraph) for question in asked]
            figures = f"{quality(ranks)} | {milliseconds(ask, asked)}"
            print(f"| {half} | {label} | {len(asked)} | {figures} |")


if __name__ == "__main__":
    main()
