"""The scorecard as its own document."""

from ..scorecard import Scorecard


def write(scorecard: Scorecard, about: object = None) -> str:
    """The document as JSON for people."""
    return scorecard.dumps()
