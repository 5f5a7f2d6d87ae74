"""How a classifier's label follows from its numbers, said once for every language."""

from dataclasses import dataclass

from ..scorecard import Scorecard


@dataclass(frozen=True)
class Choice:
    """What is looked at, and what it decides.

    Parameters
    ----------
    of : ``"scores"``, ``"margins"`` (scores after calibration) or ``"probabilities"``.
    place : which of them is compared; None where the class of the largest one, the first of equals, is taken.
    negative : it is compared with its sign turned.
    least : what it has to reach for the class at ``yes``; None where it has to be above zero. Else it is ``no``.
    """

    of: str
    place: int | None = None
    negative: bool = False
    least: float | None = None
    yes: int = 1
    no: int = 0


def choice(scorecard: Scorecard) -> Choice:
    """The choice of a classifier."""
    model, decision = scorecard.document["model"], scorecard.document["decision"]
    threshold = decision["threshold"]
    if threshold is not None:
        second = int(threshold["positive"] == decision["classes"][1])
        least, yes, no = float(threshold["value"]), second, 1 - second
        if threshold["on"] == "probability":
            return Choice("probabilities", place=second, least=least, yes=yes, no=no)
        return Choice("scores", place=0, negative=not second, least=least, yes=yes, no=no)
    if scores(scorecard) == 1:
        return Choice("margins", place=0)
    return Choice("margins" if model["calibration"] is None else "probabilities")


def scores(scorecard: Scorecard) -> int:
    """How many scores a model gives before any link."""
    model = scorecard.document["model"]
    return len(model["layers"][-1]["intercepts"] if model["kind"] == "mlp" else model["intercepts"])
