"""Train on a person's own data and measure base, ICL and tuned on rows that were not trained on.

    python benchmarks/own_data.py finance PATH      texts with a label: bearish, bullish or neutral
    python benchmarks/own_data.py slots PATH        a sentence and its slots as a JSON object
    python benchmarks/own_data.py xquad PATH        SQuAD format: answers from the gold paragraph, articles held out,
                                                    going on from the shipped adapter that reads passages

Rows are split by the hash of their text, articles of XQuAD by that of their title: a fifth is never trained on. The
training is `crossfade train` on the rest, in a process of its own. All modes are given the same instructions.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from crossfade.evaluation.rows import kind_of, score_rows
from crossfade.models.fetch import fetch
from crossfade.models.hf_folder import hf_folder
from crossfade.prompts import last_message
from crossfade.settings import Settings
from crossfade.training.answers import answer_all, likeliest, load_made
from crossfade.training.data import TrainingRow
from crossfade.training.forms import to_examples
from crossfade.training.guess import guess
from crossfade.training.table import read_table
from crossfade.training.tokens import open_tokenizer
from crossfade.types import Message, Passage

SHOTS = 5
MOST_NEW_TOKENS = {"label": 8, "json": 96, "text": 24}
INSTRUCTIONS = {
    "slots": "Give the slots of this restaurant request as a JSON object. Copy each value from the request.",
    "xquad": "Answer the question from the passage, in as few of its words as possible.",
}
OPTIONS = {
    "finance": ["--epochs", "3", "--rank", "16"],
    "slots": ["--epochs", "2", "--rank", "16"],
    "xquad": ["--start", "domain", "--epochs", "1", "--rank", "8", "--learning-rate", "5e-4", "--batch", "8"],
}


def held_out(text: str) -> bool:
    """Whether a row is never trained on: one of five, by the hash of its text."""
    return hashlib.sha256(text.encode()).digest()[0] % 5 == 0


def rows_of(task: str, path: Path) -> tuple[list[dict[str, str]], list[dict[str, str]]]:
    """The rows to train on and those to judge, with `prompt` and `response` (`text` and `label` for finance)."""
    parts: tuple[list[dict[str, str]], list[dict[str, str]]] = ([], [])
    if task == "xquad":
        for article in json.loads(path.read_text(encoding="utf-8"))["data"]:
            for paragraph in article["paragraphs"]:
                gold = Passage(paragraph["context"], "", article["title"].replace("_", " "), "", 0, 0, 1.0)
                for question in paragraph["qas"]:
                    prompt = last_message(question["question"], [gold])
                    row = {"prompt": prompt, "response": question["answers"][0]["text"]}
                    parts[held_out(article["title"])].append(row)
        return parts
    for line in path.read_text(encoding="utf-8").splitlines():
        found = json.loads(line)
        row = found if task == "finance" else {"prompt": found["text"], "response": json.dumps(found["slots"])}
        parts[held_out(found["text"])].append(row)
    return parts


def with_examples(row: TrainingRow, examples: Sequence[TrainingRow]) -> list[Message]:
    """A row's prompt with examples as turns after its system message."""
    turns = [m for e in examples for m in (e.messages[-1], Message("assistant", e.response))]
    return [row.messages[0], *turns, *row.messages[1:]]


def nearest(row: TrainingRow, rows: Sequence[TrainingRow]) -> list[TrainingRow]:
    """The examples with most words in common, the most alike last."""
    words = set(row.messages[-1].content.lower().split())

    def alike(other: TrainingRow) -> float:
        theirs = set(other.messages[-1].content.lower().split())
        return len(words & theirs) / len(words | theirs)

    return sorted(rows, key=alike)[-SHOTS:]


def main() -> None:
    """Split, train, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("task", choices=list(OPTIONS))
    parser.add_argument("path", type=Path)
    parser.add_argument("--only-tuned", action="store_true", help="do not measure base and ICL")
    parser.add_argument("--made", action="store_true", help="the adapter in --work was trained before: measure it")
    parser.add_argument("--work", type=Path, help="where the rows and the adapter are kept")
    args, more = parser.parse_known_args()
    work = args.work or Path(tempfile.mkdtemp(prefix="crossfade-own-"))
    work.mkdir(parents=True, exist_ok=True)
    files = {}
    for name, part in zip(("train", "judge"), rows_of(args.task, args.path), strict=True):
        files[name] = work / f"{name}.jsonl"
        files[name].write_text("".join(json.dumps(r, ensure_ascii=False) + "\n" for r in part), encoding="utf-8")
    instructions = ["--instructions", INSTRUCTIONS[args.task]] if args.task in INSTRUCTIONS else []
    words = ["--data", str(files["train"]), "--name", args.task, "--out", str(work), "--replace", "--json"]
    words += [*instructions, *OPTIONS[args.task], *more]
    began = time.perf_counter()
    if not args.made:
        command = [sys.executable, "-c", "from crossfade.cli import main; main()", "train", *words]
        subprocess.run(command, stdout=subprocess.DEVNULL, check=True)
    minutes = (time.perf_counter() - began) / 60
    card: dict[str, Any] = json.loads((work / args.task / "card.json").read_text(encoding="utf-8"))
    settings = Settings.from_environment()
    base_folder = hf_folder(fetch(settings.base, settings.home), settings.home)
    tokenizer = open_tokenizer(base_folder)
    learned_table = read_table(files["train"])
    mapping = guess(learned_table, instructions=INSTRUCTIONS.get(args.task, ""))
    mapping = replace(mapping, instructions=card["instructions"])
    learned = [e.row for e in to_examples(learned_table, mapping)[0]]
    rows = [e.row for e in to_examples(read_table(files["judge"]), mapping)[0]]
    wanted = [row.response for row in rows]
    kind, plain = kind_of(wanted), [row.messages for row in rows]
    most = MOST_NEW_TOKENS[kind]
    scores: dict[str, dict[str, float]] = {}
    if not args.only_tuned:
        base = load_made(None, base_folder)
        if kind == "label":
            labels = sorted(set(wanted))
            scores["base, likelihood"] = score_rows(likeliest(base, tokenizer, plain, labels), wanted, kind=kind)
        scores["base, free text"] = score_rows(
            answer_all(base, tokenizer, plain, max_new_tokens=most), wanted, kind=kind
        )
        shown = [with_examples(row, nearest(row, learned)) for row in rows]
        scores[f"ICL, {SHOTS} nearest"] = score_rows(
            answer_all(base, tokenizer, shown, max_new_tokens=most), wanted, kind=kind
        )
    tuned = load_made(work / args.task, base_folder)
    answers = answer_all(tuned, tokenizer, plain, max_new_tokens=most)
    scores["tuned"] = score_rows(answers, wanted, kind=kind)
    (work / "answers.jsonl").write_text(
        "".join(json.dumps({"wanted": w, "answer": a}) + "\n" for w, a in zip(wanted, answers, strict=True))
    )
    columns = list(scores["tuned"])
    print(f"| {args.task}, {len(rows)} rows | " + " | ".join(columns) + " |\n| --- " + "| --- " * len(columns) + "|")
    for name, found in scores.items():
        print(f"| {name} | " + " | ".join(f"{found[c]:.3f}" for c in columns) + " |")
    print(
        f"\n{len(learned)} rows, {card['minutes']:.1f} minutes of training at {card['tokens_per_second']:.0f} tokens/s"
        f", {minutes:.1f} with loading and rows; kept step {card['kept_step']}; held-out loss "
        f"{card['held_out_loss'][0][1]} -> {dict(card['held_out_loss'])[card['kept_step']]}"
    )


if __name__ == "__main__":
    main()
