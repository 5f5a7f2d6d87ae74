"""What a worker serves at one moment: frozen values, exchanged as a whole."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from types import MappingProxyType

from serving.scorecard import Scorecard


@dataclass(frozen=True)
class ServedVersion:
    """A version that answers.

    Parameters
    ----------
    model : the registered name, or the one given to a model that is served by its URI.
    version : ``"3"``; ``"0"`` for a path that does not say.
    stage : ``"Production"``, ``"Staging"``, or ``""`` for a model that is served by its URI.
    example : one input row, ``{column: value}``, of the model's input example; empty where it has none.
    """

    model: str
    version: str
    stage: str
    card: Scorecard = field(repr=False)
    example: Mapping = field(default_factory=dict, repr=False)

    @cached_property
    def label(self) -> str:
        """``diabetes/3``: how headers, log and metrics name it."""
        return f"{self.model}/{self.version}"


@dataclass(frozen=True)
class TrafficSplit:
    """What the challenger gets to see.

    Parameters
    ----------
    mode : ``none``; ``shadow``: it is asked too, and its answers are only compared; ``canary``: it answers a share.
    weight : the share of the requests, from 0 to 1.
    """

    mode: str = "none"
    weight: float = 0.0


@dataclass(frozen=True)
class ServedModel:
    """A model that answers.

    Parameters
    ----------
    refused : why a version that should be served is not, one line; empty where there is none.
    """

    name: str
    champion: ServedVersion
    challenger: ServedVersion | None = None
    traffic: TrafficSplit = TrafficSplit()
    refused: str = ""


@dataclass(frozen=True)
class Served:
    """All that is served.

    Parameters
    ----------
    default : the model that answers where the path names none; None where there are several, or none.
    generation : of the state document that it was read from; 0 before there was one.
    refused : models of the registry that are not served, and why, one line each.
    """

    models: Mapping[str, ServedModel]
    default: str | None = None
    generation: int = 0
    refused: Mapping[str, str] = field(default_factory=dict)

    @property
    def loading(self) -> bool:
        """Whether what is to be served has not been read for the first time."""
        return self.generation == 0 and not self.models


#: What a worker serves before it has read anything.
NOTHING = Served(MappingProxyType({}))
