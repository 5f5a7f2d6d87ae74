"""The pipelines' error: one line that says what was expected, what was found and what to do."""

from registry.errors import Explained


class PipelineError(Explained):
    """Anything a pipeline refuses or cannot do; a command prints it on one line and exits with 2."""
