"""What a command has made so far: logged as it is made, and listed by the error that ends the command."""

from collections.abc import Iterator
from contextlib import contextmanager

from mlflow.protos.databricks_pb2 import ErrorCode

from registry import logs

from .errors import DeploymentError

_log = logs.get_logger(__name__)


class CompletedSteps:
    """What a command has made so far."""

    def __init__(self) -> None:
        self._made: list[str] = []

    def done(self, words: str) -> None:
        """Log what was made, and remember it."""
        self._made.append(words)
        _log.info("%s", words)

    @contextmanager
    def told(self) -> Iterator[None]:
        """Add what was made to an error that is raised in the block."""
        try:
            yield
        except DeploymentError as error:
            if not self._made:
                raise
            raise DeploymentError(
                f"{error.message}; done so far: {', '.join(self._made)}; run the same command again to resume",
                ErrorCode.Value(error.error_code),
            ) from error
