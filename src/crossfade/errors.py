"""Every error that a user may meet, as one tree. The text of each says what was wrong, what is allowed, what to do.

CrossfadeError
├── SettingsError      a setting or option has a value that is not allowed
├── ModelError         a base model or embedder is unknown, cannot be fetched, or is not what it should be
├── AdapterError       an adapter is unknown, broken, hostile, or does not fit the base
├── CorpusError        a corpus is unknown or one of its files is broken
├── QuestionError      a question cannot be answered as asked: empty, too long, unknown mode or task
├── EngineError        the engine failed, is not ready, or is busy
├── TrainingError      training data or settings cannot be used, or training failed
└── StorageError       what is kept of people, such as conversations, cannot be read or written
"""


class CrossfadeError(Exception):
    """The root. Its text is one or two sentences for a user."""


class SettingsError(CrossfadeError):
    """A setting or option has a value that is not allowed."""


class ModelError(CrossfadeError):
    """A base model or embedder is unknown, cannot be fetched, or is not what it should be."""


class AdapterError(CrossfadeError):
    """An adapter is unknown, broken, hostile, or does not fit the base."""


class CorpusError(CrossfadeError):
    """A corpus is unknown or one of its files is broken."""


class QuestionError(CrossfadeError):
    """A question cannot be answered as asked."""


class EngineError(CrossfadeError):
    """The engine failed, is not ready, or is busy."""


class TrainingError(CrossfadeError):
    """Training data or settings cannot be used, or training failed."""


class StorageError(CrossfadeError):
    """What is kept of people cannot be read or written."""
