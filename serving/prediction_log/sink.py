"""What writes the prediction log."""

import datetime
from typing import TYPE_CHECKING, Protocol

from serving.errors import ServingError
from serving.prediction_log.schema import LogSchema

if TYPE_CHECKING:
    import pyarrow as pa


class LogError(ServingError):
    """The log cannot be written now; one line, without any of its rows."""


class Sink(Protocol):
    """Writes batches of rows; each method but ``close`` raises ``LogError`` if that fails."""

    def write(self, schema: LogSchema, date: datetime.date, batch: "pa.RecordBatch") -> int:
        """Write a batch of the rows of one version and one day (UTC); from then on they survive a killed process.

        Returns how many were written; the others were refused for good. A batch that failed is written again as the
        same object.
        """

    def tick(self) -> None:
        """Do what is due; called about once a second."""

    def expire(self, before: datetime.date) -> None:
        """Remove the rows of the days before a day."""

    def close(self) -> None:
        """Finish what was begun; what cannot be finished now is finished by the next process."""
