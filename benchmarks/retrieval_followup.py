"""Recall of follow-up questions ("and for students?"), retrieved with and without the conversation they refer to.

    python benchmarks/retrieval_followup.py [--set eval|dev]

recall@3: a passage of a gold document is among the first three. Of the conversation the first question alone is given.
"""

from __future__ import annotations

import argparse

from crossfade.corpora.registry import read_rows
from crossfade.settings import Settings
from crossfade.startup import Startup
from crossfade.types import Turn


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--set", default="eval", choices=["eval", "dev"])
    args = parser.parse_args()
    startup = Startup(Settings.from_environment())
    corpus = startup.corpus("tidewell")
    index = startup.index(corpus)
    rows = read_rows(corpus.folder / f"{args.set}_followup.jsonl")
    for name, talk in (("with the conversation", True), ("without it", False)):
        found = 0
        for row in rows:
            history = (Turn(row["first"], ""),) if talk else ()
            passages = index.retrieve(row["question"], history=history, k=3)
            found += any(p.document in row["documents"] for p in passages)
        print(f"recall@3 {name}: {found / len(rows):.2f} ({found} of {len(rows)})")


if __name__ == "__main__":
    main()
