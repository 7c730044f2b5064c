"""Make a corpus folder of a set in the SQuAD format, for `crossfade eval`, `data compose` and `train`.

    python benchmarks/xquad_corpus.py PATH_TO_SQUAD_JSON FOLDER [--questions 200]
    CROSSFADE_CORPORA=FOLDER crossfade eval --corpus xquad

Every paragraph is a document under its article's title. The questions of one article in five, by the hash of its title
and as in own_data.py, are for judging: `eval.jsonl` has so many of them, evenly spread. Those of the other articles
are in `train/questions.jsonl`, and a few of them are the examples of ICL.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from own_data import held_out

from crossfade.evaluation.measure import evenly

EXAMPLES = 40
MANIFEST = """\
title = "Encyclopedia paragraphs"
description = "Articles of a set in the SQuAD format, a paragraph each."
default_task = "answer"

[retrieval]
passages = 3

[tasks.answer]
title = "Answer from the documents"
adapter = "domain"
questions = "eval.jsonl"
max_new_tokens = 64
examples = 4
instructions = \"\"\"
Answer the question in few words, at most 30. Answer from the passages where passages are given; if they do not tell, \\
say: The documents do not say.
\"\"\"
"""


def write_rows(path: Path, rows: list[dict[str, Any]]) -> None:
    """Rows as JSONL."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")


def main() -> None:
    """Write the folder."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("path", type=Path)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--questions", type=int, default=200)
    args = parser.parse_args()
    corpus = args.folder / "xquad"
    (corpus / "docs").mkdir(parents=True, exist_ok=True)
    parts: tuple[list[dict[str, Any]], list[dict[str, Any]]] = ([], [])
    for place, article in enumerate(json.loads(args.path.read_text(encoding="utf-8"))["data"]):
        title = article["title"].replace("_", " ")
        for at, paragraph in enumerate(article["paragraphs"]):
            name = f"{place:02d}-{at:02d}"
            (corpus / "docs" / f"{name}.md").write_text(f"# {title}\n\n{paragraph['context']}\n", encoding="utf-8")
            parts[held_out(article["title"])].extend(
                {"question": q["question"], "answers": [a["text"] for a in q["answers"]], "documents": [name]}
                for q in paragraph["qas"]
            )
    learned, judged = parts
    (corpus / "corpus.toml").write_text(MANIFEST, encoding="utf-8")
    write_rows(corpus / "eval.jsonl", list(evenly(judged, args.questions)))
    rows = [{"question": r["question"], "answer": r["answers"][0], "documents": r["documents"]} for r in learned]
    write_rows(corpus / "train" / "questions.jsonl", [{**row, "kind": "fact"} for row in rows])
    write_rows(corpus / "examples.jsonl", [{"task": "answer", **row} for row in evenly(rows, EXAMPLES)])
    print(f"{corpus}: {len(learned)} questions to learn from, {min(len(judged), args.questions)} to judge by")


if __name__ == "__main__":
    main()
