"""The pipelines' error: one line that says what was expected, what was found and what to do."""


class PipelineError(Exception):
    """Anything a pipeline refuses or cannot do; a command prints it on one line and exits with 2."""
