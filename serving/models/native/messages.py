"""What is said between a command and the process that runs a model's own code: one JSON document a line."""

from collections.abc import Iterable

from msgspec import Struct

from serving.scorecard.inputs import Cleaning, Input

Label = bool | int | float | str

#: The file of a compiled scorecard, in the folder that both processes know.
CARD = "scorecard.json"


def answers_to(rows: str) -> str:
    """The name of the file with the answers to the rows of a file."""
    return f"{rows}.answers"


#: Beside the types that a signature has: booleans, as long as none is missing; else float64.
BOOLEAN_IF_KNOWN = "boolean if known"


class Layout(Struct, frozen=True):
    """How the model takes the columns of a table.

    Parameters
    ----------
    kinds : the type of each column, as a signature calls it; empty if there is no signature of columns.
    whole_names : the names are whole numbers.
    array : the model takes an array without names.
    """

    kinds: list[str] = []
    whole_names: bool = False
    array: bool = False


class CompileRequest(Struct, frozen=True, tag="compile"):
    """Compile the model's pipeline with the first of the cleanings that it can have.

    Parameters
    ----------
    inputs : of the scorecard, as ``Input.to_dict`` has them; None for those that the pipeline was fitted on.
    cleanings : each whether text is trimmed, and the words that mean a missing value.
    """

    inputs: list[dict] | None
    cleanings: list[tuple[bool, list[str]]]

    @classmethod
    def of(cls, inputs: Iterable[Input] | None, cleanings: Iterable[Cleaning]) -> "CompileRequest":
        given = None if inputs is None else [one.to_dict() for one in inputs]
        return cls(given, [(one.trim, sorted(one.missing)) for one in cleanings])


class AnswerRequest(Struct, frozen=True, tag="answer"):
    """Answer the rows of an Arrow file; ``probabilities``: with those, too, if the model has them."""

    rows: str
    layout: Layout
    probabilities: bool = True


class ParityRequest(Struct, frozen=True, tag="parity"):
    """Measure how far the answers of a scorecard's file are from the pipeline's, on the rows of an Arrow file."""

    rows: str
    layout: Layout
    card: str


class Loaded(Struct, frozen=True, tag="loaded"):
    """The model has been loaded.

    Parameters
    ----------
    estimator : the class of what predicts; of a model that does not show it, ``pyfunc``.
    names : of the columns that it was fitted on; None if it does not know them.
    width : how many columns it was fitted on; None if it does not know.
    constant : the place of a column of ones among them, which statsmodels calls the constant; None without one.
    classes : its labels in order; empty for a regression, None if it does not tell.
    probabilities : it gives a probability of each class.
    compilable : a scorecard may be compiled from it, and its parity measured.
    """

    estimator: str
    names: list[str] | None = None
    width: int | None = None
    constant: int | None = None
    classes: list[Label] | None = None
    probabilities: bool = False
    compilable: bool = False


class Compiled(Struct, frozen=True, tag="compiled"):
    """The scorecard is in the file ``CARD``; or there is none, and ``why``."""

    why: str = ""


class Answered(Struct, frozen=True, tag="answered"):
    """The answers are in an Arrow file; ``probabilities``: it has those, too."""

    answers: str
    probabilities: bool


class Measured(Struct, frozen=True, tag="measured"):
    """What ``serving.scorecard.parity.measure`` gave."""

    parity: dict


class Failed(Struct, frozen=True, tag="failed"):
    """The model's code failed, or gave what is of no use here.

    Parameters
    ----------
    error : the name of the exception's class; None if it is not the model's code that raised it.
    message : the exception's text, on one line.
    module : the module that is not installed, if that is the cause.
    """

    error: str | None
    message: str
    module: str | None = None


Request = CompileRequest | AnswerRequest | ParityRequest
Reply = Loaded | Compiled | Answered | Measured | Failed
