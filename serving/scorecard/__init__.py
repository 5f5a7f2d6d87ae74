"""The portable model: one JSON document that gives the same answers everywhere.

``Scorecard.loads(text)`` reads one with the standard library alone; ``compile(pipeline)`` makes one from a fitted
scikit-learn pipeline; ``parity`` measures that the two agree; ``exports`` writes it as other programs.
"""

from .errors import ScorecardError, Unsupported
from .inputs import AS_IS, Cleaning, Input, InputError
from .scorecard import Scorecard

__all__ = ["AS_IS", "Cleaning", "Input", "InputError", "Scorecard", "ScorecardError", "Unsupported", "compile"]


def compile(pipeline, inputs=None, *, cleaning=AS_IS) -> Scorecard:
    """The scorecard of a fitted scikit-learn pipeline: see ``compiler.compile_pipeline``."""
    from .compiler import compile_pipeline

    return compile_pipeline(pipeline, inputs, cleaning=cleaning)
