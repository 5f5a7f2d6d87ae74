"""The last monitoring report on a version, kept as a tag of it: whoever lists or serves the version shows it."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

import msgspec

#: The tag of a version that holds its last report.
TAG = "last_monitored"


@dataclass(frozen=True)
class LastReport:
    """What is told of a report where there is no room for it.

    Parameters
    ----------
    time : when it was made: UTC, in ISO 8601, to the second.
    alerts : how many it has; None if there were too few rows to tell.
    verdict : in one sentence.
    rows : how many it is about.
    run_id : of the MLflow run that has the report.
    """

    time: str
    alerts: int | None
    verdict: str
    rows: int
    run_id: str

    @property
    def short(self) -> str:
        """The verdict in two or three words: ``2 alerts``."""
        if self.alerts is None:
            return "too few rows"
        return f"{self.alerts} alert{'' if self.alerts == 1 else 's'}" if self.alerts else "no alert"

    @property
    def timestamp(self) -> float:
        """Its time in seconds since 1970."""
        return datetime.fromisoformat(self.time).timestamp()

    def age(self) -> float:
        """How long ago it was made, in seconds."""
        return datetime.now(UTC).timestamp() - self.timestamp

    def dumps(self) -> str:
        """The tag's value."""
        return msgspec.json.encode(self).decode()

    @staticmethod
    def of(tags: Mapping[str, str]) -> "LastReport | None":
        """The last report on a version with these tags; None if there is none, or the tag was changed by hand."""
        try:
            found = msgspec.json.decode(tags.get(TAG, ""), type=LastReport)
            when = datetime.fromisoformat(found.time)
        except (msgspec.DecodeError, ValueError):
            return None
        return found if when.tzinfo else None
