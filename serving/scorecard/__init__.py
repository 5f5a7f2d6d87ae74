"""The portable model: one JSON document that gives the same answers everywhere.

``Scorecard.loads(text)`` reads one with the standard library alone; ``compile(pipeline)`` makes one from a fitted
scikit-learn pipeline; ``parity`` measures that the two agree; ``exports`` writes it as other programs.
"""

from .errors import ScorecardError, Unsupported
from .inputs import AS_IS, Cleaning, Input, InputError
from .nodes import Document
from .scorecard import Scorecard

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

__all__ = [
    "AS_IS",
    "Cleaning",
    "Document",
    "Input",
    "InputError",
    "Scorecard",
    "ScorecardError",
    "Unsupported",
    "compile",
]


def compile(pipeline: "Any", inputs: "Iterable[Input] | None" = None, *, cleaning: Cleaning = AS_IS) -> Scorecard:
    """The scorecard of a fitted scikit-learn pipeline: see ``compiler.compile_pipeline``."""
    from .compiler import compile_pipeline

    return compile_pipeline(pipeline, inputs, cleaning=cleaning)
