"""A scorecard as other programs: one module a format, each with ``write(scorecard, about, ...)``."""

from dataclasses import dataclass
from importlib import import_module
from typing import Any

from ..errors import ScorecardError
from ..scorecard import Scorecard
from .about import About

__all__ = ["FORMATS", "About", "Format", "write"]


@dataclass(frozen=True)
class Format:
    """One way to write a scorecard.

    Parameters
    ----------
    name : what a user asks for.
    suffix : of a file of this format, with its dot.
    summary : what one gets, in a few words.
    module : the module of this package whose ``write(scorecard, about, ...)`` gives the text or the bytes.
    options : names of the further keyword arguments that its ``write`` takes.
    """

    name: str
    suffix: str
    summary: str
    module: str
    options: tuple[str, ...] = ()


FORMATS = {
    item.name: item
    for item in (
        Format("scorecard", ".json", "the document itself", "document"),
        Format("python", ".py", "one Python file that imports nothing but math", "python"),
        Format("sql", ".sql", "one SELECT for a database", "sql", ("dialect", "table", "keep")),
        Format("onnx", ".onnx", "a float64 graph for ONNX Runtime, Triton and others", "onnx", ("quantize",)),
        Format("pmml", ".pmml", "PMML 4.4 for scoring engines", "pmml"),
        Format("javascript", ".mjs", "one ES module for browsers, Node and the edge", "javascript"),
        Format("c", ".c", "one C99 file that allocates nothing", "c"),
    )
}


def write(scorecard: Scorecard, name: str, about: About | None = None, **options: Any) -> str | bytes:
    """The scorecard in a format.

    Parameters
    ----------
    options : what the format takes beside (``FORMATS[name].options``).

    Raises
    ------
    ScorecardError
        where there is no such format, or it takes no such option.
    Unsupported
        where the format cannot say what the scorecard does.
    """
    if name not in FORMATS:
        raise ScorecardError(f"format: expected one of {', '.join(FORMATS)}, found {name!r}")
    for option in options:
        if option not in FORMATS[name].options:
            takes = ", ".join(FORMATS[name].options) or "no options"
            raise ScorecardError(f"format {name}: expected {takes}, found {option}")
    return import_module(f"{__name__}.{FORMATS[name].module}").write(scorecard, about, **options)
