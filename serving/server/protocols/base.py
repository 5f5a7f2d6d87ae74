"""What a wire format has to say: how it asks, how it answers, how it refuses."""

from abc import ABC, abstractmethod

from serving.contract import Limits, Question, RequestError
from serving.server.messages import Request, Response
from serving.server.state import ServedVersion

#: More rows than this are scored as a table.
FEW = 16


class WireProtocol(ABC):
    """One wire format for predictions; it keeps no state.

    The server chooses the version, asks its scorecard, and sends. A format's own ``Question`` may carry what it needs
    again for the answer.
    """

    #: For metrics and log: ``mlflow``, ``v2``, ``tensorflow``, ``torchserve``.
    name: str

    @abstractmethod
    def ask(self, request: Request, version: ServedVersion, limits: Limits) -> Question:
        """What a request asks of a version.

        Raises
        ------
        RequestError
            where it is malformed, or too large.
        """

    @abstractmethod
    def answer(self, question: Question, found: list, version: ServedVersion, request: Request) -> Response:
        """The response that holds the answers found, one a row."""

    @abstractmethod
    def refuse(self, error: RequestError) -> Response:
        """The response to a request that is not answered, in the form that this format's clients expect."""
