"""Turns of conversations for tests, with a whole trace."""

from __future__ import annotations

from crossfade.history.kept import KeptTurn
from crossfade.types import Answer, Blend, Generation, Message, Passage, Prompt, Query, Sampling

DOMAIN: Blend = (("domain", 1.0),)


def turn(
    question: str,
    *,
    said: str = "Seven dollars.",
    error: str = "",
    finish: str = "stop",
    blend: Blend = (),
    instructions: str = "Answer in few words.",
    seconds: float = 0.5,
) -> KeptTurn:
    """A turn that has ended, with one passage."""
    query = Query(question, "bank", "answer", blend=blend, rag=True, sampling=Sampling(seed=3))
    answer = Answer(
        query,
        passages=(Passage("The fee is $7.", "fees.md", "Fees", "Monthly", 0, 14, 0.75),),
        prompt=Prompt((Message("system", instructions), Message("user", question)), 12, passages=1),
        generation=Generation(
            said, 12, 3, 4, 0.1, seconds, finish, tuple((name, weight, "ab" * 32) for name, weight in blend)
        ),
        notices=("A notice.",),
    )
    return KeptTurn(query, answer, error)


def failed(question: str) -> KeptTurn:
    """A turn that ended with an error before there was an answer."""
    return KeptTurn(Query(question, "bank", "answer"), None, "The engine fell over.")
