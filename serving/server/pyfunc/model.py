"""A model without a scorecard, as the rest of a worker sees it: what its signature says, and its lanes."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from serving.contract import Limits, Question
from serving.functions.signature import Signature
from serving.server.pyfunc.client import Lanes
from serving.server.pyfunc.places import LanePlaces


@dataclass(frozen=True)
class CachedPyfunc:
    """A model without a scorecard in the state document.

    Parameters
    ----------
    digest : of the model's files, which are in the cache.
    about : what its file ``MLmodel`` says of its signature.
    python : the interpreter that runs it; empty for the server's.
    """

    digest: str
    about: Mapping[str, Any] = field(default_factory=dict)
    python: str = ""

    def places(self, folder: str, processes: int) -> LanePlaces:
        """Where its lanes are."""
        return LanePlaces.of(folder, self.digest, self.python, processes)


class PyfuncModel:
    """A model that its lanes answer for; it has the facts of a ``Scorecard`` that protocols and pages show.

    Attributes
    ----------
    signature : how requests are read.
    cached, places : its entry in the state document, and where its lanes are.
    lanes : the processes that answer.
    """

    kind = "pyfunc"
    classes = None
    has_probabilities = False

    def __init__(self, cached: CachedPyfunc, places: LanePlaces, *, pending: int):
        self.cached, self.places = cached, places
        self.digest, self.signature = cached.digest, Signature(cached.about)
        self.inputs, self.optional = self.signature.inputs, self.signature.optional
        self.task = "regression" if self.signature.numeric else "model"
        self.lanes = Lanes(places, pending=pending, known=self.signature.known, summary=self.signature.summary)

    @property
    def loose(self) -> bool:
        """Whether the model takes other things than named columns of plain types."""
        return self.signature.loose

    def question(self, value: object, limits: Limits) -> Question:
        """Read a parsed body; raises RequestError as ``contract.question`` does."""
        return self.signature.question(value, limits=limits)
