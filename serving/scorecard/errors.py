"""What can go wrong with a scorecard itself, and with a row that it is to score."""

#: How a model that no scorecard can express is served.
ELSEWHERE = "serve it with `serve --pyfunc yes` or `mlflow models serve`, or package it for the container target"
SEVERAL = "expected one column of this name, found several"


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


class InputError(ValueError):
    """A value, or a column, that a model cannot take: says the column and what was expected, never the data."""

    def __init__(self, column: str, reason: str, row: int | None = None) -> None:
        self.column, self.reason, self.row = column, reason, row
        where = f"column {column!r}" if row is None else f"row {row}, column {column!r}"
        super().__init__(f"{where}: {reason}")

    def __reduce__(self) -> tuple:
        return type(self), (self.column, self.reason, self.row)

    def at(self, row: int) -> "InputError":
        """The same error, naming the row (counted from 0) it was found in."""
        return InputError(self.column, self.reason, row)


def kind(raw: object) -> str:
    """What a raw value is, in words for an error message that must not echo it."""
    if raw is None:
        return "null"
    if isinstance(raw, bool):
        return "a boolean"
    if isinstance(raw, (int, float)):
        return "a number"
    if isinstance(raw, str):
        return "text"
    if isinstance(raw, (list, tuple)):
        return "a list"
    if isinstance(raw, dict):
        return "an object"
    return f"a {type(raw).__name__}"
