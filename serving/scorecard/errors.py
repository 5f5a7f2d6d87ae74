"""What can go wrong with a scorecard itself; what can go wrong with a request is ``inputs.InputError``."""


class ScorecardError(ValueError):
    """A document that cannot be trusted or understood: says where in it, what was expected and what was found."""


class Unsupported(ScorecardError):
    """A pipeline, or a question, that a scorecard cannot answer exactly.

    Attributes
    ----------
    path : where in the pipeline the step is, as ``features / numbers / scale``.
    step : the class of the step.
    """

    def __init__(self, path: str, step: str, reason: str) -> None:
        self.path, self.step, self.reason = path, step, reason
        super().__init__(f"{path or 'the model'} ({step}): {reason}")

    def __reduce__(self) -> tuple:
        return type(self), (self.path, self.step, self.reason)
