"""What a worker serves at one moment: immutable values, replaced as a whole."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from types import MappingProxyType

from serving.contract import Limits, Question, question
from serving.scorecard import Scorecard
from serving.server.pyfunc.model import PyfuncModel
from serving.server.version_facts import UNKNOWN, VersionFacts

#: What answers for a version: its scorecard, or MLflow's pyfunc.
Card = Scorecard | PyfuncModel


@dataclass(frozen=True)
class ServedVersion:
    """A version that is served.

    Parameters
    ----------
    model : the registered name, or the one given to a model that is served by its URI.
    version : ``"3"``; ``"0"`` for a path without one.
    stage : ``"Production"``, ``"Staging"``, or ``""`` for a model that is served by its URI.
    card : its scorecard; for a version that has none, what its MLflow signature says.
    example : one input row, ``{column: value}``, of the model's input example; empty if it has none. For a model that
        takes no named columns, a request.
    facts : for the page.
    """

    model: str
    version: str
    stage: str
    card: Card = field(repr=False)
    example: Mapping = field(default_factory=dict, repr=False)
    facts: VersionFacts = field(default=UNKNOWN, repr=False)

    @cached_property
    def label(self) -> str:
        """``diabetes/3``, its name in headers, log and metrics."""
        return f"{self.model}/{self.version}"

    @property
    def ready(self) -> bool:
        """Whether it can answer now."""
        return not isinstance(self.card, PyfuncModel) or self.card.lanes.ready

    @property
    def loose(self) -> bool:
        """Whether it takes other things than named columns of plain types, which MLflow reads."""
        return isinstance(self.card, PyfuncModel) and self.card.loose

    def question(self, value: object, limits: Limits) -> Question:
        """Read a parsed body as a request to this version; raises RequestError as ``contract.question`` does."""
        if isinstance(self.card, PyfuncModel):
            return self.card.question(value, limits)
        return question(value, self.card.inputs, limits=limits)


@dataclass(frozen=True)
class TrafficSplit:
    """Which requests the challenger gets.

    Parameters
    ----------
    mode : ``none``; ``shadow``: the challenger's answers are only compared; ``canary``: it answers a share.
    weight : the share of requests, from 0 to 1.
    """

    mode: str = "none"
    weight: float = 0.0


@dataclass(frozen=True)
class ServedModel:
    """A model that is served.

    Parameters
    ----------
    refused : why a version that should be served is not, one line; empty if there is none.
    """

    name: str
    champion: ServedVersion
    challenger: ServedVersion | None = None
    traffic: TrafficSplit = TrafficSplit()
    refused: str = ""


@dataclass(frozen=True)
class Served:
    """Everything that is served.

    Parameters
    ----------
    default : the model that answers on paths that name none; None if there is no such model.
    generation : of the state document it was read from; 0 before the first.
    refused : registered models that are not served, and why, one line each.
    """

    models: Mapping[str, ServedModel]
    default: str | None = None
    generation: int = 0
    refused: Mapping[str, str] = field(default_factory=dict)

    @property
    def loading(self) -> bool:
        """Whether the server has not loaded its models yet."""
        return self.generation == 0 and not self.models


#: What a worker serves before it has loaded anything.
NOTHING = Served(MappingProxyType({}))
