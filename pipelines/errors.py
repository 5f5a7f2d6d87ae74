"""The pipelines' error: one line that says what was expected, what was found and what to do."""

from registry.errors import Explained


class PipelineError(Explained):
    """Anything a pipeline refuses or cannot do; a command prints it on one line and exits with 2."""


class TableChanged(PipelineError):
    """A table that is read several times cannot be read again as it was."""


class TargetNeeded(PipelineError):
    """Nobody named the column to predict.

    Parameters
    ----------
    likely : the column that is probably wanted.
    """

    def __init__(self, message: str, likely: str):
        super().__init__(message)
        self.likely = likely
