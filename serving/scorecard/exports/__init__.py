"""A scorecard as other programs: one module a format, each with ``write(scorecard)``."""

from dataclasses import dataclass
from importlib import import_module

from ..errors import ScorecardError
from ..scorecard import Scorecard


@dataclass(frozen=True)
class Format:
    """One way to write a scorecard.

    Parameters
    ----------
    name : what a user asks for.
    suffix : of a file of this format, with its dot.
    summary : what one gets, in a few words.
    module : the module of this package whose ``write(scorecard)`` gives the text or the bytes.
    """

    name: str
    suffix: str
    summary: str
    module: str


FORMATS = {
    item.name: item
    for item in (
        Format("scorecard", ".json", "the document itself", "document"),
        Format("python", ".py", "one Python file that imports nothing but math", "python"),
    )
}


def write(scorecard: Scorecard, name: str) -> str | bytes:
    """The scorecard in a format.

    Raises
    ------
    ScorecardError
        where there is no such format.
    Unsupported
        where the format cannot say what the scorecard does.
    """
    if name not in FORMATS:
        raise ScorecardError(f"format: expected one of {', '.join(FORMATS)}, found {name!r}")
    return import_module(f"{__name__}.{FORMATS[name].module}").write(scorecard)
