"""All that people said of answers, in one database: the rows that their thumbs and votes give. Draws nothing."""

from __future__ import annotations

from crossfade.history.database import Database
from crossfade.history.feedback import Feedback
from crossfade.history.feedback_rows import FeedbackRows, feedback_rows
from crossfade.history.votes import Votes


class Opinions:
    """The thumbs and votes of a database. Raises StorageError where the file cannot be used."""

    def __init__(self, database: Database) -> None:
        self._feedback, self._votes = Feedback(database), Votes(database)

    def rows(self, owner: str | None) -> FeedbackRows:
        """The rows of one owner, or of all for None."""
        return feedback_rows(self._feedback.all(owner), self._votes.of(owner))
