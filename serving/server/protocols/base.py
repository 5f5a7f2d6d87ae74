"""The interface of a wire format: how it parses requests, and formats answers and errors."""

from abc import ABC, abstractmethod

from serving.contract import Limits, Question, RequestError
from serving.server.messages import Request, Response
from serving.server.state import ServedVersion

#: Maximum number of rows that are scored one by one; more are scored as a table.
FEW = 16


class WireProtocol(ABC):
    """A wire format for predictions, without state.

    The server chooses the version, scores, and sends. A format may have its own ``Question``, with what it needs again
    for the answer.
    """

    #: For metrics and log: ``mlflow``, ``v2``, ``tensorflow``, ``torchserve``.
    name: str

    @abstractmethod
    def ask(self, request: Request, version: ServedVersion, limits: Limits) -> Question:
        """Parse a request to a version.

        Raises
        ------
        RequestError
            if it is invalid, or too large.
        """

    @abstractmethod
    def answer(self, question: Question, found: list, version: ServedVersion, request: Request) -> Response:
        """Format the answers, one for each row."""

    @abstractmethod
    def refuse(self, error: RequestError) -> Response:
        """Format an error as this format's clients expect it."""
